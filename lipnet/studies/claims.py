"""Claims of the thesis: whether studies on several data sets confirm or contradict them, or cannot tell."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, PositiveFloat

from lipnet.core.settings import Settings
from lipnet.evaluation.comparison import corrected_t_test, holm
from lipnet.evaluation.formatting import UNDEFINED, markdown_table
from lipnet.evaluation.measures import DEAD_FILTERS, OVERALL, one_of, words
from lipnet.studies.power import detectable
from lipnet.studies.subsets import interval
from lipnet.studies.verdicts import thesis_values

CONFIRMED, CONTRADICTED, OPEN, NOT_RUN = "confirmed", "contradicted", "not confirmed", "not run"
MIXED = "mixed"
DIFFERENCE = ["difference", "low", "high"]


class Claim(Settings):
    """One row of ``claims`` in studies/claims.yaml.

    Attributes:
        section: of the thesis, with figures and tables; may be empty.
        text: the claim in words.
        study: the study that compares the arms.
        arms: each is compared with ``against``.
        against: the arm of reference.
        claim: what the measure of the arms is, compared with the reference. equal: within the margin; not_higher: not
            higher by the margin; open: the thesis leaves it open, there is no verdict.
        measure: an overall measure; None: the one that the study judges.
        problems: problems of the first data set, the thesis's own, that the claim is about; None: all.
        needs: data set -> what a run would need, if more than a scale with these arms.
    """

    section: str
    text: str
    study: str
    arms: list[str] = Field(min_length=1)
    against: str
    claim: Literal["higher", "lower", "equal", "not_higher", "open"]
    measure: Annotated[str, one_of((*OVERALL, DEAD_FILTERS))] | None = None
    problems: list[str] | None = None
    needs: dict[str, str] = Field(default={})


class ClaimSettings(Settings):
    """The content of studies/claims.yaml.

    Attributes:
        margin: differences smaller than this count as equal, in units of the measure.
        sets: data set -> its problems.
        claims: name -> claim.
    """

    margin: PositiveFloat
    sets: dict[str, list[str]] = Field(min_length=1)
    claims: dict[str, Claim] = Field(min_length=1)


class Judged(NamedTuple):
    """The folds of one study, and how it judges.

    Attributes:
        folds: columns problem, arm, repeat, fold, n_train, n_test, class, measure, value.
        measure: the measure that the study judges.
    """

    folds: pd.DataFrame
    measure: str


def judge(
    settings: ClaimSettings, studies: Mapping[str, Judged], reported: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """Every comparison of every claim on every problem of every data set.

    The differences are tested by the corrected resampled t-test, with Holm's correction over the arms of a claim on one
    problem. A claim of a direction is confirmed if the difference is shown and has this direction, and contradicted if
    it has the other. Equality is confirmed if the whole interval lies within the margin, and contradicted if a
    difference is shown and its interval does not. ``not_higher`` is confirmed if the interval ends below the margin,
    and contradicted if the arm is shown to be higher.

    Args:
        settings: the claims.
        studies: study -> its folds of all problems; studies that were not run are absent.
        reported: as for ``verdicts.thesis_values``.
        confidence: level of the intervals; 1 - confidence is the level of the tests.

    Returns:
        One row for each claim, problem and arm: claim, set, problem, arm, against, measure, difference, low, high, p,
        p_holm, detectable (``power.detectable``), thesis (the difference that follows from its tables and figures, for
        this problem or else for its own, NaN if they do not give one), folds, verdict. Without a run, numbers are NaN.
    """
    rows = []
    for name, claim in settings.claims.items():
        for number, (of_set, problems) in enumerate(settings.sets.items()):
            chosen = [one for one in problems if number or claim.problems is None or one in claim.problems]
            for problem in chosen:
                compared = _compared(claim, studies.get(claim.study), problem, settings.margin, confidence)
                thesis = [
                    _thesis(reported, claim, problem, row["arm"], row["measure"]) for _, row in compared.iterrows()
                ]
                rows.append(compared.assign(claim=name, set=of_set, problem=problem, thesis=thesis))
    table = pd.concat(rows, ignore_index=True)
    first = ["claim", "set", "problem"]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def _thesis(reported: pd.DataFrame, claim: Claim, problem: str, arm: str, measure: str) -> float:
    """The difference in the thesis for this problem; for other data, for the first problem of the claim with values."""
    of_class = {"macro_f1": "f1", "balanced_accuracy": "tpr"}.get(measure)
    of_study = reported["problem"][reported["study"] == claim.study].unique().tolist() if of_class else []
    for one in [problem] if problem in of_study else claim.problems or of_study:
        known = thesis_values(reported, claim.study, one, str(of_class))
        means = [
            np.mean([v for (name, _), v in known.items() if name == which] or [np.nan])
            for which in (arm, claim.against)
        ]
        if np.isfinite(means).all():
            return float(means[0] - means[1])
    return np.nan


def _compared(claim: Claim, study: Judged | None, problem: str, margin: float, confidence: float) -> pd.DataFrame:
    table = pd.DataFrame({"arm": claim.arms, "against": claim.against, "measure": claim.measure or ""})
    numbers = [*DIFFERENCE, "p", "detectable"]
    table = table.reindex(columns=[*table.columns, *numbers]).assign(folds=0)
    if study is not None:
        measure = claim.measure or study.measure
        table["measure"] = measure
        of_all, level = study.folds, (1 - confidence) / len(claim.arms)
        part = of_all[(of_all["problem"] == problem) & (of_all["class"] == "") & (of_all["measure"] == measure)]
        wide = part.pivot_table(index=["repeat", "fold"], columns="arm", values="value")
        for row, arm in enumerate(claim.arms):
            if {arm, claim.against} <= set(wide.columns):
                differences = (wide[arm] - wide[claim.against]).dropna().to_numpy()
                share = float(part["n_test"].sum() / part["n_train"].sum())
                test = corrected_t_test(differences, share, confidence)
                table.loc[row, numbers] = [*test, detectable(differences, share, level)]
                table.loc[row, "folds"] = len(differences)
    table["p_holm"] = holm(table["p"].to_numpy(dtype=np.float64))
    return table.assign(verdict=[_verdict(row, claim.claim, margin, confidence) for _, row in table.iterrows()])


def _verdict(row: pd.Series, claim: str, margin: float, confidence: float) -> str:
    if not row["folds"]:
        return NOT_RUN
    if claim == "open":
        return ""
    shown = row["p_holm"] < 1 - confidence
    within = {"equal": -margin < row["low"] and row["high"] < margin, "not_higher": row["high"] < margin}
    right = {"higher": row["difference"] > 0, "lower": row["difference"] < 0, "not_higher": row["difference"] < 0}
    if within.get(claim, shown and right.get(claim, False)):
        return CONFIRMED
    return CONTRADICTED if shown and not right.get(claim, False) else OPEN


def together(verdicts: Sequence[str]) -> str:
    """One verdict of all arms of a claim: confirmed if all are, contradicted if one is, not confirmed otherwise."""
    known = [verdict for verdict in verdicts if verdict != NOT_RUN]
    if not known or not any(known):
        return NOT_RUN if not known else ""
    if CONTRADICTED in known:
        return CONTRADICTED
    return CONFIRMED if all(verdict == CONFIRMED for verdict in known) else OPEN


def overall(verdicts: Sequence[str]) -> str:
    """The verdict over all problems where a claim was judged, in words."""
    known = [verdict for verdict in verdicts if verdict not in (NOT_RUN, "")]
    if not known:
        return NOT_RUN if NOT_RUN in verdicts and "" not in verdicts else "open question"
    for one, other in ((CONFIRMED, CONTRADICTED), (CONTRADICTED, CONFIRMED)):
        if one in known and other not in known:
            n = known.count(one)
            return one if n == len(known) else f"{one} on {n} of {len(known)}, not confirmed on the others"
    return MIXED if CONFIRMED in known else OPEN


def summary_table(table: pd.DataFrame, settings: ClaimSettings) -> str:
    """The claims as a Markdown table, one row each: what the data sets show, and the verdict.

    Args:
        table: result of ``judge``.
        settings: the claims.
    """
    header, rows = ["section", "claim of the thesis", *settings.sets, "verdict"], []
    for name, claim in settings.claims.items():
        mine = table[table["claim"] == name]
        cells, verdicts = [], []
        for of_set in settings.sets:
            parts = []
            for problem, part in mine[mine["set"] == of_set].groupby("problem", sort=False):
                verdicts.append(together(part["verdict"].tolist()))
                label = f"{problem}: " if of_set != problem else ""
                needs = claim.needs.get(of_set, f"study {claim.study} in a scale with these arms")
                parts.append(label + _cell(part, verdicts[-1], needs))
            cells.append("<br>".join(parts))
        rows.append([claim.section, claim.text, *cells, overall(verdicts)])
    return "\n".join(markdown_table(header, rows)) + "\n"


def _cell(part: pd.DataFrame, verdict: str, needs: str) -> str:
    run = part[part["folds"] > 0]
    if run.empty:
        return f"not run: needs {needs}"
    digits = 1 if (part["measure"] == DEAD_FILTERS).all() else 2
    if len(run) == 1:
        numbers = _interval(run.iloc[0], digits)
    else:
        numbers = " to ".join(
            f"{number + 0:+.{digits}f}" for number in run["difference"].agg(["min", "max"]).round(digits)
        )
        verdict = verdict and f"{verdict} ({(run['verdict'] == CONFIRMED).sum()} of {len(run)} arms)"
    least = "" if verdict.startswith(CONFIRMED) else f"detectable: {run['detectable'].max():.{digits}f}"
    if least and (run["detectable"] < run["thesis"].abs()).all():
        least += f", in the thesis {run['thesis'].abs().min():.{digits}f} or more"
    return "; ".join(filter(None, [f"**{verdict}**" if verdict else "", numbers, least]))


def _interval(row: pd.Series, digits: int) -> str:
    return interval(row["difference"], row["low"], row["high"], digits)


def details_table(table: pd.DataFrame) -> str:
    """Every comparison that was run, as a Markdown table; ``table`` is the result of ``judge``."""
    numbers = ["difference [interval]", "p (Holm)", "detectable", "in the thesis", "folds", "verdict"]
    rows = []
    for _, row in table[table["folds"] > 0].iterrows():
        digits = 1 if row["measure"] == DEAD_FILTERS else 3
        texts = {key: f"{row[key]:.3f}" if np.isfinite(row[key]) else UNDEFINED for key in ("p_holm", "detectable")}
        thesis = f"{row['thesis']:+.2f}" if np.isfinite(row["thesis"]) else ""
        cells = [row["claim"], row["problem"], f"{row['arm']} against {row['against']}", words(row["measure"])]
        verdict = row["verdict"] or "open question"
        rows.append([*cells, _interval(row, digits), *texts.values(), thesis, f"{row['folds']}", verdict])
    return "\n".join(markdown_table(["claim", "problem", "arms", "measure", *numbers], rows)) + "\n"
