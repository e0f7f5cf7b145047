"""What a network holds: known kernels give known activations, and filters are dead for reasons set up by hand."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.classifiers.networks.architecture import NetworkSettings, RegularisationSettings, build
from lipnet.classifiers.networks.filters import activations, dead_filters, kernels, load, row_of
from lipnet.classifiers.networks.training import predict
from lipnet.core.errors import InputError

# Keras writes weights through an interface of NumPy that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CROPS = np.random.default_rng(0).integers(0, 256, (5, 8, 8)).astype(np.uint8)
PLAIN = {"dropout_block": 0.25, "dropout_dense": 0.5, "dropout_decay": 1.0, "weight_decay": 0.0, "batch_norm": False}


def _network(blocks: list[list[int]], regularisation: Any = PLAIN, **changes: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    row = {"size_px": 8, "blocks": blocks, "halve": "pool", "top": "dense", "dense_units": 5, **changes}
    return build(NetworkSettings.model_validate(row), 3, RegularisationSettings.model_validate(regularisation), 0.0)


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


def _save(model: keras.Model, folder: Path) -> tuple[Path, Path]:
    architecture, weights = folder / "architecture.json", folder / "fold0.weights.h5"
    architecture.write_text(model.to_json())
    model.save_weights(weights)
    return architecture, weights


@pytest.mark.parametrize("changes", [{}, {"dropout_decay": 0.9, "batch_norm": True, "weight_decay": 0.1}])
def test_a_loaded_network_predicts_as_the_saved_one(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = _network([[4, 4], [6]], {**PLAIN, **changes})
    assert_array_equal(predict(load(*_save(model, tmp_path)), CROPS), predict(model, CROPS))


@pytest.mark.parametrize("blocks", [[[5]], [[4, 4]], [[4], [4]]], ids=["wider", "deeper", "more blocks"])
@pytest.mark.parametrize("swapped", [False, True])
def test_weights_of_another_network_are_refused(tmp_path: Path, blocks: list[list[int]], swapped: bool) -> None:
    # "deeper" has every array of the shallower network, in its shape, and one convolution to spare.
    networks = [_network([[4]]), _network(blocks)]
    if swapped:
        networks.reverse()
    architecture, weights = _save(networks[0], tmp_path)
    networks[1].save_weights(weights)
    with pytest.raises(InputError, match=r"fold0\.weights\.h5: damaged, or weights of another network .*architecture"):
        load(architecture, weights)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[: len(content) // 2], r"fold0\.weights\.h5: damaged .*truncated.*run `dvc repro`"),
        (lambda _: b"", r"fold0\.weights\.h5: damaged"),
        (lambda _: b"PK\x03\x04 hello", r"fold0\.weights\.h5: damaged"),
        (lambda content: content.replace(b"SNOD", b"    "), r"fold0\.weights\.h5: damaged"),
    ],
)
def test_damaged_weights_are_refused_by_name(tmp_path: Path, damage: Any, message: str) -> None:
    architecture, weights = _save(_network([[4]]), tmp_path)
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(InputError, match=message):
        load(architecture, weights)


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEA", "defaults": None, "closure": None}}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:300],
        lambda _: "",
        lambda _: "\udcff",
        lambda _: "[1, 2]",
        lambda _: json.dumps({"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}}),
        lambda _: json.dumps({"module": "os", "class_name": "system", "config": {"command": "true"}}),
        lambda _: json.dumps({"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}}),
        lambda text: text.replace("Conv2D", "Conv9D"),
        lambda text: text.replace('"filters": 4', '"filters": -4'),
        lambda text: text.replace("conv1_1_relu", "other"),
    ],
)
def test_architectures_that_are_none_are_refused_by_name(tmp_path: Path, damage: Any) -> None:
    architecture, weights = _save(_network([[4]]), tmp_path)
    architecture.write_text(damage(architecture.read_text()), errors="surrogateescape")
    with pytest.raises(InputError, match=r"architecture\.json: (damaged|not the architecture)"):
        load(architecture, weights)


@pytest.mark.parametrize("missing", [0, 1])
def test_missing_files_are_named(tmp_path: Path, missing: int) -> None:
    paths = _save(_network([[4]]), tmp_path)
    paths[missing].unlink()
    with pytest.raises(InputError, match=f"{paths[missing].name}: no such file; run `dvc repro`"):
        load(*paths)


def test_the_particle_to_show_is_an_id_or_the_first_of_a_class_or_the_first_of_all() -> None:
    table = pd.DataFrame({"id": ["a", "b", "c", "Full"], "label": ["Full", "Empty", "Empty", "Empty"]})
    assert [row_of(table, name) for name in (None, "c", "Empty", "Full")] == [0, 2, 1, 3]
    with pytest.raises(InputError, match=r"figures\.particle = 'd'.*classes: Empty, Full"):
        row_of(table, "d")
