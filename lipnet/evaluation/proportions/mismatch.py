"""Does a sample look like a mixture of the training classes? If not, its corrected class shares mean little.

Probabilities are put into bins: the most probable class at equal class shares, and how probable it is. The misfit of a
sample is the total variation distance of its bins from the best mixture of the bins of the classes. What is usual is
learnt from the out-of-fold predictions: the misfit of samples of each fold from a mixture of the other folds. So it
includes how networks of the same training differ, and that particles of one group are alike.
"""

import numpy as np
from numpy.typing import NDArray

from lipnet.evaluation.predictions import Predictions
from lipnet.evaluation.proportions.corrections import Correction, calibrated, fold_numbers
from lipnet.evaluation.proportions.estimators import expectation_maximisation

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

EDGES = (0.6, 0.8, 0.95)  # of the largest probability
UNSEEN = 0.5  # particles that are added to each bin of a class, which may have few
SIZES = (50, 200, 1000)  # particles of the samples that say what is usual; other sizes are interpolated
DRAWS = 40  # samples of each fold and size
USUAL = 0.99  # share of these samples that count as usual


def bins_of(probabilities: Floats, correction: Correction) -> Labels:
    """Bin of each particle, shape (n,), from 0 to K (len(EDGES) + 1) - 1."""
    n_classes = probabilities.shape[1]
    balanced = calibrated(probabilities, correction.fitted, np.full(n_classes, 1 / n_classes))
    return np.asarray(balanced.argmax(axis=1) * (len(EDGES) + 1) + np.digitize(balanced.max(axis=1), EDGES))


def class_bins(bins: Labels, true: Labels, n_classes: int) -> Floats:
    """Share of each bin among the particles of each class, rows sum to 1, shape (K, n_bins)."""
    counts = np.full((n_classes, n_classes * (len(EDGES) + 1)), UNSEEN)
    np.add.at(counts, (true, bins), 1)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def misfit(bins: Labels, of_classes: Floats) -> float:
    """Total variation distance of a sample from the best mixture of the classes, in [0, 1].

    Args:
        bins: of ``bins_of``, shape (n,), n >= 1.
        of_classes: of ``class_bins``.
    """
    observed = np.bincount(bins, minlength=of_classes.shape[1]) / len(bins)
    mixture = expectation_maximisation(of_classes[None], observed[None])[0] @ of_classes
    return float(np.abs(observed - mixture).sum() / 2)


def usual_misfits(
    predictions: Predictions,
    groups: Labels,
    rows: NDArray[np.bool_],
    correction: Correction,
    rng: np.random.Generator,
) -> Floats:
    """Misfit that ``USUAL`` of the samples of each of ``SIZES`` do not exceed, shape (len(SIZES),).

    Args:
        predictions: of the classifier.
        groups: of ``bootstrap.groups_of``, shape (n_rows,).
        rows: the rows that ``correction`` was learnt from, shape (n_rows,).
        correction: of the classifier.
        rng: source of the draws.
    """
    bins, true = bins_of(predictions.probabilities[rows], correction), predictions.true[rows]
    folds, own_groups = fold_numbers(predictions, rows), groups[rows]
    found: list[list[float]] = [[] for _ in SIZES]
    for fold in np.unique(folds):
        others = class_bins(bins[folds != fold], true[folds != fold], len(predictions.classes))
        members = [
            np.flatnonzero((folds == fold) & (own_groups == one)) for one in np.unique(own_groups[folds == fold])
        ]
        for size, of_size in zip(SIZES, found, strict=True):
            of_size += [misfit(bins[_drawn(members, size, rng)], others) for _ in range(DRAWS)]
    return np.quantile(np.array(found), USUAL, axis=1)


def limit(n: int, usual: Floats) -> float:
    """Largest usual misfit of a sample of n particles; it falls with the logarithm of n, up to the largest size."""
    return float(np.interp(np.log(n), np.log(SIZES), usual))


def _drawn(members: list[Labels], size: int, rng: np.random.Generator) -> Labels:
    """Rows of whole groups, drawn with replacement until there are enough; the last group is cut."""
    rows: list[int] = []
    while len(rows) < size:
        rows += members[rng.integers(len(members))].tolist()
    return np.array(rows[:size])
