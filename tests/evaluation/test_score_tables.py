"""The tables of the stage evaluate: keys first, one part for each classifier; and the few numbers of metrics.json."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lipnet.core.errors import InputError
from lipnet.evaluation import metrics
from lipnet.evaluation.bootstrap import groups_of
from lipnet.evaluation.predictions import Predictions
from lipnet.evaluation.score_tables import EvaluateSettings, headline, records_of, summary_table, tables_of

SETTINGS = EvaluateSettings(abstain_below=[0.5, 0.9], confidence=0.95, headline=["best", "cnn"], baseline="svm")
NUMBERS = {"macro_f1_up", "mcc_up", "log_loss_down", "average_precision_up", "rarest_recall_up", "rarest_precision_up"}
TRUE = np.tile([0, 1], 6)


def _predictions(seed: int) -> Predictions:
    probabilities = np.random.default_rng(seed).dirichlet([1, 1], 12)
    ids, fold = np.array([f"p{i}" for i in range(12)]), np.repeat([0, 1, 2], 4)
    return Predictions(["A", "B"], ids, np.zeros(12, int), fold, TRUE, probabilities.argmax(axis=1), probabilities)


PREDICTIONS = {"cnn": _predictions(0), "svm": _predictions(1)}


def test_tables_have_the_rows_of_each_classifier_with_problem_and_classifier_first() -> None:
    tables = tables_of("p", PREDICTIONS, SETTINGS)
    assert list(tables) == ["folds", "summary", "classes", "confusion", "abstention"]
    for table in tables.values():
        assert list(table.columns[:2]) == ["problem", "classifier"]
        assert list(table["classifier"].unique()) == ["cnn", "svm"] and set(table["problem"]) == {"p"}
    own = tables["folds"][tables["folds"]["classifier"] == "svm"].drop(columns=["problem", "classifier"])
    pd.testing.assert_frame_equal(own, metrics.fold_table(PREDICTIONS["svm"]))


def test_the_summary_holds_mean_sd_and_folds_of_every_measure_and_gives_the_records_back() -> None:
    summary = tables_of("p", PREDICTIONS, SETTINGS)["summary"]
    assert list(summary.columns[2:]) == ["class", "measure", "mean", "sd", "folds"]
    expected = {name: metrics.summary(metrics.fold_table(item), ["A", "B"]) for name, item in PREDICTIONS.items()}
    assert records_of(summary) == expected


def test_the_summary_counts_the_folds_where_a_measure_is_defined() -> None:
    predicted = np.where(np.arange(12) < 4, 0, TRUE)  # B is never predicted in the first of three folds
    folds = metrics.fold_table(replace(PREDICTIONS["cnn"], predicted=predicted))
    table = summary_table(folds, ["A", "B"]).set_index(["class", "measure"])
    assert table.loc[("B", "ppv"), ["mean", "sd", "folds"]].tolist() == [1.0, 0.0, 2]
    record = records_of(table.reset_index().assign(classifier="cnn"))["cnn"]
    assert record["B"]["ppv"] == {"mean": 1.0, "sd": 0.0, "folds": 2} and "folds" not in record["B"]["tpr"]


def test_a_problem_has_at_most_eight_headline_numbers_whose_keys_say_what_is_better() -> None:
    tables = tables_of("p", PREDICTIONS, SETTINGS)
    found = headline(tables, SETTINGS)
    assert set(found) == {"network", "svm"} and set(found["network"]) == NUMBERS
    assert set(found["svm"]) == {"macro_f1_up", "log_loss_down"}
    assert sum(map(len, found.values())) == 8
    assert found["network"]["mcc_up"] == records_of(tables["summary"])["cnn"]["mcc"]["mean"]


def test_the_first_rule_that_was_evaluated_is_the_network() -> None:
    more = {**PREDICTIONS, "best": _predictions(2)}
    found = headline(tables_of("p", more, SETTINGS), SETTINGS)
    assert found["network"] == headline(tables_of("p", {**more, "cnn": more["best"]}, SETTINGS), SETTINGS)["network"]
    for name, message in {"headline": "names best, cnn, but evaluated were: svm", "baseline": "names svm"}.items():
        kept = {"svm": PREDICTIONS["svm"]} if name == "headline" else {"cnn": PREDICTIONS["cnn"]}
        with pytest.raises(InputError, match=rf"params\.yaml: evaluate\.{name} {message}"):
            headline(tables_of("p", kept, SETTINGS), SETTINGS)


def test_recall_and_precision_of_the_rarest_class_are_from_pooled_counts_and_absent_classes_do_not_count() -> None:
    true, predicted = np.repeat([0, 2], [9, 3]), np.repeat([0, 2, 0], [8, 3, 1])
    probabilities = np.full((12, 3), 1 / 3)
    rare = replace(PREDICTIONS["cnn"], classes=["A", "B", "C"], true=true, predicted=predicted)
    rare = replace(rare, probabilities=probabilities)
    found = headline(tables_of("p", {"cnn": rare, "svm": rare}, SETTINGS), SETTINGS)["network"]
    assert (found["rarest_recall_up"], found["rarest_precision_up"]) == (0.6667, 0.6667)
    never = replace(rare, predicted=np.zeros(12, int))
    found = headline(tables_of("p", {"cnn": never, "svm": never}, SETTINGS), SETTINGS)["network"]
    assert (found["rarest_recall_up"], found["rarest_precision_up"]) == (0.0, None)


def test_the_baseline_cannot_be_called_network() -> None:
    with pytest.raises(ValueError, match=r"metrics\.json uses the name 'network' already"):
        EvaluateSettings(abstain_below=[0.5], confidence=0.95, headline=["cnn"], baseline="network")


def test_groups_follow_the_rows_of_the_predictions() -> None:
    table = pd.DataFrame({"id": [f"p{i}" for i in range(12)][::-1], "group": list("aabbccddeeff")})
    assert groups_of(PREDICTIONS["cnn"], table, "p.csv").tolist() == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    with pytest.raises(InputError, match=r"p\.csv: particle 'p0' was predicted and is not there"):
        groups_of(PREDICTIONS["cnn"], table.iloc[:-1], "p.csv")
