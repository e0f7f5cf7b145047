"""Pictures of particles for a page: the grey levels as an image, and the outline of the mask as a line on top of it.

The line is apart from the image, so a reader can hide it to see the membrane below.
"""

import io
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import approximate_polygon

from lipnet.deployment.reports.page import data_uri
from lipnet.plots.annotated import outlines
from lipnet.samples.particles import Grey, Mask, bounding_box

SIDE_PX = 144
MARGIN = 0.4  # surrounding that is shown around a particle, as a share of its longer side
QUALITY = 80  # of JPEG


class ParticlePicture(NamedTuple):
    """A picture of a particle.

    Attributes:
        uri: the grey levels.
        width: in px of the page.
        height: in px of the page.
        outline: of the mask, as the path of an SVG.
        text: what a reader sees who sees no pictures.
    """

    uri: str
    width: int
    height: int
    outline: str
    text: str


def picture_of(image: Grey, mask: Mask, text: str, side_px: int = SIDE_PX) -> ParticlePicture:
    """A picture of a particle.

    Args:
        image: shape (height_px, width_px).
        mask: same shape.
        text: what a reader sees who sees no pictures.
        side_px: longer side of the picture; larger ones are reduced, and browsers enlarge smaller ones.
    """
    window = _window(mask)
    part, scale = _eight_bit(image[window]), min(side_px / max(mask[window].shape), 1.0)
    height, width = (max(1, round(side * scale)) for side in part.shape)
    grey = Image.fromarray(part).resize((width, height), Image.Resampling.BOX)
    return ParticlePicture(jpeg_uri(grey), width, height, outline_path(mask[window], scale), text)


def _window(mask: Mask) -> tuple[slice, slice]:
    """Rows and columns of a square around the particle, as far as the image reaches."""
    box = bounding_box(mask)
    reach = math.ceil((0.5 + MARGIN) * max(side.stop - side.start for side in box))
    middles = [(side.start + side.stop) // 2 for side in box]
    rows, columns = (slice(max(middle - reach, 0), middle + reach) for middle in middles)
    return rows, columns


def outline_path(mask: Mask, scale: float) -> str:
    """Outline of a mask as the path of an SVG; ``scale``: px of the page per px of the mask."""
    rings = [approximate_polygon(ring * scale, 0.3) for piece in outlines(mask) for ring in piece]
    return "".join(f"M{'L'.join(f'{x:.1f} {y:.1f}' for x, y in ring[:-1].tolist())}Z" for ring in rings)


def jpeg_uri(picture: Image.Image) -> str:
    """A picture as the address of an image on a page."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return data_uri("jpeg", stream.getvalue())


def _eight_bit(image: Grey) -> NDArray[np.uint8]:
    return (image // 257).astype(np.uint8) if image.dtype == np.uint16 else image.astype(np.uint8)
