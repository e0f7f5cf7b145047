"""Augmentation (thesis, section 5.5): random transformations composed into ONE affine map per image, applied once.

A map is the six numbers (a, b, c, d, e, f) that send an output pixel to its source, in pixels from the centre of the
top left pixel: x_in = a x + b y + c and y_in = d x + e y + f. They are drawn here, with numpy, from a seed. Training
applies them with Keras; ``warp`` applies the same maps with SciPy, for previews.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from lipnet.settings import Settings

Transform = Literal["rotation", "shift", "flip", "shear", "zoom"]
Maps = NDArray[np.float64]


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
    first. Rotation angle and shifts are whole degrees and per cent, as in the thesis.

    Args:
        n: number of images.
        size_px: side of the square images.
        settings: which transformations, and their ranges.
        rng: source of every draw.

    Returns:
        Shape (n, 6), float32; the identity where no transformation is on.
    """
    total = _identity(n)
    for name in settings.transforms:
        # Output -> source maps: the transformation applied last to the image is the first to act on an output pixel.
        total = _compose(total, _DRAW[name](n, settings, rng))
    return _in_pixels(total, size_px).T.astype(np.float32, order="C")


# Below, n maps are six rows of n coefficients: a to f as above, but with the origin at the centre of the image and
# lengths in sides of the image. Composing rows takes less than half the time of n products of 3 x 3 matrices.


def _compose(second: Maps, first: Maps) -> Maps:
    """The product of the matrices (a b c; d e f; 0 0 1): ``first`` acts on a point first."""
    a, b, c, d, e, f = second
    p, q, r, s, t, u = first
    return np.stack([a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f])


def _in_pixels(maps: Maps, size_px: int) -> Maps:
    """Lengths in pixels from the top left one, whose distance to the centre is m on both axes: M (x - m) + m."""
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
    maps[[0, 4]] = rng.uniform(settings.zoom_min, 1.0, n)  # less than 1 reads from a smaller part: it magnifies
    return maps


_DRAW = {"rotation": _rotation, "shift": _shift, "flip": _flip, "shear": _shear, "zoom": _zoom}


def warp(images: NDArray[np.float32], maps: NDArray[np.float32], settings: AugmentSettings) -> NDArray[np.float32]:
    """Apply affine maps with SciPy.

    Args:
        images: shape (n, size_px, size_px), grey levels in [0, 1].
        maps: shape (n, 6), from ``draw_maps``.
        settings: interpolation and fill.

    Returns:
        Same shape as ``images``.
    """
    order = {"bilinear": 1, "nearest": 0}[settings.interpolation]
    # SciPy calls Keras's "constant" that interpolates with the border "grid-constant".
    mode = {"nearest": "nearest", "constant": "grid-constant", "reflect": "reflect"}[settings.fill]
    warped = np.empty_like(images)
    for image, (a, b, c, d, e, f), out in zip(images, maps, warped, strict=True):
        ndimage.affine_transform(image, [[e, d], [b, a]], offset=[f, c], output=out, order=order, mode=mode)
    return warped
