"""Checkpoints: the state of training after every epoch, from which an interrupted run resumes.

A checkpoint is an .npz file of plain arrays and one JSON text; it contains no code. Its name is the cache key of the
training (``cache_keys``), so a checkpoint of another training is never used.
"""

import fcntl
import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipnet.core import files
from lipnet.core.errors import InputError

WAIT_S = 30  # maximum wait for the lock of the folder, which a killed run holds until it has ended
POLL_S = 0.2  # time between two attempts to lock


@dataclass
class Checkpoint:
    """State of a network in training.

    Attributes:
        history: one record per completed epoch.
        validation_losses: after each epoch, unrounded; empty without validation rows.
        variables: of the network and of its optimiser, in their order.
        epoch_weights: weights after each of the epochs to average.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    variables: list[NDArray[Any]] = field(default_factory=list)
    epoch_weights: list[list[NDArray[np.float32]]] = field(default_factory=list)


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, atomically."""
    text = json.dumps({"history": checkpoint.history, "validation_losses": checkpoint.validation_losses})
    arrays = {"progress": np.array(text), **_numbered("variable", checkpoint.variables)}
    for number, weights in enumerate(checkpoint.epoch_weights):
        arrays |= _numbered(f"epoch_{number:03d}", weights)
    files.write_arrays(path, arrays)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint; return an empty checkpoint, the start of training, if the file is missing or damaged."""
    try:
        arrays = files.read_arrays(path)
        progress = json.loads(str(arrays.pop("progress")))
    except (InputError, KeyError, ValueError):  # e.g. power loss while writing: train from the start
        return Checkpoint()
    series: dict[str, list[NDArray[Any]]] = {}
    for name, values in arrays.items():
        series.setdefault(name.rpartition("_")[0], []).append(values)
    variables = series.pop("variable", [])
    return Checkpoint(variables=variables, epoch_weights=list(series.values()), **progress)


def _numbered(name: str, arrays: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{name}_{number:04d}": values for number, values in enumerate(arrays)}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Create a folder of checkpoints and lock it for this process; delete its files when the block succeeds.

    Raises:
        InputError: another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        yield
        sweep(folder, ())
    finally:
        os.close(descriptor)  # also releases the lock


def _lock(descriptor: int, folder: Path) -> None:
    for _ in range(round(WAIT_S / POLL_S)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(POLL_S)
        else:
            return
    raise InputError(f"{folder}: another run of this stage is training; wait until it ends, or stop it")


def delete(checkpoint: Path) -> None:
    """Delete the checkpoints of one training, of all its phases, by their path without a suffix."""
    for path in checkpoint.parent.glob(f"{checkpoint.name}.*"):
        path.unlink(missing_ok=True)


def sweep(folder: Path, keep: Collection[str]) -> None:
    """Delete stale checkpoints: all files whose names do not start with one of these cache keys."""
    for path in folder.iterdir():
        if path.is_file() and not path.name.startswith(tuple(keep)):
            path.unlink(missing_ok=True)
