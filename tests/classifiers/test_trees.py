"""The trees of one fold: they learn from training rows only, and inner folds choose the number of boosting rounds."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from lipnet.classifiers import trees
from lipnet.classifiers.trees import TreeSettings, TreeTask, best_rounds
from lipnet.core.errors import InputError
from lipnet.evaluation.predictions import FoldOutput

KINDS = pytest.mark.parametrize("kind", ["boosted", "forest"])
CENTRES = np.array([[0, 0, 0, 0], [8, 0, 0, 1], [0, 8, 0, 2], [0, 0, 8, 3]], dtype=float)
SECTION: dict[str, Any] = {
    "models": {"trees": {"kind": "boosted", "features": ["area"]}},
    "class_weights": False,
    "boosted": {
        "learning_rate": 0.3,
        "max_iter": 12,
        "max_leaf_nodes": 4,
        "min_samples_leaf": 5,
        "l2_regularization": 0.0,
        "inner_folds": 2,
    },
    "forest": {"n_estimators": 20, "min_samples_leaf": 2},
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):  # as lipnet.core.parallel does
        yield


def _settings(class_weights: bool = False, **changes: Any) -> TreeSettings:
    """Changes go to the kind that knows their name."""
    kinds = {
        kind: SECTION[kind] | {name: value for name, value in changes.items() if name in SECTION[kind]}
        for kind in ("boosted", "forest")
    }
    return TreeSettings.model_validate({**SECTION, **kinds, "class_weights": class_weights})


def _task(kind: Any = "boosted", n_classes: int = 3, n: int = 120, spread: float = 1.0, **changes: Any) -> TreeTask:
    labels = np.random.default_rng(0).permutation(np.arange(n) % n_classes)
    plain = TreeTask(
        features=CENTRES[labels] + np.random.default_rng(1).normal(0, spread, (n, 4)) * [1, 1, 1, 100] + 50,
        names=["area", "moment1", "moment2", "moment3"],
        labels=labels,
        groups=np.arange(n) // 3,
        train=np.arange(30, n),
        test=np.arange(30),
        kind=kind,
        settings=_settings(),
        seed=1,
    )
    return replace(plain, **changes)


def _uninformative(kind: str, **changes: Any) -> TreeTask:
    """300 particles of which a fifth is of class 1, and features that do not tell which."""
    rows = np.random.default_rng(2).permutation(300)
    return _task(
        kind,
        features=np.random.default_rng(3).normal(size=(300, 4)),
        labels=np.repeat([0, 1], [240, 60]),
        groups=np.arange(300),
        train=rows[:200],
        test=rows[200:],
        **changes,
    )


def train_fold(task: TreeTask) -> FoldOutput:
    return trees.train_fold(task).output


@KINDS
@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_a_separable_problem_is_learned(kind: str, n_classes: int) -> None:
    task = _task(kind, n_classes)
    result = train_fold(task)
    assert result.probabilities.shape == (30, n_classes)
    assert_allclose(result.probabilities.sum(axis=1), 1)
    assert_array_equal(result.predicted, result.probabilities.argmax(axis=1))
    assert (result.predicted == task.labels[task.test]).mean() > 0.9


@KINDS
def test_the_same_task_gives_the_same_result(kind: str) -> None:
    task = _task(kind, spread=4.0)
    assert_array_equal(train_fold(task).probabilities, train_fold(task).probabilities)


def test_another_seed_gives_another_forest() -> None:
    one, other = (train_fold(_task("forest", spread=4.0, seed=seed)).probabilities for seed in (1, 2))
    assert not np.array_equal(one, other)


@KINDS
def test_labels_and_groups_of_test_rows_are_not_read(kind: str) -> None:
    task = _task(kind, spread=4.0)
    labels, groups = task.labels.copy(), task.groups.copy()
    labels[task.test] = (labels[task.test] + 1) % 3
    groups[task.test] = 7
    poisoned = replace(task, labels=labels, groups=groups)
    assert_array_equal(train_fold(poisoned).probabilities, train_fold(task).probabilities)


@KINDS
def test_a_test_row_is_predicted_without_regard_to_other_test_rows(kind: str) -> None:
    task = _task(kind, spread=4.0)
    features = task.features.copy()
    features[:15] = 1000 - 3 * features[:15]
    one, other = train_fold(task).probabilities, train_fold(replace(task, features=features)).probabilities
    assert_array_equal(one[15:], other[15:])
    assert not np.allclose(one[:15], other[:15])


@KINDS
def test_every_training_row_may_count_and_no_other_row_does(kind: str) -> None:
    task = _task(kind, spread=4.0, train=np.arange(30, 90))
    labels, features = task.labels.copy(), task.features.copy()
    labels[90:], features[90:] = 0, -1e6  # neither training nor test rows
    plain = train_fold(task).probabilities
    assert_array_equal(train_fold(replace(task, labels=labels, features=features)).probabilities, plain)
    labels[30:90] = (labels[30:90] + 1) % 3
    assert not np.allclose(train_fold(replace(task, labels=labels)).probabilities, plain)


@KINDS
def test_a_class_that_the_training_rows_lack_keeps_its_column(kind: str) -> None:
    task = _task(kind)
    result = train_fold(replace(task, train=task.train[task.labels[task.train] != 1]))
    assert result.probabilities.shape == (30, 3)
    assert (result.probabilities[:, 1] == 0).all()
    others = task.labels[task.test] != 1
    assert (result.predicted == task.labels[task.test])[others].mean() > 0.9


@KINDS
def test_probabilities_are_of_natural_proportions_unless_classes_are_weighted(kind: str) -> None:
    task = _uninformative(kind, settings=_settings(min_samples_leaf=20))
    natural = train_fold(task).probabilities[:, 1].mean()
    balanced = train_fold(replace(task, settings=_settings(class_weights=True, min_samples_leaf=20)))
    assert natural == pytest.approx(task.labels[task.train].mean(), abs=0.05)
    assert balanced.probabilities[:, 1].mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("learning_rate", "l2"), [(1.0, 0.0), (0.5, 0.0), (1.0, 5.0)])
def test_one_round_of_boosting_is_a_newton_step(learning_rate: float, l2: float) -> None:
    # Two classes of 20, told apart by one feature: from log odds of 0 each leaf has gradients of 1/2, hessians of 1/4.
    labels = np.tile([0, 1], 30)
    settings = _settings(max_iter=1, max_leaf_nodes=2, learning_rate=learning_rate, l2_regularization=l2)
    task = _task(
        features=labels[:, None].astype(float),
        labels=labels,
        groups=np.arange(60),
        train=np.arange(40),
        test=np.arange(40, 60),
        settings=settings,
    )
    log_odds = learning_rate * (20 / 2) / (20 / 4 + l2)
    found = train_fold(task).probabilities[np.arange(20), labels[40:]]
    assert_allclose(found, 1 / (1 + np.exp(-log_odds)), rtol=1e-5)


def test_a_forest_of_trees_that_may_not_split_knows_the_proportions_only() -> None:
    task = _uninformative("forest", settings=_settings(min_samples_leaf=200, n_estimators=50))
    found = train_fold(task).probabilities[:, 1]
    assert_allclose(found, found[0])
    assert found[0] == pytest.approx(task.labels[task.train].mean(), abs=0.02)


def test_inner_folds_choose_all_rounds_where_features_tell_and_few_where_they_do_not() -> None:
    assert best_rounds(_task()) == 12
    assert best_rounds(_uninformative("boosted")) < 4


def test_inner_folds_keep_groups_whole() -> None:
    # A feature that names the group, and a label of the whole group: it tells nothing of another group.
    groups = np.repeat(np.arange(40), 5)
    labels = np.random.default_rng(5).permutation(np.arange(40) % 2)[groups]
    features = np.repeat(groups[:, None], 4, axis=1).astype(float)
    task = _task(features=features, labels=labels, groups=groups, train=np.arange(200), settings=_settings(max_iter=30))
    assert best_rounds(task) < 4
    assert best_rounds(replace(task, groups=np.arange(200))) > 10  # rows apart: the feature seems to tell


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_missing_from_an_inner_fold_is_handled(n_classes: int) -> None:
    task = _task(n_classes=n_classes)
    groups = task.groups.copy()
    groups[task.labels == 1] = 999  # one group: held out, nothing of the class is left to train on
    result = train_fold(replace(task, groups=groups))
    assert_allclose(result.probabilities.sum(axis=1), 1)
    assert (result.predicted == task.labels[task.test]).mean() > 0.6


@pytest.mark.parametrize("group_size", [60, 120])
def test_fewer_groups_than_inner_folds_are_handled(group_size: int) -> None:
    task = _task(groups=np.arange(120) // group_size, settings=_settings(inner_folds=5))
    assert (train_fold(task).predicted == task.labels[task.test]).mean() > 0.9


@KINDS
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_named(kind: str, value: float) -> None:
    features = _task().features
    features[3, [1, 3]] = value
    with pytest.raises(InputError, match="feature moment1, moment3: has NaN or infinite values"):
        train_fold(_task(kind, features=features))


@pytest.mark.parametrize(
    "fault",
    [
        {"models": {}},
        {"models": {"a/b": {"kind": "forest", "features": ["area"]}}},
        {"models": {"trees": {"kind": "forest", "features": []}}},
        {"models": {"trees": {"kind": "tree", "features": ["area"]}}},
        {"boosted": SECTION["boosted"] | {"learning_rate": 0}},
        {"boosted": SECTION["boosted"] | {"inner_folds": 1}},
        {"forest": SECTION["forest"] | {"n_estimators": 0}},
    ],
)
def test_impossible_settings_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TreeSettings.model_validate({**SECTION, **fault})
