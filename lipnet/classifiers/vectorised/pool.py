"""The pool: images and features of all networks, on the device once; networks name them by their rows in it."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.prediction import NO_FEATURES
from lipnet.classifiers.networks.task import NetworkTask


class Pool(NamedTuple):
    """Examples on the device.

    Attributes:
        images: shape (n, size_px, size_px, n_channels), uint8.
        features: to join, shape (n, n_features), float32; shape (0, 0) if none are joined.
    """

    images: jax.Array
    features: jax.Array


class Place(NamedTuple):
    """Where a task finds its examples: rows of the pool of its first particle and of its first synthetic example."""

    particles: int
    synthetic: int

    def rows(self, examples: NDArray[np.int64], n_particles: int) -> NDArray[np.int32]:
        """Rows of the pool of examples as ``balance.epoch_rows`` numbers them."""
        of_synthetic = self.synthetic + examples - n_particles
        return np.where(examples < n_particles, self.particles + examples, of_synthetic).astype(np.int32)


def pool_of(tasks: Sequence[NetworkTask]) -> tuple[Pool, list[Place]]:
    """The examples of all tasks; those that tasks share, such as the folds of a problem, are there once."""
    parts, keys = dict[tuple[int, bytes], tuple[NDArray[np.uint8], NDArray[np.float64]]](), []
    for task in tasks:
        synthetic = task.training_set.synthetic.get(task.network.size_px, task.images[:0])
        particles_key = (id(task.images), hashlib.sha256(task.features.tobytes()).digest())
        synthetic_key = (id(task.training_set), b"")
        parts |= {particles_key: (task.images, task.features), synthetic_key: (synthetic, NO_FEATURES)}
        keys.append((particles_key, synthetic_key))
    ends = np.cumsum([0, *(len(images) for images, _ in parts.values())])
    starts = dict(zip(parts, map(int, ends[:-1]), strict=True))
    some = [images for images, _ in parts.values() if len(images)]
    images = np.concatenate([images if images.ndim == 4 else images[..., None] for images in some])
    joined = [features for _, features in parts.values() if features.shape[1]]  # then no example is synthetic
    features = np.concatenate(joined).astype(np.float32) if joined else np.empty((0, 0), np.float32)
    places = [Place(*(starts[key] for key in pair)) for pair in keys]
    return Pool(jnp.asarray(images), jnp.asarray(features)), places


def padded(values: NDArray[np.int32], n: int, size: int) -> NDArray[np.int32]:
    """Values in ``n`` batches of this size, shape (n, size); the places left over hold -1."""
    full = np.full(n * size, -1, np.int32)
    full[: len(values)] = values
    return full.reshape(n, size)
