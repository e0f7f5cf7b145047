"""Checkpoints are read as written, and interrupted training gives the same result as uninterrupted training."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lipnet.classifiers.networks import checkpoints, training
from lipnet.classifiers.networks.checkpoints import Checkpoint
from lipnet.classifiers.networks.task import NetworkResult, NetworkTask, Progress
from lipnet.classifiers.networks.training import train_fold
from lipnet.core.errors import InputError
from tests.classifiers.networks.test_training import _task
from tests.classifiers.networks.toy_training import training_settings

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
FULL = Checkpoint(
    history=[{"fold": 0, "phase": "training", "epoch": 1, "loss": 0.5, "validation_loss": None}],
    validation_losses=[0.1 + 0.2, 1 / 3],
    variables=[np.float32([[1, 2]]), np.array(7, np.int64)],
    epoch_weights=[[np.float32([number]), np.float32([[number]])] for number in range(12)],
)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    checkpoints.write(tmp_path / "a.npz", FULL)
    read = checkpoints.read(tmp_path / "a.npz")
    assert (read.history, read.validation_losses) == (FULL.history, FULL.validation_losses)  # to the last bit
    for one, other in zip(read.variables, FULL.variables, strict=True):
        assert_array_equal(one, other)
        assert one.dtype == other.dtype
    for some, others in zip(read.epoch_weights, FULL.epoch_weights, strict=True):
        for one, other in zip(some, others, strict=True):
            assert_array_equal(one, other)


@pytest.mark.parametrize("cut", [0, 10, 600, -1])
def test_no_or_a_damaged_checkpoint_is_one_of_a_training_that_has_not_begun(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.npz"
    assert checkpoints.read(path) == Checkpoint()
    checkpoints.write(path, FULL)
    path.write_bytes(path.read_bytes()[:cut])
    assert checkpoints.read(path) == Checkpoint()


def test_a_folder_is_kept_to_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "WAIT_S", 0.4)
    folder = tmp_path / "scratch"
    with (
        checkpoints.locked(folder),
        pytest.raises(InputError, match="another run of this stage is training"),
        checkpoints.locked(folder),
    ):
        pass
    with checkpoints.locked(folder):  # it was let go
        pass


def test_a_folder_is_emptied_when_all_is_written_and_not_before(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stopped"), checkpoints.locked(tmp_path):
        (tmp_path / "abc.training.npz").touch()
        raise RuntimeError("stopped")
    assert [path.name for path in tmp_path.iterdir()] == ["abc.training.npz"]
    with checkpoints.locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_who_waits_gets_the_folder_of_one_that_is_killed(tmp_path: Path) -> None:
    code = f"import fcntl, os, time; fcntl.flock(os.open({str(tmp_path)!r}, os.O_RDONLY), {fcntl.LOCK_EX}); print(1)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; import sys; sys.stdout.flush(); time.sleep(60)"], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        descriptor = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        holder.kill()
        with checkpoints.locked(tmp_path):
            pass


def test_checkpoints_of_other_trainings_are_swept(tmp_path: Path) -> None:
    for name in ("aa.training.npz", "aa.choosing.npz", "bb.training.npz", "cc.training.npz.77.part"):
        (tmp_path / name).touch()
    (tmp_path / "programs").mkdir()
    checkpoints.sweep(tmp_path, ["aa"])
    assert {path.name for path in tmp_path.iterdir()} == {"aa.training.npz", "aa.choosing.npz", "programs"}


class Killed(BaseException):
    """Simulates the end of the process at the report of an epoch, before its checkpoint is written."""


SETTINGS = {
    "plain": training_settings(epochs__fixed=4),
    "averaged": training_settings(epochs__fixed=4, average_epochs=3),
    "bfloat16": training_settings(epochs__fixed=4, precision="bfloat16"),
    "sgd with a schedule": training_settings(epochs__fixed=4, optimiser__name="sgd", optimiser__schedule="cosine"),
    "chosen epochs": training_settings(epochs__choose="early_stopping", epochs__most=4, epochs__patience=1),
    "decay and normalisation": training_settings(
        epochs__fixed=4, regularisation__dropout_decay=0.9, regularisation__batch_norm=True, mixup=0.2
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_training_that_is_killed_in_every_epoch_ends_byte_for_byte_as_if_it_had_not_been(
    tmp_path: Path, name: str
) -> None:
    whole = train_fold(_task(training=SETTINGS[name]))
    reports: list[tuple[str, int]] = []

    def report(progress: Progress) -> None:
        if (progress.phase, progress.epoch) not in reports:  # killed once in each epoch
            reports.append((progress.phase, progress.epoch))
            raise Killed

    task = _task(training=SETTINGS[name], checkpoint=tmp_path / "cache_key", report=report)
    result = _until_done(task)
    assert result.weights == whole.weights
    assert result.history == whole.history
    assert len(reports) == len(whole.history) > 1
    assert_array_equal(result.output.probabilities, whole.output.probabilities)


def _until_done(task: NetworkTask) -> NetworkResult:
    while True:
        try:
            return train_fold(task)
        except Killed:
            continue


def test_epochs_that_are_done_are_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int] = []
    train_epoch = training._train_epoch

    def counted(run: object, task: object, training_set: object, epoch: int) -> tuple[float, float]:
        trained.append(epoch)
        return train_epoch(run, task, training_set, epoch)  # type: ignore[arg-type]

    def report(_: Progress) -> None:
        if trained == [0, 1, 2]:
            raise Killed

    monkeypatch.setattr(training, "_train_epoch", counted)
    _until_done(_task(training=SETTINGS["plain"], checkpoint=tmp_path / "cache_key", report=report))
    assert trained == [0, 1, 2, 2, 3]
