"""Measure every classifier of every problem from its predictions alone."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from lipnet import files, metrics
from lipnet.errors import InputError
from lipnet.plots import figure
from lipnet.plots.scores import class_measures, confusion_matrices
from lipnet.predictions import Predictions, from_table
from lipnet.settings import Settings, parse, pick
from stages.command import run


class EvaluateSettings(Settings):
    """Section ``evaluate`` of params.yaml."""

    confidence: float = Field(gt=0, lt=1)


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write metrics.json, the measures per fold, the pooled counts per class, and pictures."""
    settings = parse(EvaluateSettings, pick(params, "evaluate"), "evaluate")
    summary: dict[str, Any] = {}
    folds, classes, confusion = [], [], []
    problems = pick(params, "problems")
    if not problems:
        raise InputError("params.yaml: problems: name at least one problem")
    for problem in problems:
        predictions = _read_all(arguments.predictions / problem)
        summary[problem] = {}
        for name, item in predictions.items():
            key = {"problem": problem, "classifier": name}
            folds.append(metrics.fold_table(item).assign(**key))
            classes.append(metrics.class_table(item, settings.confidence).assign(**key))
            confusion.append(metrics.pooled_confusion(item).assign(**key))
            summary[problem][name] = metrics.summary(folds[-1], item.classes)
            files.write_table(arguments.pairs / f"{problem}.{name}.csv", metrics.pairs(item))
        _draw(problem, predictions, pd.concat(folds), arguments.pictures)
    files.write_json(arguments.metrics, summary)
    files.write_table(arguments.folds, _keys_first(pd.concat(folds)))
    files.write_table(arguments.classes, _keys_first(pd.concat(classes)))
    files.write_table(arguments.confusion, _keys_first(pd.concat(confusion)))


def _read_all(folder: Path) -> dict[str, Predictions]:
    paths = sorted(folder.rglob("*.csv"))
    if not paths:
        raise InputError(f"{folder}: no predictions; run `dvc repro`")
    return {path.stem: from_table(files.read_table(path), str(path)) for path in paths}


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


if __name__ == "__main__":
    run(__doc__, None, ["predictions", "metrics", "folds", "classes", "confusion", "pairs", "pictures"], main)
