"""Misfit of a sample: small for mixtures of the classes whatever their shares, large for scores of another kind."""

import numpy as np
import pytest

from lipnet.evaluation.proportions import mismatch
from tests.evaluation.proportions.test_intervals import _classifier, _groups, _learnt, _sample

N = 1600


def test_mixtures_of_the_classes_are_usual_and_other_scores_are_not() -> None:
    predictions = _classifier([0.6, 0.3, 0.1], N)
    correction, rows = _learnt(predictions, 20), np.ones(N, np.bool_)
    usual = mismatch.usual_misfits(predictions, _groups(N), rows, correction, np.random.default_rng(0))
    of_classes = mismatch.class_bins(mismatch.bins_of(predictions.probabilities, correction), predictions.true, 3)
    for shares in ([0.6, 0.3, 0.1], [0.1, 0.1, 0.8]):
        stated = predictions.probabilities[_sample(predictions, shares, 200, 1)]
        assert mismatch.misfit(mismatch.bins_of(stated, correction), of_classes) < mismatch.limit(200, usual)
    vague = np.random.default_rng(2).dirichlet([30, 30, 30], 200)
    assert mismatch.misfit(mismatch.bins_of(vague, correction), of_classes) > 2 * mismatch.limit(200, usual)


def test_the_limit_falls_with_the_number_of_particles() -> None:
    usual = np.array([0.4, 0.3, 0.2])
    assert [mismatch.limit(n, usual) for n in (10, 50, 1000, 5000)] == pytest.approx([0.4, 0.4, 0.2, 0.2])
    assert 0.3 < mismatch.limit(100, usual) < 0.4


def test_bins_are_the_class_and_how_probable_it_is() -> None:
    predictions = _classifier([0.5, 0.5], N)
    stated = np.array([[0.9999, 0.0001], [0.0001, 0.9999]])
    first, last = mismatch.bins_of(stated, _learnt(predictions, 20)).tolist()
    assert (first, last) == (len(mismatch.EDGES), 2 * len(mismatch.EDGES) + 1)
