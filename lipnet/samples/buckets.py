"""Inputs of several sides: a particle at constant scale is cut to the least side that holds it, so it costs no more.

Fields are square, with the particle in the middle and black around it (``crops``, scale ``constant``). All sides are
multiples of ``STEP_PX``: what two cuts of a field differ by is then a multiple of 8 pixels at each edge, so that up to
three halvings fall on the same pixels of the particle in both.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP_PX = 16

Rows = NDArray[np.int64]


def spans(fields: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Side of the smallest cut from the middle that holds all of an image that is not black, shape (n,); 0: all black.

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
    """The least of the sides that holds an image, shape (n,).

    Args:
        fields: as for ``spans``.
        sides: to choose from, ascending; the last is that of the fields.
    """
    return np.array(sides)[np.searchsorted(sides, spans(fields))]


def cut(fields: NDArray[Any], side: int) -> NDArray[Any]:
    """The middle of each field, shape (n, side, side) or (n, side, side, n_channels)."""
    edge = (fields.shape[1] - side) // 2
    return fields[:, edge : edge + side, edge : edge + side]


def batches(sides: Rows, size: int, rng: np.random.Generator) -> list[Rows]:
    """Examples in batches of one side each, in shuffled order; the last batch of a side may be smaller.

    Args:
        sides: of the examples, in a random order that batches keep, shape (n,).
        size: of a batch.
        rng: source of the shuffle.

    Returns:
        Positions of the examples of each batch.
    """
    alike = [np.flatnonzero(sides == side) for side in np.unique(sides)]
    parts = [rows[start : start + size] for rows in alike for start in range(0, len(rows), size)]
    return [parts[number] for number in rng.permutation(len(parts))]


def together(fields: NDArray[np.uint8], most_pixels: int) -> Iterator[tuple[Rows, int]]:
    """Rows that go through a network at once, and the side to cut them to: of like size, so that little is padded.

    Args:
        fields: as for ``spans``; their side is a multiple of ``STEP_PX``.
        most_pixels: of all cuts of a part.
    """
    side = fields.shape[1]
    needed = least_sides(fields, range(STEP_PX, side + 1, STEP_PX))
    for one in np.unique(needed):
        rows, n = np.flatnonzero(needed == one), max(most_pixels // int(one) ** 2, 1)
        yield from ((rows[start : start + n], int(one)) for start in range(0, len(rows), n))
