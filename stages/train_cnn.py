"""Train the active network on every fold of a problem, in parallel processes or in one program."""

import sys
from argparse import Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from lipnet.classifiers import live, precision
from lipnet.classifiers.cache_keys import cache_key
from lipnet.classifiers.networks import checkpoints
from lipnet.classifiers.networks.settings import NETWORK
from lipnet.classifiers.networks.task import NetworkResult, NetworkTask, Progress, network_of, task_of
from lipnet.classifiers.networks.training import result_of, train_fold
from lipnet.classifiers.vectorised import engine
from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.parallel import is_local, run_all
from lipnet.core.settings import pick
from lipnet.evaluation.predictions import priors_to_table, to_table
from lipnet.samples import balance, crops
from lipnet.samples.tables import Fold, Particles, read_folds, read_particles


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write weights and architecture of every fold, the out-of-fold predictions with their priors, and the history.

    Interrupted training resumes from the checkpoint of the last complete epoch. The folder ``scratch`` holds the
    checkpoints until all outputs are written, and then the compiled programs of the engine ``vectorised``.
    """
    data, folds = read_particles(params, arguments.problem, arguments.table), read_folds(arguments.folds)
    images = crops.of_size(files.read_arrays(arguments.crops), network_of(params).size_px)
    training_sets = balance.from_arrays(files.read_arrays(arguments.training_sets))
    model = pick(params, "model")
    report = partial(_report, arguments.problem, model, len(folds))
    tasks = [
        task_of(params, data, fold, images, training_set, report)
        for fold, training_set in zip(folds, training_sets, strict=True)
    ]
    slow = None if tasks[0].is_stacked else precision.warning(tasks[0].training.precision)  # it is about processors
    if slow:
        print(f"warning: {slow}", file=sys.stderr)
    with checkpoints.locked(arguments.scratch):
        results = _train(_resumable(tasks, arguments.scratch), arguments, model)
        _write_networks(results, folds, arguments.models)
        _write_predictions(results, folds, data, arguments)
        history = pd.DataFrame([record for result in results for record in result.history])
        files.write_table(arguments.history, history)


def _train(tasks: list[NetworkTask], arguments: Namespace, model: str) -> list[NetworkResult]:
    if not tasks[0].is_stacked:
        return run_all(train_fold, tasks, tasks[0].training.threads_per_fold)
    # One bar for all folds; the curves of each fold are recorded all the same.
    quiet = [replace(task, report=partial(live.record, arguments.problem, model)) for task in tasks]
    bar = live.epoch_bar(f"{arguments.problem} {model}")
    found = dict(engine.train_all(quiet, result_of, bar, arguments.scratch / "programs"))
    return [found[number] for number in range(len(tasks))]


def _resumable(tasks: list[NetworkTask], scratch: Path) -> list[NetworkTask]:
    """The same tasks with paths of their checkpoints; checkpoints of other tasks are deleted."""
    if not is_local() and not tasks[0].is_stacked:  # workers on other machines cannot read these files
        return tasks
    keys = [cache_key(task, task.training.threads_per_fold) for task in tasks]
    checkpoints.sweep(scratch, keys)
    return [replace(task, checkpoint=scratch / key) for task, key in zip(tasks, keys, strict=True)]


def _write_networks(results: list[NetworkResult], folds: list[Fold], folder: Path) -> None:
    files.write_text(folder / "architecture.json", results[0].architecture + "\n")
    for fold, result in zip(folds, results, strict=True):
        files.write_bytes(folder / f"fold{fold.number}.weights.h5", result.weights)


def _write_predictions(results: list[NetworkResult], folds: list[Fold], data: Particles, arguments: Namespace) -> None:
    priors = []
    for name in [NETWORK, *results[0].others]:
        outputs = [result.others.get(name, result.output) for result in results]
        files.write_table(arguments.predictions / f"{name}.csv", to_table(folds, outputs, data))
        priors.append(priors_to_table(name, folds, outputs, data.classes))
    files.write_table(arguments.priors, pd.concat(priors))


def _report(problem: str, model: str, n_folds: int, progress: Progress) -> None:
    live.record(problem, model, progress)
    # One line per epoch, not a moving bar: several processes write at the same time, often into a log file.
    fold, phase, epoch, epochs, loss, accuracy = progress
    done = round(20 * epoch / epochs)
    print(
        f"{problem} {model}  fold {fold + 1}/{n_folds}  {phase} [{'#' * done}{'.' * (20 - done)}] "
        f"epoch {epoch}/{epochs}  loss {loss:.3f}  accuracy {accuracy:.3f}",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    inputs, outputs = ["table", "crops", "folds", "training_sets"], ["models", "predictions", "priors", "history"]
    run(__doc__, "problem", [*inputs, "scratch", *outputs], main)
