"""Calibration: known temperatures and biases are found again; offsets reach their target and touch nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import f1_score, log_loss, recall_score

from lipnet.core.errors import InputError
from lipnet.evaluation.calibration import apply_offsets, apply_temperature, fit_offsets, fit_temperature

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def _scores(n: int, seed: int = 0, prior: tuple[float, ...] = (0.9, 0.08, 0.02)) -> tuple[Floats, Labels]:
    """True posteriors of three overlapping classes of these shares, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    hidden = rng.choice(3, n, p=prior)
    logits = np.log(prior) + 3 * np.eye(3)[hidden] + rng.normal(size=(n, 3))
    posterior = softmax(logits, axis=1)
    labels = (posterior.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1).clip(max=2)
    return posterior, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_and_bias_are_found_again(temperature: float) -> None:
    posterior, labels = _scores(40_000)
    bias = np.array([0.6, -0.2, -0.4])
    spoilt = apply_temperature(posterior, 1 / temperature, -bias * temperature)
    found, found_bias = fit_temperature(spoilt, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    assert_allclose(found_bias, bias, atol=0.12)
    assert_allclose(apply_temperature(spoilt, found, found_bias), posterior, atol=0.04)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_fit_is_never_worse_on_its_own_rows_than_no_fit(seed: int) -> None:
    posterior, labels = _scores(300, seed)
    labels[:3] = range(3)
    fitted = apply_temperature(posterior, *fit_temperature(posterior, labels))
    assert_allclose(fitted.sum(axis=1), 1)
    assert log_loss(labels, fitted) <= log_loss(labels, posterior) + 1e-3  # the penalty pulls towards no fit


def test_a_class_without_rows_leaves_the_fit_finite() -> None:
    posterior, labels = _scores(200)
    temperature, bias = fit_temperature(posterior, np.where(labels == 2, 0, labels))
    assert np.isfinite([temperature, *bias]).all()


def test_offsets_raise_macro_f1_and_leave_the_most_frequent_class_alone() -> None:
    posterior, labels = _scores(4000)
    offsets = fit_offsets(posterior, labels, {})
    assert offsets[0] == 0
    before = f1_score(labels, posterior.argmax(axis=1), average="macro")
    after = f1_score(labels, apply_offsets(posterior, offsets).argmax(axis=1), average="macro")
    assert after > before + 0.01


def test_offsets_undo_a_shift_of_the_prior() -> None:
    posterior, labels = _scores(4000)
    reached = []
    for scores in (posterior, apply_offsets(posterior, np.array([0.0, 2.0, 3.0]))):
        predicted = apply_offsets(scores, fit_offsets(scores, labels, {})).argmax(axis=1)
        reached.append(f1_score(labels, predicted, average="macro"))
    assert reached[1] == pytest.approx(reached[0], abs=0.015)  # climbing class by class may end on another ledge


@pytest.mark.parametrize("wanted", [0.7, 0.9, 1.0])
def test_a_wanted_recall_is_reached_at_no_more_than_it_takes(wanted: float) -> None:
    posterior, labels = _scores(3000)
    chosen = apply_offsets(posterior, fit_offsets(posterior, labels, {2: wanted})).argmax(axis=1)
    assert recall_score(labels, chosen, labels=[2], average=None)[0] >= wanted
    assert (chosen == 2).mean() < 1


def test_where_nothing_is_gained_nothing_is_changed() -> None:
    certain = np.eye(3)[[0, 0, 1, 2]] * 0.97 + 0.01
    assert_array_equal(fit_offsets(certain, np.array([0, 0, 1, 2]), {}), 0)


def test_a_recall_of_a_class_without_rows_is_refused() -> None:
    with pytest.raises(InputError, match="class 2"):
        fit_offsets(np.full((4, 3), 1 / 3), np.array([0, 0, 1, 1]), {2: 0.9})
