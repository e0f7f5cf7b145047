"""Estimates of the class shares of a sample with intervals: a bootstrap of the sample and of the correction.

A resample draws whole groups (micrographs) of the sample with replacement, and one replicate of the correction. So the
interval covers the choice of micrographs and what is not known of the classifier's errors.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.evaluation.bootstrap import draw
from lipnet.evaluation.proportions.corrections import Correction, Fitted, likelihoods
from lipnet.evaluation.proportions.estimators import count, expectation_maximisation, shrink

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

CELLS = 10**7  # of the array of likelihoods; limits memory
FEW_GROUPS = 10  # fewer groups give a rough interval
INSIDE = 0.1  # replicates start from a mixture of the estimate with equal shares, because 0 would stay 0


class Estimate(NamedTuple):
    """Class shares of one sample, each of shape (K,), with sum 1 but for the limits.

    Attributes:
        counted: share of the predicted classes.
        likeliest: of expectation maximisation.
        corrected: ``counted``, moved towards ``likeliest`` as far as ``estimators.shrink`` says. The default estimate.
        low: lower limit.
        high: upper limit.
        replicates: shares of each resample, shape (R, K); equal rows of two samples share a correction.
        n_groups: number of groups of the sample.
    """

    counted: Floats
    likeliest: Floats
    corrected: Floats
    low: Floats
    high: Floats
    replicates: Floats
    n_groups: int


def estimate(
    probabilities: Floats,
    predicted: Labels,
    groups: Labels,
    correction: Correction,
    confidence: float,
    rng: np.random.Generator,
) -> Estimate:
    """Estimate the class shares of a sample.

    Args:
        probabilities: of the classifier that ``correction`` is of, shape (n, K), n >= 1.
        predicted: class indices, shape (n,).
        groups: group of each particle, any whole numbers, shape (n,).
        correction: what is known of the errors of the classifier.
        confidence: level of the intervals.
        rng: source of the draws.

    Raises:
        InputError: the sample has no particles.
    """
    if not len(predicted):
        raise InputError("the sample has no particles, so it has no class shares")
    n_classes, n = len(correction.classes), len(predicted)
    members, unit = np.unique(groups, return_inverse=True)
    units = unit if len(members) > 1 else np.arange(n)  # one micrograph alone says nothing of others
    all_alike = np.full((1, n), 1 / n)
    likeliest = expectation_maximisation(likelihoods(probabilities, _part(correction.fitted, 0, 1)), all_alike)[0]
    weights = _resampled(units, len(correction.fitted.temperature) - 1, rng)
    replicates = _replicates(probabilities, correction.fitted, weights, likeliest)
    counted = count(predicted, n_classes)
    noise = (replicates - count(predicted, n_classes, weights)).var(axis=0)
    corrected = counted + shrink(counted, likeliest, noise) * (likeliest - counted)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(replicates, [tail, 100 - tail], axis=0)
    unseen = np.isin(correction.classes, correction.unseen)
    low, high = np.where(unseen, 0.0, np.minimum(low, corrected)), np.where(unseen, 1.0, np.maximum(high, corrected))
    return Estimate(counted, likeliest, corrected, low, high, replicates, len(members))


def _resampled(units: Labels, replicates: int, rng: np.random.Generator) -> Floats:
    """Weight of each particle in each resample, shape (R, n), rows sum to 1."""
    weights = draw(replicates, int(units.max()) + 1, rng)[:, units]
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _replicates(probabilities: Floats, fitted: Fitted, weights: Floats, estimated: Floats) -> Floats:
    n_classes = probabilities.shape[1]
    first = (1 - INSIDE) * estimated + INSIDE / n_classes
    at_once = max(CELLS // probabilities.size, 1)
    parts = []
    for start in range(0, len(weights), at_once):
        of_part = weights[start : start + at_once]
        given = likelihoods(probabilities, _part(fitted, 1 + start, 1 + start + len(of_part)))
        parts.append(expectation_maximisation(given, of_part, np.repeat(first[None], len(of_part), axis=0)))
    return np.concatenate(parts)


def _part(fitted: Fitted, start: int, stop: int) -> Fitted:
    return Fitted(*(values[start:stop] for values in fitted))
