"""The one table that every classifier writes and every later stage reads: out-of-fold predictions.

One row a particle and repeat: id, repeat, fold, label (true class), predicted (class), and p_<class> for each class.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.errors import InputError

PROBABILITY = "p_"


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of one classifier.

    Attributes:
        classes: the K class names.
        ids: names of the particles, shape (n_rows,).
        repeat: repeat of the cross-validation, shape (n_rows,).
        fold: fold whose test set holds the row, shape (n_rows,).
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


@dataclass(frozen=True)
class FoldPredictions:
    """What a classifier says of one test fold: its rows, the class it names, and its probabilities."""

    repeat: int
    fold: int
    rows: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def to_table(
    parts: list[FoldPredictions], ids: NDArray[np.str_], labels: NDArray[np.int64], classes: list[str]
) -> pd.DataFrame:
    """Join the predictions of all folds into the table, sorted by repeat and by order of the particles.

    Args:
        parts: one per repeat and fold.
        ids: of all particles, shape (n,).
        labels: true class index of all particles, shape (n,).
        classes: the K class names.
    """
    names = np.array(classes)
    frames = []
    for part in parts:
        frame = pd.DataFrame({"row": part.rows, "id": ids[part.rows], "repeat": part.repeat, "fold": part.fold})
        frame["label"], frame["predicted"] = names[labels[part.rows]], names[part.predicted]
        # Six digits: enough for any measure, and a table that compresses and reads well.
        frame[[PROBABILITY + name for name in classes]] = np.round(part.probabilities, 6)
        frames.append(frame)
    return pd.concat(frames).sort_values(["repeat", "row"]).drop(columns="row").reset_index(drop=True)


def from_table(table: pd.DataFrame, name: str) -> Predictions:
    """Check a predictions table and turn it into arrays.

    Raises:
        InputError: a column is missing, a class is unknown, probabilities are not probabilities, or the repeats do not
            hold each particle exactly once; ``name`` says which file is at fault.
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
    """Make sure that all classifiers of a problem predict the same particles in the same folds.

    Args:
        predictions: by the name of the file.

    Raises:
        InputError: they do not, as where a fold was lost; names two files.
    """
    (first, one), *others = predictions.items()
    for name, other in others:
        columns = [(one.ids, other.ids), (one.repeat, other.repeat), (one.fold, other.fold)]
        if one.classes != other.classes or not all(np.array_equal(*pair) for pair in columns):
            raise InputError(
                f"{first} and {name}: they do not hold the same particles in the same folds, of the same classes; "
                "delete them and run `dvc repro`"
            )
