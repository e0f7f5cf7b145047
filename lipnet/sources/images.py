"""Reading of microscopy images and label masks from PNG, JPEG, TIFF, MRC and .npy as arrays.

The size in the header of a file is checked before memory of that size is allocated. No code inside a file is run.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2gray

from lipnet.core.errors import InputError
from lipnet.core.files import unchanged
from lipnet.samples.particles import Grey, Mask
from lipnet.sources.formats.grey_levels import GreySettings, Levels, Samples, levels_of, to_grey, white_of

MAX_PIXELS = 2**28  # of one image: 16,384 x 16,384
MAX_PIXELS_PER_BYTE = 40_000  # of a compressed file; zstd compresses blank areas most, to 32,768 pixels a byte
ALWAYS_ALLOWED_PIXELS = 2**22  # for a file of any size

_JPEG_SUFFIXES = {".jpg", ".jpeg"}
_PILLOW_SUFFIXES = {".png", *_JPEG_SUFFIXES}
_TIFF_SUFFIXES = {".tif", ".tiff"}
_MRC_SUFFIXES = {".mrc"}
MRC_HEADER = 1024  # bytes
SMALLEST_TIFF_PAGE = 18  # bytes: a count, one tag and the offset of the next page
IMAGE_SUFFIXES = _PILLOW_SUFFIXES | _TIFF_SUFFIXES | _MRC_SUFFIXES


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
        InputError: the file is missing, damaged, of an unknown format, not a single 2-D image, or has NaN values.
    """
    with _decoding(path):
        raw = _read_raw(path)
    return _to_samples(raw, path)


def read_mask(path: Path) -> Mask:
    """Read one mask of shape (height_px, width_px): True where the file is not 0, or for JPEG, at least half white.

    Raises:
        InputError: as for ``read_grey``.
    """
    with _decoding(path):
        raw = _one_image(_read_raw(path), path)
    # JPEG compression leaves ringing around edges.
    on = raw >= 128 if path.suffix.lower() in _JPEG_SUFFIXES else raw != 0
    return np.asarray(on.any(axis=2) if raw.ndim == 3 else on)


def count_pages(path: Path) -> int:
    """Number of images in a TIFF or MRC stack; 1 for PNG and JPEG.

    Raises:
        InputError: the file is missing, damaged or of an unknown format.
    """
    with _decoding(path):
        if path.suffix.lower() in _TIFF_SUFFIXES:
            with _tiff(path) as tiff:
                return len(tiff.pages) if len(tiff.pages) > 1 else _planes(tiff)
        if path.suffix.lower() in _MRC_SUFFIXES:
            return int(_mrc_shape(path)[0])
        _check_suffix(path, IMAGE_SUFFIXES)
        return 1


def read_pages(path: Path) -> Iterator[Samples]:
    """Yield the samples of every image of a file, one in memory at a time.

    Raises:
        InputError: as for ``read_samples``.
    """
    with _decoding(path):
        for raw in _raw_pages(path):
            yield _to_samples(raw, path)


def read_label_pages(path: Path) -> Iterator[NDArray[np.int64]]:
    """Yield every label mask of a TIFF, MRC, PNG or .npy file, shape (height_px, width_px): 0 is background.

    In an image with a colour table, the indices are the labels.

    Raises:
        InputError: as for ``read_grey``; also for colours, fractions, negative numbers, and pickled objects, as in the
            _seg.npy files of Cellpose.
    """
    with _decoding(path):
        for raw in _raw_labels(path):
            yield _to_labels(raw, path)


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


def _read_raw(path: Path) -> NDArray[Any]:
    suffix = path.suffix.lower()
    _check_suffix(path, IMAGE_SUFFIXES)
    if suffix in _PILLOW_SUFFIXES:
        return _read_pillow(path)
    return _read_tiff(path) if suffix in _TIFF_SUFFIXES else _read_mrc(path)


def _raw_pages(path: Path) -> Iterator[NDArray[Any]]:
    suffix = path.suffix.lower()
    if suffix in _TIFF_SUFFIXES:
        yield from _read_tiff_pages(path, colour_tables=False)
    elif suffix in _MRC_SUFFIXES:
        yield from _read_mrc(path).reshape(_mrc_shape(path))
    else:
        yield _read_raw(path)


def _raw_labels(path: Path) -> Iterator[NDArray[Any]]:
    suffix = path.suffix.lower()
    _check_suffix(path, {".npy", ".png", *_TIFF_SUFFIXES, *_MRC_SUFFIXES})
    if suffix == ".npy":
        yield from _read_npy(path)
    elif suffix == ".png":
        with _pillow(path) as image:
            yield np.asarray(image)
    elif suffix in _TIFF_SUFFIXES:
        yield from _read_tiff_pages(path, colour_tables=True)
    else:
        yield from _raw_pages(path)


def _check_suffix(path: Path, known: set[str]) -> None:
    if path.suffix.lower() not in known:
        formats = "PNG, TIFF, MRC or .npy" if ".npy" in known else "PNG, JPEG, TIFF or MRC"
        raise InputError(f"{path.name}: format '{path.suffix.lower()}' is not read; use {formats}")


def _check_size(path: Path, shape: Sequence[int]) -> None:
    pixels, claimed = math.prod(map(int, shape)), " x ".join(map(str, shape))
    if pixels > MAX_PIXELS:
        raise InputError(f"{path.name}: claims {claimed} px; more than {MAX_PIXELS} are not read")
    size = path.stat().st_size
    if pixels > max(ALWAYS_ALLOWED_PIXELS, MAX_PIXELS_PER_BYTE * size):
        raise InputError(f"{path.name}: claims {claimed} px, more than any compression packs into its {size} bytes")


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        # Memory-mapped: NumPy then finds that a header claims more than the file holds without allocating it.
        raw = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "Python objects" in str(error) or "pickle" in str(error):
            raise InputError(
                f"{path.name}: holds pickled objects, which are not opened; save plain label masks as TIFF or PNG (in "
                "Cellpose: --save_tif or --save_png)"
            ) from None
        raise
    _check_size(path, raw.shape[-2:])
    return raw[None] if raw.ndim == 2 else raw


def _read_mrc(path: Path) -> NDArray[Any]:
    _check_size(path, _mrc_shape(path))
    with mrcfile.open(path, permissive=False) as mrc:
        return np.array(mrc.data)


def _mrc_shape(path: Path) -> tuple[int, int, int]:
    """Number of sections, height and width in the header, after a check that the file can hold them."""
    with path.open("rb") as file:
        header = file.read(MRC_HEADER)
    # The library allocates the extended header before any check. The byte order is unknown, so take the smaller size.
    extended = min(int.from_bytes(header[92:96], order) for order in ("little", "big"))
    if MRC_HEADER + extended > path.stat().st_size:
        raise ValueError(f"the header claims an extended header of {extended} bytes, which the file does not hold")
    with mrcfile.open(path, header_only=True, permissive=False) as mrc:
        shape = (int(mrc.header.nz), int(mrc.header.ny), int(mrc.header.nx))
        size = mrcfile.utils.data_dtype_from_header(mrc.header).itemsize
    if min(shape) < 1 or math.prod(shape) * size > path.stat().st_size:
        raise ValueError(f"the header claims {' x '.join(map(str, shape))} px, which the file does not hold")
    return shape


@contextmanager
def _pillow(path: Path) -> Iterator[Image.Image]:
    """Open an image with the size limit of this module instead of Pillow's, which large micrographs exceed."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as image:
            _check_size(path, image.size)
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _read_pillow(path: Path) -> NDArray[Any]:
    with _pillow(path) as image:
        image.load()
        if image.mode in {"P", "PA"} or image.mode == "1":
            return np.asarray(image.convert("RGBA" if image.mode != "1" else "L"))
        if image.mode == "CMYK" or image.mode == "YCbCr":
            return np.asarray(image.convert("RGB"))
        return np.asarray(image)


@contextmanager
def _tiff(path: Path) -> Iterator[Any]:
    with tifffile.TiffFile(path) as tiff:
        # Count the pages first: in a damaged file, iterating over them may never end.
        if len(tiff.pages) * SMALLEST_TIFF_PAGE > path.stat().st_size:
            raise ValueError(f"it claims {len(tiff.pages)} pages")
        yield tiff


def _check_tiff_page(path: Path, page: Any) -> None:
    _check_size(path, page.shape)
    _check_size(path, page.chunks)
    if math.prod(page.chunked) > len(page.dataoffsets):
        raise ValueError(f"it claims {math.prod(page.chunked)} tiles or strips and lists {len(page.dataoffsets)}")


def _read_tiff(path: Path) -> NDArray[Any]:
    with _tiff(path) as tiff:
        meaning = tiff.pages.first.photometric
        if len(tiff.series) > 1 or meaning == tifffile.PHOTOMETRIC.PALETTE:
            raise InputError(f"{path.name}: has several images or a colour table; save one grey or RGB image")
        _check_size(path, tiff.series[0].shape)
        _check_tiff_page(path, tiff.pages.first)
        raw = tiff.asarray()
    return _white_is_high(raw, meaning)


def _read_tiff_pages(path: Path, colour_tables: bool) -> Iterator[NDArray[Any]]:
    with _tiff(path) as tiff:
        if len(tiff.pages) == 1 and _planes(tiff) > 1:  # large stacks of ImageJ: one header, then all planes
            series = tiff.series[0]
            _check_size(path, series.shape[-2:])
            yield from tiff.asarray(out="memmap").reshape(-1, *series.shape[-2:])
            return
        for number in range(len(tiff.pages)):
            page: Any = tiff.pages.get(number)
            if page.photometric == tifffile.PHOTOMETRIC.PALETTE and not colour_tables:
                raise InputError(f"{path.name}: has a colour table; save grey or RGB images")
            _check_tiff_page(path, page)
            yield _white_is_high(page.asarray(), page.photometric)


def _planes(tiff: Any) -> int:
    """Number of grey images of one size in a file with a single page."""
    series = tiff.series[0]
    return 1 if tiff.pages.first.samplesperpixel > 1 else math.prod(series.shape[:-2])


def _white_is_high(raw: NDArray[Any], meaning: int) -> NDArray[Any]:
    if meaning == tifffile.PHOTOMETRIC.MINISWHITE and np.issubdtype(raw.dtype, np.unsignedinteger):
        return np.iinfo(raw.dtype).max - raw
    return raw


def _to_samples(raw: NDArray[Any], path: Path) -> Samples:
    if raw.size == 0:
        raise InputError(f"{path.name}: the image has no pixels")
    grey, white = _as_grey(raw, path), white_of(raw.dtype)
    if not np.isfinite(grey).all():
        raise InputError(f"{path.name}: has NaN or infinite values")
    return Samples(grey, 255 if grey.dtype == np.uint8 else white)


def _to_labels(raw: NDArray[Any], path: Path) -> NDArray[np.int64]:
    if raw.ndim != 2 or raw.size == 0:
        raise InputError(f"{path.name}: expected label masks of whole numbers, found an array of shape {raw.shape}")
    if not np.issubdtype(raw.dtype, np.number) and raw.dtype != np.bool_:
        raise InputError(f"{path.name}: expected label masks of whole numbers, found {raw.dtype}")
    if np.iscomplexobj(raw) or not np.isfinite(raw).all() or (raw < 0).any() or (raw != np.floor(raw)).any():
        raise InputError(f"{path.name}: labels must be whole numbers from 0")
    return np.asarray(raw, dtype=np.int64)


def _as_grey(raw: NDArray[Any], path: Path) -> NDArray[Any]:
    raw = _one_image(raw, path)
    if raw.ndim == 3:
        if raw.dtype == np.uint8:
            return np.round(rgb2gray(raw) * 255).astype(np.uint8)
        return np.asarray(rgb2gray(raw.astype(np.float64)))  # of floats, so that it keeps the unit of the samples
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
