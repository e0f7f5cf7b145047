"""Input of training a classifier on one fold: the part that all classifiers share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipnet.core.errors import InputError


@dataclass(frozen=True)
class FoldTask:
    """Input of training any classifier on one fold; picklable.

    Attributes:
        labels: class index of every particle, shape (n,).
        groups: group index of every particle, shape (n,).
        train: training rows, shape (n_train,).
        test: test rows, shape (n_test,); used for the final prediction only.
        seed: seed of the whole run.
    """

    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    seed: int


@dataclass(frozen=True)
class FeatureTask(FoldTask):
    """Input of training a classifier of particle features on one fold.

    Attributes:
        features: of all particles, shape (n, n_features).
        names: of the features; for messages and the card of the model.
    """

    features: NDArray[np.float64]
    names: Sequence[str]

    def check_finite(self) -> None:
        """Make sure that all features are finite; LIBSVM, for one, accepts NaN silently.

        Raises:
            InputError: a feature has NaN or infinite values; the message names the features.
        """
        bad = np.flatnonzero(~np.isfinite(self.features).all(axis=0))
        if len(bad):
            names = ", ".join(self.names[int(column)] for column in bad)
            raise InputError(
                f"feature {names}: has NaN or infinite values; leave those particles out, or use other features"
            )
