"""One pass over training examples, batch by batch, in one compiled call: no Python between the batches.

Keras 3 has no such loop for all backends (``train_on_batch`` returns to Python after every batch). So each backend has
its own loop here, with the same forward pass, loss and optimiser.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.losses import Loss

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.float32]
# Inputs of the network, n examples each, then targets (n, K) and sample weights (n,) -> sums over the n examples, shape
# (3,): weighted loss, weighted number of correct predictions, weights.
TrainEpoch = Callable[..., NDArray[np.float64]]
Forward = Callable[[Any, Any, Any, Any], tuple[Any, Any]]


def compiled(model: "keras.Model", optimiser: "keras.optimizers.Optimizer", loss: Loss, batch_size: int) -> TrainEpoch:
    """The function that trains a model on examples in their order, batch by batch; the last batch may be smaller.

    The loss of a batch is the mean over its examples of weight times ``loss``, plus the penalties of the layers. Every
    call continues with the state of model and optimiser after the previous call.
    """
    import keras

    optimiser.build(model.trainable_variables)
    forward = _forward(loss)
    loop = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()]
    return loop(model, optimiser, forward, batch_size)


def as_input(arrays: Sequence[Any]) -> Any:
    """Arguments of a call of a model: the array of its only input, or the list of arrays."""
    return arrays[0] if len(arrays) == 1 else list(arrays)


def _forward(loss: Loss) -> Forward:
    from keras import ops

    def forward(probabilities: Any, penalties: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        losses = loss(targets, probabilities) * weights
        penalty = sum(penalties)
        correct = ops.cast(ops.argmax(probabilities, axis=-1) == ops.argmax(targets, axis=-1), "float32")
        n = ops.cast(ops.shape(weights)[0], "float32")
        sums = ops.stack([ops.sum(losses) + n * penalty, ops.sum(correct * weights), ops.sum(weights)])
        return ops.mean(losses) + penalty, sums

    return forward


def _tensorflow(model: Any, optimiser: Any, forward: Forward, batch_size: int) -> TrainEpoch:
    import tensorflow as tf

    variables = model.trainable_variables
    values = [variable.value for variable in variables]
    update = _fused_adam(optimiser, values) or (lambda gradients: optimiser.apply(gradients, variables))

    def train(*arrays: Any) -> Any:
        *inputs, targets, weights = arrays
        with tf.GradientTape() as tape:
            total, sums = forward(model(as_input(inputs), training=True), model.losses, targets, weights)
        update(tape.gradient(total, values))
        return sums

    def run(*arrays: Any) -> Any:
        n = tf.shape(arrays[0])[0]

        def step(start: Any, sums: Any) -> tuple[Any, Any]:
            return start + batch_size, sums + train(*(array[start : start + batch_size] for array in arrays))

        return tf.while_loop(lambda start, _: start < n, step, (0, tf.zeros(3)), parallel_iterations=1)[1]

    shapes = [*(tensor.shape for tensor in model.inputs), (None, model.output_shape[1]), (None,)]
    graph = tf.function(run, input_signature=[tf.TensorSpec(shape) for shape in shapes])
    return lambda *arrays: np.asarray(graph(*map(tf.constant, arrays)), np.float64)


def _fused_adam(optimiser: Any, values: list[Any]) -> Callable[[list[Any]], None] | None:
    """Keras's Adam with TensorFlow's fused kernel: one pass over memory per variable instead of a dozen.

    Returns:
        The function that applies gradients, or None for other optimisers.
    """
    import keras
    import tensorflow as tf

    if type(optimiser) is not keras.optimizers.Adam:
        return None
    rates = {"lr": optimiser.learning_rate.value, "beta1": optimiser.beta_1, "beta2": optimiser.beta_2}
    moments = [[one.value.handle for one in some] for some in (optimiser._momentums, optimiser._velocities)]

    def update(gradients: list[Any]) -> None:
        optimiser.iterations.assign_add(1)
        steps = tf.cast(optimiser.iterations.value, tf.float32)
        powers = {"beta1_power": optimiser.beta_1**steps, "beta2_power": optimiser.beta_2**steps}
        for value, m, v, gradient in zip(values, *moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=value.handle, m=m, v=v, grad=gradient, epsilon=optimiser.epsilon, **rates, **powers
            )

    return update


def _jax(model: Any, optimiser: Any, forward: Forward, batch_size: int) -> TrainEpoch:
    import jax

    def total(trainable: Any, other: Any, *arrays: Any) -> tuple[Any, Any]:
        *inputs, targets, weights = arrays
        probabilities, other, penalties = model.stateless_call(
            trainable, other, as_input(inputs), training=True, return_losses=True
        )
        loss, sums = forward(probabilities, penalties, targets, weights)
        return loss, (sums, other)

    def step(state: Any, part: Any) -> tuple[Any, Any]:
        trainable, other, moments = state
        (_, (sums, other)), gradients = jax.value_and_grad(total, has_aux=True)(trainable, other, *part)
        trainable, moments = optimiser.stateless_apply(moments, gradients, trainable)
        return (trainable, other, moments), sums

    variables = (model.trainable_variables, model.non_trainable_variables, optimiser.variables)
    # A scan over the batches is slower on a CPU and faster on a GPU, where a return to Python costs more than a batch.
    one = jax.jit(step, donate_argnums=0)
    many = jax.jit(lambda state, parts: jax.lax.scan(step, state, parts), donate_argnums=0)

    def run(*arrays: Floats) -> NDArray[np.float64]:
        state = tuple([variable.value for variable in some] for some in variables)
        sums = np.zeros(3)
        whole = len(arrays[0]) // batch_size if jax.default_backend() != "cpu" else 0
        if whole:
            parts = [array[: whole * batch_size].reshape(whole, batch_size, *array.shape[1:]) for array in arrays]
            state, found = many(state, parts)
            sums += np.asarray(found, np.float64).sum(axis=0)
        for start in range(whole * batch_size, len(arrays[0]), batch_size):
            state, found = one(state, [array[start : start + batch_size] for array in arrays])
            sums += np.asarray(found, np.float64)
        for some, values in zip(variables, state, strict=True):
            for variable, value in zip(some, values, strict=True):
                variable.assign(value)
        return sums

    return run


def _torch(model: Any, optimiser: Any, forward: Forward, batch_size: int) -> TrainEpoch:
    import torch
    from keras import ops

    variables = model.trainable_variables

    def run(*arrays: Floats) -> NDArray[np.float64]:
        tensors = [ops.convert_to_tensor(array) for array in arrays]
        sums = ops.zeros(3)
        for start in range(0, len(arrays[0]), batch_size):
            *inputs, targets, weights = (tensor[start : start + batch_size] for tensor in tensors)
            model.zero_grad()
            total, found = forward(model(as_input(inputs), training=True), model.losses, targets, weights)
            total.backward()
            with torch.no_grad():
                optimiser.apply([variable.value.grad for variable in variables], variables)
                sums += found
        return ops.convert_to_numpy(sums).astype(np.float64)

    return run
