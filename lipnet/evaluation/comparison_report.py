"""metrics/comparison.md: the comparison of classifiers as a report for readers."""

import numpy as np
import pandas as pd

from lipnet.evaluation.comparison import CompareSettings
from lipnet.evaluation.formatting import UNDEFINED, markdown_table, mean_with_sd
from lipnet.evaluation.measures import LOWER_IS_BETTER, OVERALL

INTRODUCTION = """\
# Classifiers against {reference}

For each problem: who has the best mean, the measures of all classes together, and the tests of the primary measures
({primary}). The other measures of single classes are in `comparison.csv`, pictures of the ranking in
`plots/comparison/`.

Mean ± standard deviation over the test folds. Every classifier is set against {reference}, fold by fold: the difference
(classifier minus {reference}) with its interval and p-value by the corrected resampled t-test (Nadeau and Bengio 2003),
over the folds where both are defined (a ratio 0/0 is not). The verdict rests on p after Holm's correction over all
primary tests of a problem, all classifiers, classes and measures together; intervals are not corrected.

Which mean is best is known only after looking. So for the ranking every pair of classifiers is tested, by each primary
measure of all classes together, with Holm's correction over all of these. A classifier that is undefined in some fold
is ranked last.

"No difference shown" does not mean that there is none: few folds show large differences only, and every further
classifier or primary measure makes the correction stricter (`compare.classifiers` in params.yaml).

`bootstrap.csv` has the same differences on predictions pooled over the folds, with intervals from a paired bootstrap
over groups: how far they move with other test micrographs. It takes the trained classifiers as they are, so it says
nothing of other training rows or seeds, and its intervals are not corrected either.

A network trained on a balanced set (`cnn`) states probabilities for balanced classes, the SVMs for the natural
proportions; a decision rule shifts those of the network towards the natural ones, wholly (`cnn_shifted`) or in part.
Log losses, Brier scores and calibration errors can be compared only among those that state probabilities for the same
proportions; average precision, which only ranks the particles, can be compared among all.
"""


def introduction(settings: CompareSettings) -> str:
    """How to read the report."""
    return INTRODUCTION.format(reference=settings.reference, primary=", ".join(settings.primary))


def verdict(row: pd.Series, settings: CompareSettings) -> str:
    """The verdict of one row of ``compare``, after Holm's correction; empty unless the measure is primary."""
    if row["measure"] not in settings.primary or row["classifier"] == settings.reference:
        return ""
    if not np.isfinite(row["p_holm"]):
        return UNDEFINED
    if row["p_holm"] >= 1 - settings.confidence:
        return "no difference shown"
    return f"{'higher' if row['difference'] > 0 else 'lower'} than {settings.reference}"


def standing(ranks: pd.DataFrame) -> str:
    """A sentence: the classifier with the best mean, and the classifiers with and without a shown difference from it.

    Args:
        ranks: the rows of one measure of ``comparison.rank``.
    """
    best, others = ranks.iloc[0], ranks.iloc[1:]
    if not best["folds"]:
        return "undefined in every fold."
    text = f"best mean {_number(best['mean'])}, {ranked_name(best)}"
    if others.empty:
        return f"{text}; there is no other classifier."
    lists = {
        words: ", ".join(ranked_name(row) for _, row in others[others["joined"] == joined].iterrows())
        for words, joined in (("no difference shown against", True), ("shown to differ", False))
    }
    return "; ".join([text, *(f"{words}: {names}" for words, names in lists.items() if names)]) + "."


def ranked_name(row: pd.Series) -> str:
    """Name of the classifier of one row of ``comparison.rank``, with the number of its folds if some are undefined."""
    partly = f" ({row['folds']} of {row['of_folds']} folds)" if row["folds"] < row["of_folds"] else ""
    return f"{row['classifier']}{partly}"


def to_markdown(table: pd.DataFrame, ranks: pd.DataFrame, problem: str, settings: CompareSettings) -> str:
    """The section of one problem: best classifiers, overall measures, and tests of the primary measures.

    Args:
        table: of ``comparison.compare``.
        ranks: of ``comparison.rank``.
        problem: its name, for the heading.
        settings: names and level.
    """
    best = [f"- {_titled(str(measure))}: {standing(part)}" for measure, part in ranks.groupby("measure", sort=False)]
    overall = [measure for measure in OVERALL if measure in set(table["measure"])]
    cells = table[table["class"] == ""].set_index(["classifier", "measure"])
    means = [
        [name, *(mean_with_sd(*cells.loc[(name, measure), ["mean", "sd"]]) for measure in overall)]
        for name in dict.fromkeys(table["classifier"])
    ]
    difference = f"minus {settings.reference} [{round(settings.confidence * 100)} % interval]"
    columns = ["class", "measure", "classifier", "mean ± sd", difference, "folds", "p", "p (Holm)", "verdict"]
    primary = table[table["measure"].isin(settings.primary)]
    tests = [_test_cells(row, settings) for _, row in primary.iterrows()]
    parts = [
        [f"## {problem}"],
        best,
        markdown_table(["classifier", *map(_titled, overall)], means),
        markdown_table(columns, tests),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _test_cells(row: pd.Series, settings: CompareSettings) -> list[str]:
    cells = [row["class"] or "all", _titled(row["measure"]), row["classifier"], mean_with_sd(row["mean"], row["sd"])]
    if row["classifier"] == settings.reference:
        return [*cells, "reference", str(row["folds"]), "", "", ""]
    interval = f"{_number(row['difference'], '+')} [{_number(row['low'], '+')}, {_number(row['high'], '+')}]"
    return [
        *cells,
        interval,
        str(row["folds"]),
        _p_value(row["p"]),
        _p_value(row["p_holm"]),
        verdict(row, settings),
    ]


def _titled(measure: str) -> str:
    return f"{measure} (lower is better)" if measure in LOWER_IS_BETTER else measure


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else _number(p)


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}" if np.isfinite(value) else UNDEFINED
