"""The fold table as the stages after split read it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipnet import files


class Fold(NamedTuple):
    """One fold of one repeat; ``number`` counts over all repeats; ``train`` and ``test`` are rows of the table."""

    number: int
    repeat: int
    fold: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def read_folds(path: Path) -> list[Fold]:
    """All folds of all repeats, in order."""
    table = files.read_table(path)
    return folds_of(table.drop(columns="id").to_numpy().T)


def folds_of(assignments: NDArray[np.int64]) -> list[Fold]:
    """The folds of a cross-validation from the fold of every particle in every repeat, shape (repeats, n)."""
    folds: list[Fold] = []
    for repeat, assigned in enumerate(assignments):
        for fold in range(assigned.max() + 1):
            train, test = np.flatnonzero(assigned != fold), np.flatnonzero(assigned == fold)
            folds.append(Fold(len(folds), repeat, fold, train, test))
    return folds
