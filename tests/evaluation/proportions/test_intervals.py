"""Estimates of class shares with their intervals: what they cover, hostile samples, and no look at labels."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.evaluation.predictions import Predictions
from lipnet.evaluation.proportions import corrections, protocol
from lipnet.evaluation.proportions.intervals import Estimate, estimate, limits

PER_GROUP = 20
TABLE_9 = np.array([[2325, 15, 124], [4, 323, 16], [2, 3, 11]])  # of the thesis, lamellarity


def _predictions(true: NDArray[np.int64], stated: NDArray[np.float64], predicted: NDArray[np.int64]) -> Predictions:
    n = len(true)
    return Predictions(
        classes=[f"c{k}" for k in range(stated.shape[1])],
        ids=np.arange(n).astype(str),
        repeat=np.zeros(n, np.int64),
        fold=np.arange(n) % 4,
        true=true,
        predicted=predicted,
        probabilities=stated,
    )


def _scores(true: NDArray[np.int64], n_classes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Calibrated probabilities of a classifier of scores around the class, at the shares of ``true``."""
    score = rng.normal(2.0 * true, 1.0)
    prior = np.bincount(true, minlength=n_classes) / len(true)
    weights = prior * np.exp(-0.5 * (score[:, None] - 2.0 * np.arange(n_classes)) ** 2) + 1e-9
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _classifier(shares: list[float], n: int, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    true = rng.choice(len(shares), size=n, p=shares)
    stated = _scores(true, len(shares), rng)
    return _predictions(true, stated, stated.argmax(axis=1))


def _groups(n: int) -> NDArray[np.int64]:
    return np.arange(n) // PER_GROUP


def _learnt(predictions: Predictions, replicates: int = 100) -> corrections.Correction:
    n = len(predictions.true)
    return corrections.fit(predictions, _groups(n), np.ones(n, np.bool_), replicates, np.random.default_rng(1))


def _sample(predictions: Predictions, shares: list[float], n: int, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, shares)
    return np.concatenate([rng.choice(np.flatnonzero(predictions.true == k), c) for k, c in enumerate(counts)])


def _estimate(
    predictions: Predictions, rows: NDArray[np.int64], correction: corrections.Correction, seed: int = 2
) -> Estimate:
    groups = _groups(len(predictions.true))[rows]
    rng = np.random.default_rng(seed)
    return estimate(predictions.probabilities[None, rows], predictions.predicted[rows], groups, correction, 0.95, rng)


def test_shares_far_from_the_training_ones_are_recovered_within_the_interval() -> None:
    predictions = _classifier([0.9, 0.08, 0.02], 3000)
    correction, wanted = _learnt(predictions), [0.3, 0.3, 0.4]
    found = _estimate(predictions, _sample(predictions, wanted, 1000, 3), correction)
    assert np.abs(found.corrected - wanted).max() < 0.06 < np.abs(found.counted - wanted).max()
    assert ((found.low <= wanted) & (wanted <= found.high)).all()
    assert (found.high - found.low).max() < 0.35


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_half_and_twice_the_rarest_class_of_the_thesis_is_within_the_interval(factor: float) -> None:
    true, named = (np.repeat(at, TABLE_9.ravel()) for at in np.indices(TABLE_9.shape).reshape(2, -1))
    mixed = np.random.default_rng(0).permutation(len(true))
    stated = (TABLE_9 / TABLE_9.sum(axis=0)).T[named]  # what the thesis's tables tell: the class, given its name
    predictions = _predictions(true[mixed], stated[mixed], named[mixed])
    shares = TABLE_9.sum(axis=1) * [1, 1, factor]
    shares = shares / shares.sum()
    found = _estimate(predictions, _sample(predictions, shares.tolist(), 2000, 5), _learnt(predictions))
    assert found.counted[2] > 3 * shares[2]  # counting is far off
    assert ((found.low <= shares) & (shares <= found.high)).all()
    assert abs(found.corrected[2] - shares[2]) < 0.02


def test_estimates_are_shares_and_the_limits_contain_them() -> None:
    predictions = _classifier([0.7, 0.1, 0.1, 0.1], 800)
    found = _estimate(predictions, np.arange(50), _learnt(predictions))
    for shares in (found.counted, found.likeliest, found.corrected, *found.replicates):
        assert shares.sum() == pytest.approx(1) and (shares >= 0).all()
    assert ((found.low >= 0) & (found.low <= found.corrected)).all()
    assert ((found.corrected <= found.high) & (found.high <= 1)).all()


@pytest.mark.parametrize("n_classes", [2, 12])
def test_other_numbers_of_classes(n_classes: int) -> None:
    predictions = _classifier([1 / n_classes] * n_classes, 1200)
    found = _estimate(predictions, np.arange(200), _learnt(predictions, 20))
    assert found.corrected.shape == found.low.shape == (n_classes,)


def test_a_perfect_classifier_gives_the_counts() -> None:
    true = np.arange(400) % 3
    predictions = _predictions(true, np.eye(3)[true], true)
    rows = np.array([0] * 30 + [1] * 10 + [2] * 60)
    found = _estimate(predictions, rows, _learnt(predictions, 20))
    assert_allclose(found.corrected, found.counted, atol=0.02)


def test_a_class_without_rows_can_have_any_share() -> None:
    predictions = _classifier([0.6, 0.4, 0.0], 400)
    correction = _learnt(predictions, 20)
    found = _estimate(predictions, np.arange(100), correction)
    assert correction.unseen == ["c2"]
    assert (found.low[2], found.high[2]) == (0, 1)


def test_one_group_alone_is_bootstrapped_by_its_particles() -> None:
    predictions = _classifier([0.6, 0.4], 800)
    found = _estimate(predictions, np.arange(PER_GROUP), _learnt(predictions))
    assert found.n_groups == 1
    assert (found.high - found.low > 0.1).all()


def test_more_groups_narrow_the_interval() -> None:
    predictions = _classifier([0.6, 0.4], 4000)
    correction = _learnt(predictions)
    few, many = (_estimate(predictions, np.arange(n), correction) for n in (100, 3000))
    assert (many.high - many.low < 0.6 * (few.high - few.low)).all()


def test_a_sample_without_particles_is_refused() -> None:
    predictions = _classifier([0.6, 0.4], 400)
    with pytest.raises(InputError, match="no particles"):
        _estimate(predictions, np.arange(0), _learnt(predictions, 20))


def test_nothing_to_learn_from_is_refused() -> None:
    predictions = _classifier([0.6, 0.4], 40)
    with pytest.raises(InputError, match="at least two folds"):
        corrections.fit(predictions, _groups(40), np.zeros(40, np.bool_), 20, np.random.default_rng(0))


def test_labels_of_the_sample_change_nothing() -> None:
    predictions = _classifier([0.6, 0.3, 0.1], 800)
    settings = protocol.ProportionSettings(sizes=[40], samples=2, replicates=20, confidence=0.9, headline=["svm"])
    here = predictions.fold == 0
    learnt = corrections.fit(predictions, _groups(800), ~here, 20, np.random.default_rng(0))
    other = replace(predictions, true=np.where(here, 2 - predictions.true, predictions.true))
    again = corrections.fit(other, _groups(800), ~here, 20, np.random.default_rng(0))
    for one, two in zip(learnt.fitted, again.fitted, strict=True):
        assert_array_equal(one, two)
    assert_array_equal(learnt.confusion, again.confusion)
    assert len(protocol.tasks_of("svm", predictions, _groups(800), settings, 1)) == 4


def _two_kinds_of_folds(predictions: Predictions) -> Predictions:
    """The same predictions, but the models of two folds favour one class, those of the others the other."""
    shifted = predictions.probabilities * np.where(predictions.fold[:, None] % 2, [4.0, 1.0], [1.0, 4.0])
    return replace(predictions, probabilities=shifted / shifted.sum(axis=1, keepdims=True))


def test_folds_that_differ_widen_the_interval() -> None:
    predictions = _classifier([0.6, 0.4], 4000)
    alike, unlike = (
        _estimate(one, np.arange(400), _learnt(one)) for one in (predictions, _two_kinds_of_folds(predictions))
    )
    assert (unlike.high - unlike.low > 1.5 * (alike.high - alike.low)).all()


def test_several_models_are_surer_than_one() -> None:
    predictions = _two_kinds_of_folds(_classifier([0.6, 0.4], 4000))
    correction, rows = _learnt(predictions), np.arange(400)
    stated, predicted, groups = predictions.probabilities[rows], predictions.predicted[rows], _groups(4000)[rows]
    one, five = (
        estimate(np.stack([stated] * n), predicted, groups, correction, 0.95, np.random.default_rng(2)) for n in (1, 5)
    )
    assert_allclose(one.likeliest, five.likeliest)
    assert (five.high - five.low < 0.8 * (one.high - one.low)).all()


def test_limits_are_widened_and_never_shorter_than_chance_allows() -> None:
    replicates = np.linspace([0.1, 0.0], [0.3, 0.0], 101)
    low, high = limits(np.array([0.2, 0.0]), replicates, np.array([2.0, 1.0]), 300, 0.95)
    assert_allclose([low[0], high[0]], [0.2 - 2 * 0.095, 0.2 + 2 * 0.095])
    assert high[1] == pytest.approx(3 / 300, rel=0.01)
