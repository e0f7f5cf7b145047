"""Networks trained in one program: the same as one by one, with every setting; padding, resuming, memory, the table."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from numpy.testing import assert_allclose, assert_array_equal

from lipnet.classifiers.networks.checkpoints import Checkpoint
from lipnet.classifiers.networks.settings import NetworkSettings
from lipnet.classifiers.networks.task import Head, NetworkResult, NetworkTask, Progress
from lipnet.classifiers.networks.training import result_of, train_fold
from lipnet.classifiers.vectorised import program, training
from lipnet.classifiers.vectorised.engine import train_all
from lipnet.classifiers.vectorised.pool import Place, pool_of
from lipnet.core.errors import InputError
from lipnet.samples.crops import to_grey
from tests.classifiers.networks.test_training import (
    AUGMENT,
    FEATURES,
    LABELS,
    SIZE,
    TEST,
    TRAIN,
    N,
    _task,
    _toy,
    _training_set,
)
from tests.classifiers.networks.toy_training import training_settings
from tests.test_graph import PARAMS

# Keras, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
NO_DROPOUT = {"regularisation__dropout_block": 0.0, "regularisation__dropout_dense": 0.0}
ALL_DRAWN = AUGMENT.model_copy(update={"transforms": ["rotation", "shift", "flip", "shear", "zoom"], "noise_sd": 0.1})


def _together(
    tasks: Sequence[NetworkTask], watch: Any = lambda _: None, programs: Path | None = None
) -> list[NetworkResult]:
    found = dict(train_all(tasks, result_of, watch, programs))
    return [found[number] for number in range(len(tasks))]


def _trained(tasks: Sequence[NetworkTask], watch: Any = lambda _: None) -> list[list[dict[str, Any]]]:
    """Histories only: predictions would have to be compiled too."""
    found = dict(train_all(tasks, lambda _model, _task, history: history, watch, None))
    return [found[number] for number in range(len(tasks))]


def _losses(histories: Sequence[list[dict[str, Any]]]) -> list[list[float]]:
    return [[record["loss"] for record in history] for history in histories]


def _folds(*lengths: int, **changes: Any) -> list[NetworkTask]:
    """A fold for each of these numbers of training rows; 72 are nine batches."""
    sets = [_training_set(TRAIN[:n]) for n in lengths]
    return [_task(fold=fold, training_set=one, **changes) for fold, one in enumerate(sets)]


def _assert_same(found: NetworkResult, expected: NetworkResult, atol: float = 1e-4) -> None:
    for name in ("fold", "phase", "epoch", "precision_bits", "loss", "accuracy", "validation_loss"):
        columns = [[record[name] for record in result.history] for result in (found, expected)]
        if name in ("loss", "accuracy", "validation_loss"):
            assert_allclose(*np.array(columns, np.float64), atol=atol)
        else:
            assert columns[0] == columns[1]
    assert_allclose(found.output.probabilities, expected.output.probabilities, atol=atol)
    assert_allclose(found.output.prior, expected.output.prior)
    assert found.architecture == expected.architecture
    assert found.others.keys() == expected.others.keys()
    for name, output in found.others.items():
        assert_allclose(output.probabilities, expected.others[name].probabilities, atol=100 * atol)


# Of 20 rows of a class, four are left out.
WEIGHTED = _training_set(TRAIN[:60], class_weights=np.array([2.0, 1.0, 0.5]), drop_fraction=0.2)
SYNTHETIC = replace(
    _training_set(TRAIN[LABELS[TRAIN] != 2], synthetic={SIZE: _toy(np.full(13, 2))}),
    synthetic_labels=np.full(13, 2),
)
# Settings, changes of both folds, training set of the second fold.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "class weights, undersampling, averaged weights, dropout that decays": (
        {
            "epochs__fixed": 3,
            "average_epochs": 2,
            "label_smoothing": 0.1,
            "optimiser__schedule": "cosine",
            # All batches are whole: the numbers drawn depend on the size of a batch.
            "regularisation__dropout_decay": 0.5,
            "regularisation__dropout_dense": 0.5,
        },
        {},
        WEIGHTED,
    ),
    "synthetic examples, batch normalisation, weight decay, SGD": (
        {
            "epochs__choose": "budget",
            "loss__kind": "focal",
            "optimiser__name": "sgd",
            "optimiser__schedule": "step",
            "regularisation__batch_norm": True,
            "regularisation__weight_decay": 0.01,
        },
        {},
        SYNTHETIC,
    ),
    "early stopping, features, heads, views, two channels": (
        {
            "epochs__choose": "early_stopping",
            "epochs__patience": 1,
            "epochs__most": 3,
            "optimiser__learning_rate": 0.002,  # so that the probabilities stay far from 0 and 1
            "loss__kind": "logit_adjusted",
            "views": True,
        },
        {
            "features": np.stack([FEATURES[:, 0], np.arange(N) ** 2], axis=1),  # its mean differs between the folds
            "heads": {"svm": Head(FEATURES, ["one", "two"])},
            "images": np.stack([_toy(LABELS), 255 - _toy(LABELS)], axis=-1),
        },
        _training_set(TRAIN[:61]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fold_beside_a_longer_one_is_trained_as_alone_in_a_process(name: str) -> None:
    settings, changes, training_set = CASES[name]
    first, second = _folds(72, 61, training=training_settings(**(NO_DROPOUT | settings)), **changes)
    shorter = replace(second, training_set=training_set)
    _, found = _together([first, shorter])
    _assert_same(found, train_fold(shorter))


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[program.Program]:
    """The programs that were made."""
    made, make = [], training.program_of

    def watched(task: NetworkTask) -> program.Program:
        made.append(make(task))
        return made[-1]

    monkeypatch.setattr(training, "program_of", watched)
    return made


def test_one_two_and_five_networks_at_once_train_alike(
    programs: list[program.Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = _folds(72, 61, 72, 50, 66, training=training_settings(epochs__fixed=2))
    orders = [["flip"], ["zoom", "shear"], ["shear", "zoom"], ["rotation"], ["shift"]]  # data of one program
    tasks = [
        replace(task, augment=ALL_DRAWN.model_copy(update={"transforms": order}))
        for task, order in zip(tasks, orders, strict=True)
    ]
    one, five = _losses(_trained(tasks[1:2])), _losses(_trained(tasks))
    monkeypatch.setattr(training, "_share_of_memory", lambda *_: 0.5)  # two of five fit: stacks of two, two and one
    sizes = list[int]()
    two = _losses(_trained(tasks, lambda progress: sizes.append(len(progress))))
    assert sizes == [2, 2, 2, 2, 1, 1]
    assert len(programs) == 3
    assert_allclose(two, five, atol=1e-4)
    assert_allclose(one, five[1:2], atol=1e-4)
    assert np.ptp(five, axis=0).min() > 0.01


def test_the_setting_bounds_how_many_networks_are_trained_at_once() -> None:
    sizes = list[int]()
    _trained(_folds(8, 8, 8, training=training_settings(most_networks=2)), lambda progress: sizes.append(len(progress)))
    assert sizes == [2, 1]


def test_random_numbers_are_new_for_every_purpose_fold_epoch_and_seed_of_the_run() -> None:
    unseeded = SimpleNamespace(seeded=[])  # a program without dropout

    def seeds() -> list[int]:
        fits = [
            training.Fit(task, Place(0, 0), task.training_set, 3, Checkpoint(history=[{}] * epochs))
            for task in (_task(fold=fold, seed=seed) for fold in range(2) for seed in range(2))
            for epochs in range(2)
        ]
        return [int(seed) for fit in fits for seed in training._course(unseeded, fit, 9).seeds]

    assert len(set(seeds())) == 2 * 2 * 2 * len(program.PURPOSES)
    assert seeds() == seeds()


def test_a_fold_that_has_stopped_stops_changing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, 3.0, 2.0, 2.0, 1.0, 0.5])  # of folds 0 and 1, then of fold 1 alone
    monkeypatch.setattr(training, "balanced_log_loss", lambda *_: next(losses))
    monkeypatch.setattr(training, "SAVE_S", 0)
    saved, write = list[list[Any]](), training.checkpoints.write

    def watched(path: Path, done: Checkpoint) -> None:
        if path.name == "key0.choosing.npz":
            saved.append([values for values in done.variables if values.dtype != np.uint32])  # seeds start an epoch
        write(path, done)

    monkeypatch.setattr(training.checkpoints, "write", watched)
    early = training_settings(epochs__choose="early_stopping", epochs__patience=1, epochs__most=4)
    tasks = [replace(task, checkpoint=tmp_path / f"key{task.fold}") for task in _folds(72, 72, training=early)]
    histories = _trained(tasks)
    assert [[record["phase"] for record in history] for history in histories] == [
        ["choosing"] * 2 + ["training"],
        ["choosing"] * 4 + ["training"] * 4,
    ]
    first, stopped, *waiting = saved
    assert len(waiting) == 2
    assert not all(np.array_equal(*pair) for pair in zip(first, stopped, strict=True))
    for later in waiting:
        for pair in zip(stopped, later, strict=True):
            assert_array_equal(*pair)


def test_batches_without_examples_change_nothing() -> None:
    [task] = _folds(20, training=training_settings(regularisation__batch_norm=True))
    made, (pool, [place]) = program.program_of(task), pool_of([task])
    fit = training.Fit(task, place, task.training_set, 1, Checkpoint())
    start = made.new_state(training.build(task, task.training_set, "float32").get_weights())
    course = training._course(made, fit, 5)
    assert_array_equal((course.rows >= 0).sum(axis=1), [8, 8, 4, 0, 0])

    def run(course: program.Course) -> tuple[program.State, Any]:
        stacked = [jax.tree.map(lambda value: jnp.asarray(value)[None], one) for one in (start, course)]
        return jax.device_get(made.epoch(*stacked, pool))

    after, sums = run(course)
    assert_array_equal(sums[0, 3:], 0)
    shifted = [np.roll(array, 2, axis=0) for array in (course.rows, course.labels)]  # the empty batches come first
    later = run(course._replace(rows=shifted[0], labels=shifted[1]))
    assert_array_equal(later[1][0], np.roll(sums[0], 2, axis=0))
    jax.tree.map(assert_array_equal, later[0], after)
    none, _ = run(course._replace(rows=np.full_like(course.rows, -1)))
    for before, values in zip(start, none, strict=True):
        for one, other in zip(before, values, strict=True):
            if one.dtype != np.uint32:  # the seeds of the epoch
                assert_array_equal(other[0], one)


def test_mixup_blends_examples_with_examples_of_their_batch_and_never_with_padding() -> None:
    real = np.arange(6) < 4
    images, targets = np.eye(6, dtype=np.float32).reshape(6, 2, 3, 1), np.eye(6, dtype=np.float32)
    weights = np.where(real, np.arange(1, 7), 0).astype(np.float32)
    mixed = program._mixed([*map(jnp.asarray, (images, targets, weights))], 0.5, jnp.asarray(real), jax.random.key(3))
    assert program._mixed([images], 0.0, real, jax.random.key(0))[0] is images
    assert_allclose(mixed[0].reshape(6, 6), mixed[1])  # each image stands for its target
    assert_array_equal(mixed[1][:4, 4:], 0)
    assert_allclose(mixed[1].sum(axis=1), 1, rtol=1e-6)
    assert_allclose(mixed[1] @ weights, mixed[2], rtol=1e-5)
    assert not np.allclose(mixed[1][:4], targets[:4], atol=0.05)


def test_both_engines_learn_the_toy_problem_alike() -> None:
    drawn = AUGMENT.model_copy(update={"transforms": ["shift", "zoom"], "noise_sd": 0.05})
    settings = training_settings(epochs__fixed=10, mixup=0.2, precision="bfloat16")
    tasks = _folds(72, 64, augment=drawn, training=settings)
    together = _together(tasks)
    alone = train_fold(tasks[0])
    assert together[0].history[-1]["loss"] == pytest.approx(alone.history[-1]["loss"], abs=0.1)
    assert together[0].architecture == alone.architecture
    assert {record["precision_bits"] for record in together[0].history} == {16}
    for result in [*together, alone]:
        assert (result.output.predicted == LABELS[TEST]).mean() > 0.9
        assert result.history[-1]["loss"] < result.history[0]["loss"] / 2


@pytest.fixture
def programs_folder(tmp_path: Path) -> Iterator[Path]:
    reset_cache()
    yield tmp_path / "programs"
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
    jax.config.update("jax_compilation_cache_dir", None)
    reset_cache()


def _programs(folder: Path) -> set[str]:
    return {path.name.removesuffix("-atime").removesuffix("-cache") for path in folder.iterdir()}


def test_training_that_was_killed_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, programs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = training_settings(epochs__choose="early_stopping", epochs__most=2, average_epochs=2)
    tasks = _folds(72, 61, augment=ALL_DRAWN, training=settings)
    whole = _together(tasks, programs=programs_folder)
    compiled = _programs(programs_folder)
    assert any("epoch" in name for name in compiled) and any("predict" in name for name in compiled)
    kept = [replace(task, checkpoint=tmp_path / f"key{task.fold}") for task in tasks]
    monkeypatch.setattr(training, "SAVE_S", 0)

    seen = list[tuple[str, int]]()

    def killed(progress: Sequence[Progress]) -> None:
        seen.append(progress[0][1:3])
        if len(seen) in (1, 4):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            _together(kept, killed, programs_folder)
    resumed = _together(kept, lambda progress: seen.append(progress[0][1:3]), programs_folder)
    assert [one for one in seen if one[0] == "choosing epochs"] == [("choosing epochs", n) for n in (1, 1, 2)]
    assert [result.weights for result in resumed] == [result.weights for result in whole]
    assert [result.history for result in resumed] == [result.history for result in whole]
    assert _programs(programs_folder) == compiled  # nothing was compiled anew


def test_a_state_is_saved_when_time_has_passed_and_at_the_end_of_a_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, write = list[int](), training.checkpoints.write
    monkeypatch.setattr(
        training.checkpoints, "write", lambda path, done: (saved.append(len(done.history)), write(path, done))
    )
    clock = iter([0, 10, 31, 31, 40, 50, 50])
    monkeypatch.setattr(training, "monotonic", lambda: next(clock))
    [task] = _folds(8, training=training_settings(epochs__fixed=4))
    _trained([replace(task, checkpoint=tmp_path / "key")])
    assert saved == [2, 4]


def test_a_diverging_loss_names_the_fold_and_the_learning_rate() -> None:
    diverging = training_settings(optimiser__name="sgd", optimiser__learning_rate=1e30, epochs__fixed=3)
    tasks = [_folds(72)[0], *_folds(72)]
    tasks = [replace(task, fold=3 + n, training=diverging) for n, task in enumerate(tasks)]
    with pytest.raises(InputError, match=r"fold 3: the loss is (nan|inf) after epoch \d; lower .*learning_rate"):
        _trained(tasks)


def test_a_network_with_buckets_is_refused_before_anything_is_trained(programs: list[program.Program]) -> None:
    fcn = NetworkSettings(size_px=48, buckets_px=[16], blocks=[[4]], halve="pool", top="masked")
    refused = training_settings(engine="vectorised")
    with pytest.raises(InputError, match="images of one side only, and this network has buckets_px"):
        _trained([*_folds(8, training=refused), _task(network=fcn, training=refused)])
    assert not programs


def _smallest(row: dict[str, Any]) -> NetworkSettings:
    """Fewer layers of the same kinds, of two channels, on the smallest images that all halvings leave something of."""
    network = NetworkSettings.model_validate(row)
    least = {"blocks": [[2] * min(len(some), 2) for some in network.blocks], "size_px": max(2**network.n_halvings, 4)}
    units = {"dense_units": 4} if network.dense_units else {}
    return NetworkSettings.model_validate(row | least | units | ({"stem": 2} if network.stem else {}))


@pytest.mark.parametrize("name", [name for name, row in PARAMS["networks"].items() if "buckets_px" not in row])
def test_a_step_of_every_network_of_the_table_starts_from_the_loss_of_keras_s_layers(name: str) -> None:
    network = _smallest(PARAMS["networks"][name])
    images = np.random.default_rng(0).integers(0, 255, (N, network.size_px, network.size_px), np.uint8)
    tasks = _folds(8, 7, images=images, network=network, training=training_settings(**NO_DROPOUT))
    [_, [record]] = _trained(tasks)
    model, rows = training.build(tasks[1], tasks[1].training_set, "float32"), tasks[1].training_set.rows
    forward = jax.jit(partial(model.stateless_call, training=True))
    values = ([one.value for one in some] for some in (model.trainable_variables, model.non_trainable_variables))
    probabilities, _ = forward(*values, to_grey(images[rows]))
    expected = -np.log(np.asarray(probabilities)[np.arange(7), LABELS[rows]]).mean()
    assert record["loss"] == pytest.approx(expected, abs=1e-4)
