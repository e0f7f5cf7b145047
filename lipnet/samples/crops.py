"""Network inputs cut from particles: with surrounding, cropped or masked (thesis, section 8.5)."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.samples.particles import Mask, ParticleStore, bounding_box

Mode = Literal["surrounding", "cropped", "masked"]
MODES: tuple[Mode, ...] = ("surrounding", "cropped", "masked")
CHANNELS: dict[str, tuple[Mode, ...]] = {**{mode: (mode,) for mode in MODES}, "both": ("cropped", "masked")}


class CropSettings(Settings):
    """Section ``crop`` of params.yaml."""

    mode: Literal["surrounding", "cropped", "masked", "both"]
    scale: Literal["fit", "constant"]
    field_px: int = Field(ge=1)
    sizes_px: list[int] = Field(min_length=1)


def cut(pixels: NDArray[Any], mask: Mask, mode: Mode) -> NDArray[Any]:
    """Cut the part of one image that a mode shows.

    Args:
        pixels: shape (height_px, width_px), the particle with its surrounding.
        mask: same shape, True on the particle.
        mode: ``surrounding`` keeps the whole image; ``cropped`` keeps the bounding box of the mask; ``masked``
            also sets pixels outside the mask to 0.
    """
    if mode == "surrounding":
        return pixels
    box = bounding_box(mask)
    return pixels[box] if mode == "cropped" else np.where(mask[box], pixels[box], 0)


def to_size(grey: NDArray[np.float32], size_px: int, settings: CropSettings) -> NDArray[np.uint8]:
    """Resize one image, grey levels in [0, 1], to shape (size_px, size_px), uint8, with anti-aliasing.

    Scale ``fit`` stretches the image to the square, as the thesis did. Scale ``constant`` shows every particle at the
    same magnification, which keeps differences in size: the side corresponds to ``field_px`` source pixels, and the
    rest of the square is 0.

    Raises:
        ValueError: at constant scale, the image is larger than the field.
    """
    if settings.scale == "fit":
        return _resize(grey, (size_px, size_px))
    if max(grey.shape) > settings.field_px:
        raise ValueError(f"{max(grey.shape)} px across, but crop.field_px is {settings.field_px}")
    height, width = (max(round(side * size_px / settings.field_px), 1) for side in grey.shape)
    top, left = (size_px - height) // 2, (size_px - width) // 2
    square = np.zeros((size_px, size_px), np.uint8)
    square[top : top + height, left : left + width] = _resize(grey, (height, width))
    return square


def _resize(grey: NDArray[np.float32], shape_px: tuple[int, int]) -> NDArray[np.uint8]:
    # Pillow widens the triangle filter by the factor of reduction, which prevents aliasing.
    image = Image.fromarray(grey.astype(np.float32))
    resized = np.asarray(image.resize(shape_px[::-1], Image.Resampling.BILINEAR))
    return np.round(np.clip(resized, 0.0, 1.0) * 255).astype(np.uint8)


def crop_all(store: ParticleStore, settings: CropSettings, ids: Sequence[str]) -> dict[int, NDArray[np.uint8]]:
    """Crops of all particles of a store at every size.

    Args:
        store: n particles.
        settings: mode, scale and sizes.
        ids: names of the n particles, for messages.

    Returns:
        size_px -> array of shape (n, size_px, size_px), uint8; a fourth axis of two channels for the mode ``both``.

    Raises:
        InputError: at constant scale, a particle is larger than the field; the message names it.
    """
    channels = CHANNELS[settings.mode]
    crops = {size: np.empty((len(store), size, size, len(channels)), np.uint8) for size in settings.sizes_px}
    for index in range(len(store)):
        for channel, mode in enumerate(channels):
            grey = (cut(store.image(index), store.mask(index), mode) / store.white).astype(np.float32)
            for size, images in crops.items():
                try:
                    images[index, ..., channel] = to_size(grey, size, settings)
                except ValueError as error:
                    cure = "raise crop.field_px or use scale: fit"
                    raise InputError(f"particle '{ids[index]}': {error}; {cure}") from None
    return {size: images if len(channels) > 1 else images[..., 0] for size, images in crops.items()}


def first_channel(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """First channel of crops with any number of channels, shape (n, size_px, size_px); for pictures."""
    return images if images.ndim == 3 else images[..., 0]


def to_grey(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Network input from crops: grey levels in [0, 1], shape (n, size_px, size_px, n_channels).

    Args:
        pixels: shape (n, size_px, size_px) for one channel, or (n, size_px, size_px, n_channels).
    """
    return (pixels if pixels.ndim == 4 else pixels[..., None]).astype(np.float32) / np.float32(255)


def join(parts: Sequence[dict[int, NDArray[np.uint8]]]) -> dict[int, NDArray[np.uint8]]:
    """Concatenate the crops of several stores."""
    return {size: np.concatenate([part[size] for part in parts]) for size in parts[0]}


def to_arrays(crops: dict[int, NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
    """Crops as named arrays for an .npz file: px28, px32 ..."""
    return {f"px{size}": images for size, images in crops.items()}


def of_size(arrays: dict[str, NDArray[np.uint8]], size_px: int) -> NDArray[np.uint8]:
    """The crops of one size among the arrays of ``to_arrays``.

    Raises:
        InputError: crops of that size were not made.
    """
    if f"px{size_px}" not in arrays:
        made = ", ".join(name.removeprefix("px") for name in arrays)
        raise InputError(
            f"params.yaml: the network needs crops of {size_px} px but crop.sizes_px has {made}; add {size_px} there"
        )
    return arrays[f"px{size_px}"]
