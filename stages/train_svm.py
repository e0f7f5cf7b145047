"""Train the support vector machines on every fold of a problem: one per list of features in params.yaml."""

from argparse import Namespace
from typing import Any

import numpy as np
import pandas as pd

from lipnet import features, files, svm
from lipnet.parallel import run_all
from lipnet.predictions import FoldPredictions, to_table
from lipnet.problems import classes_of, encode
from lipnet.settings import parse, pick, seed_of
from stages.command import bar, run
from stages.tables import read_folds


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write, per SVM, the LIBSVM models with their cards and the out-of-fold predictions."""
    problem, classes = arguments.problem, classes_of(params, arguments.problem)
    settings = parse(svm.SvmSettings, pick(params, "train_svm"), "train_svm")
    table = files.read_table(arguments.table)
    labels, groups = encode(table["label"], classes), pd.factorize(table["group"])[0]
    folds = read_folds(arguments.folds)
    for name, wanted in bar(settings.features.items(), f"{problem}: SVMs"):
        columns = features.select_columns(table, wanted)
        values = table[columns].to_numpy(dtype=np.float64)
        tasks = [
            svm.SvmTask(values, columns, labels, groups, fold.train, fold.test, settings, seed_of(params))
            for fold in folds
        ]
        results = run_all(svm.train_fold, tasks)
        parts = []
        for fold, result in zip(folds, results, strict=True):
            files.write_text(arguments.models / name / f"fold{fold.number}.svm", result.model)
            files.write_json(arguments.models / name / f"fold{fold.number}.json", result.card)
            parts.append(FoldPredictions(fold.repeat, fold.fold, fold.test, result.predicted, result.probabilities))
        predictions = to_table(parts, table["id"].to_numpy(dtype=np.str_), labels, classes)
        files.write_table(arguments.predictions / f"{name}.csv", predictions)


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "folds", "models", "predictions"], main)
