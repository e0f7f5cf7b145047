"""What an artificial particle looks like: contours, lamellae, fillings, and the doubts of the ambiguous class.

Lengths are in px unless a name says nm. A particle is centred on (0, 0).
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from lipnet.sources.artificial.settings import CLASSES, ArtificialSettings

DIAMETER_NM = {  # median of each class; the spread below makes the classes overlap
    "lamellarity": {"Unilamellar": 90.0, "Multilamellar": 120.0, "Uncertain": 103.0},
    "encapsulation": {"Full": 96.0, "Empty": 90.0, "Uncertain": 98.0},
}
DIAMETER_LOG_SD = 0.22
MIN_RADIUS_PX = 8.0  # keeps masks at least 10 px across at any pixel size
MEMBRANE_NM = 5.0  # thickness of a lipid bilayer
ICE_DENSITY = (0.8, 2.5)  # of crystalline ice, relative to a membrane; the "black blobs" of thesis section 2
DOUBTS = {  # causes of an expert's uncertainty (thesis section 2) and their shares; the shares are guesses
    "lamellarity": {"overlap": 0.4, "ice": 0.5, "hole": 0.1},
    "encapsulation": {"overlap": 0.25, "ice": 0.4, "hole": 0.05, "faint": 0.1, "partial": 0.2},
}


class Contour(NamedTuple):
    """A nearly circular closed curve: radius (1 + Re sum_k wobble[k] e^(i (k + 2) angle)) around (y, x)."""

    y: float
    x: float
    radius: float
    wobble: tuple[complex, ...]


class Body(NamedTuple):
    """A solid body inside a contour: a ball of some density, or a striped rod if rod_angle is given."""

    contour: Contour
    density: float
    rod_angle: float | None = None


class Liposome(NamedTuple):
    """Lamellae from the outermost inwards, fillings, and the hole in the outermost lamella, if there is one."""

    shells: tuple[Contour, ...]
    fillings: tuple[Body, ...] = ()
    hole: tuple[float, float] | None = None  # direction and half width, radians


class Scene(NamedTuple):
    """Liposomes and ice in one picture, and the contours that make up the particle's mask."""

    liposomes: tuple[Liposome, ...]
    ice: tuple[Body, ...]
    masked: tuple[Contour, ...]


def compose(problem: str, label: str, settings: ArtificialSettings, pixel_nm: float, rng: Generator) -> Scene:
    """Draw a random particle of a class, centred on (0, 0) and without surroundings."""
    contour = _contour(problem, label, pixel_nm, rng)
    if label == "Uncertain":
        return _doubtful(problem, contour, settings, pixel_nm, rng)
    return Scene((_liposome(label, contour, settings, pixel_nm, rng),), (), (contour,))


def add_surroundings(
    problem: str, scene: Scene, settings: ArtificialSettings, reach: float, pixel_nm: float, rng: Generator
) -> Scene:
    """Add liposomes of any unambiguous class and pieces of ice around the particle; the mask stays the same.

    Args:
        problem: a key of ``CLASSES``.
        scene: the particle.
        settings: of the artificial data.
        reach: half of the canvas' side; farther bodies are off the canvas.
        pixel_nm: side of a pixel.
        rng: random generator.
    """
    liposomes, ice = [], []
    labels = CLASSES[problem][:2]  # the unambiguous ones
    inner = extent(scene.masked)
    for _ in range(rng.poisson(2.0)):
        label = labels[int(rng.random() < 0.2)]
        contour = _contour(problem, label, pixel_nm, rng)
        liposomes.append(_liposome(label, _beside(contour, inner, reach, rng), settings, pixel_nm, rng))
    for _ in range(rng.poisson(0.4)):
        piece = Contour(0.0, 0.0, rng.uniform(4, 14), random_wobble(rng, sd=0.12))
        ice.append(Body(_beside(piece, inner, reach, rng), rng.uniform(*ICE_DENSITY)))
    return Scene((*scene.liposomes, *liposomes), (*scene.ice, *ice), scene.masked)


def random_wobble(rng: Generator, sd: float = 0.035) -> tuple[complex, ...]:
    """Random ellipticity and three weaker harmonics; liposomes are nearly but not quite round."""
    scale = sd / np.array([1, 3, 6, 10])
    return tuple((rng.normal(size=4) + 1j * rng.normal(size=4)) * scale)


def extent(contours: tuple[Contour, ...]) -> float:
    """Upper limit of the distance from (0, 0) to any point of the contours, and of a mask drawn from them."""
    return max(float(np.hypot(c.y, c.x)) + 1.06 * largest_radius(c) for c in contours) + 4


def largest_radius(contour: Contour) -> float:
    """Upper limit of the distance from the centre of a contour to its points."""
    return contour.radius * (1 + sum(map(abs, contour.wobble)))


def _liposome(label: str, contour: Contour, settings: ArtificialSettings, pixel_nm: float, rng: Generator) -> Liposome:
    """A liposome of an unambiguous class; the property that the class does not fix is drawn at random."""
    many = label == "Multilamellar" or (label in ("Full", "Empty") and rng.random() < 0.15)
    filled = label == "Full" or (label in ("Unilamellar", "Multilamellar") and rng.random() < 0.2)
    shells = _lamellae(contour, settings, pixel_nm, rng) if many else (contour,)
    return Liposome(shells, (_filling(shells[-1], settings, pixel_nm, rng),) if filled else ())


def _doubtful(problem: str, contour: Contour, settings: ArtificialSettings, pixel_nm: float, rng: Generator) -> Scene:
    """A liposome that an expert would not assign: overlapped, covered by ice, torn, faintly or partly filled."""
    sure = CLASSES[problem][:2]
    base = _liposome(sure[int(rng.random() < 0.4)], contour, settings, pixel_nm, rng)
    causes = DOUBTS[problem]
    cause = rng.choice(list(causes), p=list(causes.values()))
    if cause == "overlap":
        return _overlapped(base, sure, settings, pixel_nm, rng)
    if cause == "ice":
        return Scene((base,), (_ice_over(contour, rng),), (contour,))
    if cause == "hole":
        hole = (rng.uniform(-np.pi, np.pi), rng.uniform(0.4, 1.0))
        return Scene((base._replace(hole=hole),), (), (contour,))
    body = _filling(contour, settings, pixel_nm, rng)
    if cause == "faint":
        body = Body(body.contour, rng.uniform(0.25, 0.75) * settings.filling_density[0])
    else:
        body = body._replace(contour=_inside(contour, rng.uniform(0.45, 0.7), rng), rod_angle=None)
    return Scene((Liposome((contour,), (body,)),), (), (contour,))


def _overlapped(
    base: Liposome, sure: tuple[str, ...], settings: ArtificialSettings, pixel_nm: float, rng: Generator
) -> Scene:
    contour = base.shells[0]
    radius = contour.radius * rng.uniform(0.6, 1.0)
    distance = contour.radius + radius * rng.uniform(-0.5, 0.3)
    angle = rng.uniform(-np.pi, np.pi)
    y, x = distance * np.sin(angle), distance * np.cos(angle)
    second = Contour(y, x, max(radius, MIN_RADIUS_PX), random_wobble(rng))
    other = _liposome(sure[0], second, settings, pixel_nm, rng)
    masked = (contour, second) if rng.random() < 0.5 else (contour,)
    return Scene((base, other), (), masked)


def _contour(problem: str, label: str, pixel_nm: float, rng: Generator) -> Contour:
    spread = np.clip(rng.normal(), -2, 2) * DIAMETER_LOG_SD
    radius = DIAMETER_NM[problem][label] / 2 * np.exp(spread) / pixel_nm
    return Contour(0.0, 0.0, max(radius, MIN_RADIUS_PX), random_wobble(rng))


def _inside(contour: Contour, fraction: float, rng: Generator) -> Contour:
    """A smaller copy at a random place inside a contour."""
    angle, shift = rng.uniform(-np.pi, np.pi), rng.uniform(0, 0.9) * (1 - fraction) * contour.radius
    y, x = contour.y + shift * np.sin(angle), contour.x + shift * np.cos(angle)
    return Contour(y, x, fraction * contour.radius, contour.wobble)


def _lamellae(contour: Contour, settings: ArtificialSettings, pixel_nm: float, rng: Generator) -> tuple[Contour, ...]:
    """The contour and 1 to 4 smaller ones inside it, each a little off the centre of the next larger one."""
    shells = [contour]
    for _ in range(rng.choice([1, 2, 3, 4], p=[0.5, 0.25, 0.15, 0.1])):
        step = (MEMBRANE_NM + rng.uniform(*settings.lamella_gap_nm)) / pixel_nm
        fraction = 1 - step / shells[-1].radius
        if fraction < 0.4 and len(shells) > 1:
            break
        shells.append(_inside(shells[-1], max(fraction, 0.4), rng))
    return tuple(shells)


def _filling(shell: Contour, settings: ArtificialSettings, pixel_nm: float, rng: Generator) -> Body:
    """A drug inside a shell: dissolved, or in one of four liposomes crystallised to a rod."""
    density = rng.uniform(*settings.filling_density)
    room = shell._replace(radius=max(shell.radius - MEMBRANE_NM / pixel_nm, 1.0))
    if rng.random() < 0.25:
        return Body(room, 2 * density, rod_angle=rng.uniform(0, np.pi))
    return Body(room, density)


def _ice_over(contour: Contour, rng: Generator) -> Body:
    """A piece of ice over part of a contour."""
    angle, distance = rng.uniform(-np.pi, np.pi), contour.radius * rng.uniform(0.3, 1.0)
    radius = contour.radius * rng.uniform(0.4, 0.8)
    y, x = contour.y + distance * np.sin(angle), contour.x + distance * np.cos(angle)
    return Body(Contour(y, x, radius, random_wobble(rng, sd=0.12)), rng.uniform(*ICE_DENSITY))


def _beside(contour: Contour, inner: float, reach: float, rng: Generator) -> Contour:
    """Move a contour to a random place, between just touching the particle (whose class stays) and off the canvas."""
    angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(0.85 * inner, reach) + contour.radius
    return contour._replace(y=distance * np.sin(angle), x=distance * np.cos(angle))
