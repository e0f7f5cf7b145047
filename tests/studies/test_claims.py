"""Claims of the thesis: each verdict, what is not run, and the table of the document."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from lipnet.core.errors import InputError
from lipnet.core.settings import parse
from lipnet.evaluation.comparison import corrected_t_test, standard_error
from lipnet.evaluation.formatting import UNDEFINED
from lipnet.studies.claim_tables import (
    MIXED,
    QUESTION,
    details_table,
    overall,
    picture_rows,
    summary_table,
    together,
)
from lipnet.studies.claims import CONFIRMED, CONTRADICTED, NOT_RUN, OPEN, Claim, ClaimSettings, Judged, judge
from lipnet.studies.comparisons import averaged, compared, joint_error
from lipnet.studies.power import detectable
from lipnet.studies.study import StudySettings
from tests.test_graph import ROOT

BASE = np.array([0.5, 0.4, 0.6, 0.45, 0.55])
NOISE = np.array([0.01, -0.01, 0.0, 0.01, -0.01])
REPORTED = pd.DataFrame(
    [("s", "p", arm, label, "", "f1", value) for arm, value in (("a", 0.5), ("b", 0.8)) for label in ("X", "Y")],
    columns=["study", "problem", "arm", "actual", "predicted", "quantity", "value"],
)


def _claims(claim: str = "higher", **changes: Any) -> ClaimSettings:
    plain = {"section": "8", "text": "B wins", "study": "s", "arms": ["b"], "against": "a", "claim": claim}
    return ClaimSettings.model_validate(
        {"margin": 0.05, "sets": {"ours": ["p"]}, "claims": {"one": {**plain, **changes}}}
    )


def _study(values: dict[str, np.ndarray], problem: str = "p", measure: str = "macro_f1") -> Judged:
    counts = {"repeat": 0, "n_train": 80, "n_test": 20, "class": "", "measure": measure, "problem": problem}
    rows = [{**counts, "arm": arm, "fold": fold, "value": v} for arm, of in values.items() for fold, v in enumerate(of)]
    return Judged(pd.DataFrame(rows), "macro_f1")


def _judge(settings: ClaimSettings, difference: np.ndarray, **others: np.ndarray) -> pd.DataFrame:
    arms = {"a": BASE, "b": BASE + difference, **{arm: BASE + values for arm, values in others.items()}}
    return judge(settings, {"s": _study(arms)}, REPORTED, 0.95)


@pytest.mark.parametrize(
    ("claim", "difference", "verdict"),
    [
        ("higher", 0.2 + NOISE, CONFIRMED),
        ("higher", -0.2 + NOISE, CONTRADICTED),
        ("higher", 10 * NOISE, OPEN),
        ("lower", -0.2 + NOISE, CONFIRMED),
        ("lower", 0.2 + NOISE, CONTRADICTED),
        ("equal", NOISE, CONFIRMED),
        ("equal", 0.03 + 0.2 * NOISE, CONFIRMED),  # shown, but smaller than the margin
        ("equal", 10 * NOISE, OPEN),
        ("equal", 0.2 + NOISE, CONTRADICTED),
        ("equal", -0.2 + NOISE, CONTRADICTED),
        ("not_higher", NOISE, CONFIRMED),
        ("not_higher", -0.2 + NOISE, CONFIRMED),
        ("not_higher", 10 * NOISE, OPEN),
        ("not_higher", 0.2 + NOISE, CONTRADICTED),
        ("equal", 0.04 + 2 * NOISE, OPEN),  # shown, and its interval goes beyond the margin: neither
        ("not_higher", 0.04 + 2 * NOISE, OPEN),
        ("open", 0.2 + NOISE, ""),
        ("higher", 0.0 * NOISE, OPEN),
        ("higher", 0.2 + 0.0 * NOISE, UNDEFINED),  # the same in all folds: no test
        ("higher", np.nan * NOISE, UNDEFINED),
    ],
)
def test_the_verdict_is_what_the_interval_says(claim: str, difference: np.ndarray, verdict: str) -> None:
    assert _judge(_claims(claim), difference)["verdict"].tolist() == [verdict]


def test_each_comparison_has_its_test_and_its_power_after_holms_correction() -> None:
    table = _judge(_claims(arms=["b", "c"]), 0.2 + NOISE, c=0.03 + 2 * NOISE)
    for row, differences in enumerate((0.2 + NOISE, 0.03 + 2 * NOISE)):
        by_hand = corrected_t_test(differences, 0.25, 0.95)
        assert table.loc[row, ["difference", "low", "high", "p"]].tolist() == pytest.approx(list(by_hand))
        assert table["detectable"][row] == pytest.approx(detectable(standard_error(differences, 0.25), 4, 0.025))
    assert table["p_holm"][0] == pytest.approx(2 * table["p"][0])
    assert table["p_holm"][1] == pytest.approx(table["p"][1])
    assert table["folds"].tolist() == [5, 5]


def test_the_difference_in_the_thesis_follows_from_its_values() -> None:
    assert _judge(_claims(), NOISE)["thesis"].tolist() == pytest.approx([0.3])
    assert np.isnan(_judge(_claims(measure="mcc"), NOISE)["thesis"]).all()


def test_on_other_data_it_is_that_of_the_first_problem_of_the_claim() -> None:
    studies = {"s": _study({"a": BASE, "b": BASE})}
    own = REPORTED.assign(problem="its own")
    of_two = pd.concat([own, REPORTED.assign(problem="another", value=0.5)])
    assert judge(_claims(), studies, own, 0.95)["thesis"].tolist() == pytest.approx([0.3])
    assert judge(_claims(), studies, of_two, 0.95)["thesis"].tolist() == pytest.approx([0.3])


def test_the_table_says_if_a_difference_as_in_the_thesis_would_have_been_seen() -> None:
    row = summary_table(_judge(_claims(), NOISE), _claims()).splitlines()[2]
    assert "**not confirmed**; +0.00 [-0.02, +0.02]; detectable: 0.03, in the thesis 0.30 |" in row
    assert "in the thesis" not in summary_table(_judge(_claims(), 20 * NOISE), _claims())


def test_a_claim_may_judge_another_measure() -> None:
    study = _study({"a": BASE, "b": BASE + 40 + NOISE}, measure="dead_filters")
    table = judge(_claims(measure="dead_filters"), {"s": study}, REPORTED, 0.95)
    assert table[["measure", "verdict"]].to_numpy().tolist() == [["dead_filters", CONFIRMED]]


def test_the_case_between_the_margins_is_shown_and_straddles_them() -> None:
    row = _judge(_claims("equal"), 0.04 + 2 * NOISE).iloc[0]
    assert row["p_holm"] < 0.05 and row["low"] < 0.05 < row["high"]


def test_undefined_numbers_are_called_so() -> None:
    table = summary_table(_judge(_claims(), 0.0 * NOISE), _claims())
    assert "**not confirmed**; +0.00 [+0.00, +0.00]; detectable: undefined |" in table
    one = judge(_claims(), {"s": _study({"a": BASE[:1], "b": BASE[:1] + 0.2})}, REPORTED, 0.95)
    assert "**undefined**; +0.20; detectable: undefined" in summary_table(one, _claims())


def test_arms_that_were_not_run_are_named_and_leave_the_claim_open() -> None:
    settings = _claims(arms=["b", "c"])
    table = _judge(settings, 0.2 + NOISE)
    assert table["verdict"].tolist() == [CONFIRMED, NOT_RUN]
    assert table["detectable"][0] == pytest.approx(detectable(standard_error(NOISE, 0.25), 4, 0.05))  # one test
    row = summary_table(table, settings).splitlines()[2]
    assert "**not confirmed**; +0.20 [" in row and row.endswith(
        "; not run: c (needs study s with these arms, in studies/params.yaml) | not confirmed |"
    )


def test_a_fold_that_two_folders_have_is_refused() -> None:
    once = _study({"a": BASE, "b": BASE})
    twice = Judged(pd.concat([once.folds, once.folds]), "macro_f1")
    with pytest.raises(InputError, match="study s, p: arm 'a' has fold 0 twice; keep the results"):
        judge(_claims(), {"s": twice}, REPORTED, 0.95)


def test_what_was_not_run_is_no_verdict() -> None:
    for studies in ({}, {"s": _study({"a": BASE, "c": BASE})}, {"s": _study({"a": BASE, "b": BASE}, problem="q")}):
        table = judge(_claims(), studies, REPORTED, 0.95)
        assert table["verdict"].tolist() == [NOT_RUN]
        assert np.isnan(table["difference"]).all()
    assert "| p: not run: needs study s with these arms, in studies/params.yaml | not run |" in summary_table(
        table, _claims()
    )
    needing = _claims(needs={"ours": "masks"})
    assert "| p: not run: needs masks | not run |" in summary_table(table, needing)
    assert details_table(table).count("\n") == 2


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([CONFIRMED, CONFIRMED], CONFIRMED),
        ([CONFIRMED, OPEN], OPEN),
        ([CONFIRMED, CONTRADICTED], CONTRADICTED),
        ([CONFIRMED, NOT_RUN], OPEN),
        ([CONTRADICTED, NOT_RUN], CONTRADICTED),
        ([NOT_RUN, UNDEFINED], NOT_RUN),
        ([UNDEFINED], UNDEFINED),
        (["", NOT_RUN], ""),
    ],
)
def test_the_arms_of_a_claim_are_judged_together(verdicts: list[str], expected: str) -> None:
    assert together(verdicts) == expected


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([CONFIRMED, CONFIRMED, NOT_RUN], CONFIRMED),
        ([CONFIRMED, OPEN, OPEN], "confirmed on 1 of 3, not confirmed on the others"),
        ([CONTRADICTED, OPEN], "contradicted on 1 of 2, not confirmed on the others"),
        ([CONTRADICTED, CONFIRMED, OPEN], MIXED),
        ([OPEN, NOT_RUN], OPEN),
        ([NOT_RUN], NOT_RUN),
        ([NOT_RUN, ""], "open question"),
    ],
)
def test_the_verdict_over_all_data(verdicts: list[str], expected: str) -> None:
    assert overall(verdicts, {}) == expected


@pytest.mark.parametrize(
    ("verdicts", "of_mean", "expected"),
    [
        ([OPEN, OPEN], CONFIRMED, "not confirmed; confirmed on the mean"),
        ([CONFIRMED, OPEN], CONTRADICTED, "confirmed on 1 of 2, not confirmed on the others; contradicted on the mean"),
        ([CONFIRMED, CONFIRMED], CONFIRMED, CONFIRMED),
        ([OPEN, OPEN], OPEN, OPEN),
        ([OPEN], NOT_RUN, OPEN),
        ([""], "", QUESTION),
    ],
)
def test_a_mean_that_shows_something_is_told(verdicts: list[str], of_mean: str, expected: str) -> None:
    assert overall(verdicts, {"mean": of_mean}) == expected


def test_the_table_has_one_row_for_each_claim_and_says_what_could_have_been_seen() -> None:
    settings = _claims(arms=["b", "c"], section="8.2")
    header, _, row = summary_table(_judge(settings, 0.2 + NOISE, c=NOISE), settings).splitlines()
    assert header == "| section | claim of the thesis | ours | verdict |"
    assert row.startswith(
        "| 8.2 | B wins | p: **not confirmed** (confirmed for 1 of 2 arms); +0.00 to +0.20; detectable: 0.0"
    )
    assert row.endswith(" | not confirmed |")
    header, _, row = summary_table(_judge(_claims(), 0.2 + NOISE), _claims()).splitlines()
    assert "**confirmed**; +0.20 [+0.18, +0.22] | confirmed |" in row


def test_what_is_confirmed_says_no_power() -> None:
    settings = _claims(arms=["b", "c"])
    row = summary_table(_judge(settings, 0.2 + NOISE, c=0.3 + NOISE), settings).splitlines()[2]
    assert row.endswith("| p: **confirmed**; +0.20 to +0.30 | confirmed |")


def test_a_claim_may_be_about_other_problems_of_a_data_set() -> None:
    of_both = {"margin": 0.05, "sets": {"ours": ["p", "q"], "others": ["r"]}}
    claims = {"one": _claims(problems={"ours": ["q"]}).claims["one"].model_dump()}
    settings = ClaimSettings.model_validate({**of_both, "claims": claims})
    assert judge(settings, {}, REPORTED, 0.95)[["set", "problem"]].to_numpy().tolist() == [
        ["ours", "q"],
        ["others", "r"],
    ]


def test_the_claims_of_the_project_name_studies_arms_and_problems_that_exist() -> None:
    own = yaml.safe_load((ROOT / "studies" / "params.yaml").read_text())
    settings = parse(ClaimSettings, yaml.safe_load((ROOT / "studies" / "claims.yaml").read_text()), "claims.yaml")
    for name, claim in settings.claims.items():
        study = parse(StudySettings, own["studies"][claim.study], name)
        assert {*claim.arms, claim.against} <= set(study.arms), name
        for of_set, problems in settings.sets.items():
            known = study.problems if of_set == "artificial" else own["real"].get(claim.study, problems)
            assert set(claim.problems.get(of_set, problems)) <= set(known) or of_set in claim.needs, name
        assert set(claim.needs) <= set(settings.sets), name


def test_a_claim_needs_an_arm() -> None:
    with pytest.raises(ValueError, match="at least 1 item"):
        Claim(section="", text="t", study="s", arms=[], against="a", claim="higher")


OF_BOTH = {"sets": {"ours": ["p"], "others": ["r"]}, "means": {"mean": ["ours", "others"]}}


def _of_both(claim: str = "higher", **changes: Any) -> ClaimSettings:
    return ClaimSettings.model_validate({"margin": 0.05, **OF_BOTH, "claims": _claims(claim, **changes).claims})


def _two_problems(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, Judged]:
    both = [_study({"a": BASE, **of}, problem).folds for problem, of in (("p", first), ("r", second))]
    return {"s": Judged(pd.concat(both), "macro_f1")}


def test_the_mean_over_data_sets_shows_what_none_of_them_shows_alone() -> None:
    scatter = np.array([0.05, -0.05, 0.02, 0.03, -0.05])
    table = judge(_of_both(), _two_problems({"b": BASE + 0.06 + scatter}, {"b": BASE + 0.07 - scatter}), REPORTED, 0.95)
    assert table["problem"].tolist() == ["p", "r", "mean"]
    assert table["verdict"].tolist() == [OPEN, OPEN, CONFIRMED]
    assert table["difference"][2] == pytest.approx(table["difference"][:2].mean())
    assert table["detectable"][2] < table["detectable"][:2].min()
    assert table["folds"][2] == 10
    header, _, row = summary_table(table, _of_both()).splitlines()
    assert header == "| section | claim of the thesis | ours | others | mean | verdict |"
    assert row.endswith("| not confirmed; confirmed on the mean |") and "| **confirmed**; +0.07 [+0.01, +0.12] |" in row


def test_a_mean_needs_the_arm_on_all_its_sets() -> None:
    settings = _of_both(arms=["b", "c"])
    table = judge(settings, _two_problems({"b": BASE + NOISE}, {"b": BASE, "c": BASE + NOISE}), REPORTED, 0.95)
    of_mean = table[table["set"] == "mean"].set_index("arm")
    assert of_mean["verdict"]["c"] == NOT_RUN and np.isfinite(of_mean["p"]["b"])
    assert "; not run: c |" in summary_table(table, settings)
    table = judge(settings, _two_problems({}, {"b": BASE + NOISE}), REPORTED, 0.95)
    assert "| p: not run: needs study s with these arms, in studies/params.yaml |" in summary_table(table, settings)
    assert summary_table(table, settings).splitlines()[2].endswith("|  | not confirmed |")  # no cell for the mean


def test_one_problem_alone_is_its_own_mean() -> None:
    folds = _study({"a": BASE, "b": BASE + 0.1 + NOISE, "c": BASE + 2 * NOISE}).folds
    table = compared(folds, {"b": "a", "c": "a"}, "macro_f1", 0.95)
    pd.testing.assert_frame_equal(averaged([table], 0.95), table, check_dtype=False)


def test_intervals_of_means_miss_the_truth_in_one_of_twenty_experiments() -> None:
    rng, freedoms, n = np.random.default_rng(0), np.array([4.0, 9.0]), 4000
    true = np.array([0.1, 0.03])  # standard errors; their estimates scatter as variances do
    errors = true * np.sqrt(rng.chisquare(freedoms, (n, 2)) / freedoms)
    means = rng.normal(0.3, true, (n, 2)).mean(axis=1)
    halves = [error * stats.t.isf(0.025, freedom) for error, freedom in (joint_error(one, freedoms) for one in errors)]
    assert np.mean(np.abs(means - 0.3) < halves) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(
    "second", [BASE + 0.1, BASE + 0.1 + NOISE, BASE * np.nan], ids=["no scatter", "scatter", "no values"]
)
def test_a_mean_is_undefined_where_the_test_of_one_problem_is(second: np.ndarray) -> None:
    table = judge(_of_both(), _two_problems({"b": BASE + 0.1}, {"b": second}), REPORTED, 0.95)
    assert table["verdict"][2] == UNDEFINED
    assert table.loc[2, ["low", "high", "p", "detectable"]].isna().all()
    assert np.isnan(table["difference"][2]) == np.isnan(second).all()


def test_arms_that_never_differ_do_not_differ_on_the_mean() -> None:
    table = judge(_of_both(), _two_problems({"b": BASE}, {"b": BASE}), REPORTED, 0.95)
    assert table.loc[2, ["difference", "low", "high", "p"]].tolist() == [0, 0, 0, 1]
    table = judge(_of_both(), _two_problems({"b": BASE}, {"b": BASE + 0.2 + NOISE}), REPORTED, 0.95)
    assert table["error"][2] == pytest.approx(table["error"][1] / 2)


@pytest.mark.parametrize("claim", ["equal", "not_higher"])
def test_a_mean_confirms_no_equality_as_opposite_differences_cancel(claim: str) -> None:
    opposite = _two_problems({"b": BASE + 0.2 + NOISE}, {"b": BASE - 0.2 + NOISE})
    table = judge(_of_both(claim), opposite, REPORTED, 0.95)
    assert table["high"][2] < 0.05 and table["verdict"][2] == OPEN
    table = judge(_of_both(claim), _two_problems({"b": BASE + 0.2 + NOISE}, {"b": BASE + NOISE}), REPORTED, 0.95)
    assert table["verdict"][2] == CONTRADICTED


def test_the_picture_has_the_comparisons_in_units_of_the_measures() -> None:
    settings = _of_both(arms=["b", "c"])
    table = judge(settings, _two_problems({"b": BASE + NOISE}, {"b": BASE - 0.2 + NOISE}), REPORTED, 0.95)
    rows = picture_rows(table, settings)
    assert rows[["claim", "arms", "panel", "verdict"]].to_numpy().tolist() == [
        ["B wins", "b", "ours", OPEN],
        ["B wins", "b", "others", CONTRADICTED],
        ["B wins", "b", "mean", CONTRADICTED],
    ]
    assert list(rows["panel"].cat.categories) == ["ours", "others", "mean"]
    assert picture_rows(table.assign(measure="dead_filters"), settings).empty
    one = _claims("open")
    assert picture_rows(_judge(one, NOISE), one)[["arms", "verdict"]].to_numpy().tolist() == [["", QUESTION]]


def test_each_problem_of_a_set_has_a_panel() -> None:
    settings = ClaimSettings.model_validate({"margin": 0.05, "sets": {"ours": ["p", "r"]}, "claims": _claims().claims})
    table = judge(settings, _two_problems({"b": BASE + NOISE}, {"b": BASE + NOISE}), REPORTED, 0.95)
    assert picture_rows(table, settings)["panel"].tolist() == ["p", "r"]
    two = _claims(problems={"ours": ["p", "r"]})
    assert picture_rows(judge(two, _two_problems({"b": BASE}, {"b": BASE}), REPORTED, 0.95), two)["panel"].tolist() == [
        "p",
        "r",
    ]


def test_a_claim_may_leave_a_data_set_out() -> None:
    settings = ClaimSettings.model_validate(
        {"margin": 0.05, "sets": OF_BOTH["sets"], "claims": _claims(problems={"others": []}).claims}
    )
    table = judge(settings, _two_problems({"b": BASE + NOISE}, {}), REPORTED, 0.95)
    assert summary_table(table, settings).splitlines()[2].endswith("|  | not confirmed |")


@pytest.mark.parametrize("means", [{"ours": ["ours"]}, {"m": ["unknown"]}, {"m": []}])
def test_means_are_of_data_sets(means: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="needs a name of its own and data sets of ours, others"):
        ClaimSettings.model_validate({"margin": 0.05, **OF_BOTH, "means": means, "claims": _claims().claims})


@pytest.mark.parametrize("problems", [[], ["r", "q"]])
def test_a_mean_needs_one_problem_of_each_set(problems: list[str]) -> None:
    with pytest.raises(ValueError, match="needs one problem of others; claim 'one' has another number"):
        _of_both(problems={"others": problems})
