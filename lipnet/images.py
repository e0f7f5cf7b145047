"""Reading of one microscopy image from PNG, JPEG, TIFF or MRC as grey levels."""

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2gray

from lipnet.errors import InputError
from lipnet.particles import Grey, Mask

_PILLOW_SUFFIXES = {".png", ".jpg", ".jpeg"}
_TIFF_SUFFIXES = {".tif", ".tiff"}
_MRC_SUFFIXES = {".mrc"}


def read_grey(path: Path) -> Grey:
    """Read one image as grey levels of shape (height_px, width_px).

    8-bit images keep their levels (uint8). 16-bit and float images have no agreed white, so each is stretched from its
    own minimum and maximum to the whole range of uint16. Colour becomes luminance (ITU-R BT.709 weights).

    Raises:
        InputError: missing, damaged, of an unknown format, not a single 2-D image, or with NaN among its values.
    """
    raw = _as_grey(_read_raw(path), path)
    if raw.dtype == np.uint8:
        return raw
    return _stretch(raw, path)


def read_mask(path: Path) -> Mask:
    """Read one mask of shape (height_px, width_px): True wherever the file is not zero.

    Raises:
        InputError: as for ``read_grey``.
    """
    raw = _one_image(_read_raw(path), path)
    return np.asarray(raw.any(axis=2) if raw.ndim == 3 else raw != 0)


def _read_raw(path: Path) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"{path.name}: no such file")
    try:
        if suffix in _PILLOW_SUFFIXES:
            raw = _read_pillow(path)
        elif suffix in _TIFF_SUFFIXES:
            raw = _read_tiff(path)
        elif suffix in _MRC_SUFFIXES:
            with mrcfile.open(path, permissive=False) as mrc:
                raw = np.array(mrc.data)
        else:
            raise InputError(f"{path.name}: format '{suffix}' is not read; use PNG, JPEG, TIFF or MRC")
    except InputError:
        raise
    except Exception as error:  # what the decoders throw at a damaged file is not documented: zlib.error, struct.error
        raise InputError(f"{path.name}: damaged or not an image ({error})") from None
    if raw.size == 0:
        raise InputError(f"{path.name}: the image has no pixels")
    return raw


def _read_pillow(path: Path) -> NDArray[Any]:
    with Image.open(path) as image:
        image.load()
        if image.mode in {"P", "PA"} or image.mode == "1":
            return np.asarray(image.convert("RGBA" if image.mode != "1" else "L"))
        if image.mode == "CMYK" or image.mode == "YCbCr":
            return np.asarray(image.convert("RGB"))
        return np.asarray(image)


def _read_tiff(path: Path) -> NDArray[Any]:
    with tifffile.TiffFile(path) as tiff:
        meaning = tiff.pages.first.photometric
        if len(tiff.series) > 1 or meaning == tifffile.PHOTOMETRIC.PALETTE:
            raise InputError(f"{path.name}: has several images or a colour table; save one grey or RGB image")
        raw = tiff.asarray()
    if meaning == tifffile.PHOTOMETRIC.MINISWHITE and np.issubdtype(raw.dtype, np.unsignedinteger):
        raw = np.iinfo(raw.dtype).max - raw
    return raw


def _as_grey(raw: NDArray[Any], path: Path) -> NDArray[Any]:
    raw = _one_image(raw, path)
    if raw.ndim == 3:
        luminance = rgb2gray(raw)
        return np.round(luminance * 255).astype(np.uint8) if raw.dtype == np.uint8 else luminance
    return raw.astype(np.uint8) * 255 if raw.dtype == np.bool_ else raw


def _one_image(raw: NDArray[Any], path: Path) -> NDArray[Any]:
    """Shape (height_px, width_px) or (height_px, width_px, 3), without transparency."""
    if raw.ndim == 3 and raw.shape[2] == 2:
        return raw[:, :, 0]
    if raw.ndim == 3 and raw.shape[2] in (3, 4):
        return raw[:, :, :3]
    if raw.ndim == 3 and raw.shape[0] == 1:  # a stack of one section, as MRC files often are
        return raw[0]
    if raw.ndim != 2:
        raise InputError(f"{path.name}: expected one grey or colour image, found an array of shape {raw.shape}")
    return raw


def _stretch(raw: NDArray[Any], path: Path) -> Grey:
    values = raw.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{path.name}: has NaN or infinite values")
    low, high = values.min(), values.max()
    if high == low:
        return np.zeros(values.shape, np.uint16)
    return np.round((values - low) / (high - low) * 65535).astype(np.uint16)
