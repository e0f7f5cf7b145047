"""Fits of decision rules to held-out probabilities: a temperature with a bias for each class, or offsets.

Both are fitted on inner out-of-fold scores: probabilities for training rows, by networks trained without these rows.
Rows of a test fold are never used for fitting.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from lipnet.core.errors import InputError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

SMALLEST = 1e-12  # a probability of 0 has no logarithm
PENALTY = 0.1  # on squared biases and squared log temperature, in units of the log loss of one row; bounds the fit
STEPS = np.linspace(-10.0, 10.0, 201)  # grid of offsets, natural logarithms
PASSES = 4  # most passes over the classes
FIRST = 1e6  # weight of missing recall; one particle counts more than any gain in macro F1


def fit_temperature(probabilities: Floats, labels: Labels) -> tuple[float, Floats]:
    """Temperature T and bias b that minimise the log loss of softmax(log p / T + b) (vector scaling; Guo et al. 2017).

    Args:
        probabilities: held out, shape (n, K).
        labels: class indices, shape (n,).

    Returns:
        T, and b of shape (K,), which sums to 0.
    """
    logits, n_classes = _logits(probabilities), probabilities.shape[1]
    targets = np.eye(n_classes)[labels]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        scale, bias = np.exp(-parameters[0]), parameters[1:]
        stated = log_softmax(scale * logits + bias, axis=1)
        error = (np.exp(stated) - targets) / len(labels)
        slopes = np.concatenate([[-scale * (error * logits).sum()], error.sum(axis=0)])
        penalty, of_penalty = PENALTY * (parameters**2).sum(), 2 * PENALTY * parameters
        return float((penalty - (stated * targets).sum()) / len(labels)), slopes + of_penalty / len(labels)

    best = minimize(loss, np.zeros(1 + n_classes), jac=True, method="L-BFGS-B").x
    return float(np.exp(best[0])), best[1:] - best[1:].mean()


def apply_temperature(probabilities: Floats, temperature: float, bias: Floats) -> Floats:
    """softmax(log p / T + b), shape (n, K)."""
    return softmax(_logits(probabilities) / temperature + bias, axis=1)


def fit_offsets(probabilities: Floats, labels: Labels, recall: dict[int, float]) -> Floats:
    """Offsets o that maximise the macro F1 of the argmax of log p + o, found one class at a time on a grid.

    Args:
        probabilities: held out, shape (n, K).
        labels: class indices, shape (n,).
        recall: class index -> recall to reach; has priority over macro F1.

    Returns:
        Shape (K,), 0 for the most frequent class.

    Raises:
        InputError: a class with a required recall has no held-out rows.
    """
    absent = [label for label in recall if not (labels == label).any()]
    if absent:
        raise InputError(f"no held-out rows of class {absent[0]}, so no recall can be kept; use fewer inner folds")
    logits, n_classes = _logits(probabilities), probabilities.shape[1]
    offsets, fixed = np.zeros(n_classes), int(np.bincount(labels, minlength=n_classes).argmax())
    score = _score(labels, n_classes, recall)
    for _ in range(PASSES):
        before = offsets.copy()
        for label in (label for label in range(n_classes) if label != fixed):
            trials = np.repeat(offsets[None], len(STEPS), axis=0)
            trials[:, label] = STEPS
            scores = [score((logits + trial).argmax(axis=1)) for trial in trials]
            best = np.flatnonzero(np.equal(scores, max(scores)))
            offsets = trials[best[np.abs(STEPS[best]).argmin()]]  # among equal scores, the smallest offset
        if np.array_equal(before, offsets):
            break
    return offsets


def _score(labels: Labels, n_classes: int, recall: dict[int, float]) -> Callable[[Labels], float]:
    members = np.bincount(labels, minlength=n_classes)

    def score(predicted: Labels) -> float:
        found = np.bincount(labels[predicted == labels], minlength=n_classes)
        named = np.bincount(predicted, minlength=n_classes)
        f1 = 2 * found / np.maximum(named + members, 1)
        missing = sum(max(wanted - found[label] / members[label], 0.0) for label, wanted in recall.items())
        return float(f1.mean() - FIRST * missing)

    return score


def apply_offsets(probabilities: Floats, offsets: Floats) -> Floats:
    """Probabilities times exp(o), normalised to sum 1, shape (n, K)."""
    return softmax(_logits(probabilities) + offsets, axis=1)


def _logits(probabilities: Floats) -> Floats:
    return np.log(np.maximum(probabilities, SMALLEST))
