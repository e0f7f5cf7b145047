"""Train the support vector machines on every fold of a problem: one per list of features in params.yaml."""

from argparse import Namespace
from typing import Any

import pandas as pd

from lipnet.classifiers import svm
from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.parallel import run_all
from lipnet.evaluation.predictions import priors_to_table, to_table
from lipnet.samples.tables import read_folds, read_particles


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write, per SVM, the LIBSVM models with their cards and the out-of-fold predictions with their priors."""
    data, folds = read_particles(params, arguments.problem, arguments.table), read_folds(arguments.folds)
    priors = []
    for name in bar(svm.settings_of(params).features, f"{arguments.problem}: SVMs"):
        results = run_all(svm.train_fold, [svm.task_of(params, name, data, fold) for fold in folds])
        for fold, result in zip(folds, results, strict=True):
            files.write_text(arguments.models / name / f"fold{fold.number}.svm", result.model)
            files.write_json(arguments.models / name / f"fold{fold.number}.json", result.card)
        outputs = [result.output for result in results]
        files.write_table(arguments.predictions / f"{name}.csv", to_table(folds, outputs, data))
        priors.append(priors_to_table(name, folds, outputs, data.classes))
    files.write_table(arguments.priors, pd.concat(priors))


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "folds", "models", "predictions", "priors"], main)
