"""Compute all measures of every classifier and decision rule from the predictions; draw them and learning curves."""

import sys
from argparse import Namespace
from typing import Any

import pandas as pd

from lipnet.classifiers.history import early_end
from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick
from lipnet.evaluation import metrics, prediction_files, score_tables
from lipnet.evaluation.measures import check_class_names
from lipnet.plots import figure
from lipnet.plots.learning import learning_curves
from lipnet.plots.scores import pictures_of


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write metrics.json, all measures, counts per class, coverage after abstention, and pictures."""
    settings = parse(score_tables.EvaluateSettings, pick(params, "evaluate"), "evaluate")
    problems = pick(params, "problems")
    if not problems:
        raise InputError("params.yaml: problems: name at least one problem")
    headlines, tables = {}, []
    for problem in problems:
        predictions = prediction_files.read([arguments.predictions / problem, arguments.decisions / problem])
        check_class_names(problem, next(iter(predictions.values())).classes)
        tables.append(score_tables.tables_of(problem, predictions, settings))
        headlines[problem] = score_tables.headline(tables[-1], settings)
        for name, item in predictions.items():
            files.write_table(arguments.pairs / f"{problem}.{name}.csv", metrics.pairs(item))
        for name, picture in pictures_of(problem, predictions, tables[-1]["folds"]).items():
            figure.save(picture, arguments.pictures / f"{problem}_{name}.png")
        history = files.read_table(arguments.history / f"{problem}.csv")
        too_early = early_end(history)
        if too_early:
            print(f"{problem}: {too_early}", file=sys.stderr)
        curves = learning_curves(history, f"{problem}, {pick(params, 'model')}")
        figure.save(curves, arguments.learning / f"{problem}.png")
    files.write_json(arguments.metrics, headlines)
    for name in tables[0]:
        files.write_table(getattr(arguments, name), pd.concat([of_problem[name] for of_problem in tables]))


if __name__ == "__main__":
    inputs, pictures = ["predictions", "decisions", "history"], ["pairs", "pictures", "learning"]
    tables = ["summary", "folds", "classes", "confusion", "abstention"]
    run(__doc__, None, [*inputs, "metrics", *tables, *pictures], main)
