"""The report of a study: each arm against its reference on the same folds, with a corrected test and a verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lipnet.evaluation.formatting import UNDEFINED, markdown_table, mean_with_sd
from lipnet.evaluation.measures import DEAD_FILTERS, LOWER_IS_BETTER, words
from lipnet.evaluation.metrics import class_ratios, mean_sd, spread, summary
from lipnet.studies import subsets
from lipnet.studies.comparisons import by_fold, compared
from lipnet.studies.formatting import decimals, interval
from lipnet.studies.power import POWER
from lipnet.studies.study import StudySettings

INTRODUCTION = """\
# {title}

{thesis}Scale `{scale}` of studies/params.yaml{changes}; particles from source `{source}`. {trained}

Mean ± standard deviation over the test folds. In brackets, where there is one, the value that the thesis reports or
that follows from its mean confusion matrix; its data are not these, so the two need not agree. Arms are judged by
{judged}, fold by fold, with the corrected resampled t-test (Nadeau and Bengio 2003) at the level of {level}, after
Holm's correction over the arms of a problem; intervals are {percent} % and not corrected. "No difference seen" does not
mean that there is none. "Detectable" says how large it would have to be: with the spread over these folds, the test
would show a true difference of this size in four of five such experiments (power {power}).
"""
UNSEEN = "no difference seen"
Known = dict[tuple[str, str], float]  # (arm, class) -> value in the thesis


def summaries_of(folds: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    """The record of one problem in metrics.json: arm -> ``metrics.summary`` and the dead filters, mean and sd.

    Args:
        folds: as for ``judge``.
        classes: names of the classes.
    """
    found = {}
    for arm, part in folds.groupby("arm", sort=False):
        dead = part.loc[part["measure"] == DEAD_FILTERS, "value"].to_numpy(dtype=np.float64)
        found[str(arm)] = {**summary(part, classes), DEAD_FILTERS: spread(dead)}
    return found


def judge(folds: pd.DataFrame, study: StudySettings, confidence: float) -> pd.DataFrame:
    """Each arm of one problem against its reference, by the measure that the study judges.

    Args:
        folds: columns arm, repeat, fold, n_train, n_test, class ("" for overall), measure, value; arms in order.
        study: its reference (``against``) and its measure (``judged``).
        confidence: level of the intervals; 1 - confidence is the level of the test.

    Returns:
        ``comparisons.compared`` of the arms with a reference; verdict: better, worse, no difference seen, undefined.
    """
    pairs = _references(list(dict.fromkeys(folds["arm"])), by_fold(folds, study.judged), study)
    table = compared(folds, pairs, study.judged, confidence)
    sign = -1 if study.judged in LOWER_IS_BETTER else 1
    direction = np.where(sign * table["difference"] > 0, "better", "worse")
    seen = np.where(table["p_holm"] < 1 - confidence, direction, UNSEEN)
    return table.assign(verdict=np.where(np.isfinite(table["p_holm"]), seen, UNDEFINED))


def _references(arms: Sequence[str], wide: pd.DataFrame, study: StudySettings) -> dict[str, str]:
    if study.against == "previous":
        return dict(zip(arms[1:], arms[:-1], strict=True))
    reference = study.against
    if study.against == "best":
        means = wide.mean().where(wide.notna().all())  # an arm with an undefined fold cannot be the best
        if means.isna().all():
            return {}
        reference = str(means.idxmin() if study.judged in LOWER_IS_BETTER else means.idxmax())
    return {arm: reference for arm in arms if arm != reference}


def thesis_values(reported: pd.DataFrame, study: str, problem: str, measure: str) -> Known:
    """The values that the thesis reports for a measure of each class: (arm, class) -> value.

    Args:
        reported: columns study, problem, arm, actual, predicted, quantity, value: an F1 score, or an entry of a mean
            confusion matrix, normalised by true class (share) or as a count.
        study: its name.
        problem: its name.
        measure: f1, tpr or ppv. Shares give the TPR; counts give all three.
    """
    part = reported[(reported["study"] == study) & (reported["problem"] == problem)]
    of_f1 = part[(part["quantity"] == "f1") & (measure == "f1")]
    known = {(str(row["arm"]), str(row["actual"])): float(row["value"]) for _, row in of_f1.iterrows()}
    for (arm, quantity), entries in part[part["quantity"] != "f1"].groupby(["arm", "quantity"], sort=False):
        if quantity == "count" or measure == "tpr":
            matrix = entries.pivot_table(index="actual", columns="predicted", values="value")
            numerators, denominators = class_ratios(matrix.to_numpy())[measure]
            values = numerators / denominators
            known |= {(str(arm), str(label)): float(value) for label, value in zip(matrix.index, values, strict=True)}
    return known


def head(
    study: StudySettings,
    scale: str,
    changes: Mapping[str, Any],
    source: str,
    confidence: float,
    precisions: Sequence[str],
) -> str:
    """The start of the report: title, data, precision of the networks' training, and how to read the tables.

    Args:
        study: its settings.
        scale: name of the scale.
        changes: the settings of the scale.
        source: kind of the particles' source.
        confidence: level of the intervals.
        precisions: in which networks were trained.
    """
    thesis = f"Thesis: {study.thesis}. " if study.thesis else ""
    level, percent = f"{1 - confidence:.2g}", f"{100 * confidence:.0f}"
    named = {"title": study.title, "thesis": thesis, "scale": scale, "source": source, "judged": words(study.judged)}
    named["changes"] = f" ({', '.join(f'{key}: {value}' for key, value in changes.items())})" if changes else ""
    trained = f"Networks were trained in {' and '.join(precisions)}." if precisions else "No network was trained."
    return INTRODUCTION.format(**named, level=level, percent=percent, power=POWER, trained=trained)


def section(
    problem: str, folds: pd.DataFrame, study: StudySettings, classes: Sequence[str], known: Known, confidence: float
) -> str:
    """The section of one problem: verdicts, table and, for ordered subsets, the effects of their items."""
    judged = judge(folds, study, confidence)
    run = set(folds["arm"])
    absent = {arm: f"only for {', '.join(fit)}" for arm, fit in study.only.items() if problem not in fit}
    absent |= {arm: "the scale leaves it out" for arm in study.arms if arm not in run and arm not in absent}
    parts = [f"## {problem}\n", in_words(judged, study, absent), to_markdown(folds, judged, study, classes, known)]
    if study.subsets:
        parts.append(subsets.report(folds, study.subsets, study.judged, confidence))
    return "\n".join(parts)


def to_markdown(
    folds: pd.DataFrame, verdicts: pd.DataFrame, study: StudySettings, classes: Sequence[str], known: Known
) -> str:
    """The table of one problem: mean ± sd over the folds, the value of the thesis in brackets, and the verdict."""
    judged = words(study.judged)
    heads = ["arm", *(words(name) for name in study.shown), *(f"{label} {words(study.of_class)}" for label in classes)]
    header, lines = [*heads, f"{judged} against", "difference [interval]", "p (Holm)", "detectable", "verdict"], []
    groups = {key: part["value"].to_numpy(dtype=np.float64) for key, part in folds.groupby(["arm", "class", "measure"])}
    arms = list(dict.fromkeys(folds["arm"]))
    if study.figure == "ranking":
        mean = {arm: mean_sd(groups[arm, "", study.judged])[0] for arm in arms}
        arms.sort(key=lambda arm: mean[arm] if study.judged in LOWER_IS_BETTER else -mean[arm])
    rows = verdicts.set_index("arm") if len(verdicts) else verdicts
    for arm in arms:
        cells = [arm, *(_spread(groups[arm, "", name]) for name in study.shown)]
        cells += [_spread(groups[arm, label, study.of_class], known.get((arm, label))) for label in classes]
        lines.append([*cells, *(_judged(rows.loc[arm]) if arm in rows.index else [""] * 5)])
    return "\n".join(markdown_table(header, lines)) + "\n"


def _spread(values: Any, reported: float | None = None) -> str:
    text = mean_with_sd(*mean_sd(values))
    defined = int(np.isfinite(values).sum())
    if 0 < defined < len(values):
        text += f" in {defined} of {len(values)} folds"
    return text if reported is None else f"{text} ({reported:.2f})"


def _judged(row: pd.Series) -> list[str]:
    return [
        str(row["reference"]),
        _interval(row),
        decimals(row["p_holm"]),
        decimals(row["detectable"]),
        str(row["verdict"]),
    ]


def _interval(row: pd.Series) -> str:
    return interval(row["difference"], row["low"], row["high"])


def in_words(verdicts: pd.DataFrame, study: StudySettings, absent: Mapping[str, str]) -> str:
    """The verdicts as sentences: one for each arm, or one for all arms against the best; then the arms not run."""
    judged = words(study.judged)
    if study.against == "best" and len(verdicts):
        counts = verdicts["verdict"].value_counts()
        worse, equal, unknown = (counts.get(word, 0) for word in ("worse", UNSEEN, UNDEFINED))
        least = float(verdicts["detectable"].median())
        seen = f"for half of them, a difference of {least:.3f} would have been seen in four of five experiments"
        if least > 1 and study.judged not in LOWER_IS_BETTER:
            seen = "with so many arms and so few folds, hardly any difference could have been seen"
        lines = [
            f"- Best {judged}: {verdicts['reference'].iloc[0]}. Of the other {len(verdicts)} arms, {worse} are worse, "
            f"{equal} are not shown to differ and {unknown} cannot be judged; {seen}. The best was picked on the folds "
            "that it is judged on, so its lead is flattered."
        ]
    else:
        lines = [_sentence(row, judged) for _, row in verdicts.iterrows()]
    lines += [f"- {arm}: not run, {reason}." for arm, reason in absent.items()]
    return "\n".join(lines) + "\n"


def _sentence(row: pd.Series, judged: str) -> str:
    start = f"- {row['arm']} against {row['reference']}: {row['verdict']}"
    if not np.isfinite(row["p_holm"]):
        return f"{start} ({judged}: both are defined in {row['folds']} folds, or differ by the same in all)."
    least = decimals(row["detectable"])
    seen = "" if row["verdict"] != UNSEEN else f"; {least} would have been seen in four of five experiments"
    return f"{start} ({judged} {_interval(row)}, p = {decimals(row['p_holm'])} after Holm's correction{seen})."
