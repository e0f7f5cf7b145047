"""Kernels, activations and dead filters of the convolutions of a trained network (thesis, sections 5.1 and 7).

Keras is imported inside the functions, as in ``backend``.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.weights import convolutions
from lipnet.samples.crops import to_grey

if TYPE_CHECKING:
    import keras

CHUNK = 256  # images at once; the activations of all convolutions are kept in memory
LARGE_PX = 64  # images with a larger side are processed in smaller chunks
DEAD_RATIO = 1e-3  # a filter is dead if its variation is at most this share of the largest variation of its layer,
DEAD_VARIATION = 1e-6  # or at most this, which is the resolution of float32 for grey levels in [0, 1]


def kernels(model: "keras.Model") -> dict[str, NDArray[np.float32]]:
    """Kernels of every convolution, by its name: shape (height_px, width_px, channels in, filters) (Figure 14)."""
    return {name: np.asarray(model.get_layer(name).kernel) for name in convolutions(model)}


def activations(model: "keras.Model", crop: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Activations of every convolution, after its ReLU, for one crop, by name of the convolution (Figure 15).

    Args:
        model: a LipNet.
        crop: shape (size_px, size_px).

    Returns:
        Arrays of shape (height_px, width_px, filters).
    """
    [outputs] = _outputs(model, crop[None])
    return {name: output[0] for name, output in outputs.items()}


def dead_filters(model: "keras.Model", crops: NDArray[np.uint8]) -> dict[str, NDArray[np.bool_]]:
    """The dead filters of every convolution: filters that carry no information about the particle (thesis, 5.1).

    The variation of a filter is the standard deviation of its activation over images, after the ReLU, at a pixel, as
    root mean square over pixels. A filter is dead if its variation is at most ``DEAD_RATIO`` times the largest
    variation in its layer, or at most ``DEAD_VARIATION``. The thesis describes dead filters by very small weights into
    and out of a unit. The measure here hardly changes when weights are scaled up in one layer and down in the next.
    The largest variation is the reference rather than the median, because weight decay may kill most filters of a
    layer.

    Args:
        model: a LipNet.
        crops: shape (n, size_px, size_px), n >= 2.

    Returns:
        By name of the convolution: shape (filters,), True for a dead filter.

    Raises:
        ValueError: fewer than two crops, for which every filter would count as dead.
    """
    if len(crops) < 2:
        raise ValueError("one image cannot tell a dead filter from a live one; give at least two")
    sums: dict[str, Any] = dict.fromkeys(convolutions(model), 0.0)  # become (2, height_px, width_px, filters)
    for outputs in _outputs(model, crops):
        for name, output in outputs.items():
            values = output.astype(np.float64)
            sums[name] = sums[name] + np.stack([values.sum(axis=0), (values**2).sum(axis=0)])
    return {name: _dead(*(layer_sums / len(crops))) for name, layer_sums in sums.items()}


def _dead(mean: NDArray[np.float64], mean_square: NDArray[np.float64]) -> NDArray[np.bool_]:
    variance = np.maximum(mean_square - mean**2, 0)
    variation = np.sqrt(variance.mean(axis=(0, 1)))
    return variation <= max(DEAD_RATIO * variation.max(), DEAD_VARIATION)


def _outputs(model: "keras.Model", crops: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Activations of every convolution, after its ReLU, for CHUNK crops at a time."""
    import keras

    part = keras.Model(model.inputs[0], {name: model.get_layer(f"{name}_relu").output for name in convolutions(model)})
    part.compile(run_eagerly=True)  # for few calls, tracing costs more than it saves
    n = max(CHUNK * LARGE_PX**2 // max(crops.shape[1], LARGE_PX) ** 2, 1)
    for start in range(0, len(crops), n):
        yield part.predict_on_batch(to_grey(crops[start : start + n]))
