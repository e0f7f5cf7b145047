"""Losses of network training: cross-entropy, and two losses for imbalance (class weights: ``samples.balance``).

Keras is imported inside the function, as in ``backend``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.settings import LossSettings

# targets (n, K), probabilities (n, K) -> loss of each example, shape (n,); tensors of the backend.
Loss = Callable[[Any, Any], Any]


def per_example(settings: LossSettings, label_smoothing: float, prior: NDArray[np.float64]) -> Loss:
    """The loss of each example.

    Focal loss weights an example by (1 - p)^gamma, which down-weights easy examples (Lin et al. 2017). The
    logit-adjusted loss is the cross-entropy of p_k prior_k^strength, normalised to sum 1, so that the network does not
    learn the prior of an unbalanced training set (Menon et al. 2021).

    Args:
        settings: which loss.
        label_smoothing: e; every class gets e / K, the true class also gets 1 - e.
        prior: of the training set, shape (K,), sums to 1.
    """
    import keras

    smoothed: dict[str, Any] = {"label_smoothing": label_smoothing, "reduction": None}
    if settings.kind == "focal":
        return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=settings.focal_gamma, **smoothed)
    cross_entropy: Loss = keras.losses.CategoricalCrossentropy(**smoothed)
    if settings.kind == "cross_entropy":
        return cross_entropy
    weights = (prior**settings.logit_strength).astype(np.float32)

    def adjusted(targets: Any, probabilities: Any) -> Any:
        weighted = probabilities * weights
        return cross_entropy(targets, weighted / keras.ops.sum(weighted, axis=-1, keepdims=True))

    return adjusted


def stated_prior(settings: LossSettings, prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """The prior of the network's probabilities: prior of the training set without the loss's adjustment; shape (K,).

    Args:
        settings: which loss.
        prior: of the training set, shape (K,), sums to 1.
    """
    if settings.kind != "logit_adjusted":
        return prior
    left = np.where(prior > 0, prior, 1.0) ** (1 - settings.logit_strength) * (prior > 0)
    return left / left.sum()
