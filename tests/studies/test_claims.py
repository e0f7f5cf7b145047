"""Claims of the thesis: each verdict, what is not run, and the table of the document."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from lipnet.core.errors import InputError
from lipnet.core.settings import parse
from lipnet.evaluation.comparison import corrected_t_test
from lipnet.evaluation.formatting import UNDEFINED
from lipnet.studies.claims import (
    CONFIRMED,
    CONTRADICTED,
    MIXED,
    NOT_RUN,
    OPEN,
    Claim,
    ClaimSettings,
    Judged,
    details_table,
    judge,
    overall,
    summary_table,
    together,
)
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
        assert table["detectable"][row] == pytest.approx(detectable(differences, 0.25, 0.025))
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
    assert table["detectable"][0] == pytest.approx(detectable(0.2 + NOISE, 0.25, 0.05))  # one test, no correction
    row = summary_table(table, settings).splitlines()[2]
    assert "**not confirmed**; +0.20 [" in row and row.endswith("; not run: c | not confirmed |")


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
    assert "| p: not run: needs study s with these arms (studies/params.yaml) | not run |" in summary_table(
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
    assert overall(verdicts) == expected


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
