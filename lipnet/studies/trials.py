"""Trials: trained folds of all studies, cached on disk.

The cache key is a hash of everything that a trained fold depends on. Each fold of an arm is therefore trained once,
even if several studies use it, and an interrupted run resumes.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lipnet.classifiers.cache_keys import cache_key
from lipnet.classifiers.registry import Task, Trial, train
from lipnet.core import files
from lipnet.core.parallel import stream_as_done
from lipnet.evaluation.predictions import FoldOutput

Done = Iterable[tuple[int, Trial]]
Watch = Callable[[Done, int], Done]


def run_all(tasks: Sequence[Task], folder: Path, threads_per_task: int, watch: Watch) -> list[Trial]:
    """The trials of all tasks, in order; cached trials are not run again.

    This process writes each trial when it is done, because workers may run on other machines.

    Args:
        tasks: folds to train.
        folder: of the cached trials.
        threads_per_task: of the numerical libraries.
        watch: (finished trials, their number) -> the same trials; for a progress bar.

    Raises:
        InputError: a cached trial is damaged, or training fails.
    """
    paths = [folder / f"{cache_key(task, threads_per_task)}.npz" for task in tasks]
    missing = {path: task for path, task in zip(paths, tasks, strict=True) if not path.exists()}
    names = list(missing)
    for number, trial in watch(stream_as_done(train, missing.values(), threads_per_task), len(missing)):
        files.write_arrays(names[number], _to_arrays(trial))
    return [_read(path) for path in paths]


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
