"""Claims of the thesis: whether studies on several data sets confirm or contradict them, or cannot tell."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, PositiveFloat

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.evaluation.formatting import UNDEFINED, markdown_table
from lipnet.evaluation.measures import DEAD_FILTERS, OVERALL, one_of, words
from lipnet.studies.comparisons import compared
from lipnet.studies.formatting import decimals, interval
from lipnet.studies.verdicts import thesis_values

CONFIRMED, CONTRADICTED, OPEN, NOT_RUN = "confirmed", "contradicted", "not confirmed", "not run"
MIXED = "mixed"
NO_FOLDS = pd.DataFrame(columns=["problem", "arm", "repeat", "fold", "n_train", "n_test", "class", "measure", "value"])


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
        problems: data set -> its problems that the claim is about; of other data sets, those of ``sets``.
        needs: data set -> what a run would need, if more than a scale with these arms.
    """

    section: str
    text: str
    study: str
    arms: list[str] = Field(min_length=1)
    against: str
    claim: Literal["higher", "lower", "equal", "not_higher", "open"]
    measure: Annotated[str, one_of((*OVERALL, DEAD_FILTERS))] | None = None
    problems: dict[str, list[str]] = Field(default={})
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

    ``comparisons.compared`` tests the arms of a claim on one problem. A claim of a direction is confirmed if the
    difference is shown and has this direction, and contradicted if it is shown and has the other. Equality is confirmed
    if the whole interval lies within the margin, and contradicted if a difference is shown and the whole interval lies
    beyond the margin. ``not_higher`` is confirmed if the interval ends below the margin, and contradicted if a
    difference is shown and the interval begins above it.

    Args:
        settings: the claims.
        studies: study -> its folds of all problems; studies that were not run are absent.
        reported: as for ``verdicts.thesis_values``.
        confidence: level of the intervals; 1 - confidence is the level of the tests.

    Returns:
        One row for each claim, problem and arm: claim, set, problem, measure, the columns of ``compared``, thesis (the
        difference that follows from its tables and figures, for this problem or else for its own, NaN if they do not
        give one), verdict (confirmed, contradicted, not confirmed, undefined, not run; "" for open questions). Numbers
        of arms that were not run are NaN.

    Raises:
        InputError: a fold of an arm occurs twice.
    """
    rows = []
    for name, claim in settings.claims.items():
        for of_set, problems in settings.sets.items():
            for problem in claim.problems.get(of_set, problems):
                table = _judged(claim, studies.get(claim.study), problem, settings.margin, confidence)
                thesis = [_thesis(reported, claim, problem, row["arm"], row["measure"]) for _, row in table.iterrows()]
                rows.append(table.assign(claim=name, set=of_set, problem=problem, thesis=thesis))
    table = pd.concat(rows, ignore_index=True)
    first = ["claim", "set", "problem", "measure"]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def _thesis(reported: pd.DataFrame, claim: Claim, problem: str, arm: str, measure: str) -> float:
    """The difference in the thesis for this problem; for other data, for the first problem with values."""
    of_class = {"macro_f1": "f1", "balanced_accuracy": "tpr"}.get(measure)
    of_study = reported["problem"][reported["study"] == claim.study].unique().tolist() if of_class else []
    for one in [problem] if problem in of_study else of_study:
        known = thesis_values(reported, claim.study, one, str(of_class))
        means = [
            np.mean([v for (name, _), v in known.items() if name == which] or [np.nan])
            for which in (arm, claim.against)
        ]
        if np.isfinite(means).all():
            return float(means[0] - means[1])
    return np.nan


def _judged(claim: Claim, study: Judged | None, problem: str, margin: float, confidence: float) -> pd.DataFrame:
    """The rows of a claim on one problem, without those columns that are the same in all of them."""
    measure, of_all = claim.measure or (study.measure if study else ""), study.folds if study else NO_FOLDS
    part = of_all[(of_all["problem"] == problem) & (of_all["class"] == "") & (of_all["measure"] == measure)]
    twice = part[part.duplicated(["arm", "repeat", "fold"])]
    if len(twice):
        raise InputError(
            f"study {claim.study}, {problem}: arm '{twice['arm'].iloc[0]}' has fold {twice['fold'].iloc[0]} twice; "
            "keep the results of a problem in studies/results or in studies/real, not in both"
        )
    present = set(part["arm"])
    pairs = {arm: claim.against for arm in claim.arms if {arm, claim.against} <= present}
    table = compared(part, pairs, measure, confidence)
    verdicts = {row["arm"]: _verdict(row, claim.claim, margin, confidence) for _, row in table.iterrows()}
    table = table.set_index("arm").reindex(claim.arms).reset_index()
    named = {"reference": claim.against, "measure": measure}
    return table.assign(**named, verdict=[verdicts.get(arm, NOT_RUN) for arm in claim.arms])


def _verdict(row: pd.Series, claim: str, margin: float, confidence: float) -> str:
    if not np.isfinite(row["p_holm"]):
        return UNDEFINED
    if claim == "open":
        return ""
    low, high, shown = row["low"], row["high"], row["p_holm"] < 1 - confidence
    confirmed, contradicted = {
        "higher": (shown and low > 0, shown and high < 0),
        "lower": (shown and high < 0, shown and low > 0),
        "equal": (-margin < low and high < margin, shown and (high < -margin or low > margin)),
        "not_higher": (high < margin, shown and low > margin),
    }[claim]
    return CONFIRMED if confirmed else CONTRADICTED if contradicted else OPEN


def together(verdicts: Sequence[str]) -> str:
    """One verdict of all arms of a claim: contradicted if one is, confirmed if all are, not confirmed otherwise.

    Not run if none was run; "" for an open question.
    """
    if all(verdict in (NOT_RUN, UNDEFINED) for verdict in verdicts):
        return NOT_RUN if NOT_RUN in verdicts else UNDEFINED
    if "" in verdicts:
        return ""
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return CONFIRMED if all(verdict == CONFIRMED for verdict in verdicts) else OPEN


def overall(verdicts: Sequence[str]) -> str:
    """The verdict over all problems where a claim was judged, in words."""
    known = [verdict for verdict in verdicts if verdict in (CONFIRMED, CONTRADICTED, OPEN)]
    if not known:
        return "open question" if "" in verdicts else NOT_RUN
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
                label = f"{problem}: " if problem != of_set else ""
                needs = claim.needs.get(of_set, f"study {claim.study} with these arms (studies/params.yaml)")
                parts.append(label + _cell(part, verdicts[-1], needs))
            cells.append("<br>".join(parts))
        rows.append([claim.section, claim.text, *cells, overall(verdicts)])
    return "\n".join(markdown_table(header, rows)) + "\n"


def _cell(part: pd.DataFrame, verdict: str, needs: str) -> str:
    if verdict == NOT_RUN:
        return f"not run: needs {needs}"
    run, digits = part[part["verdict"] != NOT_RUN], _digits(part["measure"].iloc[0])
    absent = part.loc[part["verdict"] == NOT_RUN, "arm"].tolist()
    texts = [_in_bold(verdict, run), _differences(run, digits), "" if verdict == CONFIRMED else _power(run, digits)]
    texts.append(f"not run: {', '.join(absent)}" if absent else "")
    return "; ".join(filter(None, texts))


def _in_bold(verdict: str, run: pd.DataFrame) -> str:
    n = int((run["verdict"] == CONFIRMED).sum())
    mixed = len(run) > 1 and verdict in (OPEN, CONTRADICTED) and n
    return verdict and f"**{verdict}**" + (f" (confirmed for {n} of {len(run)} arms)" if mixed else "")


def _differences(run: pd.DataFrame, digits: int) -> str:
    """The difference of the only arm with its interval, or the least and the largest of all arms."""
    if len(run) == 1:
        return _interval(run.iloc[0], digits)
    extremes = run["difference"].agg(["min", "max"]).round(digits)
    return " to ".join(f"{number + 0:+.{digits}f}" for number in extremes)


def _power(run: pd.DataFrame, digits: int) -> str:
    """The largest detectable difference of the arms; with that of the thesis, if all of the thesis's are larger."""
    text = f"detectable: {decimals(run['detectable'].max(), digits)}"
    if not (run["detectable"] < run["thesis"].abs()).all():
        return text
    least = f"{run['thesis'].abs().min():.{digits}f}"
    return f"{text}, in the thesis {least}" + (" or more" if len(run) > 1 else "")


def _digits(measure: str) -> int:
    return 1 if measure == DEAD_FILTERS else 2


def _interval(row: pd.Series, digits: int) -> str:
    return interval(row["difference"], row["low"], row["high"], digits)


def details_table(table: pd.DataFrame) -> str:
    """Every comparison that was run, as a Markdown table; ``table`` is the result of ``judge``."""
    numbers = ["difference [interval]", "p (Holm)", "detectable", "in the thesis", "folds", "verdict"]
    rows = []
    for _, row in table[table["verdict"] != NOT_RUN].iterrows():
        digits = _digits(row["measure"]) + 1
        cells = [row["claim"], row["problem"], f"{row['arm']} against {row['reference']}", words(row["measure"])]
        cells += [_interval(row, digits), decimals(row["p_holm"]), decimals(row["detectable"], digits)]
        cells += [f"{row['thesis']:+.2f}" if np.isfinite(row["thesis"]) else "", f"{row['folds']:.0f}"]
        rows.append([*cells, row["verdict"] or "open question"])
    return "\n".join(markdown_table(["claim", "problem", "arms", "measure", *numbers], rows)) + "\n"
