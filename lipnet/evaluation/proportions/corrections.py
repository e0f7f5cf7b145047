"""What is known of the errors of a classifier, from its out-of-fold predictions, and how sure that is.

The probabilities of a classifier are calibrated with a temperature and a bias for each class, fitted on out-of-fold
predictions. Divided by the class shares of these rows, they are likelihoods up to a factor (Saerens et al. 2002;
Alexandari, Kundaje and Shrikumar 2020). Replicates of the fit show how uncertain it is, each fitted to a resample of
whole groups. Deviations of the folds show how models with the same training differ: new particles are predicted by
other models than these rows were.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from lipnet.core.errors import InputError
from lipnet.evaluation.bootstrap import draw
from lipnet.evaluation.calibration import SMALLEST, fit_temperature
from lipnet.evaluation.predictions import Predictions

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

UNSEEN = 0.5  # particles that are added to each class, so that no share is 0


class Fitted(NamedTuple):
    """Calibration of a classifier: R + 1 fits, of which the first is of all rows and the others are replicates.

    Attributes:
        temperature: shape (R + 1,).
        bias: shape (R + 1, K).
        prior: class shares of the fitted rows, shape (R + 1, K).
        deviations: of single models: log temperature and bias less those of all, shape (n_folds, 1 + K).
    """

    temperature: Floats
    bias: Floats
    prior: Floats
    deviations: Floats

    def of_models(self, rows: Labels, folds: Labels) -> "Fitted":
        """Some fits, each with the deviation of a fold; no deviations are left.

        Args:
            rows: of the fits, shape (n,).
            folds: of the deviations, shape (n,).
        """
        own = self.deviations[folds]
        temperature = self.temperature[rows] * np.exp(own[:, 0])
        return Fitted(temperature, self.bias[rows] + own[:, 1:], self.prior[rows], np.zeros_like(self.deviations[:0]))


class Correction(NamedTuple):
    """All that an estimate of class shares needs to know of a classifier.

    Attributes:
        classes: the K class names.
        fitted: the calibration with its replicates.
        confusion: number of rows by true and predicted class, shape (K, K).
        mean_scores: mean probabilities of the rows of each true class, shape (K, K); equal for a class without
            rows.
        widening: by how much the two halves of an interval are multiplied (``protocol.widening_of``), shape (K,).
    """

    classes: list[str]
    fitted: Fitted
    confusion: Floats
    mean_scores: Floats
    widening: Floats

    @property
    def rates(self) -> Floats:
        """Probability of each predicted class given the true class, rows sum to 1, shape (K, K).

        A class without rows is taken to be predicted as each class equally often: nothing is known of it.
        """
        seen = self.confusion.sum(axis=1, keepdims=True) > 0
        counts = np.where(seen, self.confusion, 1.0)
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))

    @property
    def unseen(self) -> list[str]:
        """Classes without rows: their shares cannot be corrected."""
        return [name for name, row in zip(self.classes, self.confusion, strict=True) if not row.sum()]


def fit(
    predictions: Predictions, groups: Labels, rows: NDArray[np.bool_], replicates: int, rng: np.random.Generator
) -> Correction:
    """Learn the errors of a classifier from some of its out-of-fold predictions; intervals are not widened.

    Args:
        predictions: of the classifier.
        groups: of ``bootstrap.groups_of``, shape (n_rows,).
        rows: the rows to learn from, shape (n_rows,).
        replicates: R.
        rng: source of the draws.

    Raises:
        InputError: no row is left to learn from.
    """
    if not rows.any():
        raise InputError(
            "class shares need out-of-fold predictions of at least two folds; set split.folds to 2 or more"
        )
    true, named, stated = predictions.true[rows], predictions.predicted[rows], predictions.probabilities[rows]
    n_classes = len(predictions.classes)
    confusion = np.zeros((n_classes, n_classes))
    np.add.at(confusion, (true, named), 1)
    sums = np.zeros((n_classes, n_classes))
    np.add.at(sums, true, stated)
    members = confusion.sum(axis=1, keepdims=True)
    mean_scores = np.divide(sums, members, out=np.full_like(sums, 1 / n_classes), where=members > 0)
    fitted = _fit_all(
        stated, true, np.unique(groups[rows], return_inverse=True)[1], fold_numbers(predictions, rows), replicates, rng
    )
    return Correction(predictions.classes, fitted, confusion, mean_scores, np.ones(n_classes))


def fold_numbers(predictions: Predictions, rows: NDArray[np.bool_]) -> Labels:
    """Number of the fold of each of some rows, counted from 0 over all repeats, shape (n,)."""
    pairs = np.stack([predictions.repeat[rows], predictions.fold[rows]])
    return np.asarray(np.unique(pairs, axis=1, return_inverse=True)[1].ravel())


def likelihoods(probabilities: Floats, fitted: Fitted) -> Floats:
    """Likelihood of each particle given each class by every fit, up to a factor for each particle; no deviations.

    Args:
        probabilities: of the classifier, shape (n, K).
        fitted: R + 1 fits.

    Returns:
        Shape (R + 1, K, n); the largest of the K values is 1.
    """
    logits = np.log(np.maximum(probabilities, SMALLEST)).T
    scores = logits / fitted.temperature[:, None, None] + (fitted.bias - np.log(fitted.prior))[:, :, None]
    return np.exp(scores - scores.max(axis=1, keepdims=True))


def calibrated(probabilities: Floats, fitted: Fitted, prior: Floats) -> Floats:
    """Probabilities of the first fit at other class shares, shape (n, K).

    Args:
        probabilities: of the classifier, shape (n, K).
        fitted: the fits.
        prior: class shares, shape (K,).
    """
    logits = np.log(np.maximum(probabilities, SMALLEST)) / fitted.temperature[0] + fitted.bias[0]
    return np.exp(log_softmax(logits - np.log(fitted.prior[0]) + np.log(np.maximum(prior, SMALLEST)), axis=1))


def _fit_all(
    stated: Floats, true: Labels, groups: Labels, folds: Labels, replicates: int, rng: np.random.Generator
) -> Fitted:
    n_classes = stated.shape[1]
    everything = np.arange(len(true))
    drawn = draw(replicates, int(groups.max()) + 1, rng).astype(np.int64)
    resamples = [everything, *(np.repeat(everything, times[groups]) for times in drawn)]
    fits = np.array([_parameters(stated[rows], true[rows]) for rows in resamples])
    prior = np.array([_shares(true[rows], n_classes) for rows in resamples])
    return Fitted(np.exp(fits[:, 0]), fits[:, 1:], prior, _deviations(stated, true, folds, fits))


def _parameters(stated: Floats, true: Labels) -> Floats:
    """Log temperature and bias, shape (1 + K,)."""
    temperature, bias = fit_temperature(stated, true)
    return np.array([np.log(temperature), *bias])


def _deviations(stated: Floats, true: Labels, folds: Labels, fits: Floats) -> Floats:
    """Deviations of the folds from the fit of all, shape (n_folds, 1 + K), without what chance explains.

    A fold has few rows, so its fit deviates by chance, too. The bootstrap tells how much: its variance times the number
    of folds. The rest is that of a random effect (DerSimonian and Laird 1986).
    """
    n_folds, n_classes = int(folds.max()) + 1, stated.shape[1]
    deviations = (
        np.array([_parameters(stated[folds == fold], true[folds == fold]) for fold in range(n_folds)]) - fits[0]
    )
    counts = np.array([np.bincount(true[folds == fold], minlength=n_classes) for fold in range(n_folds)])
    deviations[:, 1:][counts == 0] = 0.0  # a class that a fold lacks says nothing of it
    between, chance = (deviations**2).mean(axis=0), fits[1:].var(axis=0) * n_folds if len(fits) > 1 else 0.0
    real = np.divide(np.maximum(between - chance, 0.0), between, out=np.zeros_like(between), where=between > 0)
    # A new network deviates more from the mean of the folds than the folds themselves, as in a prediction interval.
    return deviations * np.sqrt(real * (n_folds + 1) / max(n_folds - 1, 1))


def _shares(true: Labels, n_classes: int) -> Floats:
    members = np.bincount(true, minlength=n_classes) + UNSEEN
    return members / members.sum()
