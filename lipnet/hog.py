"""Histograms of oriented gradients of crops, a peer of the hand-crafted features (Dalal and Triggs 2005)."""

import numpy as np
from numpy.typing import NDArray
from skimage import feature

ORIENTATIONS = 9
CELL_PX = 7  # 4 x 4 cells at 28 px
BLOCK = 2  # cells to a side, normalised together


def hog_features(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Histograms of oriented gradients.

    Args:
        crops: shape (n, size_px, size_px), size_px >= 14.

    Returns:
        Shape (n, n_features): 324 at 28 px, 9 orientations in each cell of 9 overlapping blocks of 2 x 2 cells.
    """
    shape = {"orientations": ORIENTATIONS, "pixels_per_cell": (CELL_PX, CELL_PX), "cells_per_block": (BLOCK, BLOCK)}
    return np.stack([feature.hog(crop / 255, **shape) for crop in crops])
