"""Score the training rows of every fold by classifiers that did not see them: what decision rules may be fitted on."""

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import pandas as pd
from pydantic import Field

from lipnet import files, folds, inner_scores
from lipnet.balance import Images, TrainingSet
from lipnet.decisions import RuleName
from lipnet.parallel import stream
from lipnet.seeds import derive
from lipnet.settings import Settings, parse, pick, seed_of
from stages.command import bar, run
from stages.tables import Fold, Particles, read_folds, read_particles


class InnerSettings(Settings):
    """Section ``inner`` of params.yaml."""

    folds: int = Field(ge=2)
    classifiers: list[RuleName]


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write a table of inner scores a classifier; none where no classifier is named."""
    names = parse(InnerSettings, pick(params, "inner"), "inner").classifiers
    arguments.scores.mkdir(parents=True, exist_ok=True)  # DVC wants the folder, whether anything is in it or not
    if names:
        _score(params, names, arguments)


def _score(params: dict[str, Any], names: list[str], arguments: Namespace) -> None:
    # Imported here, as all that trains is slow to import and mostly no classifier is named.
    from lipnet import trials
    from stages.decide import stated
    from stages.tasks import output_of, task_of

    data = read_particles(params, arguments.problem, arguments.table)
    images = {int(name.removeprefix("px")): pixels for name, pixels in files.read_arrays(arguments.crops).items()}
    outer = read_folds(arguments.folds)
    parts = [(fold.number, *part) for fold in outer for part in inner_folds(params, data, fold, images)]
    for name in names:
        tasks = [task_of(params, name, data, part, images, balanced) for _, part, balanced in parts]
        found = stream(trials.run, tasks, pick(params, "train_cnn", "threads_per_fold"))
        done = bar(found, f"{data.problem}: inner folds of {name}", len(tasks))
        frames = []
        for (number, part, balanced), trial in zip(parts, done, strict=True):
            said = stated(params, name, output_of(trial, name).probabilities, part, balanced, data.labels)
            frames.append(inner_scores.to_table(number, part.fold, part.test, data.labels, said, data.classes))
        files.write_table(arguments.scores / f"{name}.csv", pd.concat(frames))


def inner_folds(
    params: dict[str, Any], data: Particles, outer: Fold, images: Images
) -> Iterator[tuple[Fold, TrainingSet]]:
    """The inner folds of the training rows of a fold, each with its balanced training set."""
    from stages.balance import training_set

    n_folds = parse(InnerSettings, pick(params, "inner"), "inner").folds
    seed = derive("inner folds", seed_of(params), outer.number)
    for part, (train, held_out) in enumerate(folds.inner(outer.train, data.labels, data.groups, n_folds, seed)):
        # A number of its own is a seed of its own; outer folds are numbered from 0.
        fold = Fold(1000 * (outer.number + 1) + part, outer.repeat, part, train, held_out)
        yield fold, training_set(params, data.problem, fold, data.labels, images)


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "crops", "folds", "scores"], main)
