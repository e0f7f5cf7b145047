"""Layers that stay fast when ``jax.vmap`` stacks many networks.

Under ``vmap`` a convolution becomes a grouped convolution: slow on a GPU in float32, and very slow on a processor. The
same sum as shifts of the images and one matrix product becomes a batched matrix product.
"""

from functools import reduce
from itertools import product
from typing import Any

import keras
from keras import ops

from lipnet.classifiers.vectorised.masking import MaskedBatchNormalization

WIDEST = 128  # columns of the product then; for 3 x 64, XLA's program for an H100 copies more than it saves


def swapped(model: keras.Model) -> keras.Model:
    """A clone of a model whose convolutions and poolings are written with shifts, reshapes and matrix products.

    Weights, seeds, names, their order and the dtype policies are those of the model. The clone is for training; its
    weights belong into the model, which stays as it is.
    """
    clone = keras.models.clone_model(model, clone_function=_clone)
    for mine, original in zip(_variables(clone), _variables(model), strict=True):
        mine.assign(original)
    return clone


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.trainable_variables, *model.non_trainable_variables]


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    return _kind(layer).from_config(layer.get_config())


def _kind(layer: keras.layers.Layer) -> type[keras.layers.Layer]:
    kind = type(layer)
    if kind is keras.layers.Conv2D and _is_plain_convolution(layer):
        return ShiftedConv2D
    if kind is keras.layers.MaxPooling2D and layer.pool_size == layer.strides and layer.padding == "valid":
        return TiledMaxPooling2D
    others = {
        keras.layers.Normalization: StackableNormalization,
        keras.layers.BatchNormalization: MaskedBatchNormalization,
    }
    return others.get(kind, kind)


def _is_plain_convolution(layer: keras.layers.Conv2D) -> bool:
    same = layer.padding == "same" or set(layer.kernel_size) == {1}
    return same and layer.data_format == "channels_last" and layer.groups == 1 and set(layer.dilation_rate) == {1}


class ShiftedConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """A convolution with padding ``same`` as shifts of the padded images and one matrix product.

    What limits it on a GPU is writing and reading the shifts side by side (docs/performance.md). With few filters, only
    the shifts along a row are made before the product, which gives the part of each row of the kernel; these parts are
    shifted up and down and added. For 32 channels and filters this is a quarter less memory traffic.
    """

    def call(self, inputs: Any) -> Any:
        """The same sum as in Keras's layer, in another order."""
        outputs = self._rows_after_product(inputs) if self._is_narrow(inputs.shape[3]) else self._product(inputs)
        return self.activation(outputs if self.bias is None else outputs + self.bias)

    def _is_narrow(self, channels: int) -> bool:
        """Whether few filters make it cheaper to shift up and down after the product."""
        high, wide = self.kernel_size
        fewer = wide * channels + high * self.filters < high * wide * channels
        return fewer and high * self.filters <= WIDEST and self.strides[0] == 1

    def _product(self, inputs: Any) -> Any:
        (high, wide), (down, right) = self.kernel_size, self.strides
        rows, *above = _same(inputs.shape[1], high, down)
        columns, *beside = _same(inputs.shape[2], wide, right)
        padded = ops.pad(inputs, ((0, 0), above, beside, (0, 0)))
        shifts = [
            padded[:, i : i + (rows - 1) * down + 1 : down, j : j + (columns - 1) * right + 1 : right]
            for i, j in product(range(high), range(wide))
        ]
        return ops.concatenate(shifts, axis=-1) @ ops.reshape(self.kernel, (-1, self.filters))

    def _rows_after_product(self, inputs: Any) -> Any:
        (high, wide), right, n = self.kernel_size, self.strides[1], self.filters
        rows, *above = _same(inputs.shape[1], high, 1)
        columns, *beside = _same(inputs.shape[2], wide, right)
        padded = ops.pad(inputs, ((0, 0), (0, 0), beside, (0, 0)))
        shifts = [padded[:, :, j : j + (columns - 1) * right + 1 : right] for j in range(wide)]
        kernel = ops.reshape(ops.transpose(self.kernel, (1, 2, 0, 3)), (-1, high * n))
        parts = ops.pad(ops.concatenate(shifts, axis=-1) @ kernel, ((0, 0), above, (0, 0), (0, 0)))
        return sum(parts[:, i : i + rows, :, i * n : (i + 1) * n] for i in range(high))


def _same(size: int, kernel: int, stride: int) -> tuple[int, int, int]:
    """Size of the output, and of the padding before and after the input, where the padding is ``same``."""
    outputs = -(-size // stride)
    padding = max((outputs - 1) * stride + kernel - size, 0)
    return outputs, padding // 2, padding - padding // 2


class TiledMaxPooling2D(keras.layers.MaxPooling2D):  # type: ignore[misc]
    """Max-pooling of windows that do not overlap, without a gradient that scatters.

    As in Keras's layer, the gradient goes to the first maximum of a window. (That of a maximum along axes would be
    divided among all of them, and in 16 bits equal values are common.)
    """

    def call(self, inputs: Any) -> Any:
        """The maximum of each window."""
        high, wide = self.pool_size
        rows, columns = inputs.shape[1] // high, inputs.shape[2] // wide
        whole = inputs[:, : rows * high, : columns * wide]
        windows = ops.reshape(whole, (-1, rows, high, columns, wide, inputs.shape[3]))
        pixels = [windows[:, :, i, :, j] for i, j in product(range(high), range(wide))]
        return reduce(lambda most, pixel: ops.where(most >= pixel, most, pixel), pixels)


class StackableNormalization(keras.layers.Normalization):  # type: ignore[misc]
    """Reads mean and variance from its variables, which stacked networks differ in; Keras's layer keeps constants."""

    def call(self, inputs: Any) -> Any:
        """Standardise, with the bound on the standard deviation of Keras's layer."""
        deviation = ops.maximum(ops.sqrt(self.adapt_variance), keras.config.epsilon())
        return (ops.cast(inputs, self.compute_dtype) - self.adapt_mean) / deviation
