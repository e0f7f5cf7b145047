"""Compare the classifiers of each problem with a reference and rank them, fold by fold (thesis, section 9)."""

from argparse import Namespace
from typing import Any

import pandas as pd

from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.seeds import generator
from lipnet.core.settings import parse, pick, seed_of
from lipnet.evaluation import bootstrap, comparison, comparison_report, prediction_files
from lipnet.plots import figure
from lipnet.plots.ranking import ranking


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the comparison as CSV and Markdown, the bootstrap, and a picture of the ranking for each problem."""
    settings = parse(comparison.CompareSettings, pick(params, "compare"), "compare")
    tables, resampled, texts = [], [], [comparison_report.introduction(settings)]
    for problem, folds in files.read_table(arguments.folds).groupby("problem", sort=False):
        table, ranks = comparison.compare(folds, settings), comparison.rank(folds, settings)
        predictions = prediction_files.read([arguments.predictions / str(problem), arguments.decisions / str(problem)])
        compared = {name: predictions[name] for name in comparison.chosen(folds, settings)}
        path = arguments.particles / f"{problem}.csv"
        groups = bootstrap.groups_of(next(iter(compared.values())), files.read_table(path), str(path))
        level, rng = settings.confidence, generator("group bootstrap", seed_of(params))
        found = bootstrap.differences(compared, groups, settings.reference, level, settings.bootstrap, rng)
        table.insert(0, "problem", problem)
        found.insert(0, "problem", problem)
        tables.append(table)
        resampled.append(found)
        texts.append(comparison_report.to_markdown(table, ranks, str(problem), settings))
        figure.save(ranking(ranks, str(problem), level), arguments.pictures / f"{problem}.png")
    files.write_table(arguments.table, pd.concat(tables))
    files.write_table(arguments.bootstrap, pd.concat(resampled))
    files.write_text(arguments.text, "\n".join(texts))


if __name__ == "__main__":
    inputs, outputs = ["folds", "predictions", "decisions", "particles"], ["table", "bootstrap", "text", "pictures"]
    run(__doc__, None, [*inputs, *outputs], main)
