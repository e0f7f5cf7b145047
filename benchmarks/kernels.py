"""The kernels of the pipeline on fixed numbers: prints a digest of what each computes, as JSON.

    python -m benchmarks.kernels

benchmarks.portable runs it in several environments. Inputs are exact fractions of random integers, so they are the same
everywhere.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg
from scipy import ndimage

RNG = np.random.default_rng(0)
# Side, channels in, channels out of the convolutions of LipNet-4 at 28 px.
CONVOLUTIONS = ((28, 1, 32), (28, 32, 32), (14, 32, 64), (14, 64, 64))
BATCH = 32


def main() -> None:
    """Print kernel -> digest."""
    found = {name: _digest(values) for part in (_network(), _outputs(), _arrays()) for name, values in part}
    json.dump(found, sys.stdout)


def _numbers(*shape: int) -> Any:
    return (RNG.integers(-(2**20), 2**20, shape) / 2.0**20).astype(np.float32)


def _digest(values: Any) -> str:
    arrays = values if isinstance(values, list) else [values]
    content = b"".join(np.asarray(array).tobytes() for array in arrays)
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _network() -> Iterator[tuple[str, Any]]:
    """Layers with weights, their gradients, and the optimiser."""
    import tensorflow as tf

    forward, filters, inputs = [], [], []
    same: Any = {"strides": [1] * 4, "padding": "SAME"}
    for side, channels, out in CONVOLUTIONS:
        x, kernel, gradient = (
            _numbers(BATCH, side, side, channels),
            _numbers(3, 3, channels, out),
            _numbers(BATCH, side, side, out),
        )
        forward.append(tf.nn.conv2d(x, kernel, 1, "SAME"))
        filters.append(
            tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=kernel.shape, out_backprop=gradient, **same)
        )
        inputs.append(tf.raw_ops.Conv2DBackpropInput(input_sizes=x.shape, filter=kernel, out_backprop=gradient, **same))
    yield from (("convolution", forward), ("convolution, gradient of weights", filters))
    yield "convolution, gradient of inputs", inputs
    x, weights, hidden = _numbers(BATCH, 3136), _numbers(3136, 512), _numbers(BATCH, 512)
    yield "dense layer", tf.matmul(x, weights)
    products = [tf.matmul(x, hidden, transpose_a=True), tf.matmul(hidden, weights, transpose_b=True)]
    yield "dense layer, gradients", products
    yield "gradient of biases", tf.reduce_sum(hidden, axis=0)
    yield "max-pooling", tf.nn.max_pool2d(_numbers(BATCH, 28, 28, 32), 2, 2, "VALID")
    yield "random numbers of dropout", tf.random.stateless_uniform([BATCH, 512], [1, 2])
    value, mean, square = (tf.Variable(one) for one in (weights, 0.1 * weights, 0.01 * np.abs(weights)))
    rates = {"beta1_power": 0.9, "beta2_power": 0.999, "lr": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7}
    tf.raw_ops.ResourceApplyAdam(var=value.handle, m=mean.handle, v=square.handle, grad=_numbers(3136, 512), **rates)
    yield "Adam", [value, mean, square]


def _outputs() -> Iterator[tuple[str, Any]]:
    """Functions of single numbers in TensorFlow."""
    import tensorflow as tf

    logits = 4 * _numbers(BATCH, 3)
    targets = np.eye(3, dtype=np.float32)[np.arange(BATCH) % 3]
    yield "softmax", tf.nn.softmax(logits)
    yield "cross-entropy", tf.nn.softmax_cross_entropy_with_logits(targets, logits)
    yield (
        "exponential, logarithm, root, quotient",
        [tf.exp(logits), tf.math.log(logits + 5), tf.sqrt(logits + 5), 1 / (logits + 5)],
    )
    yield "reciprocal", tf.math.reciprocal(logits + 5)
    yield "reciprocal root (batch normalisation)", tf.math.rsqrt(logits + 5)


def _arrays() -> Iterator[tuple[str, Any]]:
    """Kernels of NumPy and SciPy in 64 bits."""
    x = _numbers(10_000).astype(np.float64)
    square = _numbers(200, 200).astype(np.float64)
    yield "NumPy: sums", [x.sum(), x.mean(), x.var(), np.bincount(np.arange(10_000) % 32, weights=x)]
    yield "NumPy: exponential, logarithm", [np.exp(x), np.log(x + 2)]
    yield "NumPy: sine, cosine, power", [np.sin(9 * x), np.cos(9 * x), np.abs(x) ** 1.5]
    yield "NumPy: hypotenuse, root", [np.hypot(x, x[::-1]), np.sqrt(x + 2)]
    yield "SciPy: Gaussian filter", ndimage.gaussian_filter(square, 2.0)
    yield "BLAS: matrix product", square @ square
    yield "LAPACK: eigenvalues", [np.linalg.eigvalsh(square + square.T), scipy.linalg.eigvalsh(square[:2, :2])]


if __name__ == "__main__":
    main()
