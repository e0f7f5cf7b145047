"""Measure every classifier of every problem, decision rules among them, from its predictions; draw learning curves."""

from argparse import Namespace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.errors import InputError
from lipnet.core.settings import Settings, parse, pick
from lipnet.evaluation import metrics, prediction_files
from lipnet.evaluation.predictions import Predictions
from lipnet.plots import figure
from lipnet.plots.learning import learning_curves
from lipnet.plots.scores import (
    class_measures,
    confusion_matrices,
    precision_recall_curves,
    reliability_diagrams,
)


class EvaluateSettings(Settings):
    """Section ``evaluate`` of params.yaml."""

    abstain_below: list[Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1)
    confidence: float = Field(gt=0, lt=1)


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write metrics.json, measures per fold, counts per class, what is left after abstention, and pictures."""
    settings = parse(EvaluateSettings, pick(params, "evaluate"), "evaluate")
    summary: dict[str, Any] = {}
    folds, classes, confusion, abstention = [], [], [], []
    problems = pick(params, "problems")
    if not problems:
        raise InputError("params.yaml: problems: name at least one problem")
    for problem in problems:
        predictions = prediction_files.read([arguments.predictions / problem, arguments.decisions / problem])
        summary[problem] = {}
        for name, item in predictions.items():
            key = {"problem": problem, "classifier": name}
            folds.append(metrics.fold_table(item).assign(**key))
            classes.append(metrics.class_table(item, settings.confidence).assign(**key))
            confusion.append(metrics.pooled_confusion(item).assign(**key))
            abstention.append(metrics.abstention_table(item, settings.abstain_below).assign(**key))
            summary[problem][name] = metrics.summary(folds[-1], item.classes)
            files.write_table(arguments.pairs / f"{problem}.{name}.csv", metrics.pairs(item))
        _draw(problem, predictions, pd.concat(folds), arguments.pictures)
        history = files.read_table(arguments.history / f"{problem}.csv")
        curves = learning_curves(history, f"{problem}, {pick(params, 'model')}")
        figure.save(curves, arguments.learning / f"{problem}.png")
    files.write_json(arguments.metrics, summary)
    files.write_table(arguments.folds, _keys_first(pd.concat(folds)))
    files.write_table(arguments.classes, _keys_first(pd.concat(classes)))
    files.write_table(arguments.confusion, _keys_first(pd.concat(confusion)))
    files.write_table(arguments.abstention, _keys_first(pd.concat(abstention)))


def _keys_first(table: pd.DataFrame) -> pd.DataFrame:
    keys = ["problem", "classifier"]
    return table[[*keys, *(name for name in table.columns if name not in keys)]]


def _draw(problem: str, predictions: dict[str, Predictions], folds: pd.DataFrame, folder: Path) -> None:
    classes = next(iter(predictions.values())).classes
    matrices = {name: metrics.mean_confusion(item) for name, item in predictions.items()}
    figure.save(confusion_matrices(matrices, classes, problem), folder / f"{problem}_confusion.png")
    of_problem, title = folds[folds["problem"] == problem], f"{problem}: mean and sd over folds"
    bars = class_measures(of_problem, classes, list(predictions), title)
    figure.save(bars, folder / f"{problem}_classes.png")
    bins = {name: metrics.calibration_bins(item.true, item.probabilities) for name, item in predictions.items()}
    figure.save(reliability_diagrams(bins, classes, problem), folder / f"{problem}_reliability.png")
    curves = {name: metrics.precision_recall(item) for name, item in predictions.items()}
    points = {name: metrics.operating_points(item) for name, item in predictions.items()}
    figure.save(precision_recall_curves(curves, points, classes, problem), folder / f"{problem}_precision_recall.png")


if __name__ == "__main__":
    inputs, tables = ["predictions", "decisions", "history"], ["folds", "classes", "confusion", "abstention", "pairs"]
    run(__doc__, None, [*inputs, "metrics", *tables, "pictures", "learning"], main)
