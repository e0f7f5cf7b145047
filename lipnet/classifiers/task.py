"""Input of training a classifier on one fold: the part that all classifiers share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipnet.core.errors import InputError

LARGEST = float(np.finfo(np.float32).max)  # forests and exported models compute with 32-bit numbers


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

    def check_features(self) -> None:
        """Make sure that there are two classes to tell apart, and that all features are numbers that can be used.

        Raises:
            InputError: all training rows are of one class; or a feature has NaN, infinite or huge values, of which
                LIBSVM, for one, accepts NaN silently. The message names the features.
        """
        check_range(self.features, self.names, LARGEST)
        only = np.unique(self.labels[self.train])
        if len(only) == 1:
            raise InputError(
                f"all training rows of a fold are of class {only[0]} (counted from 0, as in `classes`); a classifier "
                "needs two classes"
            )

    def of_all_classes(self, probabilities: NDArray[np.float64], known: Sequence[int]) -> NDArray[np.float64]:
        """Probabilities with a column for every class, 0 for a class without training rows; shape (n, K).

        Args:
            probabilities: of the known classes, shape (n, n_known).
            known: their class indices.
        """
        filled = np.zeros((len(probabilities), int(self.labels.max()) + 1))
        filled[:, known] = probabilities
        return filled


def check_range(features: NDArray[np.float64], names: Sequence[str], largest: float) -> None:
    """Check that all features are finite and not larger than classifiers can compute with.

    Args:
        features: shape (n, n_features).
        names: of the features.
        largest: largest magnitude that is allowed.

    Raises:
        InputError: a feature is not; the message names the features, and the value of largest magnitude of a huge one.
    """
    bad = np.flatnonzero(~np.isfinite(features).all(axis=0))
    if len(bad):
        raise InputError(
            f"feature {', '.join(names[int(column)] for column in bad)}: has NaN or infinite values; leave those "
            "particles out, or use other features"
        )
    for column in np.flatnonzero((np.abs(features) > largest).any(axis=0)):
        value = features[np.abs(features[:, column]).argmax(), column]
        raise InputError(
            f"feature {names[int(column)]}: has the value {value:g}, and classifiers compute with values up to "
            f"{largest:g} only; if it stands for a missing value, leave those particles out, or use other features"
        )
