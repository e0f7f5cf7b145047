"""From the settings of an arm to the folds that it trains: crop, split and balance in memory, as their stages do."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet import balance, crops, features, files, folds, metrics, particles, svm, trials
from lipnet.augment import AugmentSettings
from lipnet.errors import InputError
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
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)  # compared by identity, so that it can be the key of a cache
class Problem:
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
    """The table of a problem; its images stay on disk until they are cropped.

    Raises:
        InputError: ingest has not run for it.
    """
    table = folder / f"{name}.csv"
    if not table.exists():
        raise InputError(f"{table}: no such file; name {name} in `problems` of params.yaml and run `dvc repro ingest`")
    return Problem(name, folder / f"{name}.npz", files.read_table(table))


def jobs_of(params: dict[str, Any], study: str, arm: str, changes: Arm, problem: Problem) -> list[Job]:
    """Every fold of one arm, with all that its training needs.

    Args:
        params: of the pipeline.
        study: its name, for messages.
        arm: its name.
        changes: dotted keys to change, and the classifier: ``cnn`` or a row of train_svm.features.
        problem: the particles.

    Raises:
        InputError: a setting is unknown or out of range, or a fold cannot be made; names study and arm.
    """
    try:
        changed, classifier = override(params, changes), changes.get(CLASSIFIER, NETWORK)
        tasks = _networks(changed, problem) if classifier == NETWORK else _svms(changed, classifier, problem)
        return [Job(problem, arm, fold, task) for fold, task in tasks]
    except InputError as error:
        raise InputError(f"{study}, arm '{arm}': {error}") from None


def check_arms(jobs: Sequence[Job], threads: int) -> None:
    """Make sure that the arms of a problem can be compared, before any is trained.

    Raises:
        InputError: two arms test on other rows, so that their folds are no pairs; or they train the very same.
    """
    for problem, of_problem in groupby(jobs, key=lambda job: job.problem.name):
        arms = {arm: list(members) for arm, members in groupby(of_problem, key=lambda job: job.arm)}
        tested, trained = dict[str, str](), dict[tuple[str, ...], str]()
        for arm, members in arms.items():
            tested[str([job.fold.test.tolist() for job in members])] = arm
            digests = tuple(trials.digest(job.task, threads) for job in members)
            if trained.setdefault(digests, arm) != arm:
                raise InputError(
                    f"{problem}: arms '{trained[digests]}' and '{arm}' train the very same; the settings that they "
                    "differ in have no effect on training from the particles that ingest wrote"
                )
        if len(tested) > 1:
            one, other, *_ = tested.values()
            raise InputError(
                f"{problem}: arms '{one}' and '{other}' test on different rows, so they cannot be compared fold by "
                "fold; change the seed and split.* in params.yaml or in a scale, for all arms alike"
            )


def _folds(params: dict[str, Any], problem: Problem) -> tuple[list[Fold], Labels, Labels]:
    labels = encode(problem.table["label"], classes_of(params, problem.name))
    groups = pd.factorize(problem.table["group"])[0]
    settings = parse(folds.SplitSettings, pick(params, "split"), "split")
    classes = classes_of(params, problem.name)
    return folds_of(folds.assign(labels, groups, classes, settings, seed_of(params))), labels, groups


def _svms(params: dict[str, Any], row: str, problem: Problem) -> Iterator[tuple[Fold, Task]]:
    settings = parse(svm.SvmSettings, pick(params, "train_svm"), "train_svm")
    columns = features.select_columns(problem.table, pick(params, "train_svm", "features", row))
    values = problem.table[columns].to_numpy(dtype=np.float64)
    assigned, labels, groups = _folds(params, problem)
    for fold in assigned:
        task = svm.SvmTask(values, columns, labels, groups, fold.train, fold.test, settings, seed_of(params))
        yield fold, task


def _networks(params: dict[str, Any], problem: Problem) -> Iterator[tuple[Fold, Task]]:
    model = pick(params, "model")
    network = parse(NetworkSettings, pick(params, "networks", model), f"networks.{model}")
    training = parse(TrainingSettings, pick(params, "train_cnn"), "train_cnn")
    policy = parse(AugmentSettings, pick(params, "augment"), "augment")
    params["crop"]["sizes_px"] = [network.size_px]
    sections = ("seed", "classes", "crop", "split", "balance", "source")
    assigned, labels, groups = _folds(params, problem)
    images, training_sets = _training_sets(problem, json.dumps({name: pick(params, name) for name in sections}))
    for fold, balanced in zip(assigned, training_sets, strict=True):
        task = FoldTask(
            fold=fold.number,
            images=images[network.size_px],
            labels=labels,
            groups=groups,
            test=fold.test,
            training_set=balanced,
            network=network,
            training=training,
            augment=policy,
            seed=seed_of(params),
            report=_silent,
        )
        yield fold, task


@lru_cache(maxsize=32)  # arms that crop, split and balance alike share the result, in time and in memory
def _training_sets(problem: Problem, sections: str) -> tuple[balance.Images, list[balance.TrainingSet]]:
    params = json.loads(sections)
    images = _crops(problem, parse(crops.CropSettings, pick(params, "crop"), "crop"))
    assigned, labels, _ = _folds(params, problem)
    return images, [training_set(params, problem.name, fold, labels, images) for fold in assigned]


def _crops(problem: Problem, settings: crops.CropSettings) -> balance.Images:
    ids, made, done = problem.table["id"].tolist(), [], 0
    for block in files.read_blocks(problem.store):
        some = particles.from_arrays(block, str(problem.store))
        made.append(crops.crop_all(some, settings, ids[done : done + len(some)]))
        done += len(some)
    if done != len(ids):
        raise InputError(f"{problem.store}: holds {done} particles but the table {len(ids)}; run `dvc repro`")
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
