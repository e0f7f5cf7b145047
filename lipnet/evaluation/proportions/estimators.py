"""Estimators of the class shares of a sample from the predictions of one classifier (quantification).

All rest on one assumption, prior probability shift: the particles of a class look as in training, and only the shares
of the classes differ (Forman 2008; Saerens, Latinne and Decaestecker 2002).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

SMALLEST = 1e-12  # of a mixture density, so that no quotient is infinite
MOST_LEAPS = 300  # of expectation maximisation
WORST_CONDITION = 1e8  # of a matrix that is inverted
TOLERANCE = 1e-5  # it ends when no share changes by more in one step


def count(predicted: Labels, n_classes: int, weights: Floats | None = None) -> Floats:
    """Share of the particles of each predicted class (classify and count); biased, because errors do not cancel.

    Args:
        predicted: class indices, shape (n,), n >= 1.
        n_classes: K.
        weights: of the particles in each of B resamples, shape (B, n), rows sum to 1; None: one sample, equal weights.

    Returns:
        Shape (K,), or (B, K) with weights.
    """
    members = np.eye(n_classes)[predicted]
    return np.asarray(members.mean(axis=0) if weights is None else weights @ members)


def adjusted_count(counted: Floats, confusion: Floats) -> Floats:
    """Undo the errors of a count with the inverse of the confusion matrix (adjusted classify and count; Forman 2008).

    Where the inverse leaves [0, 1] or does not exist, the result is the most likely shares.

    Args:
        counted: share of each predicted class, shape (K,).
        confusion: probability of each predicted class given the true class, rows are true classes, shape (K, K).
    """
    return _unmixed(confusion, counted)


def probabilistic_adjusted_count(probabilities: Floats, mean_scores: Floats) -> Floats:
    """As ``adjusted_count``, from probabilities instead of predicted classes (Bella et al. 2010).

    Args:
        probabilities: of the sample, shape (n, K).
        mean_scores: mean probabilities of the particles of each true class, rows are true classes, shape (K, K).
    """
    return _unmixed(mean_scores, probabilities.mean(axis=0))


def _unmixed(rows: Floats, mean: Floats) -> Floats:
    """Shares p with p @ rows = mean, or the most likely ones where there are none in [0, 1]."""
    if np.linalg.cond(rows) < WORST_CONDITION:
        exact = np.linalg.solve(rows.T, mean)
        if (exact >= 0).all():
            return np.asarray(exact / exact.sum())
    return expectation_maximisation(rows[None], mean[None])[0]


def expectation_maximisation(likelihoods: Floats, weights: Floats, start: Floats | None = None) -> Floats:
    """Shares that maximise the likelihood of the sample, by expectation maximisation (Saerens et al. 2002).

    Two steps are followed by a leap in their direction (SQUAREM, scheme S3; Varadhan and Roland 2008), because the
    steps are tiny where a classifier hardly tells two classes apart.

    Args:
        likelihoods: of each particle given each class, up to a factor for each particle, shape (B, K, n); at least one
            above 0 for each particle.
        weights: of the particles, rows sum to 1, shape (B, n).
        start: first shares, all above 0, shape (B, K); None: equal shares.

    Returns:
        Shape (B, K), rows sum to 1.
    """
    shape = likelihoods.shape[:2]
    found = np.full(shape, 1 / shape[1]) if start is None else start.copy()
    left = np.arange(shape[0])  # samples whose shares still change
    for _ in range(MOST_LEAPS):
        shares = found[left]
        first = _step(shares, likelihoods, weights)
        changing = np.abs(first - shares).max(axis=1) >= TOLERANCE
        found[left] = first
        if not changing.any():
            break
        if not changing.all():
            left, shares, first = left[changing], shares[changing], first[changing]
            likelihoods, weights = likelihoods[changing], weights[changing]
        found[left] = _leap(shares, first, _step(first, likelihoods, weights))
    return found


def _step(shares: Floats, likelihoods: Floats, weights: Floats) -> Floats:
    mixture = np.maximum(np.matmul(shares[:, None], likelihoods)[:, 0], SMALLEST)
    following = shares * np.matmul(likelihoods, (weights / mixture)[:, :, None])[:, :, 0]
    return np.asarray(following / following.sum(axis=1, keepdims=True))


def _leap(shares: Floats, first: Floats, second: Floats) -> Floats:
    """Shares ahead of the second step; the second step itself where a share would not stay above 0."""
    change = first - shares
    bend = second - first - change
    size = np.sqrt((bend**2).sum(axis=1, keepdims=True))
    length = np.divide(np.sqrt((change**2).sum(axis=1, keepdims=True)), size, out=np.ones_like(size), where=size > 0)
    ahead = shares + 2 * length * change + length**2 * bend
    inside = (length > 1) & (ahead > 0).all(axis=1, keepdims=True)
    return np.where(inside, ahead, second)


def shrink(counted: Floats, corrected: Floats, noise: Floats) -> float:
    """How much of a correction to believe: 0 none, 1 all of it (positive part of James and Stein 1961).

    Close to the class shares of the training set, the correction of a count is smaller than its own noise, and the
    count is the better estimate. Far from them it is the other way round.

    Args:
        counted: shape (K,).
        corrected: shape (K,).
        noise: variance of ``corrected - counted``, shape (K,).
    """
    distance = float(((corrected - counted) ** 2).sum())
    return max(0.0, 1 - float(noise.sum()) / distance) if distance > 0 else 0.0
