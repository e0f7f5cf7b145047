"""Artificial cut-outs of liposomes in vitreous ice, drawn from simple optics instead of from data.

A liposome is a set of spherical shells (lamellae) with an optional filling. What an electron microscope records is,
to first order, the projection of these bodies seen through the contrast transfer function of a defocused lens, on a
background of Perlin noise, under shot noise. The idea is that of the thesis (section 4.8.4, Figure 10), which drew
circles on Perlin noise; like there, nothing here is fitted to real images, so results on these images say how the
programs behave and not how real liposomes are classified.

Lengths inside this module are in pixels of the particle's micrograph unless a name says nm. A body is drawn on the
canvas as path length times density, in nm of membrane.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from pyfastnoiselite.pyfastnoiselite import FastNoiseLite, FractalType, NoiseType
from scipy.fft import fftfreq, irfft2, next_fast_len, rfft2, rfftfreq

from lipnet.core.errors import InputError
from lipnet.core.seeds import derive, generator
from lipnet.core.settings import Settings
from lipnet.samples.particles import Mask, Particle, bounding_box

Floats = NDArray[np.float32]

CLASSES = {  # what can be drawn; the ambiguous class comes last
    "lamellarity": ("Unilamellar", "Multilamellar", "Uncertain"),
    "encapsulation": ("Full", "Empty", "Uncertain"),
}

DIAMETER_NM = {  # median of each class; the spread below makes the classes overlap
    "lamellarity": {"Unilamellar": 90.0, "Multilamellar": 120.0, "Uncertain": 103.0},
    "encapsulation": {"Full": 96.0, "Empty": 90.0, "Uncertain": 98.0},
}
DIAMETER_LOG_SD = 0.22
MIN_RADIUS_PX = 8.0  # keeps masks at least 10 px across at any pixel size
MEMBRANE_NM = 5.0  # a lipid bilayer
ICE_DENSITY = (0.8, 2.5)  # pieces of crystalline ice, relative to a membrane; the "black blobs" of thesis section 2
STRIPE_NM = 6.0  # period of the stripes of crystallised drug; finer ones would vanish at these pixel sizes
DOUBTS = {  # what makes an expert uncertain (thesis section 2), and how often; the shares are guesses
    "lamellarity": {"overlap": 0.4, "ice": 0.5, "hole": 0.1},
    "encapsulation": {"overlap": 0.25, "ice": 0.4, "hole": 0.05, "faint": 0.1, "partial": 0.2},
}

WAVELENGTH_NM = 0.00251  # electrons of 200 kV
AMPLITUDE_CONTRAST = 0.2  # high for ice: makes dense drug darker all over, not only at its rim
ENVELOPE_NM2 = 6.0  # exp(-ENVELOPE_NM2 k^2) damps fine detail
PHASE_PER_NM = 0.012  # radians that a nm of membrane adds to what ice does; chosen by eye for visible membranes
BATH_GREY = (135.0, 160.0)  # grey level of plain ice
MARGIN_PX = 8  # the transfer function wraps around the canvas; its reach is cut off with this margin


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= limits[0] <= limits[1]:
        raise ValueError("expected [low, high] with 0 <= low <= high")
    return limits


def _positive(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] <= 0:
        raise ValueError("expected limits above 0")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
PositiveRange = Annotated[Range, AfterValidator(_positive)]


class ArtificialSettings(Settings):
    """Size and difficulty of the artificial data; ranges are [low, high], drawn uniformly.

    Attributes:
        n_particles: particles of a problem, all classes together.
        proportions: share of each class of each problem; a class that is left out is not drawn.
        min_per_class: classes with fewer particles than this by their natural proportion are raised to it.
        particles_per_micrograph: mean size of a group.
        padding_px: surrounding on each side of a particle's bounding box.
        pixel_size_nm: side of a pixel; one draw per micrograph.
        defocus_um: underfocus; more gives coarser Fresnel fringes along membranes; one draw per micrograph.
        noise_sd: standard deviation of the noise as a fraction of the brightness of ice; one draw per micrograph.
        lamella_gap_nm: water between two lamellae; a gap near the pixel size blurs out.
        filling_density: density of an encapsulated drug, where a membrane has density 1.
    """

    n_particles: int = Field(ge=1)
    proportions: dict[str, dict[str, Annotated[float, Field(ge=0)]]]
    min_per_class: int = Field(ge=0)
    particles_per_micrograph: int = Field(ge=1)
    padding_px: int = Field(ge=0)
    pixel_size_nm: PositiveRange
    defocus_um: Range
    noise_sd: Range
    lamella_gap_nm: PositiveRange
    filling_density: Range


class MicrographPlan(NamedTuple):
    """What is needed to render one simulated micrograph without knowing the others.

    Attributes:
        problem: name of the problem.
        number: number of the micrograph, from 0.
        labels: class of each of its particles.
        first_number: number of its first particle, from 1.
        seed: of its random generator.
        prefix: put before ids and groups, so that extra examples never share a name with the data.
    """

    problem: str
    number: int
    labels: tuple[str, ...]
    first_number: int
    seed: int
    prefix: str = ""


class Optics(NamedTuple):
    """What all particles of one micrograph share."""

    pixel_size_nm: float
    defocus_nm: float
    noise_sd: float
    contrast: float
    bath_grey: float
    gradient: tuple[float, float]  # change of brightness per px, down and to the right
    texture: FastNoiseLite
    texture_nm: float


class Outline(NamedTuple):
    """A nearly circular closed curve: radius (1 + Re sum_k wobble[k] e^(i (k + 2) angle)) around (y, x)."""

    y: float
    x: float
    radius: float
    wobble: tuple[complex, ...]


class Body(NamedTuple):
    """Something solid inside an outline: a ball of a density, or a striped rod where rod_angle is given."""

    outline: Outline
    density: float
    rod_angle: float | None = None


class Liposome(NamedTuple):
    """Lamellae from the outermost inwards, what they hold, and the hole, if any, in the outermost one."""

    shells: tuple[Outline, ...]
    fillings: tuple[Body, ...] = ()
    hole: tuple[float, float] | None = None  # direction and half width, radians


class Scene(NamedTuple):
    """The particle, what belongs to it in the picture, and the outlines that make up its mask."""

    liposomes: tuple[Liposome, ...]
    ice: tuple[Body, ...]
    masked: tuple[Outline, ...]


def class_counts(problem: str, settings: ArtificialSettings) -> dict[str, int]:
    """Number of particles of each class: the proportions, by largest remainder, with a floor per class.

    What a raised class needs is taken from the class that is the largest at that moment. Sums to n_particles.

    Raises:
        InputError: the problem is unknown, its proportions name other classes than the generator can draw, or
            n_particles cannot hold min_per_class particles of every class.
    """
    shares = _shares(problem, settings)
    if settings.min_per_class * len(shares) > settings.n_particles:
        raise InputError(
            f"artificial: {settings.n_particles} particles cannot hold {settings.min_per_class} of each of the "
            f"{len(shares)} classes of {problem}; raise n_particles or lower min_per_class"
        )
    exact = settings.n_particles * np.array(list(shares.values()))
    counts = np.floor(exact).astype(int)
    left_over = settings.n_particles - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:left_over]] += 1
    while counts.min() < settings.min_per_class:
        smallest, largest = counts.argmin(), counts.argmax()
        counts[smallest] += 1
        counts[largest] -= 1
    return dict(zip(shares, counts.tolist(), strict=True))


def check_classes(problem: str, classes: Iterable[str]) -> None:
    """Refuse what cannot be drawn.

    Raises:
        InputError: the generator does not know the problem or one of the classes.
    """
    if problem not in CLASSES:
        known = ", ".join(CLASSES)
        raise InputError(f"source artificial draws {known}, not '{problem}', which needs source.kind: table")
    unknown = [name for name in classes if name not in CLASSES[problem]]
    if unknown:
        known = ", ".join(CLASSES[problem])
        raise InputError(f"source artificial draws the classes {known} of {problem}, not {', '.join(unknown)}")


def restrict(settings: ArtificialSettings, problem: str, classes: list[str]) -> ArtificialSettings:
    """The settings that draw only some classes of one problem.

    Raises:
        InputError: a class cannot be drawn or has no share in the proportions.
    """
    check_classes(problem, classes)
    given = settings.proportions.get(problem, {})
    without = [name for name in classes if name not in given]
    if without:
        where = f"source.artificial.proportions.{problem}"
        raise InputError(f"params.yaml: {where}: give {', '.join(without)} a share")
    return settings.model_copy(update={"proportions": {problem: {name: given[name] for name in classes}}})


def make_particles(problem: str, settings: ArtificialSettings, seed: int) -> Iterator[Particle]:
    """Yield all particles of a problem, in the order of their ids.

    Args:
        problem: a key of ``CLASSES``.
        settings: size and difficulty.
        seed: of the run.

    Raises:
        InputError: as class_counts.
    """
    for plan in plan_micrographs(problem, settings, seed):
        yield from render_micrograph(plan, settings)


def plan_micrographs(problem: str, settings: ArtificialSettings, seed: int) -> list[MicrographPlan]:
    """Share out the particles of a problem, in a random order of classes, among micrographs of random sizes.

    Each plan can be rendered on its own, in any order and by any worker, with the same result.

    Raises:
        InputError: as class_counts.
    """
    counts = class_counts(problem, settings)
    stream = (seed, list(CLASSES).index(problem))
    rng = generator("order of classes", *stream)
    labels = rng.permutation(np.repeat(list(counts), list(counts.values()))).tolist()
    return _plan(problem, labels, settings, stream, prefix="")


def render_examples(problem: str, label: str, n: int, settings: ArtificialSettings, seed: int) -> list[Particle]:
    """Draw n further particles of one class, different from those of make_particles with the same seed.

    Raises:
        InputError: the generator does not know the problem or the class.
    """
    check_classes(problem, [label])
    number = 1 + CLASSES[problem].index(label)
    stream = (seed, list(CLASSES).index(problem), number)
    plans = _plan(problem, [label] * n, settings, stream, prefix=f"X{number}")
    return [particle for plan in plans for particle in render_micrograph(plan, settings)]


def render_micrograph(plan: MicrographPlan, settings: ArtificialSettings) -> list[Particle]:
    """Render the particles of one micrograph; a pure function of its arguments.

    Returns:
        Particles with uint8 images of shape (mask height + 2 padding_px, mask width + 2 padding_px).
    """
    rng = np.random.default_rng(plan.seed)
    optics = _draw_optics(settings, rng)
    particles = []
    for number, label in enumerate(plan.labels, start=plan.first_number):
        image, mask = _render(plan.problem, label, optics, settings, rng)
        particles.append(
            Particle(
                id=f"{plan.prefix}{plan.problem[0].upper()}{number:05d}",
                label=label,
                group=f"{plan.prefix}m{plan.number:04d}",
                image=image,
                mask=mask,
                padding_px=settings.padding_px,
                pixel_size_nm=optics.pixel_size_nm,
            )
        )
    return particles


def shell_projection(distance: Floats, outer: float, inner: float) -> Floats:
    """Path length of a ray through a spherical shell, at a distance from its centre.

    Args:
        distance: distances of the rays from the centre, any shape.
        outer: outer radius, in the unit of distance.
        inner: inner radius, at most outer; 0 gives a solid ball.

    Returns:
        Path lengths in the same unit, same shape; the peak is at the inner radius, which is why membranes look like
        dark rings.
    """
    path: Floats = _ball(distance, outer) - _ball(distance, inner)
    return path


def transfer_function(shape: tuple[int, int], pixel_size_nm: float, defocus_nm: float) -> Floats:
    """Weak-phase contrast transfer function with amplitude contrast and a Gaussian envelope.

    Args:
        shape: height and width of the image in px.
        pixel_size_nm: side of a pixel.
        defocus_nm: underfocus.

    Returns:
        Real factors for scipy.fft.rfft2 of a phase in radians, shape (height, width // 2 + 1).
    """
    rows = fftfreq(shape[0], pixel_size_nm)[:, None]
    columns = rfftfreq(shape[1], pixel_size_nm)[None, :]
    k2 = rows**2 + columns**2
    chi = np.pi * WAVELENGTH_NM * defocus_nm * k2
    factors = np.sin(chi + np.arcsin(AMPLITUDE_CONTRAST)) * np.exp(-ENVELOPE_NM2 * k2)
    return np.asarray(2 * factors, dtype=np.float32)


def _shares(problem: str, settings: ArtificialSettings) -> dict[str, float]:
    given = settings.proportions.get(problem, {})
    check_classes(problem, given)
    total = sum(given.values())
    if total <= 0:
        raise InputError(f"params.yaml: source.artificial.proportions.{problem}: give some class a share above 0")
    return {name: given[name] / total for name in CLASSES[problem] if name in given}


def _plan(
    problem: str, labels: list[str], settings: ArtificialSettings, stream: tuple[int, ...], prefix: str
) -> list[MicrographPlan]:
    rng = generator("sizes of micrographs", *stream)
    plans: list[MicrographPlan] = []
    start = 0
    while start < len(labels):
        stop = start + 1 + int(rng.poisson(settings.particles_per_micrograph - 1))
        number = len(plans)
        seed = derive("micrograph", *stream, number)
        plans.append(MicrographPlan(problem, number, tuple(labels[start:stop]), start + 1, seed, prefix))
        start = stop
    return plans


# --- What a micrograph and a particle look like -----------------------------------------------------------------------


def _draw_optics(settings: ArtificialSettings, rng: Generator) -> Optics:
    texture = FastNoiseLite(seed=int(rng.integers(2**31)))
    texture.noise_type = NoiseType.NoiseType_Perlin
    texture.fractal_type = FractalType.FractalType_FBm
    texture.fractal_octaves = 3
    pixel_size_nm = rng.uniform(*settings.pixel_size_nm)
    texture.frequency = pixel_size_nm / rng.uniform(15, 60)  # per px, for grains of 15 to 60 nm
    return Optics(
        pixel_size_nm=pixel_size_nm,
        defocus_nm=1000.0 * rng.uniform(*settings.defocus_um),
        noise_sd=rng.uniform(*settings.noise_sd),
        contrast=rng.uniform(0.7, 1.3),
        bath_grey=rng.uniform(*BATH_GREY),
        gradient=(rng.normal(0, 0.0003), rng.normal(0, 0.0003)),
        texture=texture,
        texture_nm=rng.uniform(8, 35),
    )


def _compose(problem: str, label: str, settings: ArtificialSettings, pixel_nm: float, rng: Generator) -> Scene:
    """Draw a particle of a class, centred on (0, 0)."""
    outline = _outline(problem, label, pixel_nm, rng)
    if label == "Uncertain":
        return _doubtful(problem, outline, settings, pixel_nm, rng)
    return Scene((_liposome(label, outline, settings, pixel_nm, rng),), (), (outline,))


def _liposome(label: str, outline: Outline, settings: ArtificialSettings, pixel_nm: float, rng: Generator) -> Liposome:
    """A liposome of an unambiguous class; what the class leaves open (filling or lamellae) is drawn at random."""
    many = label == "Multilamellar" or (label in ("Full", "Empty") and rng.random() < 0.15)
    filled = label == "Full" or (label in ("Unilamellar", "Multilamellar") and rng.random() < 0.2)
    shells = _lamellae(outline, settings, pixel_nm, rng) if many else (outline,)
    return Liposome(shells, (_filling(shells[-1], settings, pixel_nm, rng),) if filled else ())


def _doubtful(problem: str, outline: Outline, settings: ArtificialSettings, pixel_nm: float, rng: Generator) -> Scene:
    """A liposome that an expert would not assign: overlapped, covered by ice, torn, or (drug) half filled."""
    sure = CLASSES[problem][:2]
    base = _liposome(sure[int(rng.random() < 0.4)], outline, settings, pixel_nm, rng)
    causes = DOUBTS[problem]
    cause = rng.choice(list(causes), p=list(causes.values()))
    if cause == "overlap":
        return _overlapped(base, sure, settings, pixel_nm, rng)
    if cause == "ice":
        return Scene((base,), (_ice_over(outline, rng),), (outline,))
    if cause == "hole":
        hole = (rng.uniform(-np.pi, np.pi), rng.uniform(0.4, 1.0))
        return Scene((base._replace(hole=hole),), (), (outline,))
    body = _filling(outline, settings, pixel_nm, rng)
    if cause == "faint":
        body = Body(body.outline, rng.uniform(0.25, 0.75) * settings.filling_density[0])
    else:
        body = body._replace(outline=_inside(outline, rng.uniform(0.45, 0.7), rng), rod_angle=None)
    return Scene((Liposome((outline,), (body,)),), (), (outline,))


def _overlapped(
    base: Liposome, sure: tuple[str, ...], settings: ArtificialSettings, pixel_nm: float, rng: Generator
) -> Scene:
    outline = base.shells[0]
    radius = outline.radius * rng.uniform(0.6, 1.0)
    distance = outline.radius + radius * rng.uniform(-0.5, 0.3)
    angle = rng.uniform(-np.pi, np.pi)
    y, x = distance * np.sin(angle), distance * np.cos(angle)
    second = Outline(y, x, max(radius, MIN_RADIUS_PX), _wobble(rng))
    other = _liposome(sure[0], second, settings, pixel_nm, rng)
    masked = (outline, second) if rng.random() < 0.5 else (outline,)
    return Scene((base, other), (), masked)


def _outline(problem: str, label: str, pixel_nm: float, rng: Generator) -> Outline:
    spread = np.clip(rng.normal(), -2, 2) * DIAMETER_LOG_SD
    radius = DIAMETER_NM[problem][label] / 2 * np.exp(spread) / pixel_nm
    return Outline(0.0, 0.0, max(radius, MIN_RADIUS_PX), _wobble(rng))


def _wobble(rng: Generator, sd: float = 0.035) -> tuple[complex, ...]:
    """Random ellipticity and three weaker harmonics; liposomes are nearly but not quite round."""
    scale = sd / np.array([1, 3, 6, 10])
    return tuple((rng.normal(size=4) + 1j * rng.normal(size=4)) * scale)


def _inside(outline: Outline, fraction: float, rng: Generator) -> Outline:
    """A smaller copy somewhere inside an outline."""
    angle, shift = rng.uniform(-np.pi, np.pi), rng.uniform(0, 0.9) * (1 - fraction) * outline.radius
    y, x = outline.y + shift * np.sin(angle), outline.x + shift * np.cos(angle)
    return Outline(y, x, fraction * outline.radius, outline.wobble)


def _lamellae(outline: Outline, settings: ArtificialSettings, pixel_nm: float, rng: Generator) -> tuple[Outline, ...]:
    """The outline and 1 to 4 smaller ones inside it, each somewhat off the centre of the one around it."""
    shells = [outline]
    for _ in range(rng.choice([1, 2, 3, 4], p=[0.5, 0.25, 0.15, 0.1])):
        step = (MEMBRANE_NM + rng.uniform(*settings.lamella_gap_nm)) / pixel_nm
        fraction = 1 - step / shells[-1].radius
        if fraction < 0.4 and len(shells) > 1:
            break
        shells.append(_inside(shells[-1], max(fraction, 0.4), rng))
    return tuple(shells)


def _filling(shell: Outline, settings: ArtificialSettings, pixel_nm: float, rng: Generator) -> Body:
    """A drug inside a shell: mostly in solution, in one of four liposomes crystallised to a rod."""
    density = rng.uniform(*settings.filling_density)
    room = shell._replace(radius=max(shell.radius - MEMBRANE_NM / pixel_nm, 1.0))
    if rng.random() < 0.25:
        return Body(room, 2 * density, rod_angle=rng.uniform(0, np.pi))
    return Body(room, density)


def _ice_over(outline: Outline, rng: Generator) -> Body:
    """A piece of ice over part of an outline."""
    angle, distance = rng.uniform(-np.pi, np.pi), outline.radius * rng.uniform(0.3, 1.0)
    radius = outline.radius * rng.uniform(0.4, 0.8)
    y, x = outline.y + distance * np.sin(angle), outline.x + distance * np.cos(angle)
    return Body(Outline(y, x, radius, _wobble(rng, sd=0.12)), rng.uniform(*ICE_DENSITY))


def _surroundings(
    problem: str, scene: Scene, settings: ArtificialSettings, reach: float, pixel_nm: float, rng: Generator
) -> Scene:
    """Liposomes of any class and pieces of ice that intrude on the surrounding; they are not part of the mask."""
    liposomes, ice = [], []
    labels = CLASSES[problem][:2]  # the unambiguous ones
    inner = _extent(scene.masked)
    for _ in range(rng.poisson(2.0)):
        label = labels[int(rng.random() < 0.2)]
        outline = _outline(problem, label, pixel_nm, rng)
        liposomes.append(_liposome(label, _beside(outline, inner, reach, rng), settings, pixel_nm, rng))
    for _ in range(rng.poisson(0.4)):
        piece = Outline(0.0, 0.0, rng.uniform(4, 14), _wobble(rng, sd=0.12))
        ice.append(Body(_beside(piece, inner, reach, rng), rng.uniform(*ICE_DENSITY)))
    return Scene((*scene.liposomes, *liposomes), (*scene.ice, *ice), scene.masked)


def _beside(outline: Outline, inner: float, reach: float, rng: Generator) -> Outline:
    """The outline moved to a place between grazing the particle (which keeps its class) and off the canvas."""
    angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(0.85 * inner, reach) + outline.radius
    return outline._replace(y=distance * np.sin(angle), x=distance * np.cos(angle))


# --- Drawing ----------------------------------------------------------------------------------------------------------


def _render(
    problem: str, label: str, optics: Optics, settings: ArtificialSettings, rng: Generator
) -> tuple[NDArray[np.uint8], Mask]:
    scene = _compose(problem, label, settings, optics.pixel_size_nm, rng)
    half = int(np.ceil(_extent(scene.masked))) + settings.padding_px + MARGIN_PX
    side = next_fast_len(2 * half + 1, real=True)
    mask = _draw_mask((side, side), half, scene.masked, rng)
    scene = _surroundings(problem, scene, settings, half, optics.pixel_size_nm, rng)
    thickness_nm = _draw_texture((side, side), optics, rng)
    for liposome in scene.liposomes:
        _draw_liposome(thickness_nm, half, liposome, optics.pixel_size_nm)
    for piece in scene.ice:
        _draw_body(thickness_nm, half, piece, optics.pixel_size_nm)
    crop = _padded_box(mask, settings.padding_px)
    return _expose(thickness_nm, optics, rng)[crop], mask[crop]


def _extent(outlines: tuple[Outline, ...]) -> float:
    """Distance from (0, 0) that no point of the outlines, or of a mask drawn after them, exceeds."""
    return max(float(np.hypot(o.y, o.x)) + 1.06 * _largest_radius(o) for o in outlines) + 4


def _largest_radius(outline: Outline) -> float:
    return outline.radius * (1 + sum(map(abs, outline.wobble)))


def _draw_mask(shape: tuple[int, int], half: int, outlines: tuple[Outline, ...], rng: Generator) -> Mask:
    """Mask of the outlines, each a little wrong, as drawn by a person or a segmentation program."""
    mask = np.zeros(shape, dtype=np.bool_)
    for outline in outlines:
        error = np.array(_wobble(rng, sd=0.012))
        radius = outline.radius + np.clip(rng.normal(0.3, 0.7), -2, 2)
        traced = Outline(outline.y, outline.x, radius, tuple(np.array(outline.wobble) + error))
        window, distance, _ = _polar(shape, half, traced)
        mask[window] |= distance < traced.radius
    return mask


def _draw_texture(shape: tuple[int, int], optics: Optics, rng: Generator) -> Floats:
    """Uneven ice at a random place of the micrograph, in nm of membrane."""
    origin = rng.uniform(0, 4096, 2)
    rows, columns = np.indices(shape, dtype=np.float32)
    coordinates = np.stack([columns.ravel() + np.float32(origin[0]), rows.ravel() + np.float32(origin[1])])
    noise: Floats = np.asarray(optics.texture.gen_from_coords(coordinates), dtype=np.float32)
    return noise.reshape(shape) * np.float32(optics.texture_nm)


def _draw_liposome(canvas: Floats, half: int, liposome: Liposome, pixel_nm: float) -> None:
    for number, shell in enumerate(liposome.shells):
        window, distance, direction = _polar(canvas.shape, half, shell)
        inner = max(shell.radius - MEMBRANE_NM / pixel_nm, 0.0)
        path = shell_projection(distance, shell.radius, inner)
        if liposome.hole and number == 0:
            path *= _torn(direction, *liposome.hole)
        canvas[window] += path * np.float32(pixel_nm)
    for body in liposome.fillings:
        _draw_body(canvas, half, body, pixel_nm)


def _draw_body(canvas: Floats, half: int, body: Body, pixel_nm: float) -> None:
    window, distance, direction = _polar(canvas.shape, half, body.outline)
    radius = body.outline.radius
    if body.rod_angle is None:
        path = _ball(distance, radius)
    else:
        turned = distance * direction * np.complex64(np.exp(-1j * body.rod_angle))
        width = radius * 0.5
        path = _ball(np.hypot(turned.real * (width / radius), turned.imag), width)
        path *= 1 + np.cos(turned.imag * np.float32(2 * np.pi * pixel_nm / STRIPE_NM))
    canvas[window] += path * np.float32(body.density * pixel_nm)


def _polar(
    shape: tuple[int, ...], half: int, outline: Outline
) -> tuple[tuple[slice, slice], Floats, NDArray[np.complex64]]:
    """The part of the canvas that an outline covers, in its own polar coordinates.

    Returns:
        The window (empty where the outline is off the canvas), distances from the centre in which the outline is a
        circle of its radius, and unit vectors from the centre as complex numbers.
    """
    reach = _largest_radius(outline) + 2
    centre = np.array([outline.y, outline.x]) + half
    low = np.clip(np.floor(centre - reach), 0, shape).astype(int)
    high = np.clip(np.ceil(centre + reach), 0, shape).astype(int)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    down = np.arange(low[0], high[0], dtype=np.float32)[:, None] - np.float32(centre[0])
    right = np.arange(low[1], high[1], dtype=np.float32)[None, :] - np.float32(centre[1])
    position = right + np.complex64(1j) * down
    distance: Floats = np.abs(position)
    direction = np.asarray(position / np.maximum(distance, np.float32(1e-6)), dtype=np.complex64)
    bulge, power = np.ones_like(distance), direction
    for amplitude in outline.wobble:
        power = power * direction
        bulge += (np.complex64(amplitude) * power).real
    distance /= np.maximum(bulge, np.float32(0.2))  # a wild wobble must not turn inside out
    return window, distance, direction


def _ball(distance: Floats, radius: float) -> Floats:
    """Path length through a ball."""
    path: Floats = 2 * np.sqrt(np.maximum(np.float32(radius**2) - distance**2, 0))
    return path


def _torn(direction: NDArray[np.complex64], angle: float, half_width: float) -> Floats:
    """0 in the given direction, 1 away from it, with soft ends."""
    cosine = (direction * np.complex64(np.exp(-1j * angle))).real
    ramp: Floats = np.clip((np.float32(np.cos(half_width)) - cosine) * 8 + 0.5, 0, 1)
    return ramp


def _expose(thickness_nm: Floats, optics: Optics, rng: Generator) -> NDArray[np.uint8]:
    """Image of a projected specimen: transfer function, uneven illumination, shot noise, 8 bits."""
    shape = (thickness_nm.shape[0], thickness_nm.shape[1])
    spectrum = rfft2(thickness_nm) * transfer_function(shape, optics.pixel_size_nm, optics.defocus_nm)
    bright = 1 - irfft2(spectrum, s=shape) * np.float32(PHASE_PER_NM * optics.contrast)
    rows, columns = (np.arange(n, dtype=np.float32) - n / 2 for n in shape)
    bright += (rows * optics.gradient[0])[:, None] + columns * optics.gradient[1]
    noise = rng.standard_normal(shape, dtype=np.float32)
    bright += noise * np.sqrt(np.maximum(bright, 0)) * np.float32(optics.noise_sd)
    return np.asarray(np.clip(np.rint(bright * optics.bath_grey), 0, 255), dtype=np.uint8)


def _padded_box(mask: Mask, padding_px: int) -> tuple[slice, slice]:
    rows, columns = bounding_box(mask)
    return (
        slice(rows.start - padding_px, rows.stop + padding_px),
        slice(columns.start - padding_px, columns.stop + padding_px),
    )
