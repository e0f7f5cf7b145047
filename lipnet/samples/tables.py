"""Particles and folds, read from the tables that ingest and split write."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core import files
from lipnet.core.problems import classes_of, encode
from lipnet.samples.feature_names import select_columns


@dataclass(frozen=True, eq=False)  # compared by identity, so that it can be a cache key
class Particles:
    """Particles of one problem: the table that ingest wrote, class names, and class and group indices, shape (n,)."""

    problem: str
    table: pd.DataFrame
    classes: list[str]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def ids(self) -> NDArray[np.str_]:
        """Ids of the particles, shape (n,)."""
        return self.table["id"].to_numpy(dtype=np.str_)

    def values(self, features: list[str]) -> tuple[NDArray[np.float64], list[str]]:
        """Values of features, shape (n, n_columns), and the columns that the feature names select."""
        columns = select_columns(self.table, features)
        return self.table[columns].to_numpy(dtype=np.float64), columns


class Fold(NamedTuple):
    """One fold of one repeat; ``number`` counts over all repeats; ``train`` and ``test`` are rows of the table."""

    number: int
    repeat: int
    fold: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def read_particles(params: dict[str, Any], problem: str, path: Path) -> Particles:
    """Read the table of particles that ingest wrote."""
    table, classes = files.read_table(path), classes_of(params, problem)
    return Particles(problem, table, classes, encode(table["label"], classes), pd.factorize(table["group"])[0])


def read_folds(path: Path) -> list[Fold]:
    """Read all folds of all repeats, in order."""
    table = files.read_table(path)
    return folds_of(table.drop(columns="id").to_numpy().T)


def folds_of(assignments: NDArray[np.int64]) -> list[Fold]:
    """Folds of a cross-validation, from the fold number of every particle in every repeat, shape (repeats, n)."""
    folds: list[Fold] = []
    for repeat, assigned in enumerate(assignments):
        for fold in range(assigned.max() + 1):
            train, test = np.flatnonzero(assigned != fold), np.flatnonzero(assigned == fold)
            folds.append(Fold(len(folds), repeat, fold, train, test))
    return folds
