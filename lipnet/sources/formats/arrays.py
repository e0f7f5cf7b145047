"""Arrays that NumPy has saved (.npy)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.sources.formats.raw import Format, RawImage, check_size, white_of, without_opacity


def count(path: Path) -> int:
    """Number of images."""
    return len(_images(path))


def pages(path: Path) -> Iterator[RawImage]:
    """Yield every image of an array of shape (height_px, width_px), (n, height_px, width_px) or (..., 3 or 4).

    A last axis of 3 or 4 holds red, green, blue, and opacity.

    Raises:
        InputError: it has another shape, or is a pickled object, as in the _seg.npy files of Cellpose.
    """
    for image in _images(path):
        pixels = without_opacity(np.array(image, dtype=image.dtype.newbyteorder("=")))
        yield RawImage(pixels, white_of(pixels.dtype))


def _images(path: Path) -> NDArray[Any]:
    """The array with the images on its first axis, mapped into memory."""
    try:
        # Memory-mapped: NumPy then finds that a header claims more than the file holds without allocating it.
        raw = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "Python objects" in str(error) or "pickle" in str(error):
            raise InputError(
                f"{path.name}: holds pickled objects, which are not opened; save plain label masks as TIFF or PNG (in "
                "Cellpose: --save_tif or --save_png), and other arrays with numpy.save"
            ) from None
        raise
    colour = raw.ndim > 2 and raw.shape[-1] in (3, 4)
    if raw.ndim - colour not in (2, 3):
        raise InputError(f"{path.name}: expected one grey or colour image, found an array of shape {raw.shape}")
    images = raw if raw.ndim - colour == 3 else raw[None]
    check_size(path, images.shape[1:3])
    return images


FORMAT = Format((".npy",), (b"\x93NUMPY",), pages, count)
