"""What to label next: scores with known values, and a choice without near-copies."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from lipnet.deployment.suggestions import CLIP, choose, in_words, scores, standardise

PRIOR = np.array([0.9, 0.1])


def test_scores_have_known_values() -> None:
    probabilities = np.array([[[1, 0], [0.5, 0.5], [1, 0]], [[1, 0], [0.5, 0.5], [0, 1]]], float)
    table = scores(probabilities, PRIOR)
    assert_allclose(table["uncertainty"], [0, 1, 1])
    assert_allclose(table["disagreement"], [0, 0, 0.5])
    of_common = np.log(0.9) / np.log(0.1)
    assert_allclose(table["rarity"], [of_common, (1 + of_common) / 2, (1 + of_common) / 2])
    assert_allclose(table["score"], table[["uncertainty", "disagreement", "rarity"]].mean(axis=1))


def test_scores_of_random_probabilities_are_between_0_and_1() -> None:
    probabilities = np.random.default_rng(0).dirichlet([0.3, 0.3, 0.3], (5, 200))
    table = scores(probabilities, np.array([0.5, 0.5, 0.0]))
    assert (table >= 0).all(axis=None) and (table <= 1 + 1e-12).all(axis=None)


def test_features_are_standardised_and_missing_ones_are_the_mean() -> None:
    values = np.array([[0.0, 3, np.nan], [2, 3, 1], [4, 3, np.inf]])
    assert_allclose(standardise(values), [[-np.sqrt(1.5), 0, 0], [0, 0, 0], [np.sqrt(1.5), 0, 0]])
    extreme = np.r_[np.zeros(999), 1e9][:, None]
    assert standardise(extreme).max() == CLIP


def test_near_copies_of_the_best_come_after_other_useful_particles() -> None:
    places = np.array([[0.0], [0.001], [0.002], [10], [20], [30]])
    score = np.array([1.0, 0.99, 0.98, 0.6, 0.7, 0.5])
    assert choose(score, places, 4, seed=0).tolist() == [0, 4, 3, 5]
    assert choose(score, places, 6, seed=0).tolist() == [0, 4, 3, 5, 2, 1]


def test_useless_particles_are_not_chosen_for_being_far_away() -> None:
    places = np.array([[0.0], [1], [2], [1000]])
    assert choose(np.array([0.9, 0.8, 0.7, 0]), places, 3, seed=0).tolist() == [0, 2, 1]


@pytest.mark.parametrize("n", [1, 5, 40])
def test_every_particle_is_chosen_at_most_once_and_the_seed_decides_between_equals(n: int) -> None:
    places, score = np.zeros((20, 3)), np.ones(20)
    chosen = [choose(score, places, n, seed).tolist() for seed in (0, 0, 1)]
    assert len(set(chosen[0])) == len(chosen[0]) == min(n, 20)
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_single_particle_and_none_at_all() -> None:
    assert choose(np.array([0.5]), np.zeros((1, 2)), 3, 0).tolist() == [0]
    assert choose(np.zeros(0), np.zeros((0, 2)), 3, 0).tolist() == []


def test_reasons_are_given_in_words() -> None:
    mean = np.array([[0.98, 0.01, 0.01], [0.5, 0.45, 0.05], [0.6, 0.1, 0.3], [0.98, 0.01, 0.01], [0.98, 0.01, 0.01]])
    reasons = pd.DataFrame(
        {
            "uncertainty": [0.1, 0.9, 0.5, 0.1, 0.1],
            "disagreement": [0.0, 0.0, 0.0, 0.0, 0.3],
            "rarity": [0.1, 0.2, 0.6, 0.1, 0.1],
        }
    )
    assert in_words(reasons, mean, np.array([0.85, 0.1, 0.05]), ["Full", "Empty", "Odd"]) == [
        "unlike the other suggestions",
        "uncertain between Full and Empty; possibly Empty, a rare class",
        "uncertain between Full and Odd; possibly Odd, a rare class",
        "unlike the other suggestions",
        "models disagree",
    ]
