"""Posteriors: the probabilities of a classifier together with the class prior that they are for.

A network trained on balanced classes gives the posterior of its balanced training set. Decision rules need to know that
prior, and they need probabilities without the effect of label smoothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipnet.evaluation.predictions import FoldOutput


class Posterior(NamedTuple):
    """Probabilities of one classifier for some rows.

    Attributes:
        probabilities: shape (n, K), rows sum to 1.
        prior: class shares that the probabilities are for, shape (K,).
    """

    probabilities: NDArray[np.float64]
    prior: NDArray[np.float64]


class InnerScores(NamedTuple):
    """Inner out-of-fold scores of the training rows of one fold.

    Attributes:
        parts: for each inner fold, the posterior of each classifier.
        labels: class index of the rows of all inner folds, in their order, shape (n,).
    """

    parts: Sequence[Sequence[Posterior]]
    labels: NDArray[np.int64]


def posterior(output: FoldOutput, floor: float) -> Posterior:
    """The posterior of a classifier, with label smoothing undone.

    Args:
        output: of the classifier.
        floor: see ``unsmooth``.
    """
    smoothing, given = output.label_smoothing, output.probabilities
    return Posterior(unsmooth(given, smoothing, floor) if smoothing else given, output.prior)


def unsmooth(probabilities: NDArray[np.float64], label_smoothing: float, floor: float) -> NDArray[np.float64]:
    """Undo label smoothing: turn probabilities of smoothed labels into probabilities of the classes.

    Labels smoothed by e teach q = (1 - e) p + e / K. The odds of q are therefore at most (1 - e + e / K) / (e / K),
    which is 28 to 1 for e = 0.1 and K = 3. A prior of 68 to 1 would overrule every such q, and the rare class would
    never be predicted.

    Args:
        probabilities: q, shape (n, K), rows sum to 1.
        label_smoothing: e, in [0, 1).
        floor: smallest value of p before rows are made to sum to 1 again. A trained network gives some q below e / K,
            for which p would be negative.

    Returns:
        p, shape (n, K), all above 0, rows sum to 1.
    """
    exact = (probabilities - label_smoothing / probabilities.shape[1]) / (1 - label_smoothing)
    return _normalised(np.maximum(exact, floor))


def shift_prior(
    probabilities: NDArray[np.float64], given: NDArray[np.float64], wanted: NDArray[np.float64], strength: float
) -> NDArray[np.float64]:
    """Exchange the prior of a posterior: p_k (wanted_k / given_k)^strength, made to sum to 1.

    Strength 1 is Bayes' rule (Saerens et al. 2002, equation 4). Strength 0.5 gives the geometric mean of the posteriors
    before and after the exchange, which keeps more recall of the rare classes.

    Args:
        probabilities: posterior under the given prior, all above 0, shape (n, K).
        given: prior of the classifier's training set, shape (K,).
        wanted: prior that replaces it, shape (K,).
        strength: in [0, 1].

    Returns:
        Shape (n, K). A class with a given prior of 0 was not in the training set; it gets probability 0 at every
        strength above 0.
    """
    ratio = np.divide(wanted, given, out=np.zeros_like(wanted), where=given > 0)
    return _normalised(probabilities * ratio**strength)


def _normalised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights / weights.sum(axis=1, keepdims=True)
