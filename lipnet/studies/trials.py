"""Trials: trained folds of all studies, cached on disk; and a pack of them from elsewhere (``packs``).

The cache key is a hash of everything that a trained fold depends on. Each fold of an arm is therefore trained once,
even if several studies use it, and an interrupted run resumes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lipnet.classifiers import engines
from lipnet.classifiers.cache_keys import cache_key
from lipnet.classifiers.networks import checkpoints
from lipnet.classifiers.networks.task import NetworkTask
from lipnet.classifiers.registry import Task, Trial
from lipnet.classifiers.vectorised import engine
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.evaluation.predictions import FoldOutput
from lipnet.studies import packs

MILLION = 1_000_000  # probabilities are kept as whole millionths: tables of predictions have no more digits
CURE = "delete this file, or the whole folder if an older release wrote it, and run `make studies`"
Done = Iterable[tuple[int, Trial]]
Watch = Callable[[Done, int], Done]


class Store(NamedTuple):
    """Where trials are kept.

    Attributes:
        folder: of cached trials; new ones go there.
        pack: of further trials; only read, and it need not exist.
    """

    folder: Path
    pack: Path


def keys_of(tasks: Sequence[Task], threads_per_task: int) -> list[str]:
    """The cache key of each task."""
    return [cache_key(task, threads_per_task) for task in tasks]


def missing(keys: Sequence[str], store: Store) -> set[str]:
    """The keys of trials that are neither in the folder nor in the pack.

    Raises:
        InputError: the pack is damaged.
    """
    return {key for key in keys if not (store.folder / f"{key}.npz").exists()} - packs.keys_in(store.pack)


def run_all(
    tasks: Sequence[Task],
    keys: Sequence[str],
    store: Store,
    threads_per_task: int,
    watch: Watch,
    watch_epochs: engine.Watch,
) -> list[Trial]:
    """The trials of all tasks, in order; trials in the folder, else those in the pack, are not run again.

    This process writes each trial when it is done, because workers may run on other machines. Networks that are trained
    in one program have checkpoints, as many trials are done at the same time.

    Args:
        tasks: folds to train.
        keys: of the tasks (``keys_of``).
        store: of the trials.
        threads_per_task: of the numerical libraries.
        watch: (finished trials, their number) -> the same trials; for a progress bar.
        watch_epochs: for the engine ``vectorised``; as for ``engine.train_all``.

    Raises:
        InputError: a cached trial or the pack is damaged, or training fails.
    """
    paths = {key: store.folder / f"{key}.npz" for key in keys}
    absent = {key: task for key, task in zip(keys, tasks, strict=True) if not paths[key].exists()}
    packed = {key: _unpacked(store.pack, key, content) for key, content in packs.read(store.pack, absent).items()}
    missing = {key: task for key, task in absent.items() if key not in packed}
    names, unfinished = list(missing), store.folder / "unfinished"
    todo = [_resumable(task, unfinished / key) for key, task in missing.items()]
    found = engines.train_all(todo, threads_per_task, watch_epochs, store.folder / "programs")
    for number, trial in watch(found, len(missing)):
        files.write_arrays(paths[names[number]], _to_arrays(trial))
        checkpoints.delete(unfinished / names[number])
    return [packed[key] if key in packed else _read(paths[key]) for key in keys]


def _resumable(task: Task, checkpoint: Path) -> Task:
    return replace(task, checkpoint=checkpoint) if isinstance(task, NetworkTask) and task.is_stacked else task


def _to_arrays(trial: Trial) -> dict[str, Any]:
    arrays: dict[str, Any] = {"dead_filters": np.array(trial.dead_filters)}
    for name, output in {"": trial.output, **trial.others}.items():
        of_output = {
            "predicted": output.predicted.astype(np.int16),
            "millionths_by_class": _compressible(np.rint(output.probabilities * MILLION).astype(np.int32)),
            "prior": output.prior,
            "label_smoothing": np.array(output.label_smoothing),
        }
        arrays |= {f"{name}.{key}": values for key, values in of_output.items()}
    return arrays


def _read(path: Path) -> Trial:
    return _from_arrays(files.read_arrays(path), str(path), CURE)


def _unpacked(pack: Path, key: str, content: bytes) -> Trial:
    where = f"{pack}: {key}.npz"
    return _from_arrays(packs.arrays_of(content, where, packs.CURE), where, packs.CURE)


def _from_arrays(arrays: dict[str, Any], where: str, cure: str) -> Trial:
    names = [name.removesuffix(".predicted") for name in arrays if name.endswith(".predicted")]
    try:
        outputs = {name: _output(arrays, name) for name in names}
        return Trial(outputs.pop(""), outputs, float(arrays["dead_filters"]))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{where}: holds no trial ({error}); {cure}") from None


def _output(arrays: dict[str, Any], name: str) -> FoldOutput:
    predicted, millionths, prior = (arrays[f"{name}.{key}"] for key in ("predicted", "millionths_by_class", "prior"))
    if millionths.shape != (len(prior), len(predicted)) or millionths.dtype.kind != "i":
        raise ValueError("probabilities of another shape or type")
    smoothing = float(arrays[f"{name}.label_smoothing"])
    return FoldOutput(predicted.astype(np.int64), _restored(millionths) / MILLION, prior, smoothing)


def _compressible(millionths: np.ndarray) -> np.ndarray:
    """A row for each class; the last one, which the others nearly give, holds the rounding error of their sum only."""
    return np.vstack([millionths[:, :-1].T, millionths.sum(axis=1) - MILLION]).astype(np.int32)


def _restored(rows: np.ndarray) -> np.ndarray:
    return np.column_stack([*rows[:-1], MILLION + rows[-1] - rows[:-1].sum(axis=0)])
