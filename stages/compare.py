"""Set the classifiers of each problem against a reference and rank them, fold by fold (thesis, section 9)."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.errors import InputError
from lipnet.core.seeds import generator
from lipnet.core.settings import parse, pick, seed_of
from lipnet.evaluation import bootstrap, comparison, prediction_files
from lipnet.evaluation.predictions import Predictions
from lipnet.plots import figure
from lipnet.plots.ranking import ranking

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


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the comparison as CSV and Markdown, the bootstrap, and one picture of the ranking a problem."""
    settings = parse(comparison.CompareSettings, pick(params, "compare"), "compare")
    tables, resampled = [], []
    texts = [INTRODUCTION.format(reference=settings.reference, primary=", ".join(settings.primary))]
    for problem, folds in files.read_table(arguments.folds).groupby("problem", sort=False):
        table, ranks = comparison.compare(folds, settings), comparison.rank(folds, settings)
        table.insert(0, "problem", problem)
        tables.append(table)
        predictions = prediction_files.read([arguments.predictions / str(problem), arguments.decisions / str(problem)])
        compared = {name: predictions[name] for name in comparison.chosen(folds, settings)}
        groups = _groups(arguments.particles / f"{problem}.csv", compared)
        level, rng = settings.confidence, generator("group bootstrap", seed_of(params))
        found = bootstrap.differences(compared, groups, settings.reference, level, settings.bootstrap, rng)
        found.insert(0, "problem", problem)
        resampled.append(found)
        texts.append(comparison.to_markdown(table, ranks, str(problem), settings))
        figure.save(ranking(ranks, str(problem), settings.confidence), arguments.pictures / f"{problem}.png")
    files.write_table(arguments.table, pd.concat(tables))
    files.write_table(arguments.bootstrap, pd.concat(resampled))
    files.write_text(arguments.text, "\n".join(texts))


def _groups(path: Path, predictions: dict[str, Predictions]) -> NDArray[np.int64]:
    """Group index of each row of predictions, whose rows are the same for all classifiers."""
    table, first = files.read_table(path), next(iter(predictions.values()))
    group_of = dict(zip(table["id"].to_numpy(dtype=np.str_), pd.factorize(table["group"])[0], strict=True))
    unknown = sorted(set(first.ids) - set(group_of))
    if unknown:
        raise InputError(f"{path}: particle '{unknown[0]}' was predicted and is not there; run `dvc repro`")
    return np.array([group_of[name] for name in first.ids], dtype=np.int64)


if __name__ == "__main__":
    inputs, outputs = ["folds", "predictions", "decisions", "particles"], ["table", "bootstrap", "text", "pictures"]
    run(__doc__, None, [*inputs, *outputs], main)
