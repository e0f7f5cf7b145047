"""The fold table as the stages after split read it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipnet import files


def each_fold(path: Path) -> Iterator[tuple[int, int, NDArray[np.int64], NDArray[np.int64]]]:
    """Repeat, fold, training rows and test rows of every fold of every repeat, in order."""
    table = files.read_table(path)
    for repeat, column in enumerate(name for name in table.columns if name != "id"):
        folds = table[column].to_numpy()
        for fold in range(folds.max() + 1):
            yield repeat, fold, np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
