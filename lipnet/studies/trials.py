"""Trials: trained folds of all studies, cached on disk.

The cache key is a hash of everything that a trained fold depends on. Each fold of an arm is therefore trained once,
even if several studies use it, and an interrupted run resumes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lipnet.classifiers import engines
from lipnet.classifiers.cache_keys import cache_key
from lipnet.classifiers.networks import checkpoints
from lipnet.classifiers.networks.task import NetworkTask
from lipnet.classifiers.registry import Task, Trial
from lipnet.classifiers.vectorised import engine
from lipnet.core import files
from lipnet.evaluation.predictions import FoldOutput

Done = Iterable[tuple[int, Trial]]
Watch = Callable[[Done, int], Done]


def run_all(
    tasks: Sequence[Task], folder: Path, threads_per_task: int, watch: Watch, watch_epochs: engine.Watch
) -> list[Trial]:
    """The trials of all tasks, in order; cached trials are not run again.

    This process writes each trial when it is done, because workers may run on other machines. Networks that are trained
    in one program have checkpoints, as many trials are done at the same time.

    Args:
        tasks: folds to train.
        folder: of the cached trials.
        threads_per_task: of the numerical libraries.
        watch: (finished trials, their number) -> the same trials; for a progress bar.
        watch_epochs: for the engine ``vectorised``; as for ``engine.train_all``.

    Raises:
        InputError: a cached trial is damaged, or training fails.
    """
    paths = [folder / f"{cache_key(task, threads_per_task)}.npz" for task in tasks]
    missing = {path: task for path, task in zip(paths, tasks, strict=True) if not path.exists()}
    names, unfinished = list(missing), folder / "unfinished"
    todo = [_resumable(task, unfinished / path.stem) for path, task in missing.items()]
    found = engines.train_all(todo, threads_per_task, watch_epochs, folder / "programs")
    for number, trial in watch(found, len(missing)):
        files.write_arrays(names[number], _to_arrays(trial))
        checkpoints.delete(unfinished / names[number].stem)
    return [_read(path) for path in paths]


def _resumable(task: Task, checkpoint: Path) -> Task:
    return replace(task, checkpoint=checkpoint) if isinstance(task, NetworkTask) and task.is_stacked else task


def _to_arrays(trial: Trial) -> dict[str, Any]:
    arrays: dict[str, Any] = {"dead_filters": np.array(trial.dead_filters)}
    for name, output in {"": trial.output, **trial.others}.items():
        arrays |= {f"{name}.{key}": np.asarray(values) for key, values in output._asdict().items()}
    return arrays


def _read(path: Path) -> Trial:
    arrays = files.read_arrays(path)
    names = [name.removesuffix(".predicted") for name in arrays if name.endswith(".predicted")]
    outputs = {name: _output(arrays, name) for name in names}
    return Trial(outputs.pop(""), outputs, float(arrays["dead_filters"]))


def _output(arrays: dict[str, Any], name: str) -> FoldOutput:
    predicted, probabilities, prior = (arrays[f"{name}.{key}"] for key in ("predicted", "probabilities", "prior"))
    return FoldOutput(predicted, probabilities, prior, float(arrays[f"{name}.label_smoothing"]))
