"""The predictions table: what is written comes back, and a damaged table is refused with the reason."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lipnet.core.errors import InputError
from lipnet.evaluation.predictions import FoldPredictions, Predictions, from_table, to_table

CLASSES = ["Full", "Empty"]
IDS = np.array(["E3", "E1", "E2", "E4"])
LABELS = np.array([0, 1, 1, 0])


def _part(repeat: int, fold: int, rows: list[int], full: list[float]) -> FoldPredictions:
    probabilities = np.column_stack([full, 1 - np.array(full)])
    return FoldPredictions(repeat, fold, np.array(rows), probabilities.argmax(axis=1), probabilities)


PARTS = [
    _part(1, 0, [2, 3], [0.1, 0.8]),
    _part(1, 1, [1, 0], [0.6, 0.7]),
    _part(0, 0, [0, 1], [0.9, 0.3]),
    _part(0, 1, [2, 3], [0.45, 1 / 3]),
]


def _table() -> pd.DataFrame:
    return to_table(PARTS, IDS, LABELS, CLASSES)


def test_the_table_is_sorted_by_repeat_and_order_of_the_particles() -> None:
    table = _table()
    assert list(table.columns) == ["id", "repeat", "fold", "label", "predicted", "p_Full", "p_Empty"]
    assert list(table["id"]) == ["E3", "E1", "E2", "E4"] * 2
    assert list(table["repeat"]) == [0] * 4 + [1] * 4
    assert list(table["fold"]) == [0, 0, 1, 1, 1, 1, 0, 0]
    assert list(table["label"]) == ["Full", "Empty", "Empty", "Full"] * 2
    assert list(table["predicted"]) == ["Full", "Empty", "Empty", "Empty", "Full", "Full", "Empty", "Full"]
    assert list(table["p_Full"]) == [0.9, 0.3, 0.45, 0.333333, 0.7, 0.6, 0.1, 0.8]


def test_from_table_gives_back_what_to_table_wrote() -> None:
    found = from_table(_table(), "svm.csv")
    assert found.classes == CLASSES
    assert_array_equal(found.ids, np.tile(IDS, 2))
    assert_array_equal(found.repeat, [0] * 4 + [1] * 4)
    assert_array_equal(found.fold, [0, 0, 1, 1, 1, 1, 0, 0])
    assert_array_equal(found.true, np.tile(LABELS, 2))
    assert_array_equal(found.predicted, [0, 1, 1, 1, 0, 0, 1, 0])
    assert_allclose(found.probabilities[:, 0], [0.9, 0.3, 0.45, 1 / 3, 0.7, 0.6, 0.1, 0.8], atol=5e-7)
    assert_allclose(found.probabilities.sum(axis=1), 1, atol=2e-6)


def test_the_predicted_class_need_not_be_the_most_probable() -> None:
    part = FoldPredictions(0, 0, np.arange(4), np.array([1, 1, 1, 1]), np.tile([0.9, 0.1], (4, 1)))
    found = from_table(to_table([part], IDS, LABELS, CLASSES), "svm.csv")
    assert_array_equal(found.predicted, [1, 1, 1, 1])
    assert found.probabilities.argmax(axis=1).tolist() == [0] * 4


def _set(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = [*table[column][:5], value, *table[column][6:]]
        return table

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda table: table.drop(columns=["fold", "id"]), "svm.csv: column id, fold is missing"),
        (lambda table: table.drop(columns="p_Empty"), "svm.csv: column p_<class> is missing"),
        (_set("label", "Half"), "svm.csv: class Half has no probability column"),
        (_set("predicted", "Half"), "svm.csv: class Half has no probability column"),
        (_set("p_Full", 0.5), r"svm.csv: row 7 \(id E1\): probabilities are not >= 0 with sum 1"),
        (_set("p_Full", np.nan), "row 7 .*probabilities"),
        (lambda table: _set("p_Empty", -0.1)(_set("p_Full", 1.1)(table)), "row 7 .*probabilities"),
        (_set("id", "E3"), "svm.csv: particle 'E3' stands twice in repeat 1"),
        (lambda table: table.drop(index=5).reset_index(drop=True), "svm.csv: particle 'E1' is missing in repeat 1"),
    ],
)
def test_a_damaged_table_is_refused(damage: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_table(damage(_table()), "svm.csv")


def test_class_order_is_that_of_the_probability_columns() -> None:
    table = _table()[["id", "repeat", "fold", "label", "predicted", "p_Empty", "p_Full"]]
    found = from_table(table, "svm.csv")
    assert isinstance(found, Predictions)
    assert found.classes == ["Empty", "Full"]
    assert_array_equal(found.true[:4], [1, 0, 0, 1])
