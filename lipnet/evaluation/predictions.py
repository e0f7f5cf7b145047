"""The table of out-of-fold predictions, which every classifier writes and later stages read.

It has one row for each particle and repeat: id, repeat, fold, label (true class), predicted (class), and p_<class> for
each class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.samples.tables import Fold, Particles

PROBABILITY = "p_"
PRIOR = "prior_"


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of one classifier.

    Attributes:
        classes: the K class names.
        ids: names of the particles, shape (n_rows,).
        repeat: repeat of the cross-validation, shape (n_rows,).
        fold: fold in which the particle is a test particle, shape (n_rows,).
        true: class index, shape (n_rows,).
        predicted: class index, shape (n_rows,).
        probabilities: shape (n_rows, K), rows sum to 1.
    """

    classes: list[str]
    ids: NDArray[np.str_]
    repeat: NDArray[np.int64]
    fold: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]


class FoldOutput(NamedTuple):
    """Predictions of a classifier, or of a decision rule, for the test rows of one fold.

    Attributes:
        predicted: class indices, shape (n_test,).
        probabilities: shape (n_test, K), rows sum to 1; label smoothing is not undone.
        prior: class shares that the probabilities are for, shape (K,): those of a balanced training set, the natural
            ones, or those that a decision rule shifts to.
        label_smoothing: of the labels that the classifier was trained on.
    """

    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    prior: NDArray[np.float64]
    label_smoothing: float = 0.0


def to_table(folds: Sequence[Fold], outputs: Sequence[FoldOutput], data: Particles) -> pd.DataFrame:
    """Join the predictions of all folds into the table, sorted by repeat and by order of the particles.

    Args:
        folds: all folds of all repeats.
        outputs: of one classifier, one for each fold.
        data: the particles.
    """
    names, frames = np.array(data.classes), []
    for fold, output in zip(folds, outputs, strict=True):
        frame = pd.DataFrame({"row": fold.test, "id": data.ids[fold.test], "repeat": fold.repeat, "fold": fold.fold})
        frame["label"], frame["predicted"] = names[data.labels[fold.test]], names[output.predicted]
        # Six digits: enough for any measure, and a table that compresses and reads well.
        frame[[PROBABILITY + name for name in data.classes]] = np.round(output.probabilities, 6)
        frames.append(frame)
    return pd.concat(frames).sort_values(["repeat", "row"]).drop(columns="row").reset_index(drop=True)


def priors_to_table(
    classifier: str, folds: Sequence[Fold], outputs: Sequence[FoldOutput], classes: list[str]
) -> pd.DataFrame:
    """The priors that the probabilities of a classifier are for, one row for each fold.

    Columns: classifier, repeat, fold, label_smoothing, and prior_<class> for each class.
    """
    rows = [
        {"classifier": classifier, "repeat": fold.repeat, "fold": fold.fold, "label_smoothing": output.label_smoothing}
        | {PRIOR + name: share for name, share in zip(classes, output.prior.tolist(), strict=True)}
        for fold, output in zip(folds, outputs, strict=True)
    ]
    return pd.DataFrame(rows)


def outputs_of(predictions: Predictions, priors: pd.DataFrame, folds: Sequence[Fold], name: str) -> list[FoldOutput]:
    """The output of a classifier for each fold, from its predictions and the table of priors.

    Args:
        predictions: of the classifier.
        priors: of ``priors_to_table``; may hold other classifiers too.
        folds: all folds of all repeats.
        name: of the classifier.

    Raises:
        InputError: a fold has no prior, or more than one.
    """
    own, outputs = priors[priors["classifier"] == name], []
    for fold in folds:
        prior = own[(own["repeat"] == fold.repeat) & (own["fold"] == fold.fold)]
        if len(prior) != 1:
            raise InputError(
                f"{name}: the table of priors has {len(prior)} rows for fold {fold.fold} of repeat {fold.repeat} "
                "instead of one; run `dvc repro`"
            )
        rows = (predictions.repeat == fold.repeat) & (predictions.fold == fold.fold)
        shares = prior[[PRIOR + label for label in predictions.classes]].iloc[0].to_numpy(dtype=np.float64)
        smoothing = float(prior["label_smoothing"].iloc[0])
        outputs.append(FoldOutput(predictions.predicted[rows], predictions.probabilities[rows], shares, smoothing))
    return outputs


def from_table(table: pd.DataFrame, name: str) -> Predictions:
    """Check a predictions table and turn it into arrays.

    Raises:
        InputError: a column is missing, a class is unknown, a row of probabilities is negative or does not sum to 1, or
            a repeat does not hold each particle exactly once. The message starts with ``name``, the name of the file.
    """
    classes = [column.removeprefix(PROBABILITY) for column in table.columns if column.startswith(PROBABILITY)]
    missing = [column for column in ("id", "repeat", "fold", "label", "predicted") if column not in table.columns]
    if missing or len(classes) < 2:
        raise InputError(f"{name}: column {', '.join(missing) or 'p_<class>'} is missing; run `dvc repro` again")
    index = {label: number for number, label in enumerate(classes)}
    unknown = sorted((set(table["label"]) | set(table["predicted"])) - set(index))
    if unknown:
        raise InputError(f"{name}: class {', '.join(unknown)} has no probability column")
    probabilities = table[[PROBABILITY + label for label in classes]].to_numpy(dtype=np.float64)
    _check_probabilities(table, probabilities, name)
    _check_complete(table, name)
    return Predictions(
        classes=classes,
        ids=table["id"].to_numpy(dtype=np.str_),
        repeat=table["repeat"].to_numpy(dtype=np.int64),
        fold=table["fold"].to_numpy(dtype=np.int64),
        true=np.array([index[label] for label in table["label"]], dtype=np.int64),
        predicted=np.array([index[label] for label in table["predicted"]], dtype=np.int64),
        probabilities=probabilities,
    )


def _check_probabilities(table: pd.DataFrame, probabilities: NDArray[np.float64], name: str) -> None:
    fine = np.isfinite(probabilities).all(axis=1) & (probabilities >= 0).all(axis=1)
    fine &= np.abs(probabilities.sum(axis=1) - 1) < 1e-4
    if not fine.all():
        row = int(np.flatnonzero(~fine)[0])
        raise InputError(f"{name}: row {row + 2} (id {table['id'][row]}): probabilities are not >= 0 with sum 1")


def _check_complete(table: pd.DataFrame, name: str) -> None:
    everything = set(table["id"])
    for repeat, part in table.groupby("repeat"):
        if part["id"].duplicated().any():
            first = part["id"][part["id"].duplicated()].iloc[0]
            raise InputError(
                f"{name}: particle '{first}' stands twice in repeat {repeat}; each belongs to one test fold"
            )
        if len(part) != len(everything):
            first = min(everything - set(part["id"]))
            raise InputError(f"{name}: particle '{first}' is missing in repeat {repeat}; a fold was lost, run it again")


def check_alike(predictions: dict[str, Predictions]) -> None:
    """Check that all classifiers of a problem predict the same particles in the same folds.

    Args:
        predictions: by the name of the file.

    Raises:
        InputError: two files differ in particles, folds or classes; names both.
    """
    (first, one), *others = predictions.items()
    for name, other in others:
        columns = [(one.ids, other.ids), (one.repeat, other.repeat), (one.fold, other.fold)]
        if one.classes != other.classes or not all(np.array_equal(*pair) for pair in columns):
            raise InputError(
                f"{first} and {name}: they do not hold the same particles in the same folds, of the same classes; "
                "delete them and run `dvc repro`"
            )
