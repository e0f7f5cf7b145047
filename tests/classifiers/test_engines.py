"""The engine ``vectorised`` where it cannot run, and the progress bar of networks that are trained together."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest

from lipnet.classifiers import engines, live
from lipnet.classifiers.networks.task import Progress
from lipnet.core.errors import InputError
from tests.classifiers.networks.test_training import _task
from tests.classifiers.networks.toy_training import training_settings
from tests.studies.test_trials import _svm

ROOT = Path(__file__).parents[2]


def test_another_backend_than_jax_is_refused_with_the_cure_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert keras.backend.backend() == "tensorflow"
    trained: list[object] = []
    monkeypatch.setattr(engines.registry, "train", trained.append)
    tasks = [_svm(), _task(training=training_settings(engine="vectorised"))]
    with pytest.raises(InputError, match=r"it runs on tensorflow; set the environment variable KERAS_BACKEND=jax"):
        list(engines.train_all(tasks, 1, lambda _: None, None))
    assert not trained


def test_training_in_processes_imports_neither_jax_nor_keras_in_the_parent() -> None:
    code = "import sys, stages.train_cnn; print({'jax', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def _progress(phase: str, epoch: int, *losses: float) -> list[Progress]:
    return [Progress(fold, phase, epoch, 3, loss, 0.5) for fold, loss in enumerate(losses)]


def test_one_bar_shows_the_epochs_of_all_networks_and_starts_anew_with_a_phase_or_a_stack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, bar = [], live.bar
    monkeypatch.setattr(live, "bar", lambda *arguments: made.append(bar(*arguments)) or made[-1])
    watch = live.epoch_bar("lamellarity lipnet4")
    for progress in [
        _progress("choosing epochs", 1, 1.0, 2.0),
        _progress("choosing epochs", 2, 1.0),
        _progress("training", 1, 1.0, 2.0),
        _progress("training", 3, 0.25, 0.5),
        _progress("training", 1, 4.0),
    ]:
        watch(progress)
    for one in made:
        one.close()
    assert [(one.desc, one.n, one.total) for one in made] == [
        ("lamellarity lipnet4: choosing epochs", 2, 3),
        ("lamellarity lipnet4: training", 3, 3),
        ("lamellarity lipnet4: training", 1, 3),
    ]
    assert made[1].postfix == "loss=0.375, accuracy=0.500"
