"""Batch normalisation over the real examples of a batch: places that padding fills have no part in its statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

_REAL: ContextVar[Any] = ContextVar("real", default=None)


@contextmanager
def only(real: Any) -> Iterator[None]:
    """While a model is called, its batch normalisation uses the examples that ``real``, shape (n,), marks as True."""
    token = _REAL.set(real)
    try:
        yield
    finally:
        _REAL.reset(token)


class MaskedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's layer; in training, mean and variance are those of the examples that ``only`` names, or of all."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise each channel."""
        real = _REAL.get()
        if real is not None:
            places = ops.shape(inputs)[:-1]
            mask = ops.broadcast_to(ops.reshape(real, (-1, *[1] * (len(places) - 1))), places)
        return super().call(inputs, training=training, mask=mask)
