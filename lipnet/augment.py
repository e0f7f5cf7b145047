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
Matrices = NDArray[np.float64]


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
    total = np.broadcast_to(np.eye(3), (n, 3, 3))
    for name in settings.transforms:
        # Output -> source maps: the transformation applied last to the image is the first to act on an output pixel.
        total = total @ _DRAW[name](n, settings, rng)
    scaled = np.diag([size_px, size_px, 1.0]) @ total @ np.diag([1 / size_px, 1 / size_px, 1.0])
    centre = np.eye(3)
    centre[:2, 2] = (size_px - 1) / 2
    away = np.eye(3)
    away[:2, 2] = -(size_px - 1) / 2
    return (centre @ scaled @ away)[:, :2, :].reshape(n, 6).astype(np.float32)


# Maps of single transformations: origin at the centre of the image, lengths in sides of the image.


def _identity(n: int) -> Matrices:
    return np.tile(np.eye(3), (n, 1, 1))


def _rotation(n: int, settings: AugmentSettings, rng: np.random.Generator) -> Matrices:
    angles = np.deg2rad(rng.integers(-settings.rotation_deg, settings.rotation_deg, n, endpoint=True))
    maps = _identity(n)
    maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angles)
    maps[:, 1, 0] = np.sin(angles)
    maps[:, 0, 1] = -np.sin(angles)
    return maps


def _shift(n: int, settings: AugmentSettings, rng: np.random.Generator) -> Matrices:
    percent = rng.integers(-settings.shift_percent, settings.shift_percent, (n, 2), endpoint=True)
    maps = _identity(n)
    maps[:, :2, 2] = percent / 100
    return maps


def _flip(n: int, _settings: AugmentSettings, rng: np.random.Generator) -> Matrices:
    signs = rng.choice([-1.0, 1.0], (n, 2))
    maps = _identity(n)
    maps[:, 0, 0], maps[:, 1, 1] = signs[:, 0], signs[:, 1]
    return maps


def _shear(n: int, settings: AugmentSettings, rng: np.random.Generator) -> Matrices:
    maps = _identity(n)
    maps[:, 0, 1] = rng.uniform(0, settings.shear_max, n)
    return maps


def _zoom(n: int, settings: AugmentSettings, rng: np.random.Generator) -> Matrices:
    factors = rng.uniform(settings.zoom_min, 1.0, n)
    maps = _identity(n)
    maps[:, 0, 0] = maps[:, 1, 1] = factors  # less than 1 reads from a smaller part of the source: it magnifies
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
