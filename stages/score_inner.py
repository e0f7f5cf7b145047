"""Score the training rows of every fold out of fold, by inner folds; decision rules are fitted on these scores."""

from argparse import Namespace
from typing import Any

import pandas as pd

from lipnet.classifiers.training_sets import InnerSettings, inner_folds
from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.settings import parse, pick
from lipnet.evaluation import inner_scores
from lipnet.samples.tables import read_folds, read_particles


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the names in ``inner.classifiers``, and one table of inner scores for each."""
    names = parse(InnerSettings, pick(params, "inner"), "inner").classifiers
    files.write_json(arguments.scores / "classifiers.json", names)  # DVC warns of an empty folder in every run
    if names:
        _score(params, names, arguments)


def _score(params: dict[str, Any], names: list[str], arguments: Namespace) -> None:
    # Imported here because the import is slow and usually no classifier is listed.
    from lipnet.classifiers import live
    from lipnet.classifiers.engines import train_all
    from lipnet.classifiers.registry import output_of, task_of

    data = read_particles(params, arguments.problem, arguments.table)
    images = {int(name.removeprefix("px")): pixels for name, pixels in files.read_arrays(arguments.crops).items()}
    outer = read_folds(arguments.folds)
    parts = [(fold.number, *part) for fold in outer for part in inner_folds(params, data, fold, images)]
    for name in names:
        tasks = [task_of(params, name, data, part, images, balanced) for _, part, balanced in parts]
        title = f"{data.problem}: inner folds of {name}"
        found = train_all(tasks, pick(params, "train_cnn", "threads_per_fold"), live.epoch_bar(title), None)
        trials, frames = dict(bar(found, title, len(tasks))), []
        for place, (number, part, _) in enumerate(parts):
            output = output_of(trials[place], name)
            frames.append(inner_scores.to_table(number, part.fold, part.test, data.labels, output, data.classes))
        files.write_table(arguments.scores / f"{name}.csv", pd.concat(frames))


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "crops", "folds", "scores"], main)
