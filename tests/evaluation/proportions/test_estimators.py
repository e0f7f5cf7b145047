"""Estimators of class shares: known answers, properties, and the thesis's confusion matrices as a worked example."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lipnet.evaluation.proportions import estimators

# Tables 9 and 10 of the thesis: rows are true classes, columns predicted ones.
THESIS = {
    "lamellarity": [[2325, 15, 124], [4, 323, 16], [2, 3, 11]],
    "encapsulation": [[20, 1, 12], [116, 4201, 534], [22, 16, 63]],
}


def _mixed(rng: np.random.Generator, shares: list[float], n: int) -> np.ndarray:
    """Likelihoods of n particles whose score is normal around the number of their class, shape (1, K, n)."""
    true = rng.choice(len(shares), size=n, p=shares)
    score = rng.normal(2.0 * true, 1.0)
    return np.exp(-0.5 * (score[None] - 2.0 * np.arange(len(shares))[:, None]) ** 2)[None]


def test_counts_are_shares_of_the_predicted_classes() -> None:
    assert_allclose(estimators.count(np.array([0, 0, 1, 2]), 4), [0.5, 0.25, 0.25, 0])


def test_counts_of_resamples_use_their_weights() -> None:
    weights = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    assert_allclose(estimators.count(np.array([0, 1, 1]), 2, weights), [[0.5, 0.5], [0, 1]])


def test_a_perfect_classifier_gives_the_counts() -> None:
    counted = np.array([0.7, 0.0, 0.3])
    assert_allclose(estimators.adjusted_count(counted, np.eye(3)), counted, atol=1e-12)
    assert_allclose(estimators.probabilistic_adjusted_count(np.eye(3)[[0, 0, 2, 2]], np.eye(3)), [0.5, 0, 0.5])


@pytest.mark.parametrize("n_classes", [2, 12])
def test_adjusted_count_inverts_the_confusion_matrix(n_classes: int) -> None:
    rng = np.random.default_rng(0)
    confusion = 0.7 * np.eye(n_classes) + 0.3 * rng.dirichlet(np.ones(n_classes), n_classes)
    true = rng.dirichlet(np.full(n_classes, 5.0))
    found = estimators.adjusted_count(true @ confusion, confusion)
    assert_allclose(found, true, rtol=1e-9)


def test_adjusted_count_stays_within_the_simplex_where_the_inverse_leaves_it() -> None:
    confusion = np.array([[0.9, 0.1], [0.3, 0.7]])
    assert np.linalg.solve(confusion.T, [1.0, 0.0])[1] < 0
    assert_allclose(estimators.adjusted_count(np.array([1.0, 0.0]), confusion), [1, 0], atol=1e-3)


def test_a_classifier_that_knows_nothing_gives_shares_all_the_same() -> None:
    found = estimators.adjusted_count(np.array([0.6, 0.4]), np.full((2, 2), 0.5))
    assert_allclose(found, [0.5, 0.5])


def test_expectation_maximisation_finds_the_shares_of_a_mixture() -> None:
    found = estimators.expectation_maximisation(
        _mixed(np.random.default_rng(1), [0.05, 0.15, 0.8], 40_000), np.full((1, 40_000), 1 / 40_000)
    )
    assert_allclose(found[0], [0.05, 0.15, 0.8], atol=0.01)


def test_the_order_of_the_classes_does_not_matter() -> None:
    likelihoods, order = _mixed(np.random.default_rng(2), [0.2, 0.5, 0.3], 300), [2, 0, 1]
    weights = np.full((1, 300), 1 / 300)
    found = estimators.expectation_maximisation(likelihoods, weights)[0]
    assert_allclose(estimators.expectation_maximisation(likelihoods[:, order], weights)[0], found[order], atol=1e-9)
    assert found.sum() == pytest.approx(1) and (found >= 0).all()


def test_a_class_that_no_particle_can_be_of_gets_no_share() -> None:
    likelihoods = np.array([[[1.0, 1.0], [0.5, 0.2], [0.0, 0.0]]])
    assert estimators.expectation_maximisation(likelihoods, np.full((1, 2), 0.5))[0, 2] == 0


def test_a_correction_smaller_than_its_noise_is_not_used() -> None:
    counted, corrected = np.array([0.9, 0.1]), np.array([0.88, 0.12])
    assert estimators.shrink(counted, corrected, np.array([0.01, 0.01])) == 0
    assert estimators.shrink(counted, corrected, np.array([1e-8, 1e-8])) == pytest.approx(1, abs=1e-3)
    assert estimators.shrink(counted, counted, np.array([0.0, 0.0])) == 0


@pytest.mark.parametrize("problem", THESIS)
def test_the_thesis_counts_give_the_true_shares_back(problem: str) -> None:
    counts = np.array(THESIS[problem])
    found = estimators.adjusted_count(counts.sum(axis=0) / counts.sum(), counts / counts.sum(axis=1, keepdims=True))
    assert_allclose(found, counts.sum(axis=1) / counts.sum(), rtol=1e-9)
