"""Early stopping: part the training rows of a fold, and choose the number of epochs (thesis, section 5.4)."""

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.settings import EpochSettings
from lipnet.classifiers.networks.task import NetworkTask
from lipnet.core.errors import InputError
from lipnet.core.seeds import derive, generator
from lipnet.samples import folds
from lipnet.samples.balance import TrainingSet, oversample


def split_validation(task: NetworkTask) -> tuple[TrainingSet, NDArray[np.int64]]:
    """Part the training rows of a fold: a training set without the validation rows, and those rows; groups stay whole.

    Synthetic examples are left out, because SMOTE may have made them from validation rows. Repeats of the fitting rows
    replace them, so that class shares and length of an epoch are those of the training that follows.

    Raises:
        InputError: all training rows are artificial, or the fitting rows lack a class.
    """
    rows = np.unique(task.training_set.rows)
    if not len(rows):
        raise InputError("balance.method 'artificial_only' leaves no rows to choose epochs on; use choose: fixed")
    n_parts, seed = task.training.epochs.validation_parts, derive("validation", task.seed, task.fold)
    setting = "train_cnn.epochs.validation_parts"
    _, held_out = folds.parts(task.labels[rows], task.groups[rows], n_parts, seed, setting)[0]
    validation = rows[held_out]
    balanced = task.training_set
    fitting = balanced.rows[~np.isin(balanced.rows, validation)]
    lost = np.setdiff1d(np.arange(len(balanced.class_weights)), task.labels[fitting])
    if len(lost):
        raise InputError(
            f"fold {task.fold}: early stopping took all groups of class {lost[0]} (counted from 0, as in `classes`) "
            f"for validation; raise {setting} or use choose: fixed"
        )
    if len(balanced.synthetic_labels):
        fitting = oversample(fitting, task.labels, generator("validation", task.seed, task.fold))
    return (
        TrainingSet(
            rows=fitting,
            synthetic={},
            synthetic_labels=np.empty(0, np.int64),
            class_weights=balanced.class_weights,
            drop_fraction=balanced.drop_fraction,
        ),
        validation,
    )


def balanced_log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Log loss averaged within each class, then over the classes present: all classes have the same weight."""
    losses = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-7, 1))
    return float(np.mean([losses[labels == label].mean() for label in np.unique(labels)]))


def is_over(losses: list[float], settings: EpochSettings) -> bool:
    """Whether to stop: no improvement for more epochs than ``patience``, or the maximum number of epochs is reached.

    Args:
        losses: validation loss after each epoch so far.
        settings: patience and maximum.
    """
    return len(losses) == settings.most or len(losses) - int(np.argmin([*losses, np.inf])) > settings.patience


def best_epochs(losses: list[float]) -> int:
    """Number of epochs with the lowest validation loss."""
    return int(np.argmin(losses)) + 1
