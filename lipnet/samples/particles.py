"""A particle, and the packed store of several particles; the file of a problem is a series of stores."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core.errors import InputError

Grey = NDArray[np.uint8] | NDArray[np.uint16]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Particle:
    """The image of one particle with its label, mask and other data.

    Attributes:
        id: unique name of the particle within its problem.
        label: name of its class.
        group: particles of one group (a micrograph, an overlapping cluster) stay in one fold.
        image: grey levels, shape (height_px, width_px), uint8 or uint16, the surrounding included.
        mask: True on the particle, same shape.
        padding_px: width of the surrounding on each side of the particle's bounding box.
        pixel_size_nm: side of a pixel in nm; NaN if unknown.
        mask_estimated: no mask was given; the mask is an ellipse drawn from the bounding box.
        cut_by_edge: the particle touches the border of its micrograph, so part of it may be missing.
        features: features that came with the particle; they replace measured features of the same name.
    """

    id: str
    label: str
    group: str
    image: Grey
    mask: Mask
    padding_px: int = 0
    pixel_size_nm: float = float("nan")
    mask_estimated: bool = False
    cut_by_edge: bool = False
    features: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ParticleStore:
    """Images and masks of n particles, packed end to end.

    Attributes:
        pixels: all grey levels, shape (total_px,), uint8 or uint16.
        masks: all masks, shape (total_px,), bool.
        shapes_px: height and width of each image, shape (n, 2), int64.
    """

    pixels: Grey
    masks: Mask
    shapes_px: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.shapes_px)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.shapes_px.prod(axis=1))])

    @property
    def white(self) -> int:
        """The grey level of white, scaled to 1.0: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)

    def image(self, index: int) -> Grey:
        """Grey levels of one particle, shape (height_px, width_px); a view, not a copy."""
        return self.pixels[self._starts[index] : self._starts[index + 1]].reshape(self.shapes_px[index])

    def mask(self, index: int) -> Mask:
        """Mask of one particle, shape (height_px, width_px); a view, not a copy."""
        return self.masks[self._starts[index] : self._starts[index + 1]].reshape(self.shapes_px[index])


def pack(particles: Sequence[Particle]) -> ParticleStore:
    """Pack particles into one store; if some images have 16 bits, 8-bit ones are scaled to 16 bits (255 -> 65535)."""
    wide = any(particle.image.dtype == np.uint16 for particle in particles)
    images = [_widen(particle.image) if wide else particle.image for particle in particles]
    return ParticleStore(
        pixels=np.concatenate([image.ravel() for image in images]),
        masks=np.concatenate([particle.mask.ravel() for particle in particles]),
        shapes_px=np.array([image.shape for image in images], dtype=np.int64),
    )


def _widen(image: Grey) -> Grey:
    return image if image.dtype == np.uint16 else image.astype(np.uint16) * 257


def describe(particles: Sequence[Particle]) -> pd.DataFrame:
    """Table of the data of each particle except its pixels, one row a particle, in order of the store.

    Columns: id, label, group, height_px and width_px (bounding box of the mask), padding_px, pixel_size_nm,
    mask_estimated, cut_by_edge (0 or 1).
    """
    boxes = [bounding_box(particle.mask) for particle in particles]
    return pd.DataFrame(
        {
            "id": [particle.id for particle in particles],
            "label": [particle.label for particle in particles],
            "group": [particle.group for particle in particles],
            "height_px": [box[0].stop - box[0].start for box in boxes],
            "width_px": [box[1].stop - box[1].start for box in boxes],
            "padding_px": [particle.padding_px for particle in particles],
            "pixel_size_nm": [particle.pixel_size_nm for particle in particles],
            "mask_estimated": [int(particle.mask_estimated) for particle in particles],
            "cut_by_edge": [int(particle.cut_by_edge) for particle in particles],
        }
    )


def bounding_box(mask: Mask) -> tuple[slice, slice]:
    """Smallest box that contains the mask, as slices of rows and columns.

    Raises:
        ValueError: the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("empty mask")
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def inscribed_ellipse(shape_px: tuple[int, ...], padding_px: int) -> Mask:
    """Mask of shape ``shape_px``: the ellipse inscribed in the box inside the padding; it touches all four sides."""
    height, width = shape_px
    y, x = np.ogrid[:height, :width]
    down = np.abs(y + 0.5 - height / 2) / (height / 2 - padding_px)
    across = np.abs(x + 0.5 - width / 2) / (width / 2 - padding_px)
    # A test of pixel centres alone would lose the tips of an elongated ellipse, so the two axes are added.
    axes = (np.abs(x + 0.5 - width / 2) <= 0.5) & (down < 1) | (np.abs(y + 0.5 - height / 2) <= 0.5) & (across < 1)
    return np.asarray((down**2 + across**2 <= 1) | axes, dtype=bool)


def to_arrays(store: ParticleStore) -> dict[str, Any]:
    """The store as named arrays for an .npz file; masks use one bit per pixel."""
    return {"pixels": store.pixels, "masks": np.packbits(store.masks), "shapes_px": store.shapes_px}


def from_arrays(arrays: dict[str, Any], name: str) -> ParticleStore:
    """Rebuild a store from the arrays of ``to_arrays``.

    Raises:
        InputError: an array is missing, or the arrays do not match; ``name`` is their file, for the message.
    """
    try:
        pixels, bits, shapes_px = arrays["pixels"], arrays["masks"], arrays["shapes_px"]
        masks = np.unpackbits(bits, count=len(pixels)).astype(bool)
        total_px = int(shapes_px.prod(axis=1).sum())
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{name}: not a particle store ({error}); delete it and run `dvc repro`") from None
    if total_px != len(pixels) or len(bits) != (total_px + 7) // 8:  # unpackbits pads with zeros
        raise InputError(f"{name}: image shapes, pixels and masks disagree; delete it and run `dvc repro`")
    return ParticleStore(pixels, masks, shapes_px)
