"""The SVM of one fold: it learns from training rows only, both libraries agree, and its files suffice to predict."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from libsvm import svmutil
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from pydantic import ValidationError
from threadpoolctl import threadpool_info, threadpool_limits

from lipnet.classifiers import svm
from lipnet.classifiers.svm import SvmResult, SvmSettings, SvmTask, decide, fit, train_fold
from lipnet.classifiers.svm_files import parse_model, read_card, to_text
from lipnet.core.errors import InputError


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):  # as lipnet.core.parallel does
        yield


CENTRES = np.array([[0, 0, 0, 0], [8, 0, 0, 1], [0, 8, 0, 2], [0, 0, 8, 3]], dtype=float)


def _settings(**changes: Any) -> SvmSettings:
    plain = {
        "features": {"svm": ["area"]},
        "library": "libsvm",
        "cost": 1.0,
        "gamma": None,
        "class_weights": True,
        "calibration_folds": 5,
        "cache_mb": 10,
    }
    return SvmSettings.model_validate({**plain, **changes})


def _task(n_classes: int = 3, n: int = 120, spread: float = 1.0, **changes: Any) -> SvmTask:
    labels = np.random.default_rng(0).permutation(np.arange(n) % n_classes)
    features = CENTRES[labels] + np.random.default_rng(1).normal(0, spread, (n, 4)) * [1, 1, 1, 100] + 50
    plain = SvmTask(
        features=features,
        names=["area", "moment1", "moment2", "moment3"],
        labels=labels,
        groups=np.arange(n) // 3,
        train=np.arange(30, n),
        test=np.arange(30),
        settings=_settings(),
        seed=1,
    )
    return replace(plain, **changes)


def _load(result: SvmResult, folder: Path) -> Any:
    (folder / "fold.svm").write_text(result.model, encoding="ascii")
    return svmutil.svm_load_model(str(folder / "fold.svm"))


def _same(one: SvmResult, other: SvmResult) -> bool:
    return (one.model, one.card) == (other.model, other.card) and np.array_equal(
        one.output.probabilities, other.output.probabilities
    )


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_a_separable_problem_is_learned(n_classes: int) -> None:
    task = _task(n_classes)
    result = train_fold(task)
    assert result.output.predicted.shape == (30,)
    assert result.output.probabilities.shape == (30, n_classes)
    assert_allclose(result.output.probabilities.sum(axis=1), 1)
    assert (result.output.predicted == task.labels[task.test]).mean() > 0.9
    assert (result.output.probabilities.argmax(axis=1) == task.labels[task.test]).mean() > 0.9


def test_the_same_task_gives_the_same_result_and_another_seed_another_calibration() -> None:
    result = train_fold(_task())
    assert _same(train_fold(_task()), result)
    other = train_fold(_task(seed=2))
    assert other.model == result.model
    assert other.card["calibration_intercepts"] != result.card["calibration_intercepts"]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_order_of_the_training_rows_changes_no_prediction(n_classes: int) -> None:
    task = _task(n_classes, spread=2.0)
    by_class = task.train[np.argsort(-task.labels[task.train], kind="stable")]
    one, other = train_fold(task), train_fold(replace(task, train=by_class))
    assert f"label {' '.join(map(str, range(n_classes)))}\n" in one.model
    assert f"label {' '.join(map(str, range(n_classes)))}\n" in other.model
    assert_array_equal(one.output.predicted, other.output.predicted)
    assert np.abs(one.output.probabilities - other.output.probabilities).max() < 0.15


def test_scaling_sees_training_rows_only() -> None:
    task = _task()
    shifted = task.features.copy()
    shifted[task.test] += 1000
    one, other = train_fold(task), train_fold(replace(task, features=shifted))
    assert_allclose(one.card["mean"], task.features[task.train].mean(axis=0))
    assert_allclose(one.card["scale"], task.features[task.train].std(axis=0))
    assert (other.card, other.model) == (one.card, one.model)
    assert not np.allclose(one.output.probabilities, other.output.probabilities)


def test_features_on_very_different_scales_count_alike() -> None:
    task = _task(spread=2.0)
    stretched = train_fold(replace(task, features=task.features * [1e6, 1e-3, 1, 1]))
    assert_array_equal(stretched.output.predicted, train_fold(task).output.predicted)


def test_a_constant_feature_is_harmless() -> None:
    task = _task()
    features = task.features.copy()
    features[:, 3] = 7
    result = train_fold(replace(task, features=features))
    assert (result.output.predicted == task.labels[task.test]).mean() > 0.9


def test_probabilities_are_calibrated_at_the_natural_proportions() -> None:
    # Features tell nothing: what is left are the class frequencies, in spite of class weights.
    labels = np.repeat([0, 1], [240, 60])
    rows = np.random.default_rng(2).permutation(300)
    task = _task(
        features=np.random.default_rng(3).normal(size=(300, 4)),
        labels=labels,
        groups=np.arange(300),
        train=rows[:200],
        test=rows[200:],
    )
    assert train_fold(task).output.probabilities[:, 1].mean() == pytest.approx(labels[rows[:200]].mean(), abs=0.05)


def test_a_class_missing_from_an_inner_fold_is_handled() -> None:
    task = _task()
    groups = task.groups.copy()
    groups[task.labels == 2] = 999  # one group: held out, nothing of the class is left to train on
    result = train_fold(replace(task, groups=groups))
    assert np.isfinite(result.output.probabilities).all()
    assert result.output.probabilities.shape == (30, 3)
    assert (result.output.predicted == task.labels[task.test]).mean() > 0.9


@pytest.mark.parametrize("group_size", [30, 120])
def test_fewer_groups_than_inner_folds_are_handled(group_size: int) -> None:
    task = _task(groups=np.arange(120) // group_size)
    result = train_fold(task)
    assert_allclose(result.output.probabilities.sum(axis=1), 1)
    assert (result.output.predicted == task.labels[task.test]).mean() > 0.9


def test_training_rows_of_one_class_are_refused() -> None:
    task = _task()
    with pytest.raises(InputError, match=r"all training rows of a fold are of class 2 .* needs two classes"):
        train_fold(replace(task, train=task.train[task.labels[task.train] == 2]))


@pytest.mark.parametrize("library", ["libsvm", "scikit-learn"])
def test_many_classes_are_calibrated_on_sums_and_the_card_still_suffices(library: str, tmp_path: Path) -> None:
    n_classes = svm.PAIRWISE + 3
    rng = np.random.default_rng(0)
    labels = np.arange(40 * n_classes) % n_classes
    features = rng.normal(0, 3, (n_classes, 4))[labels] + rng.normal(0, 0.3, (len(labels), 4))
    rows = {"groups": np.arange(len(labels)), "train": np.arange(400, len(labels)), "test": np.arange(400)}
    task = _task(labels=labels, features=features, settings=_settings(library=library), **rows)
    result = train_fold(task)
    assert np.array(result.card["calibration_coefficients"]).shape == (n_classes, n_classes * (n_classes - 1) // 2)
    assert (result.output.probabilities.argmax(axis=1) == labels[:400]).mean() > 0.7
    scaled = (features[:400] - result.card["mean"]) / result.card["scale"]
    model = _load(result, tmp_path)
    predicted, _, values = svmutil.svm_predict([], scaled, model, "-q")
    assert_array_equal(result.output.predicted, predicted)
    assert_allclose(_calibrated(result.card, np.array(values)), result.output.probabilities, atol=1e-6)


def test_decision_values_of_many_classes_are_never_held_for_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm, "PAIRWISE", 2)
    whole, most = train_fold(_task()), list[int]()

    def watched(model: svm.Svm, x: NDArray[np.float64], n_classes: int) -> Any:
        most.append(len(x))
        return decide(model, x, n_classes)

    monkeypatch.setattr(svm, "BLOCK", 7)
    monkeypatch.setattr(svm, "decide", watched)
    assert _same(train_fold(_task()), whole)
    assert max(most) == 7


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_named(value: float) -> None:
    features = _task().features
    features[3, [1, 3]] = value
    with pytest.raises(InputError, match="feature moment1, moment3: has NaN or infinite values"):
        train_fold(_task(features=features))


def _calibrated(card: dict[str, Any], decisions: NDArray[np.float64]) -> NDArray[np.float64]:
    scores = decisions @ np.array(card["calibration_coefficients"]).T + card["calibration_intercepts"]
    if scores.shape[1] == 1:
        scores = np.column_stack([np.zeros(len(scores)), scores])
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_model_text_and_card_are_enough_to_predict(n_classes: int, tmp_path: Path) -> None:
    task = _task(n_classes, spread=2.0)
    result = train_fold(task)
    scaled = (task.features[task.test] - result.card["mean"]) / result.card["scale"]
    votes, _, decisions = svmutil.svm_predict(np.zeros(30), scaled, _load(result, tmp_path), "-q")
    assert_array_equal(votes, result.output.predicted)
    assert_allclose(_calibrated(result.card, np.asarray(decisions)), result.output.probabilities, atol=1e-6)
    assert result.card["features"] == ["area", "moment1", "moment2", "moment3"]


def test_cost_bounds_the_coefficients(tmp_path: Path) -> None:
    for cost in (0.5, 2.0):
        result = train_fold(_task(spread=4.0, settings=_settings(cost=cost, class_weights=False)))
        assert np.abs(_load(result, tmp_path).get_sv_coef()).max() == pytest.approx(cost)


@pytest.mark.parametrize(("gamma", "expected"), [(None, 0.25), (0.7, 0.7)])
def test_gamma_is_one_over_the_number_of_features_unless_set(gamma: float | None, expected: float) -> None:
    lines = dict(
        line.split(" ", 1) for line in train_fold(_task(settings=_settings(gamma=gamma))).model.splitlines()[:5]
    )
    assert float(lines["gamma"]) == pytest.approx(expected)


def test_class_weights_make_a_rare_class_found_more_often() -> None:
    labels = np.tile(np.repeat([0, 1], [9, 1]), 20)
    features = np.random.default_rng(4).normal(size=(200, 4)) + 1.5 * labels[:, None]
    task = _task(
        features=features, labels=labels, groups=np.arange(200), train=np.arange(150), test=np.arange(150, 200)
    )
    counts = [
        int((train_fold(replace(task, settings=_settings(class_weights=on, cost=0.1))).output.predicted == 1).sum())
        for on in (False, True)
    ]
    assert counts[0] < counts[1]


@pytest.mark.parametrize("fault", [{"features": {}}, {"cost": 0}, {"gamma": 0}, {"calibration_folds": 1}])
def test_impossible_settings_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _settings(**fault)


@pytest.mark.parametrize("name", ["cnn", "a/b", "", "a.b"])
def test_an_svm_may_not_take_the_networks_name_nor_one_that_paths_cannot_take(name: str) -> None:
    with pytest.raises(ValidationError, match="the network's name" if name == "cnn" else "pattern"):
        _settings(features={name: ["area"]})


def _peers(**changes: Any) -> list[SvmSettings]:
    return [_settings(library=library, **changes) for library in ("libsvm", "scikit-learn")]


@pytest.mark.parametrize("class_weights", [False, True])
@pytest.mark.parametrize(("n_classes", "missing"), [(2, []), (3, []), (5, []), (3, [1]), (5, [1, 3])])
def test_libsvm_and_scikit_learn_agree(n_classes: int, missing: list[int], class_weights: bool) -> None:
    rng = np.random.default_rng(5)
    y = rng.choice(n_classes, 300, p=np.arange(1, n_classes + 1) / np.arange(1, n_classes + 1).sum())
    x, new = (rng.normal(size=(300, 6)) + labels[:, None] for labels in (y, rng.integers(0, n_classes, 300)))
    kept = ~np.isin(y, missing)
    svms = [fit(x[kept], y[kept], settings) for settings in _peers(class_weights=class_weights)]
    (votes, values), (others, expected) = (decide(one, new, n_classes) for one in svms)
    assert svms[0].labels == svms[1].labels == np.unique(y[kept]).tolist()
    assert_array_equal(votes, others)
    assert_allclose(values, expected, atol=1e-6)
    assert len(np.unique(votes)) > 1
    one, other = (svm.to_libsvm() for svm in svms)
    assert (one.labels, one.n_support, one.gamma) == (other.labels, other.n_support, other.gamma)
    for found, wanted in zip(one[3:], other[3:], strict=True):
        assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("class_weights", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_both_libraries_give_the_same_probabilities(n_classes: int, class_weights: bool) -> None:
    one, other = (
        train_fold(_task(n_classes, spread=4.0, settings=settings)) for settings in _peers(class_weights=class_weights)
    )
    assert_array_equal(one.output.predicted, other.output.predicted)
    assert_allclose(one.output.probabilities, other.output.probabilities, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_text_of_a_model_keeps_every_digit(n_classes: int, tmp_path: Path) -> None:
    task = _task(n_classes, spread=4.0)
    x, y = task.features / 10, task.labels
    trained = fit(x, y, _settings())
    result = SvmResult(to_text(trained.to_libsvm()), {}, train_fold(task).output)
    decisions = svmutil.svm_predict(np.zeros(len(x)), x, _load(result, tmp_path), "-q")[2]
    assert_array_equal(np.array(decisions), trained.decision_values(x))
    read = parse_model(result.model, tmp_path / "fold.svm")
    for found, wanted in zip(read, trained.to_libsvm(), strict=True):
        assert_array_equal(found, wanted)


def test_libsvm_trains_and_predicts_on_one_thread_whatever_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def watched(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")
            return function(*arguments)

        return call

    task = _task()
    for name in ("svm_train", "svm_predict"):
        monkeypatch.setattr(svm.svmutil, name, watched(getattr(svmutil, name)))
    with threadpool_limits(2):
        decide(fit(task.features, task.labels, _settings()), task.features, 3)
    assert len(threads) >= 2
    assert set(threads) == {1}


def test_equal_votes_go_to_the_first_class() -> None:
    values = np.array([[1.0, -1.0, 1.0], [0.0, 0.0, 0.0]])  # each class beats another; and no value is positive
    circle = svm.Svm([0, 1, 2], lambda _: values, lambda: pytest.fail("not needed"))
    votes, decisions = decide(circle, np.zeros((2, 1)), 3)
    assert votes.tolist() == [0, 2]
    assert_array_equal(decisions, values)


def test_a_card_comes_back_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fold0.json"
    with pytest.raises(InputError, match=r"fold0\.json: no such file; run `dvc repro`"):
        read_card(path)
    card = train_fold(_task()).card
    path.write_text(json.dumps(card))
    assert read_card(path).model_dump() == card
    for text, message in (
        ("{", "Invalid JSON"),
        (json.dumps(card | {"mean": "x"}), "mean: Input should be a valid array"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=rf"fold0\.json: .*{message}.*delete it and run `dvc repro`"):
            read_card(path)
