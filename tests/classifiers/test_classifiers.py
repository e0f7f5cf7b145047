"""Checks that every kind of classifier must pass."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lipnet.classifiers import svm, trees
from lipnet.classifiers.networks import training
from lipnet.classifiers.networks.settings import NetworkSettings
from lipnet.classifiers.networks.task import Head, NetworkTask
from lipnet.evaluation.predictions import FoldOutput, from_table, to_table
from lipnet.samples import balance
from lipnet.samples.augment import AugmentSettings
from lipnet.samples.tables import Fold, Particles
from tests.classifiers.networks.toy_training import training_settings

N_FOLDS, N, SIZE = 2, 80, 8


@dataclass(frozen=True)
class Data:
    """Particles as each classifier sees them: images and features, in two folds."""

    images: NDArray[np.uint8]
    features: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    folds: NDArray[np.int64]

    def rows(self, fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)


def _data(n_classes: int) -> Data:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(N) % n_classes)
    images = rng.integers(0, 50, (N, SIZE, SIZE), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 200  # a bright quadrant
    quadrants = images.reshape(N, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(N, 4)
    groups = np.arange(N) // 2
    return Data(images, quadrants + rng.normal(0, 20, (N, 4)), labels, groups, groups % N_FOLDS)


def _silent(*_: object) -> None:
    pass


def _no_artificial(label: int, n: int) -> balance.Images:
    raise AssertionError


def _network(data: Data, fold: int, seed: int, **kinds: Any) -> NetworkTask:
    train, test = data.rows(fold)
    training_set = balance.balance(
        train,
        data.labels,
        {SIZE: data.images},
        balance.BalanceSettings(method="oversample", drop_fraction=0.2, smote_neighbours=5),
        np.random.default_rng(seed),
        _no_artificial,
    )
    policy = AugmentSettings(
        transforms=[],
        rotation_deg=0,
        shift_percent=5,
        shear_max=0.0,
        zoom_min=1.0,
        interpolation="bilinear",
        fill="nearest",
        noise_sd=0.0,
    )
    return NetworkTask(
        fold=fold,
        images=data.images,
        labels=data.labels,
        groups=data.groups,
        train=train,
        test=test,
        training_set=training_set,
        network=NetworkSettings(size_px=SIZE, blocks=[[4]], halve="pool", top="dense", dense_units=16),
        training=training_settings(optimiser__learning_rate=0.03, epochs__fixed=4),
        augment=policy,
        seed=seed,
        report=_silent,
        **kinds,
    )


def _cnn(data: Data, fold: int, seed: int) -> FoldOutput:
    return training.train_fold(_network(data, fold, seed)).output


def _joined(data: Data, fold: int, seed: int) -> FoldOutput:
    joined = {"features": data.features, "feature_names": QUADRANTS}
    return training.train_fold(_network(data, fold, seed, **joined)).output


def _head(data: Data, fold: int, seed: int) -> FoldOutput:
    task = _network(data, fold, seed, heads={"head": Head(data.features, QUADRANTS)})
    return training.train_fold(task).others["head"]


def _svm(library: svm.Library, data: Data, fold: int, seed: int) -> FoldOutput:
    train, test = data.rows(fold)
    rest: Any = {"cost": 1.0, "gamma": None, "class_weights": True, "calibration_folds": 3, "cache_mb": 10}
    settings = svm.SvmSettings(features={"svm": ["quadrant"]}, library=library, **rest)
    task = svm.SvmTask(data.labels, data.groups, train, test, seed, data.features, QUADRANTS, settings)
    return svm.train_fold(task).output


def _trees(kind: trees.Kind, data: Data, fold: int, seed: int) -> FoldOutput:
    train, test = data.rows(fold)
    boosted = {"learning_rate": 0.3, "max_iter": 20, "max_leaf_nodes": 4, "min_samples_leaf": 2}
    settings = trees.TreeSettings.model_validate(
        {
            "models": {"trees": {"kind": kind, "features": ["quadrant"]}},
            "class_weights": False,
            "boosted": {**boosted, "l2_regularization": 0.0, "inner_folds": 2},
            "forest": {"n_estimators": 30, "min_samples_leaf": 1},
        }
    )
    task = trees.TreeTask(data.labels, data.groups, train, test, seed, data.features, QUADRANTS, kind, settings)
    return trees.train_fold(task).output


QUADRANTS = [f"quadrant{number}" for number in range(4)]
CLASSIFIERS: dict[str, Callable[[Data, int, int], FoldOutput]] = {
    "cnn": _cnn,
    "cnn with features": _joined,
    "svm on embedding": _head,
    "svm": partial(_svm, "libsvm"),
    "svm of scikit-learn": partial(_svm, "scikit-learn"),
    "boosted trees": partial(_trees, "boosted"),
    "forest": partial(_trees, "forest"),
}
pytestmark = [
    pytest.mark.parametrize("name", CLASSIFIERS),
    pytest.mark.parametrize("n_classes", [2, 4]),
    # Keras, when it saves weights.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):  # as lipnet.core.parallel does
        yield


@cache
def _trained(name: str, n_classes: int, fold: int = 0) -> FoldOutput:
    return CLASSIFIERS[name](_data(n_classes), fold, 1)


def _again(name: str, n_classes: int, **changes: Any) -> FoldOutput:
    return CLASSIFIERS[name](replace(_data(n_classes), **changes), 0, 1)


def test_all_classifiers_write_the_same_table(name: str, n_classes: int) -> None:
    data, classes = _data(n_classes), [f"Class {number}" for number in range(n_classes)]
    parts = [_trained(name, n_classes, fold) for fold in range(N_FOLDS)]
    ids = pd.DataFrame({"id": [f"P{row:03}" for row in range(N)]})
    rows = [Fold(fold, 0, fold, *data.rows(fold)) for fold in range(N_FOLDS)]
    table = to_table(rows, parts, Particles("problem", ids, classes, data.labels, data.groups))
    assert list(table.columns) == ["id", "repeat", "fold", "label", "predicted", *(f"p_{label}" for label in classes)]
    found = from_table(table, f"{name}.csv")
    assert found.classes == classes
    assert_array_equal(found.ids, [f"P{row:03}" for row in range(N)])
    assert_array_equal(found.fold, data.folds)
    assert_array_equal(found.true, data.labels)
    for fold, part in zip(rows, parts, strict=True):
        assert_array_equal(found.predicted[fold.test], part.predicted)
        assert_allclose(found.probabilities[fold.test], part.probabilities, atol=1e-6)


def test_all_classifiers_give_probabilities(name: str, n_classes: int) -> None:
    found = _trained(name, n_classes).probabilities
    assert found.shape == (N // N_FOLDS, n_classes)
    assert found.dtype == np.float64
    assert found.min() >= 0
    assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_all_classifiers_learn(name: str, n_classes: int) -> None:
    part, data = _trained(name, n_classes), _data(n_classes)
    true = data.labels[data.rows(0)[1]]
    assert (part.predicted == true).mean() > 0.9
    assert (part.probabilities.argmax(axis=1) == true).mean() > 0.9


def test_all_classifiers_repeat_with_the_same_seed(name: str, n_classes: int) -> None:
    assert_array_equal(_again(name, n_classes).probabilities, _trained(name, n_classes).probabilities)


def test_a_class_that_the_training_rows_lack_keeps_its_column(name: str, n_classes: int) -> None:
    data = _data(n_classes + 1)
    folds = np.where(data.labels == 1, 0, data.folds)  # all of class 1 are test rows, of fold 0
    found = _again(name, n_classes + 1, folds=folds).probabilities
    assert found.shape == ((folds == 0).sum(), n_classes + 1)
    assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert name.startswith("cnn") or not found[:, 1].any()


def test_no_more_parts_are_made_than_a_class_has_training_rows(name: str, n_classes: int) -> None:
    rows = np.concatenate([np.flatnonzero(_data(n_classes).labels == label)[:4] for label in range(n_classes)])
    folds = np.full(N, -1)
    folds[rows] = np.arange(len(rows)) % 4 // 2  # two rows of each class to train on, two to test on
    data = replace(_data(n_classes), folds=folds, groups=np.arange(N))
    found = CLASSIFIERS[name](_only(data, rows), 0, 1).probabilities
    assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def _only(data: Data, rows: NDArray[np.int64]) -> Data:
    return Data(data.images[rows], data.features[rows], data.labels[rows], data.groups[rows], data.folds[rows])


def test_no_classifier_sees_the_labels_of_test_rows(name: str, n_classes: int) -> None:
    data = _data(n_classes)
    labels = np.where(data.folds == 0, (data.labels + 1) % n_classes, data.labels)
    assert_array_equal(_again(name, n_classes, labels=labels).probabilities, _trained(name, n_classes).probabilities)


def test_no_classifier_sees_other_test_rows_when_it_predicts_one(name: str, n_classes: int) -> None:
    data, plain = _data(n_classes), _trained(name, n_classes)
    _, test = data.rows(0)
    kept, changed = test[: len(test) // 2], test[len(test) // 2 :]
    images, features = data.images.copy(), data.features.copy()
    images[changed], features[changed] = 255 - images[changed], 5 * features[changed] + 1000
    found = _again(name, n_classes, images=images, features=features).probabilities
    assert_allclose(found[: len(kept)], plain.probabilities[: len(kept)], atol=1e-6)
    assert not np.allclose(found[len(kept) :], plain.probabilities[len(kept) :], atol=1e-3)
