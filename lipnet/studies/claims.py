"""Claims of the thesis: whether studies on several data sets confirm or contradict them, or cannot tell."""

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
from pydantic import Field, PositiveFloat, model_validator

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.evaluation.formatting import UNDEFINED
from lipnet.evaluation.measures import DEAD_FILTERS, OVERALL, one_of
from lipnet.studies.comparisons import averaged, compared
from lipnet.studies.verdicts import thesis_values

CONFIRMED, CONTRADICTED, OPEN, NOT_RUN = "confirmed", "contradicted", "not confirmed", "not run"
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
        means: name -> data sets over which each difference is averaged; every claim has one problem in each of them.
        claims: name -> claim.
    """

    margin: PositiveFloat
    sets: dict[str, list[str]] = Field(min_length=1)
    means: dict[str, list[str]] = Field(default={})
    claims: dict[str, Claim] = Field(min_length=1)

    @model_validator(mode="after")
    def _means_are_of_sets(self) -> Self:
        for name, members in self.means.items():
            if name in self.sets or not members or not set(members) <= set(self.sets):
                raise ValueError(f"means: '{name}' needs a name of its own and data sets of {', '.join(self.sets)}")
            for (claim, row), member in product(self.claims.items(), members):
                if len(row.problems.get(member, self.sets[member])) != 1:  # each set has the same weight
                    raise ValueError(
                        f"means: '{name}' needs one problem of {member}; claim '{claim}' has another number"
                    )
        return self


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
    """Every comparison of every claim on every problem of every data set, and on the mean of data sets.

    ``comparisons.compared`` tests the arms of a claim on one problem, ``comparisons.averaged`` on the mean of several.
    A claim of a direction is confirmed if the difference is shown and has this direction, and contradicted if it is
    shown and has the other. Equality is confirmed if the whole interval lies within the margin, and contradicted if a
    difference is shown and the whole interval lies beyond the margin. ``not_higher`` is confirmed if the interval ends
    below the margin, and contradicted if a difference is shown and the interval begins above it. A mean confirms
    neither of these two, as opposite differences cancel in it.

    Args:
        settings: the claims.
        studies: study -> its folds of all problems; studies that were not run are absent.
        reported: as for ``verdicts.thesis_values``.
        confidence: level of the intervals; 1 - confidence is the level of the tests.

    Returns:
        One row for each claim, problem and arm: claim, set, problem (for a mean, both are its name), measure, the
        columns of ``compared``, thesis (the difference that follows from its tables and figures, for this problem or
        else for its own, NaN if they do not give one), verdict (confirmed, contradicted, not confirmed, undefined, not
        run; "" for open questions). Numbers of arms that were not run are NaN.

    Raises:
        InputError: a fold of an arm occurs twice.
    """
    rows = []
    for name, claim in settings.claims.items():
        study = studies.get(claim.study)
        measure = claim.measure or (study.measure if study else "")
        for (of_set, problem), table in _of_sets(settings, claim, study, measure, confidence).items():
            thesis = [_thesis(reported, claim, problem, arm, measure) for arm in claim.arms]
            judged = _with_verdicts(table, claim, settings.margin, confidence)
            if of_set in settings.means and claim.claim in ("equal", "not_higher"):
                judged["verdict"] = judged["verdict"].replace(CONFIRMED, OPEN)
            rows.append(judged.assign(claim=name, set=of_set, problem=problem, measure=measure, thesis=thesis))
    table = pd.concat(rows, ignore_index=True)
    first = ["claim", "set", "problem", "measure"]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def _of_sets(
    settings: ClaimSettings, claim: Claim, study: Judged | None, measure: str, confidence: float
) -> dict[tuple[str, str], pd.DataFrame]:
    """The comparisons of a claim: (data set, problem) -> result of ``compared``; for means too, under their names."""
    found = {
        (of_set, problem): _compared(claim, study.folds if study else NO_FOLDS, problem, measure, confidence)
        for of_set, problems in settings.sets.items()
        for problem in claim.problems.get(of_set, problems)
    }
    means = {
        (name, name): averaged([table for (of_set, _), table in found.items() if of_set in members], confidence)
        for name, members in settings.means.items()
    }
    return found | means


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


def _compared(claim: Claim, folds: pd.DataFrame, problem: str, measure: str, confidence: float) -> pd.DataFrame:
    part = folds[(folds["problem"] == problem) & (folds["class"] == "") & (folds["measure"] == measure)]
    twice = part[part.duplicated(["arm", "repeat", "fold"])]
    if len(twice):
        raise InputError(
            f"study {claim.study}, {problem}: arm '{twice['arm'].iloc[0]}' has fold {twice['fold'].iloc[0]} twice; "
            "keep the results of a problem in studies/results or in studies/real, not in both"
        )
    present = set(part["arm"])
    pairs = {arm: claim.against for arm in claim.arms if {arm, claim.against} <= present}
    return compared(part, pairs, measure, confidence)


def _with_verdicts(table: pd.DataFrame, claim: Claim, margin: float, confidence: float) -> pd.DataFrame:
    """One row for each arm of the claim, those that were not run too."""
    verdicts = {row["arm"]: _verdict(row, claim.claim, margin, confidence) for _, row in table.iterrows()}
    table = table.set_index("arm").reindex(claim.arms).reset_index()
    return table.assign(reference=claim.against, verdict=[verdicts.get(arm, NOT_RUN) for arm in claim.arms])


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
