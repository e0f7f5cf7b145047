"""PNG, JPEG, BMP and GIF."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lipnet.core.errors import InputError
from lipnet.sources.formats.raw import Format, RawImage, check_size, turned, white_of, without_opacity

ORIENTATION = 274  # the tag, in EXIF as in TIFF
_PNG_DEPTH = 24  # the byte of a PNG file with the bits of a sample
_NAMES = ("PNG", "JPEG", "BMP", "GIF")


def count(path: Path) -> int:
    """Number of images: the frames of a GIF, 1 for other files."""
    with _opened(path) as image:
        return _frames(image)


def pages(path: Path) -> Iterator[RawImage]:
    """Yield the image; of an animated GIF every frame, in the colours that a viewer shows.

    Raises:
        InputError: it is an animated PNG.
    """
    with _opened(path) as image:
        if image.format == "PNG" and _frames_of_any(image) > 1:
            raise InputError(f"{path.name}: is an animated PNG; save its images as a TIFF stack")
        for number in range(_frames(image)):
            image.seek(number)
            yield _raw(path, image, animated=_frames(image) > 1)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image with the size limit of this project instead of Pillow's, which large micrographs exceed."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path, formats=_NAMES) as image:
            check_size(path, image.size)
            yield image
    except UnidentifiedImageError:
        raise ValueError(f"only {', '.join(_NAMES)} of up to 8 bits, and PNG of 16, are read") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _frames(image: Image.Image) -> int:
    return _frames_of_any(image) if image.format == "GIF" else 1


def _frames_of_any(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _raw(path: Path, image: Image.Image, animated: bool) -> RawImage:
    orientation = image.getexif().get(ORIENTATION, 1)
    bits = _png_depth(path) if image.format == "PNG" else 8
    lossy = image.format not in ("PNG", "BMP", "GIF")  # JPEG and its relatives
    if bits == 16:  # Pillow would reduce colours, and grey with opacity, to 8 bits without a word
        pixels: NDArray[Any] = imagecodecs.png_decode(path.read_bytes())
    elif animated or image.mode in ("CMYK", "YCbCr", "RGBX"):
        pixels = np.asarray(image.convert("RGB"))
    elif image.mode == "P":
        table = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return RawImage(turned(np.asarray(image), orientation), None, colours=table)
    else:
        pixels = np.asarray(image)
    pixels = turned(without_opacity(pixels), orientation)
    if image.mode == "L" and bits < 8:  # Pillow has scaled them to 8 bits
        return RawImage(pixels // (255 // (2**bits - 1)), 2**bits - 1)
    return RawImage(pixels, white_of(pixels.dtype), lossy=lossy)


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(_PNG_DEPTH + 1)[_PNG_DEPTH]


FORMAT = Format(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif"), (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF8"), pages, count
)
