"""Trees on features: they learn, repeat, state natural proportions, and never read what is true of test rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lipnet.errors import InputError
from lipnet.trees import TreesSettings, TreesTask, train_fold

N = 240
LABELS = np.repeat([0, 1, 2], [180, 40, 20])
TEST = np.arange(0, N, 4)
TRAIN = np.setdiff1d(np.arange(N), TEST)
KINDS = pytest.mark.parametrize("kind", ["boosted", "forest"])


def _task(kind: str, noise: float = 0.2, **changes: Any) -> TreesTask:
    rng = np.random.default_rng(0)
    features = np.stack([LABELS + rng.normal(0, noise, N), rng.normal(size=N)], axis=1)
    settings = TreesSettings(models={}, n_trees=30, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=3, l2=0.0)
    return replace(TreesTask(features, ["one", "two"], LABELS, TRAIN, TEST, kind, settings, 1), **changes)


@KINDS
def test_a_separable_problem_is_learned(kind: str) -> None:
    result = train_fold(_task(kind))
    assert_allclose(result.probabilities.sum(axis=1), 1)
    assert_array_equal(result.predicted, result.probabilities.argmax(axis=1))
    assert (result.predicted == LABELS[TEST]).mean() > 0.95


@KINDS
def test_where_nothing_can_be_learned_natural_proportions_are_stated(kind: str) -> None:
    found = train_fold(_task(kind, noise=1e6)).probabilities.mean(axis=0)
    assert_allclose(found, [0.75, 1 / 6, 1 / 12], atol=0.08)


@KINDS
def test_the_same_task_gives_the_same_numbers_and_another_seed_others(kind: str) -> None:
    one = train_fold(_task(kind)).probabilities
    assert_array_equal(train_fold(_task(kind)).probabilities, one)
    if kind == "forest":  # boosting draws nothing at this size
        assert not np.array_equal(train_fold(_task(kind, seed=2)).probabilities, one)


@KINDS
def test_labels_and_features_of_other_test_rows_are_never_read(kind: str) -> None:
    task = _task(kind)
    labels, features = LABELS.copy(), task.features.copy()
    labels[TEST] = (LABELS[TEST] + 1) % 3
    features[TEST[1:]] = 99.0
    changed = train_fold(replace(task, labels=labels, features=features)).probabilities
    assert_array_equal(changed[0], train_fold(task).probabilities[0])


def test_a_class_without_training_rows_gets_nothing() -> None:
    task = _task("boosted", train=TRAIN[LABELS[TRAIN] != 1])
    assert_array_equal(train_fold(task).probabilities[:, 1], 0)


def test_a_feature_that_is_not_finite_is_named() -> None:
    task = _task("boosted")
    with pytest.raises(InputError, match="feature two: has NaN"):
        train_fold(replace(task, features=np.where([False, True], np.nan, task.features)))
