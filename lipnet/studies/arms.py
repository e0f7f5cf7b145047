"""The folds that each arm of a study trains, from its settings; and the predictions of each arm, from the results.

The stages crop, split, balance and decide run here in memory.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lipnet.classifiers.networks.settings import NETWORK
from lipnet.classifiers.networks.task import NetworkTask, network_of
from lipnet.classifiers.registry import Task, Trial, output_of, task_of
from lipnet.classifiers.training_sets import inner_folds, training_set
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick, seed_of
from lipnet.evaluation import choices, metrics
from lipnet.evaluation.decisions import DecideSettings
from lipnet.evaluation.measures import DEAD_FILTERS
from lipnet.evaluation.posteriors import InnerScores, posterior
from lipnet.evaluation.predictions import FoldOutput, Predictions, from_table, to_table
from lipnet.samples import balance, crops, folds, particles
from lipnet.samples.tables import Fold, Particles, folds_of, read_particles
from lipnet.studies.study import CLASSIFIER, Arm, override


class Problem(NamedTuple):
    """The particles of one problem that ingest wrote, and the file of their images, which are read for cropping."""

    particles: Particles
    store: Path


class FoldTraining(NamedTuple):
    """The trainings of one fold or inner fold, one for each classifier that the arm needs."""

    fold: Fold
    tasks: tuple[Task, ...]


class ArmFold(NamedTuple):
    """One fold of one arm of one problem.

    Attributes:
        data: particles of the problem.
        arm: its name.
        params: of the pipeline, with the changes of the arm.
        classifier: name of a classifier, or of a row of decide.rules or decide.choices.
        trainings: of the fold itself; then, if the rule of the arm is fitted, of each inner fold.
    """

    data: Particles
    arm: str
    params: dict[str, Any]
    classifier: str
    trainings: tuple[FoldTraining, ...]

    @property
    def fold(self) -> Fold:
        """The fold."""
        return self.trainings[0].fold

    @property
    def tasks(self) -> list[Task]:
        """The tasks of all trainings, in the order in which ``results_of`` expects their trials."""
        return [task for training in self.trainings for task in training.tasks]


def read_problem(params: dict[str, Any], name: str, folder: Path) -> Problem:
    """The particles of a problem.

    Raises:
        InputError: ingest has not run for the problem.
    """
    table = folder / f"{name}.csv"
    if not table.exists():
        raise InputError(f"{table}: no such file; name {name} in `problems` of params.yaml and run `dvc repro ingest`")
    return Problem(read_particles(params, name, table), folder / f"{name}.npz")


def arm_folds(params: dict[str, Any], study: str, arm: str, changes: Arm, problem: Problem) -> list[ArmFold]:
    """Every fold of one arm, with everything that its training needs.

    Args:
        params: of the pipeline.
        study: its name, for messages.
        arm: its name.
        changes: dotted keys of params.yaml to change; the key ``classifier`` names a classifier of the pipeline, or a
            row of decide.rules or decide.choices.
        problem: the particles.

    Raises:
        InputError: a setting is unknown or out of range, or a fold cannot be made; names study and arm.
    """
    try:
        changed, classifier = override(params, changes), changes.get(CLASSIFIER, NETWORK)
        return list(_arm_folds(changed, arm, classifier, problem))
    except InputError as error:
        raise InputError(f"{study}, arm '{arm}': {error}") from None


def _arm_folds(params: dict[str, Any], arm: str, classifier: str, problem: Problem) -> Iterator[ArmFold]:
    params["crop"]["sizes_px"] = [network_of(params).size_px]
    sections = ("seed", "classes", "crop", "split", "balance", "source", "inner")
    key, data = json.dumps({name: pick(params, name) for name in sections}), problem.particles
    selection = _selection(params, classifier, data)
    names = _trained(selection, classifier)
    images, training_sets = _training_sets(problem, key)
    for fold, balanced in zip(_folds(params, data), training_sets, strict=True):
        pairs = [(fold, balanced), *(_inner(problem, key, fold.number) if selection and selection.fitted else [])]
        trainings = [
            FoldTraining(one, tuple(task_of(params, name, data, one, images, chosen) for name in names))
            for one, chosen in pairs
        ]
        yield ArmFold(data, arm, params, classifier, tuple(trainings))


def _selection(params: dict[str, Any], classifier: str, data: Particles) -> choices.Selection | None:
    """The rule or choice that an arm names as its classifier; None if it names a classifier."""
    settings = parse(DecideSettings, pick(params, "decide"), "decide")
    if classifier not in {*settings.rules, *settings.choices}:
        return None
    return choices.selection_of(settings, classifier, data.problem, data.classes)


def _trained(selection: choices.Selection | None, classifier: str) -> Sequence[str]:
    """The classifiers that each training of an arm trains, in the order of ``FoldTraining.tasks``."""
    return selection.of if selection else [classifier]


def check_arms(of_arms: Sequence[ArmFold], keys: Sequence[str]) -> None:
    """Check before any training that the arms of each problem can be compared.

    Args:
        of_arms: all folds of all arms.
        keys: of the tasks of all these folds, in their order.

    Raises:
        InputError: two arms test on different rows, so that their folds are not paired; or two arms are identical.
    """
    left = iter(keys)
    for problem, of_problem in groupby(of_arms, key=lambda one: one.data.problem):
        arms = {arm: list(members) for arm, members in groupby(of_problem, key=lambda one: one.arm)}
        tested, trained = dict[str, str](), dict[tuple[str, ...], str]()
        for arm, members in arms.items():
            tested[str([one.fold.test.tolist() for one in members])] = arm
            trainings = tuple(next(left) for one in members for _ in one.tasks)
            same = (*trainings, members[0].classifier, json.dumps(pick(members[0].params, "decide")))
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


def precisions_of(tasks: Iterable[Task]) -> list[str]:
    """The precisions in which networks are trained, sorted."""
    return sorted({task.training.precision for task in tasks if isinstance(task, NetworkTask)})


def _folds(params: dict[str, Any], data: Particles) -> list[Fold]:
    settings = parse(folds.SplitSettings, pick(params, "split"), "split")
    return folds_of(folds.assign(data.labels, data.groups, data.classes, settings, seed_of(params)))


@lru_cache(maxsize=32)  # shared by arms with the same settings of these sections
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
    of_arms: Sequence[ArmFold], found: Sequence[Trial]
) -> Iterator[tuple[str, dict[str, Predictions], pd.DataFrame]]:
    """For each problem: its name, the predictions of each arm, and all measures.

    The table of measures is ``metrics.fold_table`` with the number of dead filters and the column arm.

    Args:
        of_arms: all folds of all arms.
        found: the trials of the tasks of all these folds, in their order.
    """
    left = iter(found)
    pairs_of_all = [(one, [next(left) for _ in one.tasks]) for one in of_arms]
    for name, pairs in groupby(pairs_of_all, key=lambda pair: pair[0].data.problem):
        predictions, tables = {}, []
        for arm, members in groupby(pairs, key=lambda pair: pair[0].arm):
            mine = list(members)
            predictions[arm] = _joined(mine)
            dead = pd.DataFrame({**_key(one), "value": trials[0].dead_filters} for one, trials in mine)
            tables.append(pd.concat([metrics.fold_table(predictions[arm]), dead]).assign(arm=arm))
        yield name, predictions, pd.concat(tables)


def trial_table(of_arms: Sequence[ArmFold], keys: Sequence[str]) -> pd.DataFrame:
    """The trials behind each number of a study: problem, arm, repeat, fold, training, classifier, key.

    training is 0 for the fold itself and counts its inner folds from 1. key is the cache key of the trial.

    Args:
        of_arms: all folds of all arms.
        keys: of the tasks of all these folds, in their order.
    """
    left, rows = iter(keys), []
    for one in of_arms:
        names = _trained(_selection(one.params, one.classifier, one.data), one.classifier)
        for training, name in product(range(len(one.trainings)), names):
            rows.append((one.data.problem, one.arm, one.fold.repeat, one.fold.fold, training, name, next(left)))
    return pd.DataFrame(rows, columns=["problem", "arm", "repeat", "fold", "training", "classifier", "key"])


def _key(one: ArmFold) -> dict[str, Any]:
    fold = one.fold
    counts = {"n_train": len(fold.train), "n_test": len(fold.test)}
    return {"repeat": fold.repeat, "fold": fold.fold, **counts, "class": "", "measure": DEAD_FILTERS}


def _joined(pairs: Sequence[tuple[ArmFold, list[Trial]]]) -> Predictions:
    first = pairs[0][0]
    outputs = [_output(one, trials) for one, trials in pairs]
    return from_table(to_table([one.fold for one, _ in pairs], outputs, first.data), first.arm)


def _output(one: ArmFold, trials: list[Trial]) -> FoldOutput:
    """The predictions of an arm for the test rows of a fold: those of its classifier, rule or choice."""
    data, selection = one.data, _selection(one.params, one.classifier, one.data)
    if selection is None:
        return output_of(trials[0], one.classifier)
    left, floor = iter(trials), pick(one.params, "decide", "floor")
    test, *inner = ([posterior(output_of(next(left), of), floor) for of in selection.of] for _ in one.trainings)
    held_out = [training.fold.test for training in one.trainings[1:]]
    scores = InnerScores(inner, np.concatenate([data.labels[rows] for rows in held_out])) if inner else None
    natural = balance.natural_prior(data.labels[one.fold.train], len(data.classes))
    return choices.select(selection, test, natural, scores).output
