"""The predictions table: what is written comes back, and a damaged table is refused with the reason."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lipnet.core.errors import InputError
from lipnet.evaluation.predictions import (
    FoldOutput,
    Predictions,
    from_table,
    outputs_of,
    priors_to_table,
    to_table,
)
from lipnet.samples.tables import Fold, Particles

CLASSES = ["Full", "Empty"]
IDS = ["E3", "E1", "E2", "E4"]
LABELS = np.array([0, 1, 1, 0])
DATA = Particles("p", pd.DataFrame({"id": IDS}), CLASSES, LABELS, np.arange(4))


def _fold(repeat: int, fold: int, rows: list[int]) -> Fold:
    return Fold(2 * repeat + fold, repeat, fold, np.setdiff1d(np.arange(4), rows), np.array(rows))


def _output(full: list[float]) -> FoldOutput:
    probabilities = np.column_stack([full, 1 - np.array(full)])
    return FoldOutput(probabilities.argmax(axis=1), probabilities, np.array([full[0], 1 - full[0]]), full[1] / 10)


FOLDS = [_fold(1, 0, [2, 3]), _fold(1, 1, [1, 0]), _fold(0, 0, [0, 1]), _fold(0, 1, [2, 3])]
OUTPUTS = [_output([0.1, 0.8]), _output([0.6, 0.7]), _output([0.9, 0.3]), _output([0.45, 1 / 3])]


def _table() -> pd.DataFrame:
    return to_table(FOLDS, OUTPUTS, DATA)


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
    output = FoldOutput(np.array([1, 1, 1, 1]), np.tile([0.9, 0.1], (4, 1)), np.array([0.5, 0.5]))
    found = from_table(to_table([_fold(0, 0, [0, 1, 2, 3])], [output], DATA), "svm.csv")
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


def _priors(name: str = "svm") -> pd.DataFrame:
    return priors_to_table(name, FOLDS, OUTPUTS, CLASSES)


def test_priors_have_a_row_for_each_fold() -> None:
    table = _priors()
    assert list(table.columns) == ["classifier", "repeat", "fold", "label_smoothing", "prior_Full", "prior_Empty"]
    assert list(table["classifier"]) == ["svm"] * 4
    assert list(table["repeat"]) == [1, 1, 0, 0]
    assert list(table["fold"]) == [0, 1, 0, 1]
    assert_allclose(table["label_smoothing"], [0.08, 0.07, 0.03, 1 / 30])
    assert_allclose(table["prior_Full"], [0.1, 0.6, 0.9, 0.45])
    assert_allclose(table["prior_Empty"], [0.9, 0.4, 0.1, 0.55])


def test_outputs_of_gives_back_predictions_and_priors_of_each_fold() -> None:
    """Rows of a fold come in the order of the particles, as in ``Fold.test`` of the folds that the pipeline makes."""
    others = _priors("cnn").assign(prior_Full=0.0, prior_Empty=1.0, label_smoothing=0.5)
    priors = pd.concat([others, _priors()]).sample(frac=1, random_state=0)
    found = outputs_of(from_table(_table(), "svm.csv"), priors, FOLDS, "svm")
    for fold, output, expected in zip(FOLDS, found, OUTPUTS, strict=True):
        order = np.argsort(fold.test)
        assert_array_equal(output.predicted, expected.predicted[order])
        assert_allclose(output.probabilities, expected.probabilities[order], atol=5e-7)
        assert_allclose(output.prior, expected.prior)
        assert output.label_smoothing == pytest.approx(expected.label_smoothing)


def test_outputs_of_keeps_the_class_order_of_the_predictions() -> None:
    swapped = _table()[["id", "repeat", "fold", "label", "predicted", "p_Empty", "p_Full"]]
    found = outputs_of(from_table(swapped, "svm.csv"), _priors(), FOLDS, "svm")
    assert_allclose(found[0].prior, [0.9, 0.1])
    assert_allclose(found[0].probabilities[:, 1], [0.1, 0.8])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda table: table.iloc[1:], "svm: the table of priors has 0 rows for fold 0 of repeat 1"),
        (
            lambda table: pd.concat([table, table.iloc[2:3]]),
            "svm: the table of priors has 2 rows for fold 0 of repeat 0",
        ),
        (lambda table: table.assign(classifier="cnn"), "svm: .* 0 rows"),
    ],
    ids=["a fold is missing", "a fold stands twice", "another classifier"],
)
def test_priors_that_do_not_fit_are_refused(damage: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    with pytest.raises(InputError, match=message):
        outputs_of(from_table(_table(), "svm.csv"), damage(_priors()), FOLDS, "svm")
