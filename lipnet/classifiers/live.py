"""Live curves: loss and accuracy of every epoch, written while a network trains, for who wants to watch (TensorBoard).

Off by default. No setting of params.yaml and no output of a stage has to do with it, so it changes no result and no
cache key.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

from lipnet.classifiers.networks.task import Progress

VARIABLE = "LIPNET_LIVE"  # environment variable: the folder to write to; unset or empty for none


def record(problem: str, model: str, progress: Progress) -> None:
    """Write loss and accuracy of an epoch to FOLDER/PROBLEM/MODEL/foldN_PHASE, if LIPNET_LIVE names a folder."""
    folder = os.environ.get(VARIABLE)
    if folder:
        phase = progress.phase.replace(" ", "_")
        values = {"loss": progress.loss, "accuracy": progress.accuracy}
        _write(_writer(Path(folder) / problem / model / f"fold{progress.fold}_{phase}"), values, progress.epoch)


@cache
def _writer(folder: Path) -> Any:
    """One writer for each network in training; another run adds a file of its own to the folder."""
    import tensorflow as tf

    return tf.summary.create_file_writer(str(folder))


def _write(writer: Any, values: dict[str, float], epoch: int) -> None:
    import tensorflow as tf

    # tf.summary.scalar would need TensorBoard itself.
    summary = tf.compat.v1.Summary
    records = summary(value=[summary.Value(tag=name, simple_value=value) for name, value in values.items()])
    with writer.as_default():
        tf.summary.experimental.write_raw_pb(records.SerializeToString(), step=epoch)
    writer.flush()
