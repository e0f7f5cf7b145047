"""From the settings of an arm to the folds that it trains: crop, split and balance in memory, as their stages do."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lipnet import crops, features, files, folds, metrics, particles, svm
from lipnet.augment import AugmentSettings
from lipnet.networks import NetworkSettings
from lipnet.predictions import FoldPredictions, Predictions, from_table, to_table
from lipnet.problems import classes_of, encode
from lipnet.settings import parse, pick, seed_of
from lipnet.study import CLASSIFIER, Arm, override
from lipnet.training import FoldTask, TrainingSettings
from lipnet.trials import Task, Trial
from stages.balance import training_set
from stages.tables import Fold, folds_of

NETWORK = "cnn"


class Problem(NamedTuple):
    """Particles of one problem, as ingest wrote them."""

    name: str
    store: Path
    table: pd.DataFrame


class Job(NamedTuple):
    """One fold of one arm of one problem."""

    problem: Problem
    arm: str
    fold: Fold
    task: Task


def read_problem(name: str, folder: Path) -> Problem:
    """The table of a problem; its images stay on disk until they are cropped."""
    return Problem(name, folder / f"{name}.npz", files.read_table(folder / f"{name}.csv"))


def tasks_of(params: dict[str, Any], arm: Arm, problem: Problem) -> Iterator[tuple[Fold, Task]]:
    """Every fold of one arm, with all that its training needs.

    Args:
        params: of the pipeline.
        arm: dotted keys to change, and the classifier: ``cnn`` or a row of train_svm.features.
        problem: the particles.

    Raises:
        InputError: a setting is unknown or out of range, or a fold cannot be made.
    """
    params, classifier = override(params, arm), arm.get(CLASSIFIER, NETWORK)
    classes, seed = classes_of(params, problem.name), seed_of(params)
    labels, groups = encode(problem.table["label"], classes), pd.factorize(problem.table["group"])[0]
    splitting = parse(folds.SplitSettings, pick(params, "split"), "split")
    assigned = folds_of(folds.assign(labels, groups, classes, splitting, seed))
    if classifier != NETWORK:
        settings = parse(svm.SvmSettings, pick(params, "train_svm"), "train_svm")
        columns = features.select_columns(problem.table, pick(params, "train_svm", "features", classifier))
        values = problem.table[columns].to_numpy(dtype=np.float64)
        for fold in assigned:
            yield fold, svm.SvmTask(values, columns, labels, groups, fold.train, fold.test, settings, seed)
        return
    model = pick(params, "model")
    network = parse(NetworkSettings, pick(params, "networks", model), f"networks.{model}")
    training = parse(TrainingSettings, pick(params, "train_cnn"), "train_cnn")
    policy = parse(AugmentSettings, pick(params, "augment"), "augment")
    params["crop"]["sizes_px"] = [network.size_px]
    cropping = parse(crops.CropSettings, pick(params, "crop"), "crop")
    images = _crops(problem.store, tuple(problem.table["id"]), cropping.model_dump_json())
    for fold in assigned:
        balanced = training_set(params, problem.name, fold, labels, images)
        yield (
            fold,
            FoldTask(
                fold=fold.number,
                images=images[network.size_px],
                labels=labels,
                groups=groups,
                test=fold.test,
                training_set=balanced,
                network=network,
                training=training,
                augment=policy,
                seed=seed,
                report=_silent,
            ),
        )


@lru_cache(maxsize=8)  # arms that share their crops share them in memory too
def _crops(store: Path, ids: tuple[str, ...], settings: str) -> dict[int, Any]:
    made, done, cropping = [], 0, crops.CropSettings.model_validate_json(settings)
    for block in files.read_blocks(store):
        some = particles.from_arrays(block, str(store))
        made.append(crops.crop_all(some, cropping, ids[done : done + len(some)]))
        done += len(some)
    return crops.join(made)


def results_of(
    jobs: Sequence[Job], found: Sequence[Trial], params: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Predictions], pd.DataFrame]]:
    """Per problem: its name, the predictions of each arm, and all measures: arm beside ``metrics.fold_table``."""
    for name, pairs in groupby(zip(jobs, found, strict=True), key=lambda pair: pair[0].problem.name):
        classes, predictions, tables = classes_of(params, name), {}, []
        for arm, members in groupby(pairs, key=lambda pair: pair[0].arm):
            mine = list(members)
            predictions[arm] = _joined(mine, classes)
            dead = pd.DataFrame({**_key(job), "value": trial.dead_filters} for job, trial in mine)
            tables.append(pd.concat([metrics.fold_table(predictions[arm]), dead]).assign(arm=arm))
        yield name, predictions, pd.concat(tables)


def _key(job: Job) -> dict[str, Any]:
    fold = job.fold
    counts = {"n_train": len(fold.train), "n_test": len(fold.test)}
    return {"repeat": fold.repeat, "fold": fold.fold, **counts, "class": "", "measure": "dead_filters"}


def _joined(pairs: Sequence[tuple[Job, Trial]], classes: list[str]) -> Predictions:
    table = pairs[0][0].problem.table
    parts = [
        FoldPredictions(job.fold.repeat, job.fold.fold, job.fold.test, trial.predicted, trial.probabilities)
        for job, trial in pairs
    ]
    labels = encode(table["label"], classes)
    return from_table(to_table(parts, table["id"].to_numpy(dtype=np.str_), labels, classes), pairs[0][0].arm)


def _silent(*_: object) -> None:
    """Takes the report of an epoch; a study shows one bar for all its folds instead."""
