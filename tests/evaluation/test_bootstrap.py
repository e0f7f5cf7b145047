"""Bootstrap over groups: measures as ``metrics`` has them, whole groups drawn, the same ones for every classifier."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.evaluation import metrics
from lipnet.evaluation.bootstrap import differences, draw, group_sums, measures
from lipnet.evaluation.measures import POOLED
from lipnet.evaluation.predictions import Predictions

N, K, REPEATS, GROUPS = 60, 3, 2, 12
GROUP = np.tile(np.repeat(np.arange(GROUPS), N // GROUPS), REPEATS)


def _predictions(seed: int, right: float = 0.6, **changes: Any) -> Predictions:
    rng, n = np.random.default_rng(seed), N * REPEATS
    true = np.tile(np.arange(N) % K, REPEATS)
    predicted = np.where(rng.random(n) < right, true, rng.integers(K, size=n))
    probabilities = rng.dirichlet([1] * K, n)
    row = {"true": true, "predicted": predicted, "probabilities": probabilities, **changes}
    ids, repeat = np.tile(np.arange(N).astype(str), REPEATS), np.repeat(np.arange(REPEATS), N)
    return Predictions(classes=list("ABC"), ids=ids, repeat=repeat, fold=GROUP % 3, **row)


def _differences(
    predictions: dict[str, Predictions], resamples: int = 400, groups: NDArray[np.int64] = GROUP, seed: int = 0
) -> Any:
    found = differences(predictions, groups, "a", 0.9, resamples, np.random.default_rng(seed))
    return found.set_index(["classifier", "measure"])


def _measured(predictions: Predictions, rows: NDArray[np.int64]) -> list[float]:
    overall, _ = metrics.score(predictions.true[rows], predictions.predicted[rows], predictions.probabilities[rows])
    return [overall[name] for name in POOLED]


def test_measures_of_a_resample_are_those_of_its_rows_averaged_over_repeats() -> None:
    """The groups of the resample written out, row by row."""
    predictions, weights = _predictions(0), draw(5, GROUPS, np.random.default_rng(1))
    found = measures(group_sums(predictions, GROUP), weights)
    for of_one, resample in zip(found.T, weights.astype(int), strict=True):
        rows = [np.repeat(np.arange(N), resample[GROUP[:N]]) + N * repeat for repeat in range(REPEATS)]
        assert_allclose(of_one, np.mean([_measured(predictions, some) for some in rows], axis=0), rtol=1e-12)


def test_a_resample_has_as_many_groups_as_there_are_and_any_of_them() -> None:
    weights = draw(3000, 7, np.random.default_rng(0))
    assert_array_equal(weights.sum(axis=1), 7)
    assert_allclose(weights.mean(axis=0), 1, atol=0.1)
    assert_allclose(weights.var(axis=0), 6 / 7, atol=0.1)  # binomial: 7 draws with a chance of 1 in 7


def test_intervals_are_percentiles_of_paired_differences() -> None:
    predictions = {"a": _predictions(0), "b": _predictions(1, right=0.9)}
    found = _differences(predictions)
    weights = draw(400, GROUPS, np.random.default_rng(0))
    of_each = {name: measures(group_sums(one, GROUP), weights) for name, one in predictions.items()}
    low, high = np.percentile(of_each["b"] - of_each["a"], [5, 95], axis=1)
    assert_allclose(found.loc["b", "low"], low, atol=1e-6)
    assert_allclose(found.loc["b", "high"], high, atol=1e-6)
    whole = [[_measured(one, np.arange(N) + N * repeat) for repeat in range(REPEATS)] for one in predictions.values()]
    assert_allclose(found.loc["b", "difference"], np.subtract(*np.mean(whole, axis=1)[::-1]), atol=1e-6)
    assert (found["defined"] == 1).all()


def test_a_classifier_that_says_the_same_does_not_differ_in_any_resample() -> None:
    """Were each classifier to draw its own groups, it would."""
    found = _differences({"a": _predictions(0), "b": _predictions(0)})
    assert_array_equal(found[["difference", "low", "high"]].to_numpy(), 0)


def test_particles_of_a_group_are_not_taken_as_independent() -> None:
    """Two classifiers of which one is right in whole groups: rows drawn one by one would seem surer than they are."""
    true = _predictions(0).true
    in_groups = _predictions(1, predicted=np.where(GROUP % 2 == 0, true, (true + 1) % K))
    predictions = {"a": _predictions(0), "b": in_groups}
    by_group, by_row = (
        _differences(predictions, groups=groups).loc[("b", "balanced_accuracy")]
        for groups in (GROUP, np.tile(np.arange(N), REPEATS))
    )
    assert by_group["high"] - by_group["low"] > 1.5 * (by_row["high"] - by_row["low"])


def test_a_class_of_one_group_is_lacking_in_a_third_of_the_resamples() -> None:
    true = np.tile(np.where(np.arange(N) < 5, 2, np.arange(N) % 2), REPEATS)  # class 2: all of group 0, nothing else
    predicted = {"a": true, "b": np.where(true == 2, 0, true)}
    found = _differences({name: _predictions(0, true=true, predicted=some) for name, some in predicted.items()}, 2000)
    assert found.loc[("b", "balanced_accuracy"), "defined"] == pytest.approx(1 - (11 / 12) ** 12, abs=0.03)
    assert found.loc[("b", "balanced_accuracy"), "low"] == pytest.approx(-1 / 3, abs=1e-6)
    assert found.loc[("b", "log_loss"), "defined"] == 1


def test_draws_come_in_blocks_where_groups_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = {"a": _predictions(0), "b": _predictions(1)}
    whole = _differences(predictions, 50)
    monkeypatch.setattr("lipnet.evaluation.bootstrap.CELLS", 7 * GROUPS)
    assert_array_equal(_differences(predictions, 50).to_numpy(), whole.to_numpy())


def test_none_are_drawn_where_none_are_wanted_and_the_generator_decides() -> None:
    predictions = {"a": _predictions(0), "b": _predictions(1)}
    assert _differences(predictions, 0).empty
    assert _differences({"a": predictions["a"]}).empty
    low = "low"
    assert_array_equal(_differences(predictions)[low], _differences(predictions)[low])
    assert (_differences(predictions)[low] != _differences(predictions, seed=1)[low]).any()
