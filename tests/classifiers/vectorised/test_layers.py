"""Swapped layers: outputs, gradients, names, order and precision of the networks are those of Keras's layers."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.settings import POLICIES, NetworkSettings, RegularisationSettings
from lipnet.classifiers.vectorised import layers
from lipnet.classifiers.vectorised.layers import swapped
from lipnet.core.settings import parse, read_params

ROWS = {
    name: parse(NetworkSettings, row, f"networks.{name}")
    for name, row in read_params(Path(__file__).parents[3] / "params.yaml")["networks"].items()
}
N = 4
Arrays = list[NDArray[Any]]


def _build(
    network: NetworkSettings, channels: int = 1, features: int = 0, precision: str = "float32", **changes: Any
) -> keras.Model:
    keras.utils.clear_session()  # back to float32, too
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(POLICIES[precision])
    plain = {"dropout_block": 0.25, "dropout_dense": 0.5, "dropout_decay": 1.0, "weight_decay": 0.0}
    regularisation = RegularisationSettings.model_validate({"batch_norm": False, **plain, **changes})
    return build(network, 3, ModelOptions(regularisation, 0.5, channels, features, 8))


def _inputs(model: keras.Model) -> Arrays:
    """Images with a black surrounding, where windows of poolings hold equal values; features if the model has them."""
    rng = np.random.default_rng(0)
    _, side, _, channels = model.inputs[0].shape
    images = rng.random((N, side or 32, side or 32, channels), dtype=np.float32)
    images[:, :7] = images[:, :, -9:] = 0
    return [images, *(rng.normal(2, 3, (N, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs[1:])]


def _step(model: keras.Model, inputs: Arrays, training: bool) -> tuple[Arrays, Arrays, Arrays]:
    """Probabilities, other variables after the step, and gradients; with dropout in training."""
    targets = np.eye(3, dtype=np.float32)[np.arange(N) % 3]

    def loss(trainable: Any, other: Any) -> Any:
        arguments = inputs[0] if len(inputs) == 1 else inputs
        probabilities, other, penalties = model.stateless_call(
            trainable, other, arguments, training=training, return_losses=True
        )
        total = -(targets * jnp.log(probabilities)).sum(axis=1).mean() + sum(penalties)
        return total, (probabilities, other)

    variables = ([v.value for v in some] for some in (model.trainable_variables, model.non_trainable_variables))
    (_, (probabilities, other)), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(*variables)
    return [np.asarray(probabilities)], [np.asarray(v) for v in other], [np.asarray(v) for v in gradients]


def _outputs(model: keras.Model) -> NDArray[np.float32]:
    """The probabilities of ``_inputs``, from the present values of the variables."""
    inputs = _inputs(model)
    variables = ([v.value for v in some] for some in (model.trainable_variables, model.non_trainable_variables))
    call = jax.jit(lambda *some: model.stateless_call(*some, inputs[0] if len(inputs) == 1 else inputs)[0])
    return np.asarray(call(*variables))


def _assert_agree(model: keras.Model, training: bool = True) -> keras.Model:
    clone, inputs = swapped(model), _inputs(model)
    kinds = {type(layer) for layer in clone.layers}
    assert not kinds & {keras.layers.Conv2D, keras.layers.MaxPooling2D, keras.layers.Normalization}
    for found, expected in zip(_step(clone, inputs, training), _step(model, inputs, training), strict=True):
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            assert_allclose(one, other, rtol=0, atol=1e-5)
    return clone


@pytest.mark.parametrize("name", ROWS)
def test_every_network_of_the_table_has_the_same_outputs_and_gradients(name: str) -> None:
    # Where batch normalisation divides by the spread of four images, layer after layer, it magnifies rounding.
    _assert_agree(_build(ROWS[name]), training=not ROWS[name].batch_norm)


def test_with_batch_norm_channels_features_weight_decay_and_dropout_that_decays_too() -> None:
    network = NetworkSettings(size_px=20, blocks=[[6], [8]], halve="stride", top="dense", dense_units=9)
    changes = {"batch_norm": True, "weight_decay": 0.01, "dropout_decay": 0.9}
    model = _build(network, channels=2, features=3, **changes)
    model.get_layer("standardised").adapt(np.random.default_rng(3).normal(2, 3, (50, 3)))
    model.get_layer("dropout1").scale.assign(0.5)
    clone = _assert_agree(model)
    for each in (clone, model):
        mean = each.get_layer("standardised").adapt_mean
        mean.assign(mean + 1)
    # The clone reads the mean of the features from its variable, so stacked networks can have different means.
    model.get_layer("standardised").finalize_state()
    assert_allclose(_outputs(clone), _outputs(model), atol=1e-5)


def test_names_order_and_precision_of_the_layers_stay() -> None:
    network = NetworkSettings(size_px=8, blocks=[[4, 5], [6]], halve="pool", top="average")
    model = _build(network, precision="bfloat16")
    keras.config.set_dtype_policy("float32")  # the policies of the layers stay
    before = [np.asarray(v.value) for v in model.weights]
    clone = swapped(model)
    mine, original = ([(v.path, v.shape, v.dtype) for v in each.weights] for each in (clone, model))
    assert mine == original
    seeds = [[(v.shape, v.dtype) for v in each.non_trainable_variables] for each in (clone, model)]
    assert seeds[0] == seeds[1]
    policies = [[(layer.name, layer.dtype_policy.name) for layer in each.layers[1:]] for each in (clone, model)]
    assert policies[0] == policies[1]
    assert {policy for _, policy in policies[0]} == {"float32", "mixed_bfloat16"}
    assert_allclose(_outputs(clone), _outputs(model), atol=0.01)
    lowered = jax.jit(clone.call).lower(_inputs(model)[0]).as_text()
    assert "bf16" in lowered and "stablehlo.convolution" not in lowered
    for variable in clone.weights:
        variable.assign(variable.value + 1)
    for variable, then in zip(model.weights, before, strict=True):
        assert_array_equal(variable.value, then)  # the clone shares no variable with the model


@pytest.mark.parametrize(
    ("kernel", "strides", "filters", "side"),
    [
        ((3, 3), 1, 3, 7),  # few filters: rows are shifted after the product
        ((3, 3), 1, 50, 8),
        ((3, 3), 2, 3, 7),
        ((3, 3), 2, 3, 8),
        ((5, 1), 2, 3, 8),
        ((1, 1), 2, 3, 7),
        ((7, 5), 1, 3, 8),
        ((7, 5), 1, 50, 7),
        ((3, 5), (1, 2), 3, 8),
    ],
)
def test_a_convolution_of_any_odd_kernel_and_stride(
    kernel: tuple[int, int], strides: int | tuple[int, int], filters: int, side: int
) -> None:
    images = np.random.default_rng(2).random((2, side, side + 3, 2), dtype=np.float32)
    image = keras.Input(images.shape[1:])
    settings = {"strides": strides, "padding": "same", "bias_initializer": "ones", "activation": "relu"}
    layer = keras.layers.Conv2D(filters, kernel, **settings)
    model = keras.Model(image, layer(image))
    clone = swapped(model)
    assert isinstance(clone.layers[1], layers.ShiftedConv2D)
    assert_allclose(jax.jit(clone.call)(images), jax.jit(model.call)(images), atol=1e-5)


def test_layers_that_cannot_be_swapped_stay_as_they_are() -> None:
    image = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(4, 3, padding="valid")(image)
    x = keras.layers.Conv2D(4, 3, padding="same", dilation_rate=2)(x)
    x = keras.layers.Conv2D(4, 3, padding="same", groups=2)(x)
    x = keras.layers.MaxPooling2D(3, strides=1)(x)
    model = keras.Model(image, keras.layers.MaxPooling2D(2, padding="same")(x))
    assert [type(layer) for layer in swapped(model).layers] == [type(layer) for layer in model.layers]


@pytest.mark.parametrize("side", [6, 7])
def test_the_gradient_of_pooling_goes_to_the_first_of_equal_maxima(side: int) -> None:
    images = np.random.default_rng(0).integers(0, 3, (5, side, side, 2)).astype(np.float32)  # many are equal
    image = keras.Input(images.shape[1:])
    model = keras.Model(image, keras.layers.MaxPooling2D(2)(image))
    weights = np.random.default_rng(1).random((5, 3, 3, 2), dtype=np.float32)
    gradients = [
        jax.jit(jax.grad(lambda x, each=each: (each.call(x) * weights).sum()))(images)
        for each in (swapped(model), model)
    ]
    assert_array_equal(*gradients)
