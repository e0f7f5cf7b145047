"""Histograms of oriented gradients of crops (Dalal and Triggs, CVPR 2005): features of a peer of the networks."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from skimage.feature import hog

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings

HOG = "hog_svm"  # classifier, a peer: an SVM on histograms of oriented gradients of the crops


class HogSettings(Settings):
    """Settings with scikit-image's names and the paper's default values; cells and blocks are square."""

    orientations: int = Field(default=9, ge=1)
    pixels_per_cell: int = Field(default=8, ge=1)
    cells_per_block: int = Field(default=2, ge=1)


def hog_features(crops: NDArray[np.uint8], settings: HogSettings) -> NDArray[np.float64]:
    """Histograms of the direction of the gradient in cells, normalised by blocks of cells (L2-Hys).

    Directions are angles from 0 to 180 degrees, measured from the column axis towards the row axis. The gradient of a
    vertical edge falls into the first bin.

    Args:
        crops: shape (n, size_px, size_px).
        settings: numbers of bins, cells and blocks.

    Returns:
        Shape (n, blocks * blocks * cells_per_block * cells_per_block * orientations), where
        blocks = size_px // pixels_per_cell - cells_per_block + 1.

    Raises:
        InputError: the crops are smaller than a block.
    """
    size_px, block_px = crops.shape[1], settings.pixels_per_cell * settings.cells_per_block
    if size_px < block_px:
        raise InputError(f"crops of {size_px} px are smaller than a block of {block_px} px; choose fewer px or cells")
    cell, block = (settings.pixels_per_cell,) * 2, (settings.cells_per_block,) * 2
    return np.stack([hog(crop, settings.orientations, cell, block, block_norm="L2-Hys") for crop in crops])
