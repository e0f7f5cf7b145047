"""Predictions and embeddings of a trained network.

Keras is imported inside the functions, as in ``backend``.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.epoch import as_input
from lipnet.samples import buckets
from lipnet.samples.crops import to_grey

if TYPE_CHECKING:
    import keras

BATCH = 512  # images predicted at once: each takes 0.2 MB in every convolution
BATCH_PIXELS = BATCH * 28**2  # pixels predicted at once, for images of several sides
NO_FEATURES = np.empty((0, 0))


def predict(
    model: "keras.Model", pixels: NDArray[np.uint8], features: NDArray[np.float64] = NO_FEATURES
) -> NDArray[np.float64]:
    """Probabilities of crops, shape (n, K).

    Args:
        model: a network of ``architecture.build``, or a part of one.
        pixels: shape (n, size_px, size_px) or (n, size_px, size_px, n_channels).
        features: to join, shape (n, n_features), if the network takes features.
    """
    parts, order = [], []
    for rows, side in _batches(model, pixels):
        inputs = network_inputs(to_grey(buckets.cut(pixels[rows], side)), features_of(features, rows))
        parts.append(model.predict_on_batch(as_input(inputs)))
        order.append(rows)
    return np.concatenate(parts).astype(np.float64)[np.argsort(np.concatenate(order))]


def _batches(model: "keras.Model", pixels: NDArray[np.uint8]) -> list[tuple[NDArray[np.int64], int]]:
    """Rows to predict at once, and the side of their images."""
    if model.inputs[0].shape[1] is None:
        return list(buckets.together(pixels, BATCH_PIXELS))
    return [(rows, pixels.shape[1]) for rows in chunks(np.arange(len(pixels)), BATCH)]


def chunks(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Cut rows into parts of this size; the last part may be smaller."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def network_inputs(images: NDArray[np.float32], features: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    """The inputs of a network: images and, if there are any, features."""
    return [images, features.astype(np.float32)] if features.shape[1] else [images]


def features_of(features: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Features of some rows; an empty array if no features are joined, as rows of synthetic examples have none."""
    return features[rows] if features.shape[1] else features[:0]


def predict_views(
    model: "keras.Model", pixels: NDArray[np.uint8], features: NDArray[np.float64] = NO_FEATURES
) -> NDArray[np.float64]:
    """Mean of the probabilities over the eight views of a square: four rotations, each also mirrored; shape (n, K)."""
    rotated = [np.rot90(pixels, turns, axes=(1, 2)) for turns in range(4)]
    views = [*rotated, *(view[:, :, ::-1] for view in rotated)]
    return np.mean([predict(model, view, features) for view in views], axis=0)


def embed(
    model: "keras.Model", pixels: NDArray[np.uint8], features: NDArray[np.float64] = NO_FEATURES
) -> NDArray[np.float64]:
    """The embedding of crops: input of the layer ``classes``, averaged over its pixels if any; shape (n, n_units)."""
    import keras

    embedding = model.get_layer("classes").input
    inner = keras.Model(model.input, embedding)
    values = predict(inner, pixels, features)
    return values.mean(axis=(1, 2)) if values.ndim == 4 else values
