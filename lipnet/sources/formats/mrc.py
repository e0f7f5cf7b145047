"""MRC files and stacks (.mrc, .mrcs)."""

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.sources.formats.raw import Format, RawImage, check_size, white_of

HEADER = 1024  # bytes
_MAP = slice(208, 211)  # where the header of today's format says MAP
_STAMP = 152  # where IMOD says how it stores bytes: its stamp, then flags
_IMOD = 1146047817
_SIGNED = 1  # the flag for bytes that are stored less 128


def count(path: Path) -> int:
    """Number of sections."""
    return _shape(path)[0]


def pages(path: Path) -> Iterator[RawImage]:
    """Yield every section.

    Bytes (mode 0) run from 0 to 255 if IMOD's stamp is in the header, which says how they are stored. Without the stamp
    they are signed, as the format says.

    Raises:
        InputError: the header is that of the format before 2000, which lacks the word MAP.
    """
    shape = _shape(path)
    check_size(path, shape[1:])
    with mrcfile.mmap(path, permissive=False) as mrc:
        flags = _flags_of_imod(path)
        for section in mrc.data.reshape(shape):
            pixels = _bytes(section, flags) if section.dtype == np.int8 and flags is not None else section
            pixels = pixels.astype(pixels.dtype.newbyteorder("="))  # a copy, because the file will be closed
            yield RawImage(pixels, white_of(pixels.dtype))


def _flags_of_imod(path: Path) -> int | None:
    with path.open("rb") as file:
        header = file.read(HEADER)
    for order in ("<", ">"):
        stamp, flags = struct.unpack_from(f"{order}2i", header, _STAMP)
        if stamp == _IMOD:
            return int(flags)
    return None


def _bytes(section: NDArray[Any], flags: int) -> NDArray[np.uint8]:
    return section.view(np.uint8) ^ np.uint8(128 if flags & _SIGNED else 0)  # adds 128 to the signed number


def _shape(path: Path) -> tuple[int, int, int]:
    """Number of sections, height and width in the header, after a check that the file can hold them."""
    with path.open("rb") as file:
        header = file.read(HEADER)
    if len(header) == HEADER and header[_MAP] != b"MAP":
        raise InputError(
            f"{path.name}: damaged or not an image, or an MRC file of the format before 2000 (its header lacks the "
            "word MAP); write that anew, for example with IMOD: newstack OLD.mrc NEW.mrc"
        )
    # The library allocates the extended header before any check. The byte order is unknown, so take the smaller size.
    extended = min(int.from_bytes(header[92:96], order) for order in ("little", "big"))
    if HEADER + extended > path.stat().st_size:
        raise ValueError(f"the header claims an extended header of {extended} bytes, which the file does not hold")
    with mrcfile.open(path, header_only=True, permissive=False) as mrc:
        shape = (int(mrc.header.nz), int(mrc.header.ny), int(mrc.header.nx))
        size = mrcfile.utils.data_dtype_from_header(mrc.header).itemsize
    if min(shape) < 1 or math.prod(shape) * size > path.stat().st_size:
        raise ValueError(f"the header claims {' x '.join(map(str, shape))} px, which the file does not hold")
    return shape


FORMAT = Format((".mrc", ".mrcs"), (), pages, count)
