"""TIFF and BigTIFF. The pages of the named file are read one by one; metadata about other files is ignored."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

from lipnet.core.errors import InputError
from lipnet.sources.formats.pillow import ORIENTATION
from lipnet.sources.formats.raw import Format, RawImage, check_size, turned, white_of, without_opacity

SMALLEST_PAGE = 18  # bytes: a count, one tag and the offset of the next page
_LOSSLESS = {  # all others change numbers, or can
    *(COMPRESSION.NONE, COMPRESSION.CCITTRLE, COMPRESSION.CCITT_T4, COMPRESSION.CCITT_T6, COMPRESSION.LZW),
    *(COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE, COMPRESSION.PACKBITS, COMPRESSION.LZMA, COMPRESSION.ZSTD),
    *(COMPRESSION.PIXTIFF, COMPRESSION.PNG),
}
_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MASK)
_COLOURS = "save grey levels, or red, green and blue"


def count(path: Path) -> int:
    """Number of images."""
    with _opened(path) as tiff:
        return _planes(tiff, path) if len(tiff.pages) == 1 else len(tiff.pages)


def pages(path: Path) -> Iterator[RawImage]:
    """Yield every image.

    Raises:
        InputError: the samples are no grey levels, indices or red, green and blue; the message names what they are.
    """
    with _opened(path) as tiff:
        n_planes = _planes(tiff, path) if len(tiff.pages) == 1 else 1
        for number in range(len(tiff.pages)):
            page: Any = tiff.pages.get(number)
            _check(path, page)
            if n_planes == 1:
                yield _raw(path, page, page.asarray())
                continue
            dtype = page.dtype.newbyteorder(tiff.byteorder)
            planes = np.memmap(path, dtype, "r", page.dataoffsets[0], (n_planes, *page.shape))
            for plane in planes:
                yield _raw(path, page, plane.astype(page.dtype))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with tifffile.TiffFile(path) as tiff:
        # Count the pages first: in a damaged file, iterating over them may never end.
        if len(tiff.pages) * SMALLEST_PAGE > path.stat().st_size:
            raise ValueError(f"it claims {len(tiff.pages)} pages")
        yield tiff


def _planes(tiff: Any, path: Path) -> int:
    """Number of images in a file with one page: some programs write the header of one image, and then all planes.

    These are ImageJ, MetaMorph and tifffile. Their number is believed if the file holds so many planes, since
    programs leave it in copies of one image.
    """
    page = tiff.pages.first
    shaped = [item.get("shape", ()) for item in tiff.shaped_metadata or ()]
    claims = [(tiff.imagej_metadata or {}).get("images"), (tiff.stk_metadata or {}).get("NumberPlanes")]
    claims += [math.prod(shape) // page.size for shape in shaped if all(isinstance(side, int) for side in shape)]
    claimed = max((claim for claim in claims if isinstance(claim, int)), default=1)
    if claimed < 2 or not page.is_contiguous:
        return 1
    start = page.dataoffsets[0]
    end = page.offset if page.offset > start else path.stat().st_size  # what follows the page is no plane
    held = (end - start) // page.nbytes
    if 1 < held < claimed:
        raise ValueError(f"it claims {claimed} images and holds {held}")
    return claimed if held >= claimed else 1


def _check(path: Path, page: Any) -> None:
    check_size(path, page.shape)
    check_size(path, page.chunks)
    if math.prod(page.chunked) > len(page.dataoffsets):
        raise ValueError(f"it claims {math.prod(page.chunked)} tiles or strips and lists {len(page.dataoffsets)}")


def _raw(path: Path, page: Any, raw: NDArray[Any]) -> RawImage:
    orientation = page.tags.valueof(ORIENTATION, 1)
    pixels = turned(_as_image(path, page, raw), orientation if isinstance(orientation, int) else 1)
    return RawImage(
        pixels,
        white_of(pixels.dtype, page.bitspersample),
        zero_is_white=page.photometric == PHOTOMETRIC.MINISWHITE and not _is_array_of_bool(page),
        colours=_colour_table(page) if page.photometric == PHOTOMETRIC.PALETTE else None,
        lossy=page.compression not in _LOSSLESS,
    )


def _as_image(path: Path, page: Any, raw: NDArray[Any]) -> NDArray[Any]:
    """Shape (height_px, width_px), or (height_px, width_px, 3), without samples for opacity."""
    meaning, n = page.photometric, page.samplesperpixel
    name = getattr(meaning, "name", meaning)
    if page.axes not in ("YX", "YXS", "SYX"):
        raise InputError(f"{path.name}: expected one grey or colour image, found an array of shape {raw.shape}")
    if meaning == PHOTOMETRIC.YCBCR and page.compression == COMPRESSION.JPEG:
        meaning = PHOTOMETRIC.RGB  # the decoder has converted them
    if meaning not in (*_GREY, PHOTOMETRIC.PALETTE, PHOTOMETRIC.RGB):
        raise InputError(f"{path.name}: its colours are {_NAMES.get(meaning, name)}, which is not read; {_COLOURS}")
    n_colours = 3 if meaning == PHOTOMETRIC.RGB else 1
    foreign = n_colours == 1 and not all(map(_is_opacity, page.extrasamples))
    if foreign or not n_colours <= n <= n_colours + 1:
        raise InputError(f"{path.name}: has {n} samples a pixel, which are not named as colours; {_COLOURS}")
    if n > 1 and page.axes == "SYX":
        raw = np.moveaxis(raw, 0, -1)
    return without_opacity(raw)


def _is_opacity(extra: int) -> bool:
    return extra in (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)


_NAMES = {
    PHOTOMETRIC.SEPARATED: "CMYK",
    PHOTOMETRIC.YCBCR: "YCbCr without JPEG",
    PHOTOMETRIC.CIELAB: "Lab",
    PHOTOMETRIC.ICCLAB: "Lab",
    PHOTOMETRIC.ITULAB: "Lab",
}


def _is_array_of_bool(page: Any) -> bool:
    """Whether the library tifffile wrote an array of bool: it names 0 white and yet stores True as 1."""
    return page.bitspersample == 1 and page.software.startswith("tifffile")


def _colour_table(page: Any) -> NDArray[np.uint8]:
    table = np.asarray(page.colormap).reshape(3, -1).T
    return (table >> 8 if table.max() > 255 else table).astype(np.uint8)  # some programs write 8 bits


FORMAT = Format((".tif", ".tiff"), (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"), pages, count)
