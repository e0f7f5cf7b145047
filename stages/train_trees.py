"""Train trees on the particle features of every fold of a problem: one classifier per row of train_trees.models."""

from argparse import Namespace
from typing import Any

import pandas as pd

from lipnet.classifiers import tree_files, trees
from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.parallel import run_all
from lipnet.evaluation.predictions import priors_to_table, to_table
from lipnet.samples.tables import read_folds, read_particles


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the trees of every classifier, and its out-of-fold predictions with their priors."""
    data, folds = read_particles(params, arguments.problem, arguments.table), read_folds(arguments.folds)
    priors = []
    for name in bar(trees.settings_of(params).models, f"{arguments.problem}: trees"):
        results = run_all(trees.train_fold, [trees.task_of(params, name, data, fold) for fold in folds])
        for fold, result in zip(folds, results, strict=True):
            tree_files.write(arguments.models / name / f"fold{fold.number}.npz", result.model)
        outputs = [result.output for result in results]
        files.write_table(arguments.predictions / f"{name}.csv", to_table(folds, outputs, data))
        priors.append(priors_to_table(name, folds, outputs, data.classes))
    files.write_table(arguments.priors, pd.concat(priors))


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "folds", "models", "predictions", "priors"], main)
