"""Inputs of several sizes: particles at constant scale are cropped to the smallest side that fits, which saves time.

Fields are square, with the particle in the middle and black around it (``crops``, scale ``constant``). All sides are
multiples of ``STEP_PX``. Two crops of a field then differ by a multiple of 8 pixels at each edge, so up to three
poolings by 2 group the same pixels of the particle in both.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP_PX = 16

Rows = NDArray[np.int64]


def spans(fields: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Side of the smallest central crop that contains all pixels above 0, shape (n,); 0 for a black image.

    Args:
        fields: shape (n, side, side) or (n, side, side, n_channels); the side is even.
    """
    bright = (fields if fields.ndim == 3 else fields.max(axis=3)) > 0
    side = bright.shape[1]
    along = np.arange(side)
    reach = np.maximum(along + 1 - side // 2, side // 2 - along)  # of the edge farther from the middle
    lit = np.maximum(bright.any(axis=1), bright.any(axis=2))
    return (2 * reach * lit).max(axis=1, initial=0)


def least_sides(fields: NDArray[np.uint8], sides: Sequence[int]) -> NDArray[np.int64]:
    """The smallest of the given sides that contains all pixels above 0 of an image, shape (n,).

    Args:
        fields: as for ``spans``.
        sides: to choose from, ascending; the last is the side of the fields.
    """
    return np.array(sides)[np.searchsorted(sides, spans(fields))]


def cut(fields: NDArray[Any], side: int) -> NDArray[Any]:
    """Central crop of each field, shape (n, side, side) or (n, side, side, n_channels)."""
    edge = (fields.shape[1] - side) // 2
    return fields[:, edge : edge + side, edge : edge + side]


def batches(sides: Rows, size: int, rng: np.random.Generator) -> list[Rows]:
    """Group examples into batches of one side each, in shuffled order; the last batch of a side may be smaller.

    Args:
        sides: of the examples, already in random order, shape (n,); batches keep this order.
        size: of a batch.
        rng: source of the shuffle.

    Returns:
        Positions in ``sides`` of the examples of each batch.
    """
    alike = [np.flatnonzero(sides == side) for side in np.unique(sides)]
    parts = [rows[start : start + size] for rows in alike for start in range(0, len(rows), size)]
    return [parts[number] for number in rng.permutation(len(parts))]


def together(fields: NDArray[np.uint8], most_pixels: int) -> Iterator[tuple[Rows, int]]:
    """Group fields of similar size for inference; yield the rows of each group and the side to crop them to.

    Args:
        fields: as for ``spans``; their side is a multiple of ``STEP_PX``.
        most_pixels: maximum number of pixels of all crops of a group; a group has at least one row.
    """
    side = fields.shape[1]
    needed = least_sides(fields, range(STEP_PX, side + 1, STEP_PX))
    for one in np.unique(needed):
        rows, n = np.flatnonzero(needed == one), max(most_pixels // int(one) ** 2, 1)
        yield from ((rows[start : start + n], int(one)) for start in range(0, len(rows), n))
