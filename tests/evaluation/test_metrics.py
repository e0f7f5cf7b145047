"""Measures: against scikit-learn, the thesis's Table 9, and the rule that 0/0 is undefined."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from sklearn import metrics as reference
from statsmodels.stats.proportion import proportion_confint

from lipnet.evaluation.measures import HEADLINE_OF_CLASS, OVERALL, PER_CLASS
from lipnet.evaluation.metrics import (
    _recall_and_precision,
    abstention_table,
    average_precisions,
    brier,
    calibration_bins,
    calibration_errors,
    class_ratios,
    class_table,
    cohen_kappa,
    confusion_matrix,
    fold_table,
    matthews,
    mean_confusion,
    operating_points,
    pairs,
    pooled_confusion,
    precision_recall,
    score,
    spread,
    summary,
    wilson,
)
from lipnet.evaluation.predictions import Predictions

NAMES = ["Unilamellar", "Multilamellar", "Uncertain"]
TABLE_9 = np.array([[2325, 15, 124], [4, 323, 16], [2, 3, 11]])  # thesis: lamellarity, LipNet-4


def _probabilities(predicted: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    return np.where(np.eye(n_classes)[predicted] == 1, 0.7, 0.3 / (n_classes - 1))


def _predictions(true: list[int], predicted: list[int], repeat: list[int], fold: list[int]) -> Predictions:
    return Predictions(
        classes=NAMES,
        ids=np.array([str(number) for number in range(len(true))]),
        repeat=np.array(repeat),
        fold=np.array(fold),
        true=np.array(true),
        predicted=np.array(predicted),
        probabilities=_probabilities(np.array(predicted), 3),
    )


def _from_confusion(confusion: NDArray[np.int64]) -> Predictions:
    true, predicted = (np.repeat(index.ravel(), confusion.ravel()).tolist() for index in np.indices(confusion.shape))
    return _predictions(true, predicted, [0] * len(true), [0] * len(true))


@st.composite
def _cases(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """True classes (each present), predicted classes, probabilities."""
    n_classes = draw(st.integers(2, 5))
    label = st.integers(0, n_classes - 1)
    pairs = draw(st.lists(st.tuples(label, label), min_size=1, max_size=60))
    true = np.array([*range(n_classes), *(pair[0] for pair in pairs)])
    predicted = np.array([*draw(st.permutations(range(n_classes))), *(pair[1] for pair in pairs)])
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return true, predicted, rng.dirichlet(np.ones(n_classes), len(true)).clip(1e-4)


def _expected_calibration_error(truth: NDArray[np.bool_], stated: NDArray[np.float64]) -> float:
    """By the definition, bin by bin."""
    total = 0.0
    for low in range(10):
        inside = (stated >= low / 10) & ((stated < (low + 1) / 10) | (low == 9))
        if inside.any():
            total += inside.mean() * abs(truth[inside].mean() - stated[inside].mean())
    return total


@settings(max_examples=100)
@given(_cases())
def test_measures_agree_with_scikit_learn(
    case: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
) -> None:
    true, predicted, probabilities = case
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    n_classes = probabilities.shape[1]
    overall, per_class = score(true, predicted, probabilities)
    one_hot = np.eye(n_classes)[true]
    expected = {
        "accuracy": reference.accuracy_score(true, predicted),
        "balanced_accuracy": reference.balanced_accuracy_score(true, predicted),
        "macro_f1": reference.f1_score(true, predicted, average="macro"),
        "mcc": reference.matthews_corrcoef(true, predicted),
        "kappa": reference.cohen_kappa_score(true, predicted),
        "log_loss": reference.log_loss(true, probabilities, labels=range(n_classes)),
        "brier": reference.brier_score_loss(one_hot, probabilities, scale_by_half=False),
        "ece": np.mean([_expected_calibration_error(true == k, probabilities[:, k]) for k in range(n_classes)]),
        "average_precision": np.mean(
            [reference.average_precision_score(one_hot[:, k], probabilities[:, k]) for k in range(n_classes)]
        ),
    }
    assert tuple(overall) == OVERALL
    for name, value in expected.items():
        assert overall[name] == pytest.approx(value, abs=1e-9), name
    precision, recall, f1, _ = reference.precision_recall_fscore_support(true, predicted)
    assert_allclose(per_class["ppv"], precision)
    assert_allclose(per_class["tpr"], recall)
    assert_allclose(per_class["f1"], f1)
    for label in range(n_classes):
        assert per_class["tnr"][label] == pytest.approx(reference.recall_score(true != label, predicted != label))
        assert per_class["npv"][label] == pytest.approx(reference.precision_score(true != label, predicted != label))
    assert set(per_class) == set(PER_CLASS)


@settings(max_examples=50)
@given(_cases())
def test_confusion_matrix_has_true_classes_in_rows(
    case: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
) -> None:
    true, predicted, probabilities = case
    expected = reference.confusion_matrix(true, predicted, labels=range(probabilities.shape[1]))
    assert_array_equal(confusion_matrix(true, predicted, probabilities.shape[1]), expected)


def test_table_9_of_the_thesis() -> None:
    ratios = class_ratios(TABLE_9)
    assert [(int(k[2]), int(n[2])) for k, n in ratios.values()] == [
        (11, 16),
        (2667, 2807),
        (11, 151),
        (2667, 2672),
        (22, 167),
    ]
    table = class_table(_from_confusion(TABLE_9), 0.95).set_index(["class", "measure"])
    assert len(table) == 3 * 4
    precision = table.loc[("Uncertain", "ppv")]
    assert (precision["numerator"], precision["denominator"]) == (11, 151)
    assert precision["value"] == pytest.approx(0.0728, abs=5e-5)
    recall = table.loc[("Uncertain", "tpr")]
    assert (recall["low"], recall["high"]) == pytest.approx((0.444, 0.858), abs=5e-4)
    assert recall["value"] == 11 / 16
    assert table.loc[("Unilamellar", "tpr"), "value"] == pytest.approx(2325 / 2464)


def test_wider_confidence_gives_wider_intervals() -> None:
    wide, narrow = (class_table(_from_confusion(TABLE_9), confidence) for confidence in (0.99, 0.8))
    assert (wide["low"] < narrow["low"]).all()
    assert (wide["high"] > narrow["high"]).all()


def test_undefined_ratios_are_nan_and_none_in_the_summary() -> None:
    # Uncertain is never true and never predicted.
    predictions = _predictions([0, 0, 1, 1], [0, 1, 1, 1], [0] * 4, [0] * 4)
    overall, per_class = score(predictions.true, predictions.predicted, predictions.probabilities)
    assert np.isnan([per_class[name][2] for name in ("tpr", "ppv", "f1", "average_precision")]).all()
    assert (per_class["tnr"][2], per_class["npv"][2]) == (1, 1)
    assert np.isnan([overall["balanced_accuracy"], overall["macro_f1"]]).all()
    assert overall["accuracy"] == 0.75
    record = summary(fold_table(predictions), NAMES)
    assert record["Uncertain"] == {name: {"mean": None, "sd": None, "folds": 0} for name in HEADLINE_OF_CLASS}
    assert record["macro_f1"] == {"mean": None, "sd": None, "folds": 0}
    assert record["accuracy"] == {"mean": 0.75, "sd": None}
    assert "NaN" not in json.dumps(record)
    table = class_table(predictions, 0.95).set_index(["class", "measure"])
    undefined = table.loc[("Uncertain", "tpr")]
    assert undefined["denominator"] == 0
    assert np.isnan(undefined[["value", "low", "high"]].to_numpy(dtype=float)).all()


def test_a_class_never_predicted_has_recall_0_and_no_precision() -> None:
    _, per_class = score(np.array([0, 1]), np.array([0, 0]), np.tile([0.6, 0.4], (2, 1)))
    assert per_class["tpr"][1] == 0
    assert np.isnan(per_class["ppv"][1])
    assert per_class["f1"][1] == 0


@pytest.mark.parametrize("confusion", [np.array([[5, 0], [3, 0]]), np.array([[4, 2], [0, 0]])])
def test_mcc_is_undefined_where_one_class_takes_a_margin(confusion: NDArray[np.int64]) -> None:
    assert np.isnan(matthews(confusion))
    assert cohen_kappa(confusion) == pytest.approx(0)


def test_kappa_is_undefined_where_chance_agreement_is_certain() -> None:
    assert np.isnan(cohen_kappa(np.array([[7, 0], [0, 0]])))


def test_log_loss_of_a_certain_error_is_finite() -> None:
    overall, _ = score(np.array([0, 1]), np.array([1, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert overall["log_loss"] == pytest.approx(-np.log(1e-7) / 2)


def test_a_probability_that_rounding_took_past_1_costs_nothing() -> None:
    overall, _ = score(np.array([0]), np.array([0]), np.array([[1.0000001, 0.0]]))
    assert overall["log_loss"] == 0


def test_brier_is_0_for_certain_and_right_and_2_for_certain_and_wrong() -> None:
    certain = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert brier(np.array([0, 2]), certain) == 0
    assert brier(np.array([1, 0]), certain) == 2
    assert brier(np.array([0]), np.full((1, 3), 1 / 3)) == pytest.approx(4 / 9 + 2 / 9)


def test_a_constant_that_is_the_share_of_each_class_is_perfectly_calibrated() -> None:
    true = np.repeat([0, 1, 2], [70, 25, 5])
    constant = np.tile([0.7, 0.25, 0.05], (100, 1))
    assert_allclose(calibration_errors(true, constant), 0, atol=1e-12)
    # Balanced probabilities are off by the difference of the priors.
    assert_allclose(calibration_errors(true, np.full((100, 3), 1 / 3)), np.abs(np.array([0.7, 0.25, 0.05]) - 1 / 3))


def test_calibration_bins_hold_their_lower_end_and_the_last_both() -> None:
    counts, stated, observed = calibration_bins(np.array([0, 1, 1]), np.array([[1.0, 0.0], [0.5, 0.5], [0.45, 0.55]]))
    assert_array_equal(counts[0], [0, 0, 0, 0, 1, 1, 0, 0, 0, 1])
    assert_array_equal(counts[1], [1, 0, 0, 0, 0, 2, 0, 0, 0, 0])
    assert_allclose(stated[1], [0, 0, 0, 0, 0, 1.05, 0, 0, 0, 0])
    assert_array_equal(observed[0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    assert_array_equal(observed[1], [0, 0, 0, 0, 0, 2, 0, 0, 0, 0])


def _certain_in_part() -> Predictions:
    """Four particles, twice: 0.9 right, 0.6 right, 0.6 wrong, 0.4 right though it is not the most probable."""
    stated = np.array([[0.9, 0.05, 0.05], [0.2, 0.6, 0.2], [0.2, 0.6, 0.2], [0.4, 0.45, 0.15]])
    predictions = _predictions([0, 1, 2, 0] * 2, [0, 1, 1, 0] * 2, [0] * 4 + [1] * 4, [0] * 8)
    return replace(predictions, probabilities=np.tile(stated, (2, 1)))


def test_abstention_keeps_what_is_certain_and_says_how_much_of_it_is_right() -> None:
    table = abstention_table(_certain_in_part(), [0.4, 0.6, 0.7, 0.95])
    assert list(table.columns) == ["abstain_below", "kept", "coverage", "accuracy"]
    assert_allclose(
        table, [[0.4, 4, 1, 0.75], [0.6, 3, 0.75, 2 / 3], [0.7, 1, 0.25, 1], [0.95, 0, 0, np.nan]], equal_nan=True
    )


def test_precision_recall_passes_through_the_limits_and_the_decisions_lie_where_they_are() -> None:
    of_first, _, of_third = precision_recall(_certain_in_part())
    # Limits 0.9, 0.4 and all: half of the class alone, all of it alone, all of it among the eight.
    assert {(0.5, 1.0), (1.0, 1.0), (1.0, 0.5)} <= set(zip(*(part.tolist() for part in of_first), strict=True))
    assert (1.0, 0.5) in set(zip(*(part.tolist() for part in of_third), strict=True))
    found = operating_points(_certain_in_part())
    assert found[:2] == [(1.0, 1.0), (1.0, 0.5)]
    assert found[2][0] == 0
    assert np.isnan(found[2][1])


def test_limits_that_only_add_false_ones_are_no_points_of_their_own() -> None:
    # Class 0: three true ones, then three false ones; of these, only the last is a corner of the curve.
    stated = np.array([[p, 1 - p, 0] for p in (0.9, 0.8, 0.7, 0.3, 0.2, 0.1)])
    predictions = replace(_predictions([0] * 3 + [1] * 3, [0] * 3 + [1] * 3, [0] * 6, [0] * 6), probabilities=stated)
    recall, precision = precision_recall(predictions)[0]
    assert recall.tolist() == pytest.approx([1, 1, 2 / 3, 1 / 3, 0])
    assert precision.tolist() == [0.5, 1, 1, 1, 1]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=40))
def test_curves_and_average_precisions_are_those_of_scikit_learn_also_among_equal_probabilities(rows) -> None:
    true = np.array([0, *(0 if member else 1 for member, _ in rows)])  # the class is there
    stated = np.array([0.2, *(quarters / 4 for _, quarters in rows)])
    precision, recall, _ = reference.precision_recall_curve(true == 0, stated)
    assert_allclose(_recall_and_precision(true == 0, stated), (recall, precision), rtol=1e-14)
    found = average_precisions(true, np.stack([stated, 1 - stated], axis=1))[0]
    assert found == pytest.approx(reference.average_precision_score(true == 0, stated), rel=1e-14)


@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_intervals_are_those_of_statsmodels(n: int, share: float, confidence: float) -> None:
    expected = proportion_confint(share * n, n, 1 - confidence, method="wilson")
    assert_allclose(wilson(share * n, n, confidence), expected, rtol=1e-12, atol=1e-15)


def test_an_absent_class_has_no_precision_recall_curve() -> None:
    recall, precision = precision_recall(_predictions([0, 1], [0, 1], [0, 0], [0, 0]))[2]
    assert len(recall) == len(precision) == 0


TWO_REPEATS = _predictions(
    true=[0, 0, 1, 2, 0, 0, 1, 2],
    predicted=[0, 1, 1, 2, 0, 0, 1, 0],
    repeat=[0] * 4 + [1] * 4,
    fold=[0, 1, 0, 1, 1, 0, 0, 0],
)


def test_class_table_averages_counts_over_repeats() -> None:
    table = class_table(TWO_REPEATS, 0.95).set_index(["class", "measure"])
    found = {key: (row["numerator"], row["denominator"]) for key, row in table.iterrows()}
    assert found["Unilamellar", "tpr"] == (1.5, 2)
    assert found["Unilamellar", "ppv"] == (1.5, 2)
    assert found["Uncertain", "tpr"] == (0.5, 1)
    assert found["Uncertain", "tnr"] == (3, 3)
    once = _predictions([0, 0, 1, 2], [0, 1, 1, 2], [0] * 4, [0] * 4)
    twice = _predictions([0, 0, 1, 2] * 2, [0, 1, 1, 2] * 2, [0] * 4 + [1] * 4, [0] * 8)
    assert class_table(once, 0.9).equals(class_table(twice, 0.9))


def test_fold_table_scores_each_fold_of_each_repeat_on_its_own() -> None:
    table = fold_table(TWO_REPEATS)
    assert list(table.columns) == ["repeat", "fold", "n_train", "n_test", "class", "measure", "value"]
    accuracy = table[(table["class"] == "") & (table["measure"] == "accuracy")]
    assert accuracy[["repeat", "fold", "n_train", "n_test", "value"]].to_numpy().tolist() == [
        [0, 0, 2, 2, 1.0],
        [0, 1, 2, 2, 0.5],
        [1, 0, 1, 3, 2 / 3],
        [1, 1, 3, 1, 1.0],
    ]
    assert len(table) == 4 * (len(OVERALL) + 3 * len(PER_CLASS))


def test_probabilities_of_more_classes_than_have_a_name_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        fold_table(replace(TWO_REPEATS, classes=NAMES[:2]))


def test_mean_confusion_averages_folds_and_rows_of_shares_sum_to_1() -> None:
    predictions = _predictions(
        true=[0, 0, 1, 2, 0, 1, 2, 2], predicted=[0, 1, 1, 2, 0, 1, 1, 2], repeat=[0] * 8, fold=[0] * 4 + [1] * 4
    )
    counts, shares = mean_confusion(predictions)
    assert_array_equal(counts, [[1, 0.5, 0], [0, 1, 0], [0, 0.5, 1]])
    assert_allclose(shares, [[0.75, 0.25, 0], [0, 1, 0], [0, 0.25, 0.75]])
    assert_allclose(shares.sum(axis=1), 1)


def test_mean_confusion_of_three_folds() -> None:
    # With two folds, "this one" and "all but this one" have the same mean.
    counts, shares = mean_confusion(
        _predictions([0, 1, 2] * 3 + [0], [0, 1, 2] * 2 + [0, 0, 0, 1], [0] * 10, [0] * 3 + [1] * 3 + [2] * 4)
    )
    assert_allclose(counts, np.array([[3, 1, 0], [1, 2, 0], [1, 0, 2]]) / 3)
    assert_allclose(shares, np.array([[2.5, 0.5, 0], [1, 2, 0], [1, 0, 2]]) / 3)


def test_mean_confusion_counts_folds_of_different_repeats_apart() -> None:
    counts, _ = mean_confusion(TWO_REPEATS)
    assert counts.sum() == pytest.approx(8 / 4)


def test_spread_leaves_undefined_folds_out_says_how_many_are_left_and_rounds() -> None:
    assert spread(np.array([0.1, 0.4])) == {"mean": 0.25, "sd": 0.212132}
    assert spread(np.array([0.1, np.nan, 0.4])) == {"mean": 0.25, "sd": 0.212132, "folds": 2}
    assert spread(np.array([np.nan, 1 / 3])) == {"mean": 0.333333, "sd": None, "folds": 1}
    assert spread(np.array([np.nan])) == {"mean": None, "sd": None, "folds": 0}


def test_summary_holds_mean_and_sd_over_folds() -> None:
    record = summary(fold_table(TWO_REPEATS), NAMES)
    assert list(record) == [*OVERALL, *NAMES]
    values = np.array([1, 0.5, 2 / 3, 1])
    assert record["accuracy"] == {"mean": round(values.mean(), 6), "sd": round(values.std(ddof=1), 6)}
    assert tuple(record["Uncertain"]) == HEADLINE_OF_CLASS
    # True in two folds of repeat 0 and 1: found once, missed once.
    assert record["Uncertain"]["tpr"] == {"mean": 0.5, "sd": 0.707107, "folds": 2}


def test_pooled_confusion_counts_every_pair_of_classes_and_pairs_name_every_row() -> None:
    counts = pooled_confusion(TWO_REPEATS).set_index(["actual", "predicted"])["count"]
    named = pairs(TWO_REPEATS)
    assert len(counts) == len(NAMES) ** 2
    assert counts.sum() == len(named) == len(TWO_REPEATS.true)
    for (actual, predicted), count in counts.items():
        assert ((named["actual"] == actual) & (named["predicted"] == predicted)).sum() == count
