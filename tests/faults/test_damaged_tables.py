"""Damaged tables and incomplete predictions are refused; the message names the file."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.evaluation.predictions import FoldOutput, Predictions, check_alike, from_table, to_table
from lipnet.samples.tables import Fold, Particles

TABLE = pd.DataFrame({"id": ["a", "b", "c"], "area": [1.25, 2.5, 3.75], "label": ["Full", "Empty", "Größe"]})


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:-3],
        lambda content: content[:30],
        lambda content: content.replace(b"2.5", b"2.x"),
        lambda content: content.replace(b"Full", b'"Full'),
        lambda content: content.replace(b"Full", b"Full,1,2"),
        lambda content: content.replace(b"Full", b"\xff\xfe"),
    ],
    ids=["no line end", "cell", "half", "number", "quote", "more cells", "bytes"],
)
def test_a_truncated_or_damaged_table_is_refused_by_name(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "t.csv"
    files.write_table(path, TABLE)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"t\.csv: damaged .*delete it and run `dvc repro`"):
        files.read_table(path)


def _predictions(numbers: list[int]) -> Predictions:
    """Predictions of some folds of a cross-validation of six particles over three folds."""
    rows, classes = np.arange(6), ["Full", "Empty"]
    table = pd.DataFrame({"id": [f"p{row}" for row in rows]})
    data = Particles("problem", table, classes, rows % 2, rows)
    folds = [Fold(number, 0, number, rows[rows % 3 != number], rows[rows % 3 == number]) for number in numbers]
    outputs = [FoldOutput(np.zeros(2, np.int64), np.full((2, 2), 0.5), np.array([0.5, 0.5])) for _ in numbers]
    return from_table(to_table(folds, outputs, data), "x.csv")


def test_the_same_folds_are_alike() -> None:
    check_alike({"a.csv": _predictions([0, 1, 2]), "b.csv": _predictions([2, 1, 0])})


@pytest.mark.parametrize("left", [[0, 1], [1, 2], [0, 2]])
def test_a_missing_fold_of_one_classifier_is_found_by_comparison_with_another(left: list[int]) -> None:
    with pytest.raises(InputError, match=r"a\.csv and b\.csv: .*same particles in the same folds"):
        check_alike({"a.csv": _predictions([0, 1, 2]), "b.csv": _predictions(left)})
