"""Estimates of the class shares of a sample with intervals: a bootstrap of the sample and of the correction.

A resample draws whole groups (micrographs) of the sample with replacement, and one replicate of the correction. So the
interval covers the choice of micrographs and what is not known of the classifier's errors. As the replicates do not
know all that can differ, the intervals are widened until they hold in other folds (``protocol.widening_of``).
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
        likeliest: of expectation maximisation, the mean over the models.
        corrected: ``counted``, moved towards ``likeliest`` as far as ``estimators.shrink`` says. The default estimate.
        noise: variance of ``likeliest - counted``.
        low: lower limit.
        high: upper limit.
        replicates: shares of each resample, shape (R, K); equal rows of two samples, estimated with the same seed,
            share a correction.
        n_groups: number of groups of the sample.
    """

    counted: Floats
    likeliest: Floats
    corrected: Floats
    noise: Floats
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
        probabilities: of the model of each fold of the classifier that ``correction`` is of, shape (M, n, K), n >= 1.
            Each is corrected on its own: the correction is known for single models, not for their mean.
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
    fitted, all_alike = correction.fitted, np.full((1, n), 1 / n)
    fit_of_all = Fitted(*(values[:1] for values in fitted))
    of_models = [expectation_maximisation(likelihoods(one, fit_of_all), all_alike)[0] for one in probabilities]
    n_replicates = len(fitted.temperature) - 1
    # Drawn first, so that two samples with the same seed get the same models.
    folds = rng.integers(len(fitted.deviations), size=(len(probabilities), n_replicates))
    weights = _resampled(units, n_replicates, rng)
    replicates = np.mean(
        [
            _replicates(one, fitted.of_models(np.arange(1, n_replicates + 1), own), weights, found)
            for one, own, found in zip(probabilities, folds, of_models, strict=True)
        ],
        axis=0,
    )
    counted, likeliest = count(predicted, n_classes), np.mean(of_models, axis=0)
    noise = (replicates - count(predicted, n_classes, weights)).var(axis=0)
    corrected = counted + shrink(counted, likeliest, noise) * (likeliest - counted)
    low, high = limits(corrected, replicates, correction.widening, n, confidence)
    unseen = np.isin(correction.classes, correction.unseen)
    low, high = np.where(unseen, 0.0, np.maximum(low, 0)), np.where(unseen, 1.0, np.minimum(high, 1))
    return Estimate(counted, likeliest, corrected, noise, low, high, replicates, len(members))


def limits(estimated: Floats, replicates: Floats, widening: Floats, n: int, confidence: float) -> tuple[Floats, Floats]:
    """Limits of an interval: percentiles of the replicates, widened.

    Args:
        estimated: shape (K,).
        replicates: of the estimate, shape (R, K).
        widening: factor of both halves of the interval, shape (K,).
        n: particles of the sample. A class that none of them is may still have a share of 3 / n (at 95 %; the rule of
            three), so no half of an interval is shorter.
        confidence: level.
    """
    tail, least = 50 * (1 - confidence), -np.log(1 - confidence) / n
    low, high = np.percentile(replicates, [tail, 100 - tail], axis=0)
    return (
        estimated - widening * np.maximum(estimated - low, least),
        estimated + widening * np.maximum(high - estimated, least),
    )


def _resampled(units: Labels, replicates: int, rng: np.random.Generator) -> Floats:
    """Weight of each particle in each resample, shape (R, n), rows sum to 1."""
    weights = draw(replicates, int(units.max()) + 1, rng)[:, units]
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _replicates(probabilities: Floats, fitted: Fitted, weights: Floats, estimated: Floats) -> Floats:
    """Shares of each resample by one model, shape (R, K)."""
    n_classes, at_once = probabilities.shape[1], max(CELLS // probabilities.size, 1)
    first = (1 - INSIDE) * estimated + INSIDE / n_classes
    parts = []
    for start in range(0, len(weights), at_once):
        rows = slice(start, start + at_once)
        given = likelihoods(probabilities, Fitted(*(values[rows] for values in fitted)))
        parts.append(expectation_maximisation(given, weights[rows], np.tile(first, (len(given), 1))))
    return np.concatenate(parts)
