"""Set the classifiers of each problem against a reference and rank them, fold by fold (thesis, section 9)."""

from argparse import Namespace
from typing import Any

import pandas as pd

from lipnet import comparison, files
from lipnet.plots import figure
from lipnet.plots.ranking import ranking
from lipnet.settings import parse, pick
from stages.command import run

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

A network trained on a balanced set (`cnn`) states probabilities for balanced classes, the SVMs for the natural
proportions; a decision rule shifts those of the network towards the natural ones, wholly (`cnn_shifted`) or in part.
Log losses, Brier scores and calibration errors can be compared only among those that state probabilities for the same
proportions; average precision, which only ranks the particles, can be compared among all.
"""


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the comparison as CSV and Markdown, and one picture of the ranking a problem."""
    settings = parse(comparison.CompareSettings, pick(params, "compare"), "compare")
    tables, texts = [], [INTRODUCTION.format(reference=settings.reference, primary=", ".join(settings.primary))]
    for problem, folds in files.read_table(arguments.folds).groupby("problem", sort=False):
        table, ranks = comparison.compare(folds, settings), comparison.rank(folds, settings)
        table.insert(0, "problem", problem)
        tables.append(table)
        texts.append(comparison.to_markdown(table, ranks, str(problem), settings))
        figure.save(ranking(ranks, str(problem), settings.confidence), arguments.pictures / f"{problem}.png")
    files.write_table(arguments.table, pd.concat(tables))
    files.write_text(arguments.text, "\n".join(texts))


if __name__ == "__main__":
    run(__doc__, None, ["folds", "table", "text", "pictures"], main)
