"""From the settings of an arm to the folds that it trains, and back: crop, split, balance and decide in memory."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lipnet.classifiers import cache_keys
from lipnet.classifiers.networks.task import NETWORK, network_of
from lipnet.classifiers.registry import Task, Trial, output_of, task_of
from lipnet.classifiers.training_sets import inner_folds, training_set
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick, seed_of
from lipnet.evaluation import choices, decisions, metrics
from lipnet.evaluation.decisions import DecideSettings, Inner
from lipnet.evaluation.predictions import FoldOutput, Predictions, from_table, to_table
from lipnet.samples import balance, crops, folds, particles
from lipnet.samples.tables import Fold, Particles, folds_of, read_particles
from lipnet.studies.study import CLASSIFIER, Arm, override


class Problem(NamedTuple):
    """Particles of one problem, as ingest wrote them; the images stay on disk until they are cropped."""

    particles: Particles
    store: Path


class Part(NamedTuple):
    """A fold, or an inner fold, with the training of each classifier that the arm needs."""

    fold: Fold
    training_set: balance.TrainingSet
    tasks: tuple[Task, ...]


class Job(NamedTuple):
    """One fold of one arm of one problem: the fold itself, and inner folds where its rule is fitted."""

    data: Particles
    arm: str
    params: dict[str, Any]
    classifier: str
    parts: tuple[Part, ...]

    @property
    def fold(self) -> Fold:
        """The fold."""
        return self.parts[0].fold

    @property
    def tasks(self) -> list[Task]:
        """All that is to be trained, in the order in which ``results_of`` wants what was found."""
        return [task for part in self.parts for task in part.tasks]


def read_problem(params: dict[str, Any], name: str, folder: Path) -> Problem:
    """The particles of a problem.

    Raises:
        InputError: ingest has not run for it.
    """
    table = folder / f"{name}.csv"
    if not table.exists():
        raise InputError(f"{table}: no such file; name {name} in `problems` of params.yaml and run `dvc repro ingest`")
    return Problem(read_particles(params, name, table), folder / f"{name}.npz")


def jobs_of(params: dict[str, Any], study: str, arm: str, changes: Arm, problem: Problem) -> list[Job]:
    """Every fold of one arm, with all that its training needs.

    Args:
        params: of the pipeline.
        study: its name, for messages.
        arm: its name.
        changes: dotted keys to change; and the classifier: any that the pipeline knows, or a row of decide.rules.
        problem: the particles.

    Raises:
        InputError: a setting is unknown or out of range, or a fold cannot be made; names study and arm.
    """
    try:
        changed, classifier = override(params, changes), changes.get(CLASSIFIER, NETWORK)
        return list(_jobs(changed, arm, classifier, problem))
    except InputError as error:
        raise InputError(f"{study}, arm '{arm}': {error}") from None


def _jobs(params: dict[str, Any], arm: str, classifier: str, problem: Problem) -> Iterator[Job]:
    size = network_of(params).size_px
    params["crop"]["sizes_px"] = [size]
    sections = ("seed", "classes", "crop", "split", "balance", "source", "inner")
    key, data = json.dumps({name: pick(params, name) for name in sections}), problem.particles
    decision = _decision(params, classifier, data)
    images, training_sets = _training_sets(problem, key)
    for fold, balanced in zip(_folds(params, data), training_sets, strict=True):
        pairs = [(fold, balanced), *(_inner(problem, key, fold.number) if decision and decision.fitted else [])]
        parts = (
            Part(
                one,
                chosen,
                tuple(
                    task_of(params, of, data, one, images, chosen) for of in (decision.of if decision else [classifier])
                ),
            )
            for one, chosen in pairs
        )
        yield Job(data, arm, params, classifier, tuple(parts))


def _decision(params: dict[str, Any], classifier: str, data: Particles) -> choices.Decision | None:
    """What an arm's classifier rests on if it is a rule or a choice; otherwise None."""
    settings = parse(DecideSettings, pick(params, "decide"), "decide")
    if classifier not in {*settings.rules, *settings.choices}:
        return None
    return choices.decision_of(settings, classifier, data.problem, data.classes)


def check_arms(jobs: Sequence[Job], threads: int) -> None:
    """Make sure that the arms of a problem can be compared, before any is trained.

    Raises:
        InputError: two arms test on other rows, so that their folds are no pairs; or they are the very same.
    """
    for problem, of_problem in groupby(jobs, key=lambda job: job.data.problem):
        arms = {arm: list(members) for arm, members in groupby(of_problem, key=lambda job: job.arm)}
        tested, trained = dict[str, str](), dict[tuple[str, ...], str]()
        for arm, members in arms.items():
            tested[str([job.fold.test.tolist() for job in members])] = arm
            names = tuple(cache_keys.cache_key(task, threads) for job in members for task in job.tasks)
            same = (*names, members[0].classifier, json.dumps(pick(members[0].params, "decide")))
            if trained.setdefault(same, arm) != arm:
                raise InputError(
                    f"{problem}: arms '{trained[same]}' and '{arm}' train the very same; the settings that they "
                    "differ in have no effect on training from the particles that ingest wrote"
                )
        if len(tested) > 1:
            one, other, *_ = tested.values()
            raise InputError(
                f"{problem}: arms '{one}' and '{other}' test on different rows, so they cannot be compared fold by "
                "fold; change the seed and split.* in params.yaml or in a scale, for all arms alike"
            )


def _folds(params: dict[str, Any], data: Particles) -> list[Fold]:
    settings = parse(folds.SplitSettings, pick(params, "split"), "split")
    return folds_of(folds.assign(data.labels, data.groups, data.classes, settings, seed_of(params)))


@lru_cache(maxsize=32)  # arms that crop, split and balance alike share the result, in time and in memory
def _training_sets(problem: Problem, sections: str) -> tuple[balance.Images, list[balance.TrainingSet]]:
    params, data = json.loads(sections), problem.particles
    images = _crops(problem, parse(crops.CropSettings, pick(params, "crop"), "crop"))
    return images, [training_set(params, data.problem, fold, data.labels, images) for fold in _folds(params, data)]


@lru_cache(maxsize=256)
def _inner(problem: Problem, sections: str, outer: int) -> list[tuple[Fold, balance.TrainingSet]]:
    params, images = json.loads(sections), _training_sets(problem, sections)[0]
    return list(inner_folds(params, problem.particles, _folds(params, problem.particles)[outer], images))


def _crops(problem: Problem, settings: crops.CropSettings) -> balance.Images:
    ids, made, done = problem.particles.ids.tolist(), [], 0
    for block in files.read_blocks(problem.store):
        some = particles.from_arrays(block, str(problem.store))
        made.append(crops.crop_all(some, settings, ids[done : done + len(some)]))
        done += len(some)
    if done != len(ids):
        raise InputError(f"{problem.store}: holds {done} particles but the table {len(ids)}; run `dvc repro`")
    return crops.join(made)


def results_of(
    jobs: Sequence[Job], found: Sequence[Trial]
) -> Iterator[tuple[str, dict[str, Predictions], pd.DataFrame]]:
    """Per problem: its name, the predictions of each arm, and all measures: arm beside ``metrics.fold_table``.

    Args:
        jobs: all folds of all arms.
        found: the trials of all tasks of all jobs, in their order.
    """
    left = iter(found)
    pairs_of_all = [(job, [next(left) for _ in job.tasks]) for job in jobs]
    for name, pairs in groupby(pairs_of_all, key=lambda pair: pair[0].data.problem):
        predictions, tables = {}, []
        for arm, members in groupby(pairs, key=lambda pair: pair[0].arm):
            mine = list(members)
            predictions[arm] = _joined(mine)
            dead = pd.DataFrame({**_key(job), "value": of_job[0].dead_filters} for job, of_job in mine)
            tables.append(pd.concat([metrics.fold_table(predictions[arm]), dead]).assign(arm=arm))
        yield name, predictions, pd.concat(tables)


def _key(job: Job) -> dict[str, Any]:
    fold = job.fold
    counts = {"n_train": len(fold.train), "n_test": len(fold.test)}
    return {"repeat": fold.repeat, "fold": fold.fold, **counts, "class": "", "measure": "dead_filters"}


def _joined(pairs: Sequence[tuple[Job, list[Trial]]]) -> Predictions:
    job = pairs[0][0]
    outputs = [_decided(one, found) for one, found in pairs]
    return from_table(to_table([one.fold for one, _ in pairs], outputs, job.data), job.arm)


def _decided(job: Job, found: list[Trial]) -> FoldOutput:
    """What an arm says of its test rows: what the classifier says itself, or what its rule makes of that."""
    data, decision = job.data, _decision(job.params, job.classifier, job.data)
    if decision is None:
        return output_of(found[0], job.classifier)
    left, floor = iter(found), pick(job.params, "decide", "floor")
    test, *inner = ([decisions.posterior(output_of(next(left), of), floor) for of in decision.of] for _ in job.parts)
    held_out = [part.fold.test for part in job.parts[1:]]
    scores = Inner(inner, np.concatenate([data.labels[rows] for rows in held_out])) if inner else None
    natural = balance.natural_prior(data.labels[job.fold.train], len(data.classes))
    decided = choices.decide(decision, test, natural, scores)
    return FoldOutput(decided.predicted, decided.probabilities, natural)
