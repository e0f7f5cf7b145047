"""Pictures of particles: examples per class and crop mode, and of augmentation (thesis, Figures 1, 2 and 11)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lipnet.plots.figure import styled


@styled
def grid(images: Sequence[Sequence[NDArray[Any]]], row_titles: Sequence[str], column_titles: Sequence[str]) -> Figure:
    """Grey images in rows and columns.

    Args:
        images: rows of images, each of shape (height_px, width_px); white is the largest integer of their type, or 1.0.
        row_titles: one per row.
        column_titles: one per column, or none.
    """
    n_rows, n_columns = len(images), max(len(row) for row in images)
    figure = Figure(figsize=(0.9 * n_columns + 0.8, 0.98 * n_rows + 0.3))
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for row, line in enumerate(axes):
        for column, ax in enumerate(line):
            ax.set_xticks([])
            ax.set_yticks([])
            for spine in ax.spines.values():
                spine.set_visible(False)
            if column < len(images[row]):
                ax.imshow(images[row][column], cmap="gray", vmin=0, vmax=_white(images[row][column]))
            if column == 0:
                ax.set_ylabel(row_titles[row], rotation=0, ha="right", va="center")
            if row == 0 and column < len(column_titles):
                ax.set_title(column_titles[column], fontsize=8)
    return figure


def _white(image: NDArray[Any]) -> float:
    return float(np.iinfo(image.dtype).max) if np.issubdtype(image.dtype, np.integer) else 1.0
