"""Losses that a network learns by: cross-entropy, and two that answer imbalance (a weight per class is in ``balance``).

Keras is imported inside the function, as in ``networks``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipnet.samples.balance import LossSettings

# targets (n, K), probabilities (n, K) -> loss of each example, shape (n,); tensors of the backend.
Loss = Callable[[Any, Any], Any]


def per_example(settings: LossSettings, label_smoothing: float, prior: NDArray[np.float64]) -> Loss:
    """The loss of each example.

    Focal loss weighs an example by (1 - p)^gamma, so that what is learned already counts less (Lin et al. 2017). The
    logit-adjusted loss learns by p_k prior_k^strength, made to sum to 1: what the network then states has no share in
    a prior of the training set that is not balanced (Menon et al. 2021).

    Args:
        settings: which loss.
        label_smoothing: e; every class gets e / K, the true one the rest.
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
