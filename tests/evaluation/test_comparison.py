"""Comparison: the corrected t-test by hand, undefined folds, Holm's correction, ranks, and the words of the tables."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lipnet.core.errors import InputError
from lipnet.evaluation.comparison import (
    CompareSettings,
    compare,
    corrected_t_test,
    rank,
)
from lipnet.evaluation.comparison_report import ranked_name, standing, to_markdown, verdict

SETTINGS = CompareSettings(
    reference="svm", classifiers=None, primary=["mcc", "tpr", "ppv"], confidence=0.95, bootstrap=0
)
DIFFERENCES = [0.1, 0.2, 0.3, 0.2]


Values = tuple[list[float], ...]


def _folds(values: dict[tuple[str, str], Values], names: tuple[str, ...] = ("cnn", "svm")) -> pd.DataFrame:
    """(class, measure) -> values of each classifier; a quarter as many test as training particles."""
    return pd.DataFrame(
        [
            {
                "classifier": classifier,
                "repeat": fold // 2,
                "fold": fold % 2,
                "n_train": 80,
                "n_test": 20,
                "class": label,
                "measure": measure,
                "value": value,
            }
            for (label, measure), of_classifiers in values.items()
            for classifier, of_folds in zip(names, of_classifiers, strict=True)
            for fold, value in enumerate(of_folds)
        ]
    )


def _plus(*differences: float) -> tuple[list[float], list[float]]:
    base = [0.5, 0.4, 0.6, 0.3, 0.55][: len(differences)]
    return [b + d for b, d in zip(base, differences, strict=True)], base


def _p(k: float) -> float:
    """P-value of t = k sqrt(3) with 3 degrees of freedom: P(T <= t) = 1/2 + (k / (1 + k^2) + atan k) / pi."""
    return float(1 - 2 * (k / (1 + k**2) + np.arctan(k)) / np.pi)


def _three(of_cnn: float, of_forest: float) -> tuple[list[float], list[float], list[float]]:
    """Values of cnn, forest and svm in four folds.

    Differences are m + (-0.1, 0, 0.1, 0) and m + (0, -0.1, 0, 0.1) against svm, so t = 10 m sqrt(3) (see below for
    m = 0.2), and m + (-0.1, 0.1, 0.1, -0.1) between cnn and forest, so t = 10 m sqrt(3 / 2).
    """
    svm = np.array([0.5, 0.4, 0.6, 0.3])
    cnn, forest = svm + of_cnn + [-0.1, 0, 0.1, 0], svm + of_forest + [0, -0.1, 0, 0.1]
    return cnn.tolist(), forest.tolist(), svm.tolist()


NAMES = ("cnn", "forest", "svm")


def test_corrected_t_test_by_hand() -> None:
    # mean 0.2, s^2 = 0.02 / 3; error = sqrt(s^2 (1/4 + 1/4)) = 0.057735; t = sqrt(12) with 3 degrees of freedom:
    # P(T <= t) = 1/2 + (2/5 + atan 2) / pi, so p = 1 - 2 (2/5 + atan 2) / pi; t at 0.975 is 3.182446.
    result = corrected_t_test(np.array(DIFFERENCES), 0.25, 0.95)
    assert result.mean == pytest.approx(0.2)
    assert result.p == pytest.approx(1 - 2 * (0.4 + np.arctan(2)) / np.pi)
    assert result.p == pytest.approx(0.04052, abs=1e-5)
    assert (result.low, result.high) == pytest.approx((0.2 - 0.183739, 0.2 + 0.183739), abs=1e-6)


def test_the_correction_is_more_careful_than_a_plain_t_test() -> None:
    plain, corrected = (corrected_t_test(np.array(DIFFERENCES), share, 0.95) for share in (0.0, 0.25))
    assert corrected.p > plain.p
    assert corrected.high - corrected.low == pytest.approx((plain.high - plain.low) * np.sqrt(2))


def test_swapping_the_classifiers_changes_signs_only() -> None:
    one, other = (corrected_t_test(sign * np.array(DIFFERENCES), 0.25, 0.95) for sign in (1, -1))
    assert (other.mean, other.low, other.high, other.p) == pytest.approx((-one.mean, -one.high, -one.low, one.p))


def test_the_interval_excludes_0_exactly_where_p_is_small() -> None:
    p = corrected_t_test(np.array(DIFFERENCES), 0.25, 0.95).p
    assert corrected_t_test(np.array(DIFFERENCES), 0.25, 1 - p).low == pytest.approx(0, abs=1e-9)


def test_equal_classifiers_have_p_1_and_constant_differences_none() -> None:
    assert corrected_t_test(np.zeros(5), 0.25, 0.95) == (0, 0, 0, 1)
    constant = corrected_t_test(np.full(5, 0.1), 0.25, 0.95)
    assert constant[:3] == pytest.approx((0.1, 0.1, 0.1))
    assert np.isnan(constant.p)


def test_fewer_than_two_folds_have_no_interval() -> None:
    one = corrected_t_test(np.array([0.1]), 0.25, 0.95)
    assert one.mean == 0.1
    assert np.isnan([one.low, one.high, one.p]).all()
    assert np.isnan(corrected_t_test(np.array([]), 0.25, 0.95)).all()


def test_compare_pairs_folds_and_takes_the_test_share_from_the_table() -> None:
    table = compare(_folds({("", "mcc"): _plus(*DIFFERENCES)}).sample(frac=1, random_state=1), SETTINGS)
    reference, row = table.iloc[0], table.iloc[1]
    expected = corrected_t_test(np.array(DIFFERENCES), 0.25, 0.95)
    assert tuple(row[["difference", "low", "high", "p"]]) == pytest.approx(expected)
    assert (row["classifier"], row["class"], row["measure"], row["folds"]) == ("cnn", "", "mcc", 4)
    assert (row["mean"], reference["mean"]) == pytest.approx((0.65, 0.45))
    assert reference["sd"] == pytest.approx(np.std([0.5, 0.4, 0.6, 0.3], ddof=1))


def test_the_reference_comes_first_and_differs_from_itself_by_nothing_that_is_tested() -> None:
    table = compare(_folds({("", "mcc"): _three(0.3, 0.2)}, NAMES), SETTINGS)
    assert table["classifier"].tolist() == ["svm", "cnn", "forest"]
    assert table.iloc[0][["difference", "low", "high", "p", "p_holm"]].isna().all()
    assert verdict(table.iloc[0], SETTINGS) == ""


def test_classifiers_that_are_not_chosen_have_no_influence() -> None:
    folds = _folds({("", "mcc"): _three(0.3, 0.2)}, NAMES)
    chosen = SETTINGS.model_copy(update={"classifiers": ["cnn"]})
    without = folds[folds["classifier"] != "forest"]
    for function in (compare, rank):
        pd.testing.assert_frame_equal(function(folds, chosen), function(without, SETTINGS))


def test_chosen_classifiers_keep_their_order_and_the_reference_is_there_once() -> None:
    folds = _folds({("", "mcc"): _three(0.3, 0.2)}, NAMES)
    table = compare(folds, SETTINGS.model_copy(update={"classifiers": ["forest", "svm", "cnn"]}))
    assert table["classifier"].tolist() == ["svm", "forest", "cnn"]


def test_folds_where_one_is_undefined_are_left_out() -> None:
    first, second = _plus(0.9, *DIFFERENCES)
    for values in (first, second):
        hidden = [*values]
        hidden[0] = np.nan
        pair = (hidden, second) if values is first else (first, hidden)
        row = compare(_folds({("Empty", "ppv"): pair}), SETTINGS).iloc[1]
        assert row["folds"] == 4
        assert tuple(row[["difference", "p"]]) == pytest.approx((0.2, _p(2)))


def test_a_measure_undefined_everywhere_keeps_its_rows() -> None:
    nowhere = [np.nan] * 4
    table = compare(_folds({("", "mcc"): _plus(*DIFFERENCES), ("Empty", "ppv"): (nowhere, nowhere)}), SETTINGS)
    assert table["folds"].tolist() == [4, 4, 0, 0]
    assert table.iloc[3][["mean", "sd", "difference", "p", "p_holm"]].isna().all()
    assert table["p_holm"][1] == table["p"][1]
    assert verdict(table.iloc[3], SETTINGS) == "undefined"


def test_holm_is_over_all_classifiers_together_by_hand() -> None:
    table = compare(_folds({("", "mcc"): _three(0.3, 0.2)}, NAMES), SETTINGS)
    assert table["p"][1:].tolist() == pytest.approx([_p(3), _p(2)])
    assert table["p_holm"][1:].tolist() == pytest.approx([2 * _p(3), _p(2)])
    assert table["p_holm"][1:].tolist() == pytest.approx([0.0277, 0.0405], abs=1e-4)


def test_holm_is_over_the_defined_rows_of_the_primary_measures() -> None:
    nowhere = [np.nan] * 4
    values = {
        ("", "accuracy"): _three(0.5, 0.4),
        ("", "mcc"): _three(0.3, 0.2),
        ("Empty", "ppv"): (nowhere, nowhere, [0.1] * 4),
        ("Empty", "tpr"): _three(0.4, 0.1),
    }
    table = compare(_folds(values, NAMES), SETTINGS)
    found = table[table["classifier"] != "svm"].set_index(["class", "measure", "classifier"])["p_holm"]
    assert found["", "mcc"].tolist() == pytest.approx([3 * _p(3), 2 * _p(2)])
    assert found["Empty", "tpr"].tolist() == pytest.approx([4 * _p(4), _p(1)])
    assert found["", "accuracy"].isna().all() and found["Empty", "ppv"].isna().all()


@pytest.mark.parametrize("fault", [{"reference": "forest"}, {"classifiers": ["cnn", "cmm"]}])
@pytest.mark.parametrize("function", [compare, rank])
def test_an_unknown_classifier_is_named_with_those_there_are(function: Any, fault: dict[str, Any]) -> None:
    name = fault.get("reference", "cmm")
    with pytest.raises(InputError, match=f"the classifier '{name}', but evaluated were: cnn, svm"):
        function(_folds({("", "mcc"): _plus(*DIFFERENCES)}), SETTINGS.model_copy(update=fault))


def test_an_unknown_primary_measure_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no measure f2; known: accuracy, balanced_accuracy, macro_f1, mcc"):
        compare(_folds({("", "mcc"): _plus(*DIFFERENCES)}), SETTINGS.model_copy(update={"primary": ["mcc", "f2"]}))


def test_without_a_primary_measure_of_all_classes_there_is_nothing_to_rank_by() -> None:
    with pytest.raises(InputError, match="ranked by one of: accuracy"):
        rank(_folds({("A", "tpr"): _plus(*DIFFERENCES)}), SETTINGS.model_copy(update={"primary": ["tpr"]}))


def test_ranks_join_those_not_shown_to_differ_from_the_best_by_hand() -> None:
    ranks = rank(_folds({("", "mcc"): _three(0.9, 1.0), ("Empty", "tpr"): _three(0, 0)}, NAMES), SETTINGS)
    assert ranks["classifier"].tolist() == ["forest", "cnn", "svm"]
    assert ranks["joined"].tolist() == [True, True, False]
    assert np.isnan(ranks["p_holm"][0])
    assert ranks["p_holm"][1:].tolist() == pytest.approx([_p(1 / np.sqrt(2)), 3 * _p(10)])
    svm = corrected_t_test(np.array([0.5, 0.4, 0.6, 0.3]), 0.25, 0.95)
    assert tuple(ranks.iloc[2][["mean", "low", "high"]]) == pytest.approx(svm[:3])
    assert svm.high - svm.mean == pytest.approx(3.182446 * np.sqrt(0.05 / 3 / 2), rel=1e-6)
    assert standing(ranks) == "best mean 1.450, forest; no difference shown against: cnn; shown to differ: svm."


def test_holm_over_all_pairs_and_ranked_measures_can_join_what_a_single_test_would_part() -> None:
    both = SETTINGS.model_copy(update={"primary": ["mcc", "macro_f1"]})
    values = {("", "macro_f1"): _three(0.0, 0.0), ("", "mcc"): _three(0.2, 0.1)}
    ranks = rank(_folds(values, NAMES), both)
    assert ranks["measure"].tolist() == ["mcc"] * 3 + ["macro_f1"] * 3  # in the order of the settings
    of_svm = ranks[(ranks["classifier"] == "svm") & (ranks["measure"] == "mcc")].iloc[0]
    assert _p(2) < 0.05
    assert of_svm["p_holm"] == pytest.approx(6 * _p(2))
    assert ranks["joined"].all()
    assert standing(ranks[:3]) == "best mean 0.650, cnn; no difference shown against: forest, svm."


def test_the_lowest_loss_is_the_best() -> None:
    settings = SETTINGS.model_copy(update={"primary": ["log_loss"]})
    ranks = rank(_folds({("", "log_loss"): _three(0.3, 0.2)}, NAMES), settings)
    assert ranks["classifier"].tolist() == ["svm", "forest", "cnn"]


def test_a_classifier_that_is_undefined_in_a_fold_is_ranked_last_and_says_so() -> None:
    cnn, forest, svm = _three(0.9, 0.1)
    ranks = rank(_folds({("", "mcc"): ([np.nan, *cnn[1:]], forest, svm)}, NAMES), SETTINGS)
    assert ranks["classifier"].tolist() == ["forest", "svm", "cnn"]
    assert ranks["folds"].tolist() == [4, 4, 3]
    assert ranks["mean"][2] == pytest.approx(np.mean(cnn[1:]))
    common = corrected_t_test(np.array(cnn[1:]) - np.array(forest[1:]), 0.25, 0.95)
    against_svm = corrected_t_test(np.array(cnn[1:]) - np.array(svm[1:]), 0.25, 0.95)
    assert against_svm.p < common.p  # so the pair of cnn and the best is the second of three
    assert ranks["p_holm"][2] == pytest.approx(2 * common.p)
    assert [ranked_name(row) for _, row in ranks.iterrows()] == ["forest", "svm", "cnn (3 of 4 folds)"]


def test_one_fold_shows_no_difference_and_no_fold_nothing() -> None:
    one = rank(_folds({("", "mcc"): ([0.9], [0.1])}), SETTINGS)
    assert one["joined"].all()
    assert one[["low", "high", "p_holm"]].isna().all(axis=None)
    assert standing(one) == "best mean 0.900, cnn; no difference shown against: svm."
    assert standing(rank(_folds({("", "mcc"): ([np.nan], [np.nan])}), SETTINGS)) == "undefined in every fold."


def test_one_classifier_alone_is_described_and_not_tested() -> None:
    settings = SETTINGS.model_copy(update={"classifiers": []})
    folds = _folds({("", "mcc"): _plus(*DIFFERENCES)})
    table, ranks = compare(folds, settings), rank(folds, settings)
    assert table["classifier"].tolist() == ranks["classifier"].tolist() == ["svm"]
    assert standing(ranks) == "best mean 0.450, svm; there is no other classifier."
    assert "| all | mcc | svm | 0.450 ± 0.129 | reference | 4 |" in to_markdown(table, ranks, "one", settings)


@pytest.mark.parametrize(
    ("difference", "p_holm", "expected"),
    [
        (0.1, 0.049, "higher than svm"),
        (-0.1, 0.049, "lower than svm"),
        (0.1, 0.051, "no difference shown"),
        (0.0, 1.0, "no difference shown"),
        (0.1, np.nan, "undefined"),
    ],
)
def test_verdict(difference: float, p_holm: float, expected: str) -> None:
    row = {"classifier": "cnn", "measure": "mcc", "difference": difference, "p_holm": p_holm}
    assert verdict(pd.Series(row), SETTINGS) == expected
    assert verdict(pd.Series({**row, "measure": "accuracy"}), SETTINGS) == ""


def test_markdown_has_the_best_the_overall_measures_and_the_primary_tests() -> None:
    values = {
        ("", "mcc"): _plus(*DIFFERENCES),
        ("Empty", "tpr"): _plus(5.0, 5.1, 5.2, 5.1),
        ("Empty", "ppv"): ([np.nan] * 4, [0.5] * 4),
        ("Empty", "npv"): _plus(*DIFFERENCES),
        ("", "log_loss"): _plus(*DIFFERENCES),
    }
    folds = _folds(values)
    text = to_markdown(compare(folds, SETTINGS), rank(folds, SETTINGS), "encapsulation", SETTINGS)
    assert text.splitlines() == [
        "## encapsulation",
        "",
        "- mcc: best mean 0.650, cnn; shown to differ: svm.",
        "",
        "| classifier | mcc | log_loss (lower is better) |",
        "|---|---|---|",
        "| svm | 0.450 ± 0.129 | 0.450 ± 0.129 |",
        "| cnn | 0.650 ± 0.173 | 0.650 ± 0.173 |",
        "",
        "| class | measure | classifier | mean ± sd | minus svm [95 % interval] | folds | p | p (Holm) | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
        "| all | mcc | svm | 0.450 ± 0.129 | reference | 4 |  |  |  |",
        "| all | mcc | cnn | 0.650 ± 0.173 | +0.200 [+0.016, +0.384] | 4 | 0.041 | 0.041 | higher than svm |",
        "| Empty | tpr | svm | 0.450 ± 0.129 | reference | 4 |  |  |  |",
        "| Empty | tpr | cnn | 5.550 ± 0.173 | +5.100 [+4.916, +5.284] | 4 | < 0.001 | < 0.001 | higher than svm |",
        "| Empty | ppv | svm | 0.500 ± 0.000 | reference | 4 |  |  |  |",
        "| Empty | ppv | cnn | undefined | undefined [undefined, undefined] | 0 | undefined | undefined | undefined |",
    ]
