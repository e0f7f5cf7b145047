"""Train the active network on every fold of a problem, folds in parallel processes."""

import sys
from argparse import Namespace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from lipnet import balance, crops, files
from lipnet.augment import AugmentSettings
from lipnet.networks import NetworkSettings
from lipnet.parallel import run_all
from lipnet.plots import figure
from lipnet.plots.learning import learning_curves
from lipnet.predictions import FoldPredictions, to_table
from lipnet.problems import classes_of, encode
from lipnet.settings import parse, pick, seed_of
from lipnet.training import FoldTask, TrainingSettings, train_fold
from stages.command import run
from stages.tables import read_folds


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write weights and architecture of every fold, the out-of-fold predictions, and the learning curves."""
    problem, classes = arguments.problem, classes_of(params, arguments.problem)
    model, seed = pick(params, "model"), seed_of(params)
    network = parse(NetworkSettings, pick(params, "networks", model), f"networks.{model}")
    training = parse(TrainingSettings, pick(params, "train_cnn"), "train_cnn")
    policy = parse(AugmentSettings, pick(params, "augment"), "augment")
    table = files.read_table(arguments.table)
    labels, groups = encode(table["label"], classes), pd.factorize(table["group"])[0]
    images = crops.of_size(files.read_arrays(arguments.crops), network.size_px)
    training_sets = balance.from_arrays(files.read_arrays(arguments.training_sets))
    folds = read_folds(arguments.folds)
    report = partial(_report, f"{problem} {model}", len(folds))
    tasks = [
        FoldTask(fold.number, images, labels, groups, fold.test, training_set, network, training, policy, seed, report)
        for fold, training_set in zip(folds, training_sets, strict=True)
    ]
    results = run_all(train_fold, tasks, training.threads_per_fold)

    files.write_text(arguments.models / "architecture.json", results[0].architecture + "\n")
    parts = []
    for fold, result in zip(folds, results, strict=True):
        files.write_bytes(arguments.models / f"fold{fold.number}.weights.h5", result.weights)
        predicted = result.probabilities.argmax(axis=1)
        parts.append(FoldPredictions(fold.repeat, fold.fold, fold.test, predicted, result.probabilities))
    files.write_table(arguments.predictions, to_table(parts, table["id"].to_numpy(dtype=np.str_), labels, classes))
    history = pd.DataFrame([record for result in results for record in result.history])
    files.write_table(arguments.history, history)
    figure.save(learning_curves(history, f"{problem}, {model}"), arguments.picture)


def _report(
    title: str, n_folds: int, fold: int, phase: str, epoch: int, epochs: int, loss: float, accuracy: float
) -> None:
    # One line an epoch rather than a moving bar: several processes write here at once, often into a log file.
    done = round(20 * epoch / epochs)
    print(
        f"{title}  fold {fold + 1}/{n_folds}  {phase} [{'#' * done}{'.' * (20 - done)}] epoch {epoch}/{epochs}  "
        f"loss {loss:.3f}  accuracy {accuracy:.3f}",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    inputs, outputs = ["table", "crops", "folds", "training_sets"], ["models", "predictions", "history", "picture"]
    run(__doc__, "problem", [*inputs, *outputs], main)
