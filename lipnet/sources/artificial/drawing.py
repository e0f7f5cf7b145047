"""Optics and drawing of the artificial data: a scene becomes an image and a mask.

A body is drawn on the canvas as path length times density, in nm of membrane. Other lengths are in px unless a name
says nm.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pyfastnoiselite.pyfastnoiselite import FastNoiseLite, FractalType, NoiseType
from scipy.fft import fftfreq, irfft2, next_fast_len, rfft2, rfftfreq

from lipnet.samples.particles import Mask, bounding_box
from lipnet.sources.artificial.scenes import (
    MEMBRANE_NM,
    Body,
    Contour,
    Liposome,
    add_surroundings,
    compose,
    extent,
    largest_radius,
    random_wobble,
)
from lipnet.sources.artificial.settings import ArtificialSettings

Floats = NDArray[np.float32]

STRIPE_NM = 6.0  # period of the stripes of crystallised drug; finer stripes would vanish at these pixel sizes
WAVELENGTH_NM = 0.00251  # electrons of 200 kV
AMPLITUDE_CONTRAST = 0.2  # high for ice: makes dense drug darker over its whole area, not only at its rim
ENVELOPE_NM2 = 6.0  # exp(-ENVELOPE_NM2 k^2) damps fine detail
PHASE_PER_NM = 0.012  # phase shift in radians per nm of membrane, relative to ice; chosen by eye for visible membranes
BATH_GREY = (135.0, 160.0)  # grey level of plain ice
MARGIN_PX = 8  # the transfer function wraps around the canvas; this margin is cut off afterwards


class Optics(NamedTuple):
    """Values that all particles of one micrograph share."""

    pixel_size_nm: float
    defocus_nm: float
    noise_sd: float
    contrast: float
    bath_grey: float
    gradient: tuple[float, float]  # change of brightness per px, down and to the right
    texture: FastNoiseLite
    texture_nm: float


def draw_optics(settings: ArtificialSettings, rng: Generator) -> Optics:
    """Draw the optics of one micrograph at random."""
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


def render(
    problem: str, label: str, optics: Optics, settings: ArtificialSettings, rng: Generator
) -> tuple[NDArray[np.uint8], Mask]:
    """Draw one particle of a class with its surrounding.

    Returns:
        Image (uint8) and mask, both of shape (mask height + 2 padding_px, mask width + 2 padding_px).
    """
    scene = compose(problem, label, settings, optics.pixel_size_nm, rng)
    half = int(np.ceil(extent(scene.masked))) + settings.padding_px + MARGIN_PX
    side = next_fast_len(2 * half + 1, real=True)
    mask = _draw_mask((side, side), half, scene.masked, rng)
    scene = add_surroundings(problem, scene, settings, half, optics.pixel_size_nm, rng)
    thickness_nm = _draw_texture((side, side), optics, rng)
    for liposome in scene.liposomes:
        _draw_liposome(thickness_nm, half, liposome, optics.pixel_size_nm)
    for piece in scene.ice:
        _draw_body(thickness_nm, half, piece, optics.pixel_size_nm)
    crop = _padded_box(mask, settings.padding_px)
    return _expose(thickness_nm, optics, rng)[crop], mask[crop]


def shell_projection(distance: Floats, outer: float, inner: float) -> Floats:
    """Path length of a ray through a spherical shell, at a distance from its centre.

    Args:
        distance: distances of the rays from the centre, any shape.
        outer: outer radius, in the unit of distance.
        inner: inner radius, at most outer; 0 gives a solid ball.

    Returns:
        Path lengths in the same unit, same shape. The peak is at the inner radius, so membranes look like dark rings.
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


def _draw_mask(shape: tuple[int, int], half: int, contours: tuple[Contour, ...], rng: Generator) -> Mask:
    """Mask of the contours, each with a small error, like a mask from a person or a segmentation program."""
    mask = np.zeros(shape, dtype=np.bool_)
    for contour in contours:
        error = np.array(random_wobble(rng, sd=0.012))
        radius = contour.radius + np.clip(rng.normal(0.3, 0.7), -2, 2)
        traced = Contour(contour.y, contour.x, radius, tuple(np.array(contour.wobble) + error))
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
    window, distance, direction = _polar(canvas.shape, half, body.contour)
    radius = body.contour.radius
    if body.rod_angle is None:
        path = _ball(distance, radius)
    else:
        turned = distance * direction * np.complex64(np.exp(-1j * body.rod_angle))
        width = radius * 0.5
        path = _ball(np.hypot(turned.real * (width / radius), turned.imag), width)
        path *= 1 + np.cos(turned.imag * np.float32(2 * np.pi * pixel_nm / STRIPE_NM))
    canvas[window] += path * np.float32(body.density * pixel_nm)


def _polar(
    shape: tuple[int, ...], half: int, contour: Contour
) -> tuple[tuple[slice, slice], Floats, NDArray[np.complex64]]:
    """The part of the canvas that a contour covers, in polar coordinates of the contour.

    Returns:
        The window (empty if the contour is off the canvas), distances from the centre, scaled so that the contour
        becomes a circle of its radius, and unit vectors from the centre as complex numbers.
    """
    reach = largest_radius(contour) + 2
    centre = np.array([contour.y, contour.x]) + half
    low = np.clip(np.floor(centre - reach), 0, shape).astype(int)
    high = np.clip(np.ceil(centre + reach), 0, shape).astype(int)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    down = np.arange(low[0], high[0], dtype=np.float32)[:, None] - np.float32(centre[0])
    right = np.arange(low[1], high[1], dtype=np.float32)[None, :] - np.float32(centre[1])
    position = right + np.complex64(1j) * down
    distance: Floats = np.abs(position)
    direction = np.asarray(position / np.maximum(distance, np.float32(1e-6)), dtype=np.complex64)
    bulge, power = np.ones_like(distance), direction
    for amplitude in contour.wobble:
        power = power * direction
        bulge += (np.complex64(amplitude) * power).real
    distance /= np.maximum(bulge, np.float32(0.2))  # keeps the scale positive when the wobble is large
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
