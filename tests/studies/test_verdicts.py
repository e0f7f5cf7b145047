"""Verdicts: references, signs, Holm's correction, what the thesis reports, and the words."""

import numpy as np
import pandas as pd
import pytest

from lipnet.evaluation.comparison import corrected_t_test, standard_error
from lipnet.studies.power import detectable
from lipnet.studies.study import StudySettings
from lipnet.studies.verdicts import (
    Known,
    head,
    in_words,
    judge,
    section,
    thesis_values,
    to_markdown,
)

BASE = np.array([0.5, 0.4, 0.6, 0.45, 0.55])
NOISE = np.array([0.01, -0.01, 0.0, 0.01, -0.01])


def _study(**changes: object) -> StudySettings:
    plain = {
        "title": "Things",
        "thesis": "",
        "problems": ["p"],
        "against": "a",
        "judged": "macro_f1",
        "shown": ["macro_f1"],
        "of_class": "f1",
        "figure": "bars",
        "arms": {"a": {}, "b": {}, "c": {}},
    }
    return StudySettings.model_validate({**plain, **changes})


def _folds(values: dict[str, np.ndarray], measure: str = "macro_f1") -> pd.DataFrame:
    rows = [
        {
            "arm": arm,
            "repeat": 0,
            "fold": fold,
            "n_train": 80,
            "n_test": 20,
            "class": label,
            "measure": name,
            "value": v,
        }
        for arm, of_folds in values.items()
        for fold, v in enumerate(of_folds)
        for label, name in (("", measure), ("X", "f1"))
    ]
    return pd.DataFrame(rows)


THREE = {"a": BASE, "b": BASE + 0.2 + NOISE, "c": BASE + 3 * NOISE}


def test_each_arm_is_judged_against_the_named_one_with_holms_correction() -> None:
    table = judge(_folds(THREE), _study(), 0.95)
    assert table["arm"].tolist() == ["b", "c"]
    assert table["reference"].tolist() == ["a", "a"]
    by_hand = corrected_t_test(THREE["b"] - THREE["a"], 0.25, 0.95)
    assert tuple(table.loc[0, ["difference", "low", "high", "p"]]) == pytest.approx(tuple(by_hand))
    assert table["p_holm"][0] == pytest.approx(2 * by_hand.p)
    assert table["verdict"].tolist() == ["better", "no difference seen"]


def test_each_comparison_says_what_it_could_have_shown_after_the_correction() -> None:
    table = judge(_folds(THREE), _study(), 0.95)
    by_hand = [detectable(standard_error(THREE[arm] - THREE["a"], 0.25), 4, 0.05 / 2) for arm in ("b", "c")]
    assert table["detectable"].tolist() == pytest.approx(by_hand)
    seen, unseen = in_words(table, _study(), {}).splitlines()
    assert "four of five" not in seen
    assert unseen.endswith(f"; {by_hand[1]:.3f} would have been seen in four of five experiments).")
    lines = to_markdown(_folds(THREE), table, _study(), ["X"], {}).splitlines()
    assert lines[0].endswith("| detectable | verdict |")
    assert lines[4].endswith(f"| {by_hand[1]:.3f} | no difference seen |")


def test_a_ladder_is_judged_step_by_step() -> None:
    table = judge(_folds(THREE), _study(against="previous"), 0.95)
    assert table[["arm", "reference"]].to_numpy().tolist() == [["b", "a"], ["c", "b"]]
    assert table["verdict"].tolist() == ["better", "worse"]


def test_a_ranking_is_judged_against_the_best() -> None:
    table = judge(_folds(THREE), _study(against="best"), 0.95)
    assert set(table["reference"]) == {"b"}
    assert set(table["verdict"]) == {"worse"}


def test_a_lower_log_loss_is_better_and_the_best_is_the_lowest() -> None:
    folds = _folds({**THREE, "c": BASE - 0.1 + NOISE}, "log_loss")
    assert judge(folds, _study(judged="log_loss"), 0.95)["verdict"].tolist() == ["worse", "better"]
    assert judge(folds, _study(judged="log_loss", against="best"), 0.95)["reference"].tolist() == ["c", "c"]


def test_an_arm_that_is_undefined_in_some_fold_cannot_be_the_best() -> None:
    lucky = np.array([np.nan, np.nan, np.nan, np.nan, 0.99])
    table = judge(_folds({**THREE, "d": lucky}), _study(against="best"), 0.95)
    assert set(table["reference"]) == {"b"}
    assert table.set_index("arm").loc["d", ["folds", "verdict"]].tolist() == [1, "undefined"]


def test_a_measure_that_is_undefined_everywhere_judges_nothing_and_crashes_nothing() -> None:
    folds = _folds({"a": BASE * np.nan, "b": BASE * np.nan})
    for against in ("a", "previous", "best"):
        assert set(judge(folds, _study(against=against), 0.95).get("verdict", [])) <= {"undefined"}
        assert "undefined" in section("p", folds, _study(against=against), ["X"], {}, 0.95)


def test_one_fold_judges_nothing() -> None:
    table = judge(_folds({"a": BASE[:1], "b": BASE[:1] + 0.3}), _study(), 0.95)
    assert table["verdict"].tolist() == ["undefined"]
    assert "both are defined in 1 folds" in in_words(table, _study(), {})


def test_the_words_carry_numbers_and_reasons() -> None:
    text = in_words(judge(_folds(THREE), _study(), 0.95), _study(), {"d": "only for q"})
    first, second, third = text.splitlines()
    assert first.startswith("- b against a: better (macro F1 +0.200 [")
    assert second.startswith("- c against a: no difference seen (macro F1 +0.000 [")
    assert third == "- d: not run, only for q."


def test_a_ranking_in_words_warns_of_the_winner() -> None:
    study = _study(against="best", figure="ranking")
    assert "Best macro F1: b. Of the other 2 arms, 2 are worse" in in_words(
        judge(_folds(THREE), study, 0.95), study, {}
    )


def test_a_ranking_says_what_could_have_been_seen() -> None:
    study = _study(against="best", figure="ranking")
    few = judge(_folds(THREE), study, 0.95)
    assert f"a difference of {few['detectable'].median():.3f} would have been seen" in in_words(few, study, {})
    none = {**THREE, **{f"d{number}": BASE + number * 5 * NOISE for number in range(9)}}
    text = in_words(judge(_folds(none).query("fold < 2"), study, 0.95), study, {})
    assert "with so many arms and so few folds, hardly any difference could have been seen. The best" in text


def test_a_ranking_against_a_named_arm_does_not_call_it_the_best() -> None:
    study = _study(against="a", figure="ranking")
    text = in_words(judge(_folds(THREE), study, 0.95), study, {})
    assert "Best" not in text
    assert [line.split(":")[0] for line in text.splitlines()] == ["- b against a", "- c against a"]


def test_a_section_of_ordered_subsets_tells_the_effects_of_their_items() -> None:
    subsets = {"key": "k", "items": ["x", "y"]}
    study = _study(against="best", arms={}, subsets=subsets, figure="ranking")
    arms = {"x": BASE + 0.2, "y": BASE + NOISE, "x, y": BASE + 0.2 - NOISE, "y, x": BASE + 0.21 + NOISE}
    text = section("p", _folds(arms), study, ["X"], {}, 0.95)
    assert "4 of 4 ordered subsets." in text and "| x | +0.20" in text


REPORTED = pd.DataFrame(
    [
        ("s", "p", "n", "X", "", "f1", 0.25),
        ("s", "p", "m", "X", "X", "share", 0.75),
        ("s", "p", "m", "X", "Y", "share", 0.25),
        ("s", "p", "m", "Y", "X", "share", 0.5),
        ("s", "p", "m", "Y", "Y", "share", 0.5),
        ("s", "p", "c", "X", "X", "count", 30),
        ("s", "p", "c", "X", "Y", "count", 10),
        ("s", "p", "c", "Y", "X", "count", 5),
        ("s", "p", "c", "Y", "Y", "count", 5),
        ("other", "p", "n", "X", "", "f1", 0.99),
    ],
    columns=["study", "problem", "arm", "actual", "predicted", "quantity", "value"],
)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("f1", {("n", "X"): 0.25, ("c", "X"): 60 / 75, ("c", "Y"): 10 / 25}),
        ("tpr", {("m", "X"): 0.75, ("m", "Y"): 0.5, ("c", "X"): 0.75, ("c", "Y"): 0.5}),
        ("ppv", {("c", "X"): 30 / 35, ("c", "Y"): 5 / 15}),  # shares say nothing of precision
    ],
)
def test_what_the_thesis_reports(measure: str, expected: Known) -> None:
    assert thesis_values(REPORTED, "s", "p", measure) == pytest.approx(expected)


def test_the_table_shows_mean_sd_and_what_the_thesis_reports() -> None:
    study = _study()
    table = to_markdown(_folds(THREE), judge(_folds(THREE), study, 0.95), study, ["X"], {("a", "X"): 0.2169})
    lines = table.splitlines()
    assert lines[0].startswith("| arm | macro F1 | X F1 | macro F1 against |")
    assert lines[2] == "| a | 0.500 ± 0.079 | 0.500 ± 0.079 (0.22) |  |  |  |  |  |"
    assert lines[3].startswith("| b | 0.700 ± ") and lines[3].endswith("| better |")
    assert len({line.count("|") for line in lines}) == 1


def test_a_ranking_lists_the_best_first() -> None:
    study = _study(figure="ranking", against="best")
    table = to_markdown(_folds(THREE), judge(_folds(THREE), study, 0.95), study, ["X"], {})
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == ["| b", "| a", "| c"]


def test_a_mean_over_fewer_folds_says_so() -> None:
    folds = _folds({"a": np.array([0.4, np.nan, 0.6, np.nan, 0.5]), "b": BASE})
    assert "| 0.500 ± 0.100 in 3 of 5 folds |" in to_markdown(folds, judge(folds, _study(), 0.95), _study(), ["X"], {})


def test_an_undefined_measure_is_called_so() -> None:
    folds = _folds({"a": BASE * np.nan, "b": BASE})
    assert "| undefined |" in to_markdown(folds, judge(folds, _study(), 0.95), _study(), ["X"], {})


def test_a_section_has_verdicts_a_table_and_the_arms_left_out() -> None:
    text = section("p", _folds(THREE), _study(only={"z": ["q"]}, arms={"a": {}, "z": {}}), ["X"], {}, 0.95)
    assert text.startswith("## p\n")
    assert "- z: not run, only for q." in text
    less = section("p", _folds({"a": BASE}), _study(arms={"a": {}, "b": {}}), ["X"], {}, 0.95)
    assert "- b: not run, the scale leaves it out." in less
    assert "| a | 0.500 ± 0.079" in text


def test_the_head_says_what_is_repeated_and_how_to_read_it() -> None:
    changes = {"split.folds": 3, "split.repeats": 2}
    text = head(_study(thesis="section 8.3"), "reduced", changes, "artificial", 0.9, ["bfloat16", "float32"])
    assert text.startswith(
        "# Things\n\nThesis: section 8.3. Scale `reduced` of studies/params.yaml (split.folds: 3, split."
    )
    assert "source `artificial`" in text
    assert "macro F1, fold by fold" in text and "level of 0.1" in text and "intervals are 90 %" in text
    assert "Networks were trained in bfloat16 and float32." in text
    plain = head(_study(), "full", {}, "table", 0.95, [])
    assert "Scale `full` of studies/params.yaml; particles" in plain
    assert "Thesis:" not in plain and "No network was trained." in plain
