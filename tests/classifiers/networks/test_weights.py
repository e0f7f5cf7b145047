"""Weights and architecture of a network come back from their files, and damaged files are refused."""

import json
from pathlib import Path
from typing import Any

import keras
import pytest
from numpy.testing import assert_array_equal

from lipnet.classifiers.networks.prediction import predict
from lipnet.classifiers.networks.weights import load
from lipnet.core.errors import InputError
from tests.classifiers.networks.test_filters import CROPS, PLAIN, _network

# Keras writes weights through an interface of NumPy that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


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
