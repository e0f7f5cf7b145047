"""The comparison of stage compare on the page: differences from the reference, their intervals, and verdicts in words.

It is computed from the predictions of the run, with the settings and the seed of the stage; so it has the numbers of
metrics/comparison.csv and metrics/bootstrap.csv, and cannot be older than the rest of the page.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from lipnet.core.seeds import generator
from lipnet.core.settings import parse, pick, seed_of
from lipnet.deployment.reports.names import listed
from lipnet.deployment.runs import PipelineRun
from lipnet.evaluation import bootstrap, comparison
from lipnet.evaluation.comparison import CompareSettings
from lipnet.evaluation.comparison_report import standing
from lipnet.evaluation.formatting import UNDEFINED, mean_with_sd
from lipnet.evaluation.measures import LOWER_IS_BETTER, plain_words
from lipnet.evaluation.predictions import Predictions

NO_DIFFERENCE = "no difference shown"
ENDS = ("difference", "low", "high")  # columns
SIGNS = {"better": "▲", "worse": "▼", NO_DIFFERENCE: "○", UNDEFINED: "", "reference": ""}


class Change(NamedTuple):
    """A difference and its interval, as text; both may be empty."""

    mean: str
    interval: str


NOTHING = Change("", "")


class Line(NamedTuple):
    """One classifier against the reference in one measure.

    Attributes:
        classifier: its name.
        mean: with its standard deviation over folds.
        difference: from the reference; empty for the reference itself.
        pooled: the same on pooled predictions, with the interval of the bootstrap; empty if there is none.
        bar: left end, middle and right end of the interval in per cent of the width of a picture whose middle is 0;
            None if there is no interval.
        verdict: a key of ``SIGNS``.
        sign: of the verdict.
    """

    classifier: str
    mean: str
    difference: Change
    pooled: Change
    bar: tuple[float, float, float] | None
    verdict: str
    sign: str


class Test(NamedTuple):
    """All classifiers against the reference in one measure, of one class or of all.

    Attributes:
        measure: in words.
        label: name of the class; empty: all classes together.
        note: which direction is better, and who is best, for measures of all classes.
        lines: one for each classifier.
    """

    measure: str
    label: str
    note: str
    lines: list[Line]


class Comparison(NamedTuple):
    """The comparison of a run.

    Attributes:
        reference: the classifier that all others are compared with.
        level: of the intervals, as text.
        sentence: who is better and who is worse, by the first primary measure of all classes.
        overall: tests on all classes together.
        of_classes: tests on single classes.
    """

    reference: str
    level: str
    sentence: str
    overall: list[Test]
    of_classes: list[Test]


def compared(run: PipelineRun, predictions: Mapping[str, Predictions], folds: pd.DataFrame) -> Comparison:
    """Compare the classifiers of a run with the reference of ``compare.reference``.

    Args:
        run: the finished run.
        predictions: by classifier.
        folds: of the same classifiers, ``metrics.fold_table`` with a column classifier.

    Raises:
        InputError: section compare of params.yaml is damaged or names a classifier that the run lacks.
    """
    settings = parse(CompareSettings, pick(run.params, "compare"), "compare")
    table, ranks = comparison.compare(folds, settings), comparison.rank(folds, settings)
    table = table[table["measure"].isin(settings.primary)]
    pooled = _pooled(run, {name: predictions[name] for name in comparison.chosen(folds, settings)}, settings)
    parts = [table[table["class"] == ""], table[table["class"] != ""]]
    overall, of_classes = (_tests(part, ranks, pooled, settings) for part in parts)
    level, sentence = f"{settings.confidence:.0%}", _sentence(overall[0], settings.reference)
    return Comparison(settings.reference, level, sentence, overall, of_classes)


def _tests(table: pd.DataFrame, ranks: pd.DataFrame, pooled: pd.DataFrame, settings: CompareSettings) -> list[Test]:
    """Tests with bars of the same scale."""
    widest = np.nanmax(np.abs(table[["low", "high"]].to_numpy(dtype=float)), initial=0.0)
    return [
        Test(
            plain_words(str(measure)),
            str(label),
            _note(str(measure), None if label else ranks),
            [_line(row, pooled, float(widest), settings) for _, row in part.iterrows()],
        )
        for (label, measure), part in table.groupby(["class", "measure"], sort=False)
    ]


def _pooled(run: PipelineRun, predictions: Mapping[str, Predictions], settings: CompareSettings) -> pd.DataFrame:
    groups = bootstrap.groups_of(next(iter(predictions.values())), run.table, f"data/particles/{run.problem}.csv")
    rng = generator("group bootstrap", seed_of(run.params))
    found = bootstrap.differences(predictions, groups, settings.reference, settings.confidence, settings.bootstrap, rng)
    return found.set_index(["classifier", "measure"])


def _line(row: pd.Series, pooled: pd.DataFrame, widest: float, settings: CompareSettings) -> Line:
    key = (row["classifier"], row["measure"])
    verdict = verdict_of(row, settings)
    difference, low, high = (float(row[name]) for name in ENDS)
    return Line(
        row["classifier"],
        mean_with_sd(row["mean"], row["sd"]),
        NOTHING if verdict == "reference" else _change(difference, low, high),
        _change(*pooled.loc[key, list(ENDS)]) if not row["class"] and key in pooled.index else NOTHING,
        _bar(difference, low, high, widest) if np.isfinite(low) else None,
        verdict,
        SIGNS[verdict],
    )


def _bar(difference: float, low: float, high: float, widest: float) -> tuple[float, float, float]:
    left, middle, right = (round(50 + 48 * value / (widest or 1.0), 1) for value in (low, difference, high))
    return left, middle, right


def verdict_of(row: pd.Series, settings: CompareSettings) -> str:
    """Verdict of a row of ``comparison.compare`` after Holm's correction: a key of ``SIGNS``."""
    if row["classifier"] == settings.reference:
        return "reference"
    if not np.isfinite(row["p_holm"]):
        return UNDEFINED
    if row["p_holm"] >= 1 - settings.confidence:
        return NO_DIFFERENCE
    return "better" if (row["difference"] > 0) != (row["measure"] in LOWER_IS_BETTER) else "worse"


def _change(difference: float, low: float, high: float) -> Change:
    if not np.isfinite(difference):
        return Change(UNDEFINED, "")
    texts = [f"{value:+.3f}".replace("-", "\N{MINUS SIGN}") for value in (difference, low, high)]
    return Change(texts[0], f"{texts[1]} to {texts[2]}" if np.isfinite(low) else "")


def _note(measure: str, ranks: pd.DataFrame | None) -> str:
    direction = "Lower is better. " if measure in LOWER_IS_BETTER else ""
    if ranks is None:
        return direction
    return f"{direction}All pairs tested: {standing(ranks[ranks['measure'] == measure])}"


def _sentence(test: Test, reference: str) -> str:
    names = {verdict: [line.classifier for line in test.lines if line.verdict == verdict] for verdict in SIGNS}
    parts = [
        f"{words} {listed(names[verdict])}"
        for verdict, words in (
            ("better", "shown to be better:"),
            ("worse", "shown to be worse:"),
            (NO_DIFFERENCE, "no difference shown:"),
        )
        if names[verdict]
    ]
    return f"Compared with {reference} by {test.measure}: {'; '.join(parts) or 'nothing can be tested'}."
