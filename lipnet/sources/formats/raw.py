"""What a file stores of one image, with what the numbers mean; and the limits that hold for every format."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipnet.core.errors import InputError

MAX_PIXELS = 2**28  # of one image: 16,384 x 16,384
MAX_PIXELS_PER_BYTE = 40_000  # of a compressed file; zstd compresses blank areas most, to 32,768 pixels a byte
ALWAYS_ALLOWED_PIXELS = 2**22  # for a file of any size
MOST_BITS = 16  # with more bits, the largest number is no agreed white


class RawImage(NamedTuple):
    """One image as its file stores it, but turned as its orientation tag says and without transparency.

    Attributes:
        pixels: shape (height_px, width_px), or (height_px, width_px, 3) for red, green and blue.
        white: the number that is white: 1, 3, 15, 255, 1023, 4095, 16383 or 65535, by the real bit depth; None if there
            is no agreed white: signed and float numbers, and more than 16 bits.
        zero_is_white: viewers show small numbers bright.
        colours: colour table, shape (n, 3), uint8, of which the pixels are indices; None without one.
        lossy: compressed so that numbers change, as in JPEG.
    """

    pixels: NDArray[Any]
    white: int | None
    zero_is_white: bool = False
    colours: NDArray[np.uint8] | None = None
    lossy: bool = False


class Format(NamedTuple):
    """How the files of one family are read.

    Attributes:
        suffixes: in lower case.
        signatures: what the files begin with; none if that does not tell.
        pages: yields every image, one in memory at a time.
        count: number of images, without decoding them.
    """

    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]
    pages: Callable[[Path], Iterator[RawImage]]
    count: Callable[[Path], int]


def white_of(dtype: np.dtype[Any], bits: int | None = None) -> int | None:
    """The number that is white in samples of a type; ``bits``: as many of its bits are used (None: all)."""
    if dtype.kind == "b":
        return 1
    bits = bits or 8 * dtype.itemsize
    return 2**bits - 1 if dtype.kind == "u" and bits <= MOST_BITS else None


def shown(raw: RawImage) -> RawImage:
    """The image as viewers show it: white is the largest number, colours are red, green, blue, and 8 bits or more.

    Fewer than 8 bits are scaled to 8 (white becomes 255).
    """
    if raw.colours is not None:
        if len(raw.colours) <= raw.pixels.max(initial=0):
            raise ValueError("its colour table lacks colours of the image")
        return raw._replace(pixels=raw.colours[raw.pixels], white=255, colours=None, zero_is_white=False)
    pixels, white = raw.pixels, raw.white
    if raw.zero_is_white:
        pixels = _inverted(pixels, white)
    if white is not None and white < 255:
        pixels, white = np.round(pixels * (255 / white)).astype(np.uint8), 255
    return raw._replace(pixels=pixels, white=white, zero_is_white=False)


def stored(raw: RawImage) -> NDArray[Any]:
    """The numbers of a mask as stored, whatever a tag or a colour table says of how they look.

    In an image of two levels, black and white, nobody sees the numbers: white is 1 and black 0.
    """
    if raw.colours is not None:
        table = raw.colours.tolist()
        bilevel = raw.pixels.max(initial=0) <= 1 and table[:2] == [[255] * 3, [0] * 3] and not any(map(any, table[2:]))
        return 1 - raw.pixels if bilevel else raw.pixels
    return _inverted(raw.pixels, 1) if raw.zero_is_white and raw.white == 1 else raw.pixels


def _inverted(pixels: NDArray[Any], white: int | None) -> NDArray[Any]:
    if white is not None:
        return ~pixels if pixels.dtype == np.bool_ else pixels.dtype.type(white) - pixels
    # Floats are taken to run from 0 to 1; ~ maps the range of a signed type onto itself.
    return 1 - pixels if pixels.dtype.kind == "f" else ~pixels


_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: np.swapaxes(pixels, 0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(np.swapaxes(pixels, 0, 1), 2),
    8: np.rot90,
}


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels as viewers turn them for tag Orientation (274) of TIFF and EXIF; only values from 2 to 8 turn them."""
    return np.ascontiguousarray(_TURNS[orientation](pixels)) if orientation in _TURNS else pixels


def without_opacity(pixels: NDArray[Any]) -> NDArray[Any]:
    """Grey of shape (h, w) from (h, w, 2), colours of shape (h, w, 3) from (h, w, 4); others unchanged."""
    if pixels.ndim == 3 and pixels.shape[2] in (1, 2):
        return pixels[:, :, 0]
    return pixels[:, :, :3] if pixels.ndim == 3 else pixels


def check_size(path: Path, shape: Sequence[int]) -> None:
    """Check the size that the header of a file claims, before memory of that size is allocated.

    Raises:
        InputError: it is too large to read, or larger than the file can hold.
    """
    pixels, claimed = math.prod(map(int, shape)), " x ".join(map(str, shape))
    if pixels > MAX_PIXELS:
        raise InputError(f"{path.name}: claims {claimed} px; more than {MAX_PIXELS} are not read")
    size = path.stat().st_size
    if pixels > max(ALWAYS_ALLOWED_PIXELS, MAX_PIXELS_PER_BYTE * size):
        raise InputError(f"{path.name}: claims {claimed} px, more than any compression packs into its {size} bytes")
