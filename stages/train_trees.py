"""Train trees on the particle features of every fold of a problem: one set a row of params.yaml."""

from argparse import Namespace
from typing import Any

from lipnet import files, trees
from lipnet.parallel import run_all
from lipnet.predictions import FoldPredictions, to_table
from lipnet.settings import parse, pick, seed_of
from stages.command import bar, run
from stages.tables import Fold, Particles, read_folds, read_particles


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the out-of-fold predictions of every row."""
    data, folds = read_particles(params, arguments.problem, arguments.table), read_folds(arguments.folds)
    for name in bar(settings_of(params).models, f"{arguments.problem}: trees"):
        results = run_all(trees.train_fold, [trees_task(params, name, data, fold) for fold in folds])
        parts = [
            FoldPredictions(fold.repeat, fold.fold, fold.test, result.predicted, result.probabilities)
            for fold, result in zip(folds, results, strict=True)
        ]
        files.write_table(arguments.predictions / f"{name}.csv", to_table(parts, data.ids, data.labels, data.classes))


def settings_of(params: dict[str, Any]) -> trees.TreeSettings:
    """Section ``train_trees``."""
    return parse(trees.TreeSettings, pick(params, "train_trees"), "train_trees")


def trees_task(params: dict[str, Any], name: str, data: Particles, fold: Fold) -> trees.TreeTask:
    """What training the trees of one row on one fold needs."""
    settings = settings_of(params)
    row = settings.models[name]
    values, columns = data.values(row.features)
    return trees.TreeTask(
        values, columns, data.labels, data.groups, fold.train, fold.test, row.kind, settings, seed_of(params)
    )


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "folds", "predictions"], main)
