"""Where the training of a fold stands, written after every epoch, so that a killed run goes on from there.

A checkpoint is an .npz file of plain arrays and one JSON text: nothing in it can run. It is named after a digest of
data, settings and code (``digests``), so one of another training is never taken for this one.
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

WAIT_S = 30  # for the folder, where a run that was killed has not quite ended
LOOK_S = 0.2


@dataclass
class Checkpoint:
    """How far a network in training is.

    Attributes:
        history: one record per epoch that is done.
        watched: loss on the validation rows after each epoch, where there are any; unrounded.
        variables: of the network and of its optimiser, in their order.
        kept: weights after each of the epochs to average.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    variables: list[NDArray[Any]] = field(default_factory=list)
    kept: list[list[NDArray[np.float32]]] = field(default_factory=list)


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, atomically."""
    text = json.dumps({"history": checkpoint.history, "watched": checkpoint.watched})
    arrays = {"progress": np.array(text), **_numbered("variable", checkpoint.variables)}
    for number, weights in enumerate(checkpoint.kept):
        arrays |= _numbered(f"kept_{number:03d}", weights)
    files.write_arrays(path, arrays)


def read(path: Path) -> Checkpoint:
    """The checkpoint of a path; that of a training which has not begun where there is none, or a damaged one."""
    try:
        arrays = files.read_arrays(path)
        progress = json.loads(str(arrays.pop("progress")))
    except (InputError, KeyError, ValueError):  # whoever lost power while writing begins anew
        return Checkpoint()
    kept: dict[str, list[NDArray[Any]]] = {}
    for name, values in arrays.items():
        kept.setdefault(name.rpartition("_")[0], []).append(values)
    variables = kept.pop("variable", [])
    return Checkpoint(variables=variables, kept=list(kept.values()), **progress)


def _numbered(name: str, arrays: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{name}_{number:04d}": values for number, values in enumerate(arrays)}


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a folder of checkpoints to this process; make it first, empty it once all within has succeeded.

    Raises:
        InputError: another process keeps it and does not let go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        yield
        sweep(folder, ())
    finally:
        os.close(descriptor)  # which also unlocks


def _lock(descriptor: int, folder: Path) -> None:
    for _ in range(round(WAIT_S / LOOK_S)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOOK_S)
        else:
            return
    raise InputError(f"{folder}: another run of this stage is training; wait until it ends, or stop it")


def sweep(folder: Path, keep: Collection[str]) -> None:
    """Delete all checkpoints but those whose names begin with one of these digests: no run will ask for the others."""
    for path in folder.iterdir():
        if not path.name.startswith(tuple(keep)):
            path.unlink(missing_ok=True)
