"""Reading of microscopy images and label masks as arrays, whatever their format; ``formats`` decodes the files.

An image is read as viewers show it: its colour table, tag "white is 0" and orientation are applied. A mask is read by
its stored numbers, because programs show masks with any colours. The size in the header of a file is checked before
memory of that size is allocated. No code inside a file is run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2gray

from lipnet.core.errors import InputError
from lipnet.core.files import unchanged
from lipnet.samples.particles import Grey, Mask
from lipnet.sources.formats import arrays, microscope, mrc, pillow, tiff
from lipnet.sources.formats.grey_levels import GreySettings, Levels, Samples, levels_of, to_grey
from lipnet.sources.formats.raw import Format, RawImage, shown, stored

_FORMATS = (pillow.FORMAT, tiff.FORMAT, mrc.FORMAT, arrays.FORMAT, microscope.FORMAT)
IMAGE_SUFFIXES = {suffix for known in _FORMATS for suffix in known.suffixes}
FORMAT_NAMES = "PNG, JPEG, BMP, GIF, TIFF, MRC, .npy, DM3, DM4, SER or EMD"
LARGEST_LABEL = 2**53  # above it, float64 has no distinct whole numbers
_UNREAD = {  # formats that may lie under the name of another
    b"RIFF": "WebP",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x00\x00\x00\x1cftyp": "HEIF or AVIF",
    b"\x00\x00\x00\x20ftyp": "HEIF or AVIF",
    b"PK\x03\x04": "ZIP (as .npz)",
    b"%PDF": "PDF",
}


def read_grey(path: Path, settings: GreySettings, levels: Levels | None = None) -> Grey:
    """Read one image as grey levels of shape (height_px, width_px).

    Args:
        path: the image; colour becomes luminance (ITU-R BT.709 weights).
        settings: how samples become grey levels.
        levels: black and white, if the image shares them with others.

    Raises:
        InputError: as for ``read_samples`` and ``grey_levels.levels_of``.
    """
    samples = read_samples(path)
    return to_grey(samples, levels or levels_of([samples], settings, path.name))


def read_samples(path: Path) -> Samples:
    """Read the samples of one image as they are stored; colour becomes luminance.

    Raises:
        InputError: the file is missing, damaged, of an unknown format, not a single 2-D image, of colours or numbers
            that are not read, or has NaN values.
    """
    with _decoding(path):
        return _to_samples(shown(_only_image(path)), path)


def read_mask(path: Path) -> Mask:
    """Read one mask of shape (height_px, width_px): True where the stored number is not 0.

    In files that are compressed with loss (JPEG): True where it is at least half white, because compression leaves
    ringing around edges. An image of two levels, black and white, is True where viewers show white.

    Raises:
        InputError: as for ``read_grey``.
    """
    with _decoding(path):
        raw = _only_image(path)
        numbers = stored(raw)
        if not np.isfinite(numbers).all():
            raise InputError(f"{path.name}: has NaN or infinite values; save 0 where there is no particle")
        on = numbers > raw.white / 2 if raw.lossy and raw.white else numbers != 0
        return np.asarray(on.any(axis=2) if on.ndim == 3 else on)


def count_pages(path: Path) -> int:
    """Number of images in a file: sections of a stack, frames of a GIF, data sets of a microscope's file.

    Raises:
        InputError: the file is missing, damaged or of an unknown format.
    """
    with _decoding(path):
        return _format_of(path).count(path)


def read_pages(path: Path) -> Iterator[Samples]:
    """Yield the samples of every image of a file, one in memory at a time.

    Raises:
        InputError: as for ``read_samples``.
    """
    with _decoding(path):
        for raw in _pages(path):
            yield _to_samples(shown(raw), path)


def read_label_pages(path: Path) -> Iterator[NDArray[np.int64]]:
    """Yield every label mask of a file by its stored numbers, shape (height_px, width_px): 0 is background.

    In an image with a colour table, the indices are the labels.

    Raises:
        InputError: as for ``read_grey``; also for colours, fractions, negative numbers, and compression with loss.
    """
    with _decoding(path):
        for raw in _pages(path):
            if raw.lossy:
                raise InputError(
                    f"{path.name}: is compressed with loss, or by a method that may lose (JPEG and its successors), so "
                    "the labels may be wrong; save the label mask as PNG, or as TIFF with LZW or Deflate"
                )
            yield _to_labels(stored(raw), path)


def pixel_sizes_nm(path: Path) -> list[float | None]:
    """Pixel size in nm of each image, as the file of a microscope states it; no entries for files of other formats.

    Raises:
        InputError: as for ``read_grey``.
    """
    if path.suffix.lower() not in microscope.FORMAT.suffixes:
        return []
    with _decoding(path):
        return microscope.pixel_sizes_nm(path)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise InputError(f"{path.name}: no such file")
    try:
        with unchanged(path):
            yield
    except InputError:
        raise
    except Exception as error:  # decoders raise undocumented errors for damaged files, e.g. zlib.error
        raise InputError(f"{path.name}: damaged or not an image ({error})") from None


def _format_of(path: Path) -> Format:
    """The format by the first bytes of the file; by its suffix if they tell nothing, as in MRC."""
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise InputError(f"{path.name}: format '{suffix}' is not read; use {FORMAT_NAMES}")
    named = next(known for known in _FORMATS if suffix in known.suffixes)
    if not named.signatures:
        return named
    with path.open("rb") as file:
        start = file.read(16)
    for signature, name in _UNREAD.items():
        if start.startswith(signature):
            raise InputError(f"{path.name}: its content is {name}, which is not read; use {FORMAT_NAMES}")
    return next((known for known in _FORMATS if known.signatures and start.startswith(known.signatures)), named)


def _pages(path: Path) -> Iterator[RawImage]:
    for raw in _format_of(path).pages(path):
        if raw.pixels.size == 0:
            raise InputError(f"{path.name}: the image has no pixels")
        if raw.pixels.dtype.kind not in "buif":
            kind = "complex" if raw.pixels.dtype.kind == "c" else str(raw.pixels.dtype)
            raise InputError(f"{path.name}: its pixels are {kind} numbers; save grey levels")
        yield raw


def _only_image(path: Path) -> RawImage:
    n_images = _format_of(path).count(path)
    if n_images != 1:
        raise InputError(f"{path.name}: expected one grey or colour image, found {n_images}; save each in its own file")
    return next(_pages(path))


def _to_samples(image: RawImage, path: Path) -> Samples:
    pixels = image.pixels
    if not np.isfinite(pixels).all():
        raise InputError(f"{path.name}: has NaN or infinite values")
    return Samples(_as_grey(pixels), 1.0 if pixels.dtype.kind == "f" else image.white)


def _to_labels(raw: NDArray[Any], path: Path) -> NDArray[np.int64]:
    if raw.ndim != 2:
        raise InputError(f"{path.name}: expected label masks of whole numbers, found colours")
    if not np.isfinite(raw).all() or (raw != np.floor(raw)).any() or raw.min() < 0 or float(raw.max()) > LARGEST_LABEL:
        raise InputError(f"{path.name}: labels must be whole numbers from 0 to {LARGEST_LABEL}")
    return np.asarray(raw, dtype=np.int64)


def _as_grey(raw: NDArray[Any]) -> NDArray[Any]:
    if raw.ndim == 2:
        return raw
    if raw.dtype == np.uint8:
        return np.round(rgb2gray(raw) * 255).astype(np.uint8)
    return np.asarray(rgb2gray(raw.astype(np.float64)))  # of floats, so that it keeps the unit of the samples
