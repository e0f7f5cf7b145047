"""Known kernels give known activations, and filters that are dead by construction are found."""

from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.filters import activations, dead_filters, kernels
from lipnet.classifiers.networks.settings import NetworkSettings, RegularisationSettings

CROPS = np.random.default_rng(0).integers(0, 256, (5, 8, 8)).astype(np.uint8)
PLAIN = {"dropout_block": 0.25, "dropout_dense": 0.5, "dropout_decay": 1.0, "weight_decay": 0.0, "batch_norm": False}


def _network(blocks: list[list[int]], regularisation: Any = PLAIN, **changes: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    row = {"size_px": 8, "blocks": blocks, "halve": "pool", "top": "dense", "dense_units": 5, **changes}
    options = ModelOptions(RegularisationSettings.model_validate(regularisation), mid_grey=0.0)
    return build(NetworkSettings.model_validate(row), 3, options)


def _set(model: keras.Model, name: str, kernel: NDArray[Any], bias: list[float]) -> None:
    model.get_layer(name).set_weights([np.asarray(kernel, np.float32), np.asarray(bias, np.float32)])


def _single(*weights: dict[tuple[int, int], float]) -> NDArray[np.float32]:
    """One kernel a filter, for one input channel, all 0 but the weights at the given rows and columns."""
    kernel = np.zeros((3, 3, 1, len(weights)), np.float32)
    for number, values in enumerate(weights):
        for (row, column), weight in values.items():
            kernel[row, column, 0, number] = weight
    return kernel


def _random(shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.random.default_rng(1).uniform(0.1, 1, shape)


def test_an_identity_kernel_gives_the_input_and_its_negative_nothing() -> None:
    model = _network([[3]])
    _set(model, "conv1_1", _single({(1, 1): 1}, {(1, 1): -1}, {(1, 1): -1}), [0, 0, 1])
    found = activations(model, CROPS[0])["conv1_1"]
    assert found.shape == (8, 8, 3)
    assert_allclose(found[..., 0], CROPS[0] / 255, rtol=1e-6)
    assert_array_equal(found[..., 1], 0)
    assert_allclose(found[..., 2], 1 - CROPS[0] / 255, atol=1e-6)


def test_every_convolution_works_on_what_the_one_before_it_gave() -> None:
    model = _network([[1, 1], [1]])
    _set(model, "conv1_1", _single({(0, 1): 1}), [0])  # looks one pixel up: moves the image down
    _set(model, "conv1_2", _single({(1, 1): 2}), [0])
    _set(model, "conv2_1", _single({(1, 1): 1}), [0])
    found = activations(model, CROPS[0])
    moved = np.vstack([np.zeros((1, 8)), CROPS[0][:-1] / 255])
    assert_allclose(found["conv1_1"][..., 0], moved, rtol=1e-6)
    assert_allclose(found["conv1_2"][..., 0], 2 * moved, rtol=1e-6)
    assert_allclose(found["conv2_1"][..., 0], 2 * moved.reshape(4, 2, 4, 2).max(axis=(1, 3)), rtol=1e-6)


def test_activations_are_those_after_batch_normalisation() -> None:
    model = _network([[1]], {**PLAIN, "batch_norm": True})
    model.get_layer("conv1_1").set_weights([_single({(1, 1): 1})])
    model.get_layer("conv1_1_norm").set_weights(
        list(np.array([[1], [0.25], [0], [0.999]]))
    )  # gamma, beta, mean, variance
    assert_allclose(activations(model, CROPS[0])["conv1_1"][..., 0], CROPS[0] / 255 + 0.25, rtol=1e-5)


def test_kernels_are_those_of_the_convolutions_with_a_relu_the_strided_ones_too() -> None:
    model = _network([[2, 3]], halve="stride", top="average", dense_units=None)
    kernel = np.random.default_rng(1).random((3, 3, 2, 3))
    _set(model, "conv1_2", kernel, [0, 0, 0])
    found = kernels(model)
    assert {name: values.shape for name, values in found.items()} == {
        "conv1_1": (3, 3, 1, 2),
        "conv1_2": (3, 3, 2, 3),
        "stride1": (3, 3, 3, 3),
    }
    assert_allclose(found["conv1_2"], kernel, rtol=1e-6)
    assert list(activations(model, CROPS[0])) == list(dead_filters(model, CROPS)) == list(found)


def test_filters_with_zero_kernels_or_very_negative_biases_are_dead_and_no_others() -> None:
    model = _network([[4, 2]])
    _set(model, "conv1_1", _random((3, 3, 1, 4)) * [1, 0, 1, 0.5], [0, 0.5, -100, 0])
    _set(model, "conv1_2", _random((3, 3, 4, 2)), [0, 0])
    found = dead_filters(model, CROPS)
    assert found["conv1_1"].tolist() == [False, True, True, False]
    assert (found["conv1_1"].sum(), found["conv1_1"].size) == (2, 4)
    assert found["conv1_2"].tolist() == [False, False]


def test_a_filter_is_dead_below_a_thousandth_of_the_most_varied_one() -> None:
    model = _network([[4]])
    same = np.repeat(_random((3, 3, 1, 1)), 4, axis=3)
    _set(model, "conv1_1", same * [1, 0.0011, 0.0009, 0], [0, 0, 0, 0])
    assert dead_filters(model, CROPS)["conv1_1"].tolist() == [False, False, True, True]


def test_most_filters_of_a_layer_may_be_dead_and_all_of_them_too() -> None:
    model = _network([[5]])
    kernel = _random((3, 3, 1, 5))
    for scale, expected in (([0, 1, 1e-5, 1e-5, 0], [True, False, True, True, True]), ([1e-9] * 5, [True] * 5)):
        _set(model, "conv1_1", kernel * scale, [0] * 5)
        assert dead_filters(model, CROPS)["conv1_1"].tolist() == expected


@pytest.mark.parametrize("scale", [0.01, 100])
def test_scaling_a_layer_kills_and_revives_nobody(scale: float) -> None:
    model = _network([[3]])
    _set(model, "conv1_1", scale * _random((3, 3, 1, 3)) * [1, 0.01, 1e-4], [0, 0, 0])
    assert dead_filters(model, CROPS)["conv1_1"].tolist() == [False, False, True]


def test_a_filter_that_sees_only_the_edge_of_the_image_is_dead() -> None:
    model = _network([[1, 1]])
    _set(model, "conv1_1", _single({}), [0.5])  # 0.5 everywhere, whatever the image
    _set(model, "conv1_2", _single({(0, 1): 1}), [0])  # 0 in the first row, 0.5 below
    assert len(np.unique(activations(model, CROPS[0])["conv1_2"])) == 2
    assert dead_filters(model, CROPS)["conv1_2"].tolist() == [True]


def test_one_image_in_the_last_chunk_is_enough_to_show_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipnet.classifiers.networks.filters.CHUNK", 2)
    model = _network([[2]])
    _set(model, "conv1_1", _single({(1, 1): 1}, {}), [-0.5, 0])
    crops = np.zeros((5, 8, 8), np.uint8)
    assert dead_filters(model, crops)["conv1_1"].tolist() == [True, True]
    crops[4, 3, 3] = 255
    assert dead_filters(model, crops)["conv1_1"].tolist() == [False, True]


def test_one_image_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="one image cannot tell"):
        dead_filters(_network([[2]]), CROPS[:1])
