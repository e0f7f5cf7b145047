"""Train the support vector machines on every fold of a problem: one per list of features in params.yaml."""

from argparse import Namespace
from typing import Any

from lipnet import files, svm
from lipnet.parallel import run_all
from lipnet.predictions import FoldPredictions, to_table
from lipnet.settings import parse, pick, seed_of
from stages.command import bar, run
from stages.tables import Fold, Particles, read_folds, read_particles


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write, per SVM, the LIBSVM models with their cards and the out-of-fold predictions."""
    data, folds = read_particles(params, arguments.problem, arguments.table), read_folds(arguments.folds)
    for name in bar(settings_of(params).features, f"{arguments.problem}: SVMs"):
        results = run_all(svm.train_fold, [svm_task(params, name, data, fold) for fold in folds])
        parts = []
        for fold, result in zip(folds, results, strict=True):
            files.write_text(arguments.models / name / f"fold{fold.number}.svm", result.model)
            files.write_json(arguments.models / name / f"fold{fold.number}.json", result.card)
            parts.append(FoldPredictions(fold.repeat, fold.fold, fold.test, result.predicted, result.probabilities))
        files.write_table(arguments.predictions / f"{name}.csv", to_table(parts, data.ids, data.labels, data.classes))


def settings_of(params: dict[str, Any]) -> svm.SvmSettings:
    """Section ``train_svm``."""
    return parse(svm.SvmSettings, pick(params, "train_svm"), "train_svm")


def svm_task(params: dict[str, Any], name: str, data: Particles, fold: Fold) -> svm.SvmTask:
    """What training one SVM, a row of train_svm.features, on one fold needs."""
    settings = settings_of(params)
    values, columns = data.values(settings.features[name])
    return svm.SvmTask(values, columns, data.labels, data.groups, fold.train, fold.test, settings, seed_of(params))


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "folds", "models", "predictions"], main)
