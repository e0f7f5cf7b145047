"""Trials: folds of networks and SVMs, trained in one pool, each remembered under a digest of all that it depends on.

The same fold of the same arm is trained once, whichever study asks for it, and a run that was killed goes on where it
stopped.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipnet import files, inspection, svm, training, trees
from lipnet.digests import digest
from lipnet.parallel import stream_as_done
from lipnet.svm import SvmTask
from lipnet.training import FoldResult, FoldTask, Output
from lipnet.trees import TreeTask

Task = FoldTask | SvmTask | TreeTask
Done = Iterable[tuple[int, "Trial"]]
Watch = Callable[[Done, int], Done]
N_INSPECTED = 256  # training images on which filters are called dead


@dataclass(frozen=True)
class Trial:
    """What one classifier says of one test fold.

    Attributes:
        predicted: class index of each test row, shape (n_test,).
        probabilities: shape (n_test, K).
        others: more classifiers of the same training (``FoldResult.others``), by name.
        dead_filters: filters of convolutions that pass nothing on (thesis, 5.1); NaN for an SVM.
    """

    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    others: dict[str, Output]
    dead_filters: float


def run(task: Task) -> Trial:
    """Train and predict one fold."""
    if not isinstance(task, FoldTask):
        outcome = svm.train_fold(task) if isinstance(task, SvmTask) else trees.train_fold(task)
        return Trial(outcome.predicted, outcome.probabilities, {}, np.nan)
    result = training.train_fold(task)
    predicted = result.probabilities.argmax(axis=1)
    return Trial(predicted, result.probabilities, result.others, _count_dead(task, result))


def _count_dead(task: FoldTask, result: FoldResult) -> float:
    with TemporaryDirectory() as name:  # Keras reads weights from files only
        architecture, weights = Path(name) / "architecture.json", Path(name) / "fold.weights.h5"
        files.write_text(architecture, result.architecture)
        files.write_bytes(weights, result.weights)
        model = inspection.load(architecture, weights)
    train = np.setdiff1d(np.arange(len(task.labels)), task.test)
    # Evenly over the table, which may be sorted by class.
    seen = train[np.linspace(0, len(train) - 1, min(N_INSPECTED, len(train))).astype(np.int64)]
    return float(sum(dead.sum() for dead in inspection.dead_filters(model, task.images[seen]).values()))


def run_all(tasks: Sequence[Task], folder: Path, threads_per_task: int, watch: Watch) -> list[Trial]:
    """The trials of all tasks, in order; those that the folder remembers are not run again.

    A trial is written as soon as it is there, by this process: workers may be on other machines.

    Args:
        tasks: folds of networks and SVMs.
        folder: of the remembered trials.
        threads_per_task: of the numerical libraries.
        watch: (trials as they are done, how many) -> the same trials; for a progress bar.
    """
    paths = [folder / f"{digest(task, threads_per_task)}.npz" for task in tasks]
    missing = {path: task for path, task in zip(paths, tasks, strict=True) if not path.exists()}
    names = list(missing)
    for number, trial in watch(stream_as_done(run, missing.values(), threads_per_task), len(missing)):
        files.write_arrays(names[number], _to_arrays(trial))
    return [_remembered(path) for path in paths]


def _to_arrays(trial: Trial) -> dict[str, Any]:
    arrays: dict[str, Any] = {"predicted": trial.predicted, "probabilities": trial.probabilities}
    for name, output in trial.others.items():
        arrays |= {f"{name}.{key}": values for key, values in output._asdict().items()}
    return {**arrays, "dead_filters": np.array(trial.dead_filters)}


def _remembered(path: Path) -> Trial:
    arrays = files.read_arrays(path)
    names = [name.removesuffix(".predicted") for name in arrays if name.endswith(".predicted")]
    others = {name: Output(arrays[f"{name}.predicted"], arrays[f"{name}.probabilities"]) for name in names}
    return Trial(arrays["predicted"], arrays["probabilities"], others, float(arrays["dead_filters"]))
