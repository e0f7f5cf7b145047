"""What to watch while networks train: live curves of loss and accuracy (TensorBoard), and a progress bar over epochs.

Curves are off by default. No setting of params.yaml and no output of a stage has to do with them, so they change no
result and no cache key.
"""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from lipnet.classifiers.networks.task import Progress
from lipnet.core.command import bar

VARIABLE = "LIPNET_LIVE"  # environment variable: the folder to write to; unset or empty for none


def record(problem: str, model: str, progress: Progress) -> None:
    """Write loss and accuracy of an epoch to FOLDER/PROBLEM/MODEL/foldN_PHASE, if LIPNET_LIVE names a folder."""
    folder = os.environ.get(VARIABLE)
    if folder:
        phase = progress.phase.replace(" ", "_")
        values = {"loss": progress.loss, "accuracy": progress.accuracy}
        _write(_writer(Path(folder) / problem / model / f"fold{progress.fold}_{phase}"), values, progress.epoch)


def epoch_bar(title: str) -> Callable[[Sequence[Progress]], None]:
    """One progress bar on stderr for networks that are trained together, and another one for every further phase.

    Returns:
        The function to call after every epoch. The bar shows the mean loss and accuracy over the networks.
    """
    bars = list[Any]()

    def watch(progress: Sequence[Progress]) -> None:
        phase, epoch = progress[0].phase, max(one.epoch for one in progress)
        words = f"{title}: {phase}"
        if not bars or bars[-1].desc != words or epoch <= bars[-1].n:
            for one in bars[-1:]:
                one.close()
            bars.append(bar(None, words, max(one.epochs for one in progress)))
        means = {name: fmean(getattr(one, name) for one in progress) for name in ("loss", "accuracy")}
        bars[-1].set_postfix({name: f"{mean:.3f}" for name, mean in means.items()}, refresh=False)
        bars[-1].update(epoch - bars[-1].n)

    return watch


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
