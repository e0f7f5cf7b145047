"""Pictures of particles: examples per class and crop mode, and of augmentation (thesis, Figures 1, 2 and 11)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lipnet.plots.figure import styled
from lipnet.samples import augment, crops
from lipnet.samples.particles import ParticleStore

N_PREVIEWS = 9  # augmented images of each class


@styled
def grid(images: Sequence[Sequence[NDArray[Any]]], row_titles: Sequence[str], column_titles: Sequence[str]) -> Figure:
    """Grey images in rows and columns.

    Args:
        images: rows of images, each of shape (height_px, width_px); white is the largest integer of their type, or 1.0.
        row_titles: one for each row.
        column_titles: one for each column, or none.
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


def augmentation_preview(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    policy: augment.AugmentSettings,
    rng: np.random.Generator,
) -> Figure:
    """The first image of each class, and beside it the same image after random augmentation.

    Args:
        images: training images of one fold, shape (n, size_px, size_px).
        labels: class index of each image, shape (n,); every class has an image.
        classes: the K class names.
        policy: the augmentation.
        rng: source of the draws.
    """
    rows = []
    for label in range(len(classes)):
        original = images[labels == label][0].astype(np.float32) / 255
        maps = augment.draw_maps(N_PREVIEWS, original.shape[0], policy, rng)
        rows.append([original, *augment.warp(np.stack([original] * N_PREVIEWS), maps, policy)])
    return grid(rows, classes, ["original"])


def crop_examples(store: ParticleStore, index: int, settings: crops.CropSettings) -> list[NDArray[np.uint8]]:
    """One particle of a store in every crop mode, at the largest size.

    The scale is always ``fit``, because at constant scale the surrounding may be larger than the field.
    """
    fit, image, mask = settings.model_copy(update={"scale": "fit"}), store.image(index), store.mask(index)
    cuts = [(crops.cut(image, mask, mode) / store.white).astype(np.float32) for mode in crops.MODES]
    return [crops.to_size(grey, max(settings.sizes_px), fit) for grey in cuts]


def _white(image: NDArray[Any]) -> float:
    return float(np.iinfo(image.dtype).max) if np.issubdtype(image.dtype, np.integer) else 1.0
