"""Train the active network on every fold of a problem, folds in parallel processes."""

import sys
from argparse import Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet import balance, checkpoints, crops, files
from lipnet.augment import AugmentSettings
from lipnet.digests import digest
from lipnet.errors import InputError
from lipnet.networks import NetworkSettings
from lipnet.parallel import is_local, run_all
from lipnet.plots import figure
from lipnet.plots.learning import learning_curves
from lipnet.predictions import FoldPredictions, to_table
from lipnet.settings import parse, pick, seed_of
from lipnet.training import FoldResult, FoldTask, Head, Output, Report, TrainingSettings, train_fold
from stages.command import run
from stages.tables import Fold, Particles, read_folds, read_particles

NETWORK = "cnn"


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write weights and architecture of every fold, the out-of-fold predictions, and the learning curves.

    Training that was killed goes on from the last whole epoch, which the folder ``scratch`` holds until all is written.
    """
    data = read_particles(params, arguments.problem, arguments.table)
    network = network_of(params)
    images = crops.of_size(files.read_arrays(arguments.crops), network.size_px)
    training_sets = balance.from_arrays(files.read_arrays(arguments.training_sets))
    folds, title = read_folds(arguments.folds), f"{arguments.problem} {pick(params, 'model')}"
    report = partial(_report, title, len(folds))
    tasks = [
        network_task(params, data, fold, images, training_set, report)
        for fold, training_set in zip(folds, training_sets, strict=True)
    ]
    with checkpoints.held(arguments.scratch):
        results = run_all(train_fold, _resumable(tasks, arguments.scratch), tasks[0].training.threads_per_fold)
        _write(results, folds, data, arguments)
        history = pd.DataFrame([record for result in results for record in result.history])
        files.write_table(arguments.history, history)
        figure.save(learning_curves(history, title.replace(" ", ", ")), arguments.picture)


def _resumable(tasks: list[FoldTask], scratch: Path) -> list[FoldTask]:
    """The same tasks with places for their checkpoints; those of other tasks are deleted."""
    if not is_local():  # other machines have other files
        return tasks
    names = [digest(task, task.training.threads_per_fold) for task in tasks]
    checkpoints.sweep(scratch, names)
    return [replace(task, checkpoint=scratch / name) for task, name in zip(tasks, names, strict=True)]


def _write(results: list[FoldResult], folds: list[Fold], data: Particles, arguments: Namespace) -> None:
    files.write_text(arguments.models / "architecture.json", results[0].architecture + "\n")
    for fold, result in zip(folds, results, strict=True):
        files.write_bytes(arguments.models / f"fold{fold.number}.weights.h5", result.weights)
    for name in [NETWORK, *results[0].others]:
        parts = [
            FoldPredictions(fold.repeat, fold.fold, fold.test, *_output(result, name))
            for fold, result in zip(folds, results, strict=True)
        ]
        files.write_table(arguments.predictions / f"{name}.csv", to_table(parts, data.ids, data.labels, data.classes))


def network_of(params: dict[str, Any]) -> NetworkSettings:
    """The row of the active network."""
    model = pick(params, "model")
    return parse(NetworkSettings, pick(params, "networks", model), f"networks.{model}")


def network_task(
    params: dict[str, Any],
    data: Particles,
    fold: Fold,
    images: NDArray[np.uint8],
    training_set: balance.TrainingSet,
    report: Report,
) -> FoldTask:
    """What training the active network on one fold needs.

    Raises:
        InputError: params.yaml is not valid.
    """
    training = _training_of(params)
    return FoldTask(
        fold=fold.number,
        images=images,
        labels=data.labels,
        groups=data.groups,
        test=fold.test,
        training_set=training_set,
        network=network_of(params),
        training=training,
        augment=parse(AugmentSettings, pick(params, "augment"), "augment"),
        seed=seed_of(params),
        report=report,
        features=data.values(training.join.features)[0],
        heads={name: Head(*data.values(names)) for name, names in training.heads.svms.items()},
    )


def _training_of(params: dict[str, Any]) -> TrainingSettings:
    training = parse(TrainingSettings, pick(params, "train_cnn"), "train_cnn")
    if training.loss.kind == "logit_adjusted" and training.label_smoothing:
        raise InputError(
            "params.yaml: train_cnn.loss.kind logit_adjusted needs train_cnn.label_smoothing 0: smoothing gives every "
            "class the same part of each label, which this loss takes for evidence of the rare ones"
        )
    return training


def _output(result: FoldResult, name: str) -> Output:
    return result.others.get(name, Output(result.probabilities.argmax(axis=1), result.probabilities))


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
    run(__doc__, "problem", [*inputs, "scratch", *outputs], main)
