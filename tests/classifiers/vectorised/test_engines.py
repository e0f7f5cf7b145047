"""Who uses the engine: studies, which remember its trials, and the stage that trains all folds of a problem."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lipnet.classifiers import precision
from lipnet.classifiers.cache_keys import cache_key
from lipnet.classifiers.networks.task import Progress
from lipnet.classifiers.registry import Task
from lipnet.classifiers.vectorised import training
from lipnet.core import files
from lipnet.studies import trials
from stages import balance, crop, ingest, split, train_cnn
from tests.classifiers.networks.test_training import AUGMENT, TRAIN, _task, _training_set
from tests.classifiers.networks.toy_training import training_settings
from tests.stages.test_stages import make_params, run
from tests.studies.test_trials import _svm

# Keras, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def _tasks() -> list[Task]:
    """Two folds of two arms, which differ in transforms and learning rate, and a fold of an SVM."""
    settings = {"engine": "vectorised", "epochs__fixed": 2}
    arms = [(["flip"], training_settings(**settings))]
    arms.append((["zoom", "shear"], training_settings(**settings, optimiser__learning_rate=0.1)))
    tasks = [
        _task(
            fold=fold,
            training=chosen,
            training_set=_training_set(TRAIN[:8]),
            augment=AUGMENT.model_copy(update={"transforms": transforms}),
        )
        for transforms, chosen in arms
        for fold in range(2)
    ]
    return [*tasks, _svm()]


def test_arms_of_a_study_share_one_program_and_one_memory_of_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPNET_WORKERS", "1")
    monkeypatch.setattr(training, "SAVE_S", 0)
    tasks, unfinished, seen = _tasks(), tmp_path / "unfinished", list[list[Progress]]()
    stacked = {cache_key(task, 1) for task in tasks[:4]}

    def killed(progress: list[Progress]) -> None:
        seen.append(progress)
        if len(seen) == 2:
            raise KeyboardInterrupt

    def run_all(watch: object) -> list[trials.Trial]:
        store = trials.Store(tmp_path, tmp_path / "none.zip")
        return trials.run_all(tasks, trials.keys_of(tasks, 1), store, 1, lambda done, _: done, watch)

    with pytest.raises(KeyboardInterrupt):
        run_all(killed)
    assert [len(progress) for progress in seen] == [4, 4]
    assert {path.name.split(".")[0] for path in unfinished.iterdir()} == stacked  # after the first epoch
    found = run_all(seen.append)
    assert [progress[0].epoch for progress in seen] == [1, 2, 2]
    assert not list(unfinished.iterdir())
    assert {path.stem for path in tmp_path.glob("*.npz")} == stacked | {cache_key(tasks[4], 1)}
    assert len({trial.output.probabilities.tobytes() for trial in found}) == 5
    assert all(0 <= trial.dead_filters <= 4 for trial in found[:4])
    other_engine = replace(tasks[0], training=training_settings(epochs__fixed=2))
    assert cache_key(other_engine, 1) not in stacked
    again = run_all(seen.append)
    assert len(seen) == 3
    for one, other in zip(again, found, strict=True):
        assert_array_equal(one.output.probabilities, other.output.probabilities)


def test_the_stage_trains_all_folds_in_one_program_and_leaves_what_the_other_engine_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow_in_16_bits = precision.Processor("an old one", frozenset({"avx"}))
    monkeypatch.setattr(precision, "processor", lambda: slow_in_16_bits)
    changes = {"train_cnn__engine": "vectorised", "train_cnn__precision": "bfloat16", "train_cnn__epochs__fixed": 2}
    params = make_params(**changes)
    for stage in (ingest, crop, split, balance, train_cnn):
        run(stage, tmp_path, params)
    assert "warning" not in capsys.readouterr().err  # of the processor, on which nothing is trained
    table = files.read_table(tmp_path / "predictions" / "cnn" / "cnn.csv")
    assert set(table["id"]) == set(files.read_table(tmp_path / "table")["id"])
    history = files.read_table(tmp_path / "history")
    assert list(history["fold"]) == [0, 0, 1, 1] and np.isfinite(history["loss"]).all()
    names = {path.name for path in (tmp_path / "cnn_models").iterdir()}
    assert names == {"architecture.json", "fold0.weights.h5", "fold1.weights.h5"}
    assert [path.name for path in (tmp_path / "scratch").iterdir()] in ([], ["programs"])  # no checkpoint is left
