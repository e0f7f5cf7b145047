"""Comparison: the corrected t-test by hand, undefined folds, Holm's correction, and the words of the table."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from lipnet.comparison import CompareSettings, compare, corrected_t_test, to_markdown, verdict
from lipnet.errors import InputError

SETTINGS = CompareSettings(first="cnn", second="svm", primary=["mcc", "tpr", "ppv"], confidence=0.95)
DIFFERENCES = [0.1, 0.2, 0.3, 0.2]


def _folds(values: dict[tuple[str, str], tuple[list[float], list[float]]], n_folds: int = 4) -> pd.DataFrame:
    """(class, measure) -> values of cnn and svm; a quarter as many test as training particles."""
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
            for (label, measure), both in values.items()
            for classifier, of_folds in zip(("cnn", "svm"), both, strict=True)
            for fold, value in enumerate(of_folds)
        ]
    )


def _plus(*differences: float) -> tuple[list[float], list[float]]:
    base = [0.5, 0.4, 0.6, 0.3, 0.55][: len(differences)]
    return [b + d for b, d in zip(base, differences, strict=True)], base


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
    row = table.iloc[0]
    expected = corrected_t_test(np.array(DIFFERENCES), 0.25, 0.95)
    assert tuple(row[["difference", "low", "high", "p"]]) == pytest.approx(expected)
    assert (row["class"], row["measure"], row["folds"]) == ("", "mcc", 4)
    assert (row["first_mean"], row["second_mean"]) == pytest.approx((0.65, 0.45))
    assert row["second_sd"] == pytest.approx(np.std([0.5, 0.4, 0.6, 0.3], ddof=1))


def test_classifiers_that_are_not_compared_have_no_influence() -> None:
    folds = _folds({("", "mcc"): _plus(*DIFFERENCES)})
    other = folds[folds["classifier"] == "svm"].assign(classifier="size_only", value=0.0)
    pd.testing.assert_frame_equal(compare(pd.concat([folds, other]), SETTINGS), compare(folds, SETTINGS))


def test_folds_where_one_is_undefined_are_left_out() -> None:
    first, second = _plus(0.9, *DIFFERENCES)
    for values in (first, second):
        hidden = [*values]
        hidden[0] = np.nan
        pair = (hidden, second) if values is first else (first, hidden)
        row = compare(_folds({("Empty", "ppv"): pair}), SETTINGS).iloc[0]
        assert row["folds"] == 4
        assert tuple(row[["difference", "p"]]) == pytest.approx(
            (0.2, corrected_t_test(np.array(DIFFERENCES), 0.25, 0.95).p)
        )


def test_a_measure_undefined_everywhere_keeps_its_row() -> None:
    nowhere = [np.nan] * 4
    table = compare(_folds({("", "mcc"): _plus(*DIFFERENCES), ("Empty", "ppv"): (nowhere, nowhere)}), SETTINGS)
    assert table["folds"].tolist() == [4, 0]
    assert table.iloc[1][["first_mean", "second_sd", "difference", "p", "p_holm"]].isna().all()
    assert table["p_holm"][0] == table["p"][0]
    assert verdict(table.iloc[1], SETTINGS) == "undefined"


def test_holm_is_over_the_defined_rows_of_the_primary_measures() -> None:
    values = {
        ("", "accuracy"): _plus(0.1, 0.2, 0.3, 0.2),
        ("", "mcc"): _plus(0.1, 0.11, 0.12, 0.13),
        ("Empty", "ppv"): ([np.nan] * 4, [0.1] * 4),
        ("Empty", "tpr"): _plus(0.1, -0.2, 0.05, 0.1),
    }
    table = compare(_folds(values), SETTINGS)
    assert list(zip(table["class"], table["measure"], strict=True)) == list(values)
    judged = table[table["measure"].isin(["mcc", "tpr"])]
    expected = multipletests(judged["p"], method="holm")[1]
    assert judged["p_holm"].to_numpy() == pytest.approx(expected)
    assert judged["p_holm"].min() == pytest.approx(2 * judged["p"].min())
    assert table.loc[table["measure"].isin(["accuracy", "ppv"]), "p_holm"].isna().all()


@pytest.mark.parametrize("fault", [{"first": "cmm"}, {"second": "forest"}])
def test_an_unknown_classifier_is_named_with_those_there_are(fault: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"'{next(iter(fault.values()))}'.*evaluated were: cnn, svm"):
        compare(_folds({("", "mcc"): _plus(*DIFFERENCES)}), SETTINGS.model_copy(update=fault))


def test_an_unknown_primary_measure_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no measure f2; known: accuracy, balanced_accuracy, macro_f1, mcc"):
        compare(_folds({("", "mcc"): _plus(*DIFFERENCES)}), SETTINGS.model_copy(update={"primary": ["mcc", "f2"]}))


@pytest.mark.parametrize(
    ("difference", "p_holm", "expected"),
    [
        (0.1, 0.049, "cnn higher"),
        (-0.1, 0.049, "svm higher"),
        (0.1, 0.051, "no difference shown"),
        (0.0, 1.0, "no difference shown"),
        (0.1, np.nan, "undefined"),
    ],
)
def test_verdict(difference: float, p_holm: float, expected: str) -> None:
    row = {"measure": "mcc", "difference": difference, "p_holm": p_holm}
    assert verdict(pd.Series(row), SETTINGS) == expected
    assert verdict(pd.Series({**row, "measure": "accuracy"}), SETTINGS) == ""


def test_markdown_has_a_line_for_every_row() -> None:
    values = {
        ("", "mcc"): _plus(*DIFFERENCES),
        ("Empty", "tpr"): _plus(0.0, 0.0, 0.0, 0.0),
        ("Empty", "ppv"): ([np.nan] * 4, [0.5] * 4),
        ("", "log_loss"): _plus(*DIFFERENCES),
    }
    text = to_markdown(compare(_folds(values), SETTINGS), "encapsulation", SETTINGS)
    lines = text.splitlines()
    assert lines[0] == "## encapsulation"
    assert lines[2].startswith("| class | measure | cnn | svm | difference [95 % interval] |")
    assert {line.count("|") for line in lines[2:]} == {10}
    assert lines[4:] == [
        "| all | mcc | 0.650 ± 0.173 | 0.450 ± 0.129 | +0.200 [+0.016, +0.384] | 4 | 0.041 | 0.081 "
        "| no difference shown |",
        "| Empty | tpr | 0.450 ± 0.129 | 0.450 ± 0.129 | +0.000 [+0.000, +0.000] | 4 | 1.000 | 1.000 "
        "| no difference shown |",
        "| Empty | ppv | undefined ± undefined | 0.500 ± 0.000 | undefined [undefined, undefined] | 0 | undefined "
        "| undefined | undefined |",
        "| all | log_loss (lower is better) | 0.650 ± 0.173 | 0.450 ± 0.129 | +0.200 [+0.016, +0.384] | 4 | 0.041 "
        "|  |  |",
    ]
