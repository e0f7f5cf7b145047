"""The program: one epoch of one network as a pure function, which ``jax.vmap`` stacks and XLA compiles once.

What differs between networks is an argument (``Course``): examples, seeds, learning rate, augmentation, class weights.
A batch is filled up with examples of weight 0. A batch without any real example changes nothing, so that networks with
fewer batches, and networks that have ended, wait.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.epoch import as_input
from lipnet.classifiers.networks.losses import per_example
from lipnet.classifiers.networks.settings import POLICIES
from lipnet.classifiers.networks.task import NetworkTask
from lipnet.classifiers.networks.training import build_another, make_optimiser
from lipnet.classifiers.vectorised import masking
from lipnet.classifiers.vectorised.layers import swapped
from lipnet.classifiers.vectorised.pool import Pool
from lipnet.classifiers.vectorised.warping import Plan, draw_maps, warp

PURPOSES = ("augmentation", "noise", "mixup")  # of the random numbers of a step; dropout has its own


class State(NamedTuple):
    """Variables of a network in training, or, with a leading axis, of all networks of a stack."""

    trainable: list[Any]
    other: list[Any]
    moments: list[Any]


class Course(NamedTuple):
    """What an epoch of one network needs beside its state; with a leading axis, of all networks of a stack.

    Attributes:
        rows: of the pool, batch by batch, shape (steps, batch_size), int32; -1 where there is no example.
        labels: class indices of these examples.
        class_weights: weight of a sample by its class, shape (K,), float32.
        prior: of the training set, shape (K,), float32.
        learning_rate: shape (), float32.
        dropout_seeds: states of the layers with random numbers, shape (n_layers, 2), uint32.
        dropout_scale: factor on all dropout rates, shape (), float32.
        seeds: one for each of ``PURPOSES``, uint32.
        plan: of the augmentation.
        noise_sd: shape (), float32.
    """

    rows: Any
    labels: Any
    class_weights: Any
    prior: Any
    learning_rate: Any
    dropout_seeds: Any
    dropout_scale: Any
    seeds: Any
    plan: Plan
    noise_sd: Any


class Program(NamedTuple):
    """The functions that train a stack of networks.

    Attributes:
        model: the network as it is trained; its variables are those of no network of the stack.
        optimiser: of this model.
        epoch: (stacked ``State``, stacked ``Course``, ``Pool``) -> (the state after the epoch; sums over the examples
            of each step, as of ``epoch.TrainEpoch``, shape (networks, steps, 3)); not compiled yet. The first argument
            is given up.
        predict: (stacked trainable and other variables, rows of the pool, shape (networks, batches, size), ``Pool``) ->
            probabilities, shape (networks, batches, size, K).
    """

    model: keras.Model
    optimiser: keras.optimizers.Optimizer
    epoch: Any
    predict: Any

    @property
    def seeded(self) -> list[int]:
        """Numbers of the layers with random numbers of their own."""
        return [number for number, layer in enumerate(self.model.layers) if hasattr(layer, "seed_generator")]

    def new_state(self, weights: list[NDArray[Any]]) -> State:
        """The state of a network with these weights before its first step."""
        self.model.set_weights(weights)
        variables = (*self.model.trainable_variables, *self.model.non_trainable_variables, *self.optimiser.variables)
        return self.from_list([np.asarray(variable.value) for variable in variables])

    def from_list(self, values: list[Any]) -> State:
        """A state from the values of its variables in one list."""
        n, m = len(self.model.trainable_variables), len(self.model.non_trainable_variables)
        return State(values[:n], values[n : n + m], values[n + m :])

    def weights(self, state: State) -> list[NDArray[Any]]:
        """The weights of a network in the order of Keras, which seeds do not belong to."""
        variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        values = {id(one): value for one, value in zip(variables, [*state.trainable, *state.other], strict=True)}
        return [values[id(variable)] for variable in self.model.weights]


def program_of(task: NetworkTask) -> Program:
    """The program that trains the network of a task, and all others that differ in their ``Course`` only."""
    model = swapped(build_another(task, task.training_set, POLICIES[task.training.precision]))
    optimiser = make_optimiser(task.training.optimiser)
    optimiser.build(model.trainable_variables)
    step, begin = _step(task, model, optimiser), _begin(model, optimiser)

    def epoch(state: State, course: Course, pool: Pool) -> tuple[State, jax.Array]:
        parts = (jnp.arange(len(course.rows)), course.rows, course.labels)
        return jax.lax.scan(partial(step, course, pool), begin(state, course), parts)

    def predict(trainable: list[Any], other: list[Any], rows: jax.Array, pool: Pool) -> jax.Array:
        def batch(some: jax.Array) -> jax.Array:
            inputs = as_input(_inputs(pool, some, _grey(pool.images[some])))
            return model.stateless_call(trainable, other, inputs, training=False)[0]

        return jax.lax.map(batch, rows)

    stacked = (0, 0, None)
    return Program(
        model,
        optimiser,
        jax.jit(jax.vmap(epoch, in_axes=stacked), donate_argnums=0),
        jax.jit(jax.vmap(predict, in_axes=(0, *stacked))),
    )


def _begin(model: keras.Model, optimiser: keras.optimizers.Optimizer) -> Callable[[State, Course], State]:
    """The function that sets learning rate, dropout rates and seeds of an epoch."""
    at = {id(variable): number for number, variable in enumerate(model.non_trainable_variables)}
    seeds = [at[id(layer.seed_generator.state)] for layer in model.layers if hasattr(layer, "seed_generator")]
    scales = [at[id(layer.scale)] for layer in model.layers if hasattr(layer, "scale") and "dropout" in layer.name]
    [rate] = [number for number, one in enumerate(optimiser.variables) if one is optimiser.learning_rate]

    def begin(state: State, course: Course) -> State:
        other, moments = list(state.other), list(state.moments)
        for number, place in enumerate(seeds):
            other[place] = course.dropout_seeds[number]
        for place in scales:
            other[place] = course.dropout_scale
        moments[rate] = course.learning_rate
        return State(state.trainable, other, moments)

    return begin


def _step(task: NetworkTask, model: keras.Model, optimiser: keras.optimizers.Optimizer) -> Callable[..., Any]:
    """The function that trains on one batch of one network."""
    training = task.training

    def total(trainable: Any, other: Any, prior: Any, real: Any, *arrays: Any) -> tuple[Any, Any]:
        *inputs, targets, weights = arrays
        with masking.only(real):
            probabilities, other, penalties = model.stateless_call(
                trainable, other, as_input(inputs), training=True, return_losses=True
            )
        loss, n = per_example(training.loss, training.label_smoothing, prior), real.sum()
        weighted, penalty = (loss(targets, probabilities) * weights).sum(), sum(penalties)
        correct = probabilities.argmax(axis=-1) == targets.argmax(axis=-1)
        sums = jnp.stack([weighted + n * penalty, (correct * weights).sum(), weights.sum()])
        return weighted / jnp.maximum(n, 1) + penalty, (sums, other)

    def step(course: Course, pool: Pool, state: State, part: Any) -> tuple[State, jax.Array]:
        number, rows, labels = part
        real = rows >= 0
        keys = dict(zip(PURPOSES, _keys(course.seeds, number), strict=True))
        arrays = _examples(task, course, pool, rows, labels, keys)
        gradients, (sums, other) = jax.grad(total, has_aux=True)(
            state.trainable, state.other, course.prior, real, *_mixed(arrays, training.mixup, real, keys["mixup"])
        )
        trainable, moments = optimiser.stateless_apply(state.moments, gradients, state.trainable)
        after = State(trainable, other, moments)
        return jax.tree.map(partial(jnp.where, real[0]), after, state), sums  # without examples nothing changes

    return step


def _keys(seeds: jax.Array, step: jax.Array) -> list[jax.Array]:
    return [jax.random.fold_in(jax.random.key(seeds[number]), step) for number in range(len(PURPOSES))]


def _examples(
    task: NetworkTask, course: Course, pool: Pool, rows: jax.Array, labels: jax.Array, keys: dict[str, jax.Array]
) -> list[jax.Array]:
    """Inputs of the network, targets and sample weights of a batch; weights are 0 where there is no example."""
    images = pool.images[rows]
    if task.augment.transforms:
        maps = draw_maps(keys["augmentation"], len(rows), images.shape[1], course.plan)
        images = warp(images, maps, task.augment.interpolation, task.augment.fill)
    images = _grey(images)
    if task.augment.noise_sd:
        images += jax.random.normal(keys["noise"], images.shape) * course.noise_sd
    targets = jax.nn.one_hot(labels, len(course.class_weights))
    return [*_inputs(pool, rows, images), targets, jnp.where(rows >= 0, course.class_weights[labels], 0.0)]


def _grey(images: jax.Array) -> jax.Array:
    return images.astype(jnp.float32) / 255


def _inputs(pool: Pool, rows: jax.Array, images: jax.Array) -> list[jax.Array]:
    return [images, pool.features[rows]] if pool.features.size else [images]


def _mixed(arrays: list[jax.Array], alpha: float, real: jax.Array, key: jax.Array) -> list[jax.Array]:
    """Mixup, as ``training._mixed``: blend every example with another example of its batch."""
    if not alpha:
        return arrays
    of_share, of_other = jax.random.split(key)
    n = len(real)
    share = jax.random.beta(of_share, alpha, alpha, (n,))
    # A permutation of the real examples, which stand before the padding; the padding stays behind them.
    other = jnp.where(real, jax.random.uniform(of_other, (n,)), 2.0).argsort()
    shares = [share.reshape(-1, *[1] * (array.ndim - 1)) for array in arrays]
    return [part * array + (1 - part) * array[other] for part, array in zip(shares, arrays, strict=True)]
