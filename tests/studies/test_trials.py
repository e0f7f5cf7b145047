"""Trials: what a cache key covers, and that nothing which is remembered is trained again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lipnet.classifiers import cache_keys, registry
from lipnet.classifiers.cache_keys import CODE
from lipnet.classifiers.networks.settings import NetworkSettings
from lipnet.classifiers.networks.training import NetworkTask
from lipnet.classifiers.registry import Task, Trial
from lipnet.classifiers.svm import SvmSettings, SvmTask
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.portable import VARIABLES
from lipnet.evaluation.predictions import FoldOutput
from lipnet.samples.augment import AugmentSettings
from lipnet.samples.balance import TrainingSet
from lipnet.studies import packs, trials
from lipnet.studies.trials import Done, Watch
from tests.classifiers.networks.toy_training import training_settings
from tests.test_graph import ROOT, reached_files

# Keras, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
LABELS = np.arange(24) % 2
ROWS = np.arange(24)


def _svm(**changes: Any) -> SvmTask:
    settings = SvmSettings(
        features={"svm": ["area"]},
        library="libsvm",
        cost=1.0,
        gamma=None,
        class_weights=True,
        calibration_folds=2,
        cache_mb=10,
    )
    features = np.random.default_rng(0).normal(size=(24, 2)) + LABELS[:, None]
    plain = SvmTask(LABELS, ROWS, ROWS[6:], ROWS[:6], 1, features, ["area", "x"], settings)
    return replace(plain, **changes)


def _network(**changes: Any) -> NetworkTask:
    images = np.random.default_rng(0).integers(0, 200, (24, 8, 8), dtype=np.uint8)
    plain = NetworkTask(
        fold=0,
        images=images,
        labels=LABELS,
        groups=ROWS,
        train=ROWS[6:],
        test=ROWS[:6],
        training_set=TrainingSet(ROWS[6:], {8: images[:1]}, np.zeros(1, np.int64), np.ones(2), 0.0),
        network=NetworkSettings(size_px=8, blocks=[[4]], halve="pool", top="average"),
        training=training_settings(regularisation__dropout_block=0.0, regularisation__dropout_dense=0.0),
        augment=AugmentSettings(
            transforms=[],
            rotation_deg=0,
            shift_percent=0,
            shear_max=0.0,
            zoom_min=1.0,
            interpolation="bilinear",
            fill="constant",
            noise_sd=0.0,
        ),
        seed=1,
        report=lambda *_: None,
    )
    return replace(plain, **changes)


def key_of(task: Task) -> str:
    return cache_keys.cache_key(task, 1)


def _unwatched(done: Done, _n: int) -> Done:
    return done


def run_all(tasks: Sequence[Task], folder: Path, threads: int, watch: Watch) -> list[Trial]:
    store = trials.Store(folder, folder.parent / "pack.zip")
    return trials.run_all(tasks, trials.keys_of(tasks, threads), store, threads, watch, lambda _: None)


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPNET_WORKERS", "1")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks that were really trained."""
    seen: list[Any] = []
    really = registry.train

    def run(task: Any) -> Trial:
        seen.append(task)
        return really(task)

    monkeypatch.setattr(registry, "train", run)
    return seen


def test_what_is_remembered_is_not_trained_again(tmp_path: Path, trained: list[Any]) -> None:
    first = run_all([_svm(), _svm(seed=2)], tmp_path, 1, _unwatched)
    again = run_all([_svm(seed=2), _svm(seed=3), _svm()], tmp_path, 1, _unwatched)
    assert [task.seed for task in trained] == [1, 2, 3]
    assert_array_equal(again[0].output.probabilities, first[1].output.probabilities)
    assert_array_equal(again[2].output.predicted, first[0].output.predicted)
    assert np.isnan(again[0].dead_filters)


def _pack(folder: Path, tasks: Sequence[Task]) -> None:
    """Move trials from a folder to the pack beside it."""
    keys = [key_of(task) for task in tasks]
    packs.write(folder.parent / "pack.zip", {key: (folder / f"{key}.npz").read_bytes() for key in keys})
    for key in keys:
        (folder / f"{key}.npz").unlink()


def test_what_is_in_a_pack_is_not_trained_again_and_is_not_copied(tmp_path: Path, trained: list[Any]) -> None:
    folder = tmp_path / "trials"
    first = run_all([_svm(), _svm(seed=2)], folder, 1, _unwatched)
    _pack(folder, [_svm(), _svm(seed=2)])
    again = run_all([_svm(seed=2), _svm(), _svm(seed=2)], folder, 1, _unwatched)
    assert [task.seed for task in trained] == [1, 2]
    assert list(folder.glob("*.npz")) == []
    for place, one in zip((1, 0, 1), again, strict=True):
        assert_array_equal(one.output.probabilities, first[place].output.probabilities)
    run_all([_svm(seed=3), _svm()], folder, 1, _unwatched)
    assert [task.seed for task in trained] == [1, 2, 3]
    assert [path.stem for path in folder.glob("*.npz")] == [key_of(_svm(seed=3))]


def test_a_trial_in_the_folder_comes_before_that_of_the_pack(tmp_path: Path, trained: list[Any]) -> None:
    folder = tmp_path / "trials"
    [packed] = run_all([_svm()], folder, 1, _unwatched)
    _pack(folder, [_svm()])
    other = packed.output._replace(probabilities=packed.output.probabilities[:, ::-1])
    files.write_arrays(folder / f"{key_of(_svm())}.npz", trials._to_arrays(Trial(other, {}, np.nan)))
    [found] = run_all([_svm()], folder, 1, _unwatched)
    assert len(trained) == 1
    assert_array_equal(found.output.probabilities, other.probabilities)


def test_a_damaged_pack_stops_before_anything_is_trained(tmp_path: Path, trained: list[Any]) -> None:
    pack = tmp_path / "pack.zip"
    files.write_arrays(tmp_path / "no_trial.npz", {"x": np.zeros(1)})
    packs.write(pack, {key_of(_svm()): (tmp_path / "no_trial.npz").read_bytes()})
    with pytest.raises(InputError, match=rf"pack\.zip: {key_of(_svm())}\.npz: holds no trial"):
        run_all([_svm(seed=2), _svm()], tmp_path / "trials", 1, _unwatched)
    packs.digest_path(pack).unlink()
    with pytest.raises(InputError, match=r"pack\.sha256: no such file"):
        run_all([_svm(seed=2)], tmp_path / "trials", 1, _unwatched)
    assert trained == []


def test_what_neither_folder_nor_pack_has_is_missing(tmp_path: Path) -> None:
    keys = [key_of(_svm(seed=seed)) for seed in range(3)]
    store = trials.Store(tmp_path / "folder", tmp_path / "trials.zip")
    run_all([_svm(seed=0), _svm(seed=1)], store.folder, 1, _unwatched)
    packs.write(store.pack, {keys[0]: (store.folder / f"{keys[0]}.npz").read_bytes()})
    (store.folder / f"{keys[0]}.npz").unlink()
    assert trials.missing(keys, store) == {keys[2]}


def test_two_arms_that_ask_for_the_same_share_one_training(tmp_path: Path, trained: list[Any]) -> None:
    one, other = run_all([_svm(), _svm()], tmp_path, 1, _unwatched)
    assert len(trained) == 1
    assert_array_equal(one.output.probabilities, other.output.probabilities)


def test_each_trial_is_kept_as_soon_as_it_is_there(tmp_path: Path) -> None:
    def cut_off(done: Done, _n: int) -> Done:
        for number, trial in done:
            if number == 2:
                raise KeyboardInterrupt
            yield number, trial

    with pytest.raises(KeyboardInterrupt):
        run_all([_svm(seed=seed) for seed in range(4)], tmp_path, 1, cut_off)
    assert {path.stem for path in tmp_path.iterdir()} == {key_of(_svm(seed=seed)) for seed in range(2)}


def test_a_network_is_remembered_with_its_dead_filters(tmp_path: Path, trained: list[Any]) -> None:
    [first] = run_all([_network()], tmp_path, 1, _unwatched)
    [again] = run_all([_network()], tmp_path, 1, _unwatched)
    assert len(trained) == 1
    assert first.output.probabilities.shape == (6, 2)
    assert_array_equal(first.output.predicted, first.output.probabilities.argmax(axis=1))
    assert_array_equal(first.output.probabilities, again.output.probabilities)
    assert 0 <= first.dead_filters == again.dead_filters <= 4


def _slow_first(task: SvmTask) -> Trial:
    time.sleep(3.0 if task.seed == 0 else 0.0)
    if task.seed == 0:
        raise InputError("the first task fails")
    return Trial(FoldOutput(task.test, np.ones((len(task.test), 2)), np.ones(2)), {}, np.nan)


def test_a_slow_task_holds_back_none_that_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPNET_WORKERS", "2")
    monkeypatch.setattr(registry, "train", _slow_first)
    with pytest.raises(InputError, match="the first task fails"):
        run_all([_svm(seed=seed) for seed in range(5)], tmp_path, 1, _unwatched)
    assert {path.stem for path in tmp_path.iterdir()} == {key_of(_svm(seed=seed)) for seed in range(1, 5)}


@pytest.mark.parametrize("content", ['{"backend": "torch"}', "{}", "no json", None])
def test_the_backend_is_that_of_keras_json_where_no_variable_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if content is not None:
        (tmp_path / "keras.json").write_text(content)
    assert cache_keys._backend() == ("torch" if content and "torch" in content else "tensorflow")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert cache_keys._backend() == "jax"


def test_dead_filters_are_looked_for_all_over_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def dead_filters(_model: Any, images: Any) -> dict[str, Any]:
        seen.append(images)
        return {"conv1_1": np.array([True, False])}

    monkeypatch.setattr(registry.filters, "dead_filters", dead_filters)
    monkeypatch.setattr(registry, "N_INSPECTED", 3)
    task = _network()
    assert registry.train(task).dead_filters == 1
    assert_array_equal(seen[0], task.images[[6, 14, 23]])  # of the training rows 6 .. 23


def test_a_damaged_memory_is_named(tmp_path: Path) -> None:
    (tmp_path / f"{key_of(_svm())}.npz").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(InputError, match="damaged"):
        run_all([_svm()], tmp_path, 1, _unwatched)


CHANGES: dict[str, Callable[[NetworkTask], dict[str, Any]]] = {
    "fold": lambda _: {"fold": 1},
    "a pixel": lambda task: {"images": np.where(np.arange(8) == 3, task.images ^ 1, task.images)},
    "a label": lambda task: {"labels": task.labels[::-1].copy()},
    "groups": lambda task: {"groups": task.groups // 2},
    "test rows": lambda _: {"test": ROWS[:5]},
    "training rows": lambda task: {"training_set": replace(task.training_set, rows=ROWS[7:])},
    "a synthetic example": lambda task: {"training_set": replace(task.training_set, synthetic={8: task.images[1:2]})},
    "class weights": lambda task: {"training_set": replace(task.training_set, class_weights=np.array([1.0, 2.0]))},
    "network": lambda task: {"network": task.network.model_copy(update={"blocks": [[5]]})},
    "training": lambda task: {"training": task.training.model_copy(update={"batch_size": 9})},
    "augmentation": lambda task: {"augment": task.augment.model_copy(update={"noise_sd": 0.1})},
    "seed": lambda _: {"seed": 2},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_cache_key_covers_all_that_a_result_depends_on(what: str) -> None:
    assert key_of(replace(_network(), **CHANGES[what](_network()))) != key_of(_network())


def test_a_cache_key_covers_the_threads() -> None:
    assert len({cache_keys.cache_key(task, threads) for task in (_svm(), _network()) for threads in (1, 2)}) == 4


def test_a_cache_key_covers_the_choice_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of(_svm())
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert key_of(_svm()) != before


def test_a_cache_key_depends_on_nothing_else() -> None:
    assert key_of(_network(report=print)) == key_of(_network())
    assert len(key_of(_network())) == 32


def test_neighbouring_values_are_not_run_together() -> None:
    assert key_of(_svm(names=["ab", "c"])) != key_of(_svm(names=["a", "bc"]))


def test_a_cache_key_covers_backend_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of(_svm())
    cache_keys._environment.cache_clear()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    changed = key_of(_svm())
    monkeypatch.delenv("KERAS_BACKEND")
    cache_keys._environment.cache_clear()
    monkeypatch.setattr(cache_keys, "_source", lambda name: f"another {name}")
    rewritten = key_of(_svm())
    cache_keys._environment.cache_clear()
    assert len({before, changed, rewritten}) == 3


def test_the_code_that_counts_is_what_training_imports() -> None:
    package = ROOT / "lipnet" / "classifiers"
    entries = ("registry", "vectorised/engine", "cache_keys")
    reached = set().union(*(reached_files(package / f"{name}.py") for name in entries))
    assert {f"lipnet/{name}.py" for name in CODE} == {path.relative_to(ROOT).as_posix() for path in reached}


def test_remembered_files_are_plain_arrays(tmp_path: Path) -> None:
    run_all([_svm()], tmp_path, 1, _unwatched)
    [path] = tmp_path.iterdir()
    output = {".predicted", ".millionths_by_class", ".prior", ".label_smoothing"}
    assert set(files.read_arrays(path)) == {*output, "dead_filters"}  # pickles are refused there


@pytest.mark.parametrize(
    "damaged",
    [
        np.zeros((7, 3), np.int32),  # rows and columns exchanged
        np.zeros((3, 4), np.int32),
        np.zeros((2, 7), np.int32),
        np.zeros((3, 7, 2), np.int32),
        np.zeros(7, np.int32),
        np.array(0, np.int32),
        np.full((3, 7), np.nan),
        np.full((3, 7), "x"),
    ],
)
def test_probabilities_of_another_shape_or_type_are_refused(damaged: np.ndarray) -> None:
    values = np.full((7, 3), 1 / 3)
    arrays = trials._to_arrays(Trial(FoldOutput(values.argmax(axis=1), values, np.full(3, 1 / 3), 0.1), {}, 2.0))
    with pytest.raises(InputError, match=r"x\.npz: holds no trial .*probabilities of another shape or type.*cure"):
        trials._from_arrays({**arrays, ".millionths_by_class": damaged}, "x.npz", "cure")


def test_a_trial_keeps_the_digits_of_a_table_of_predictions() -> None:
    values = np.random.default_rng(0).dirichlet(np.ones(3), 500)
    output = FoldOutput(values.argmax(axis=1), values, np.array([0.2, 0.3, 0.5]), 0.1)
    kept = trials._from_arrays(trials._to_arrays(Trial(output, {"other": output}, 2.0)), "", "")
    assert kept.dead_filters == 2.0
    for one in (kept.output, kept.others["other"]):
        assert_array_equal(one.probabilities, np.round(values, 6))  # as predictions.to_table rounds
        assert_array_equal(one.predicted, output.predicted)
        assert one.predicted.dtype == output.predicted.dtype
        assert_array_equal(one.prior, output.prior)
        assert one.label_smoothing == output.label_smoothing
