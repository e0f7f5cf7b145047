"""The tables of the stage evaluate: keys first, one part for each classifier, and the same numbers in metrics.json."""

import numpy as np
import pandas as pd
import pytest

from lipnet.core.errors import InputError
from lipnet.evaluation import metrics
from lipnet.evaluation.bootstrap import groups_of
from lipnet.evaluation.predictions import Predictions
from lipnet.evaluation.score_tables import EvaluateSettings, summaries_of, tables_of

SETTINGS = EvaluateSettings(abstain_below=[0.5, 0.9], confidence=0.95)
TRUE = np.tile([0, 1], 6)


def _predictions(seed: int) -> Predictions:
    probabilities = np.random.default_rng(seed).dirichlet([1, 1], 12)
    ids, fold = np.array([f"p{i}" for i in range(12)]), np.repeat([0, 1, 2], 4)
    return Predictions(["A", "B"], ids, np.zeros(12, int), fold, TRUE, probabilities.argmax(axis=1), probabilities)


PREDICTIONS = {"cnn": _predictions(0), "svm": _predictions(1)}


def test_tables_have_the_rows_of_each_classifier_with_problem_and_classifier_first() -> None:
    tables = tables_of("p", PREDICTIONS, SETTINGS)
    assert list(tables) == ["folds", "classes", "confusion", "abstention"]
    for table in tables.values():
        assert list(table.columns[:2]) == ["problem", "classifier"]
        assert list(table["classifier"].unique()) == ["cnn", "svm"] and set(table["problem"]) == {"p"}
    own = tables["folds"][tables["folds"]["classifier"] == "svm"].drop(columns=["problem", "classifier"])
    pd.testing.assert_frame_equal(own, metrics.fold_table(PREDICTIONS["svm"]))


def test_summaries_are_those_of_each_classifier() -> None:
    found = summaries_of(tables_of("p", PREDICTIONS, SETTINGS)["folds"], PREDICTIONS)
    assert found == {name: metrics.summary(metrics.fold_table(item), ["A", "B"]) for name, item in PREDICTIONS.items()}


def test_groups_follow_the_rows_of_the_predictions() -> None:
    table = pd.DataFrame({"id": [f"p{i}" for i in range(12)][::-1], "group": list("aabbccddeeff")})
    assert groups_of(PREDICTIONS["cnn"], table, "p.csv").tolist() == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    with pytest.raises(InputError, match=r"p\.csv: particle 'p0' was predicted and is not there"):
        groups_of(PREDICTIONS["cnn"], table.iloc[:-1], "p.csv")
