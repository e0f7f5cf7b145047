"""Augmentation (thesis, section 5.5): random transformations composed into ONE affine map per image, applied once.

A map consists of six numbers (a, b, c, d, e, f). It sends an output pixel to its source, in pixels from the centre of
the top left pixel: x_in = a x + b y + c and y_in = d x + e y + f. NumPy draws the maps from a seed and applies them.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lipnet.core.settings import Settings

Transform = Literal["rotation", "shift", "flip", "shear", "zoom"]
Maps = NDArray[np.float64]
Pixels = NDArray[np.float32]

BLOCK = 32  # images warped at once: the intermediate arrays fit into the processor cache


class AugmentSettings(Settings):
    """Section ``augment`` of params.yaml."""

    transforms: list[Transform]
    rotation_deg: int = Field(ge=0, le=180)
    shift_percent: int = Field(ge=0, le=100)
    shear_max: float = Field(ge=0, lt=1)
    zoom_min: float = Field(gt=0, le=1)
    interpolation: Literal["bilinear", "nearest"]
    fill: Literal["nearest", "constant", "reflect"]
    noise_sd: float = Field(ge=0)


def draw_maps(n: int, size_px: int, settings: AugmentSettings, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw one random affine map per image.

    The transformations are composed in the order of ``settings.transforms``: the first one is applied to the image
    first. Rotation angles are whole degrees and shifts whole per cent, as in the thesis.

    Args:
        n: number of images.
        size_px: side of the square images.
        settings: the transformations and their ranges.
        rng: source of every draw.

    Returns:
        Shape (n, 6), float32; identity maps if ``settings.transforms`` is empty.
    """
    total = _identity(n)
    for name in settings.transforms:
        # Maps go from output to source, so the last transformation of the image acts first on an output pixel.
        total = _compose(total, _DRAW[name](n, settings, rng))
    return _in_pixels(total, size_px).T.astype(np.float32, order="C")


# Below, n maps are six rows of n coefficients: a to f as above, but with the origin at the centre of the image and
# lengths in units of the image's side. Composing rows takes less than half the time of n products of 3 x 3 matrices.


def _compose(second: Maps, first: Maps) -> Maps:
    """Product of the matrices (a b c; d e f; 0 0 1); ``first`` acts on a point before ``second``."""
    a, b, c, d, e, f = second
    p, q, r, s, t, u = first
    return np.stack([a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f])


def _in_pixels(maps: Maps, size_px: int) -> Maps:
    """Change the origin to the top left pixel and the unit to px: M (x - m) + m, with m from there to the centre."""
    a, b, c, d, e, f = maps
    m = (size_px - 1) / 2
    return np.stack([a, b, size_px * c + m * (1 - a - b), d, e, size_px * f + m * (1 - d - e)])


def _identity(n: int) -> Maps:
    return np.tile([[1.0], [0.0], [0.0], [0.0], [1.0], [0.0]], n)


def _rotation(n: int, settings: AugmentSettings, rng: np.random.Generator) -> Maps:
    angles = np.deg2rad(rng.integers(-settings.rotation_deg, settings.rotation_deg, n, endpoint=True))
    maps = _identity(n)
    maps[0] = maps[4] = np.cos(angles)
    maps[3] = np.sin(angles)
    maps[1] = -maps[3]
    return maps


def _shift(n: int, settings: AugmentSettings, rng: np.random.Generator) -> Maps:
    percent = rng.integers(-settings.shift_percent, settings.shift_percent, (n, 2), endpoint=True)
    maps = _identity(n)
    maps[[2, 5]] = percent.T / 100
    return maps


def _flip(n: int, _settings: AugmentSettings, rng: np.random.Generator) -> Maps:
    maps = _identity(n)
    maps[[0, 4]] = rng.choice([-1.0, 1.0], (n, 2)).T
    return maps


def _shear(n: int, settings: AugmentSettings, rng: np.random.Generator) -> Maps:
    maps = _identity(n)
    maps[1] = rng.uniform(0, settings.shear_max, n)
    return maps


def _zoom(n: int, settings: AugmentSettings, rng: np.random.Generator) -> Maps:
    maps = _identity(n)
    maps[[0, 4]] = rng.uniform(settings.zoom_min, 1.0, n)  # a factor below 1 reads a smaller part: it magnifies
    return maps


_DRAW = {"rotation": _rotation, "shift": _shift, "flip": _flip, "shear": _shear, "zoom": _zoom}


def warp(images: NDArray[np.float32], maps: NDArray[np.float32], settings: AugmentSettings) -> NDArray[np.float32]:
    """Apply affine maps like ``keras.ops.image.affine_transform``, in little more than half the time on a CPU.

    Args:
        images: shape (n, size_px, size_px), grey levels in [0, 1].
        maps: shape (n, 6), from ``draw_maps``.
        settings: interpolation and fill.

    Returns:
        Same shape as ``images``.
    """
    warped = np.empty_like(images)
    for start in range(0, len(images), BLOCK):
        part = slice(start, start + BLOCK)
        warped[part] = _warp_block(images[part], maps[part], settings)
    return warped


def _warp_block(images: Pixels, maps: Pixels, settings: AugmentSettings) -> Pixels:
    n, size_px, _ = images.shape
    side = size_px + 3  # border of zeros: one before the first pixel; up to two are read after the last one
    padded = np.zeros((n, side, side), np.float32)
    padded[:, 1:-2, 1:-2] = images
    x, y = (_sources(maps[:, axis], size_px, settings) for axis in (slice(0, 3), slice(3, 6)))
    column, row = np.floor(x), np.floor(y)
    x -= column
    y -= row
    at = (row * side + column).astype(np.intp)
    at += (np.arange(n) * side**2 + side + 1)[:, None, None]
    pixels = padded.ravel()
    upper = _between(pixels.take(at), pixels[1:].take(at), x)
    lower = _between(pixels[side:].take(at), pixels[side + 1 :].take(at), x)
    return _between(upper, lower, y)


def _sources(rows: Pixels, size_px: int, settings: AugmentSettings) -> Pixels:
    """One coordinate of the source of every output pixel, shape (n, size_px, size_px), moved inside the image."""
    by_x, by_y, offset = (rows[:, i, None, None] for i in range(3))
    along = np.arange(size_px, dtype=np.float32)
    sources = by_x * along + (by_y * along[:, None] + offset)
    if settings.interpolation == "nearest":  # whole coordinates switch interpolation off
        sources = np.floor(sources + np.float32(0.5))
    if settings.fill == "reflect":  # d c b a | a b c d | d c b a: repeats every two images
        sources = size_px - np.abs((sources + np.float32(0.5)) % (2 * size_px) - size_px) - np.float32(0.5)
    border = int(settings.fill == "constant")  # of zeros
    return np.clip(sources, np.float32(-border), np.float32(size_px - 1 + border), out=sources)


def _between(first: Pixels, second: Pixels, share: Pixels) -> Pixels:
    """Linear interpolation; overwrites ``first`` and ``second``."""
    second -= first
    second *= share
    first += second
    return first
