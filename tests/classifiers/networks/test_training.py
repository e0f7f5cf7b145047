"""Training of one fold on a toy problem: it learns, repeats, ignores test rows, and every setting has effect."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from pydantic import ValidationError

from lipnet.classifiers.networks import training
from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.early_stopping import balanced_log_loss, split_validation
from lipnet.classifiers.networks.prediction import embed, predict, predict_views
from lipnet.classifiers.networks.settings import POLICIES, VIEWS, NetworkSettings, TrainingSettings, learning_rate
from lipnet.classifiers.networks.task import Head, NetworkResult, NetworkTask, Progress
from lipnet.classifiers.networks.training import steps_per_epoch, train_fold
from lipnet.core.errors import InputError
from lipnet.samples.augment import AugmentSettings
from lipnet.samples.balance import TrainingSet
from tests.classifiers.networks.toy_training import training_settings

# Keras, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

N, SIZE, CLASSES = 96, 8, 3
LABELS = np.arange(N) % CLASSES
GROUPS = np.arange(N) // 4
TEST = np.arange(24)
TRAIN = np.arange(24, N)

AUGMENT = AugmentSettings(
    transforms=[],
    rotation_deg=180,
    shift_percent=10,
    shear_max=0.2,
    zoom_min=0.8,
    interpolation="bilinear",
    fill="constant",
    noise_sd=0.0,
)


def _silent(*_: object) -> None:
    pass


def _toy(labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Class 0 is bright on the left, 1 on the right, 2 nowhere."""
    images = np.random.default_rng(0).integers(0, 60, (len(labels), SIZE, SIZE), dtype=np.uint8)
    images[labels == 0, :, :4] += 150
    images[labels == 1, :, 4:] += 150
    return images


def _training_set(rows: NDArray[np.int64] = TRAIN, **changes: Any) -> TrainingSet:
    empty = TrainingSet(
        rows=rows,
        synthetic={SIZE: np.empty((0, SIZE, SIZE), np.uint8)},
        synthetic_labels=np.empty(0, np.int64),
        class_weights=np.ones(CLASSES),
        drop_fraction=0.0,
    )
    return replace(empty, **changes)


def _task(**changes: Any) -> NetworkTask:
    plain = NetworkTask(
        fold=0,
        images=_toy(LABELS),
        labels=LABELS,
        groups=GROUPS,
        train=TRAIN,
        test=TEST,
        training_set=_training_set(),
        network=NetworkSettings(size_px=SIZE, blocks=[[4]], halve="pool", top="dense", dense_units=8),
        training=training_settings(),
        augment=AUGMENT,
        seed=1,
        report=_silent,
    )
    return replace(plain, **changes)


@cache
def _one_epoch() -> NetworkResult:
    return train_fold(_task())


def _differs(task: NetworkTask) -> bool:
    return not np.allclose(train_fold(task).output.probabilities, _one_epoch().output.probabilities, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        training_settings(epochs__fixed=5),
        training_settings(epochs__fixed=8, optimiser__name="sgd"),
        # Its running averages forget their start over a hundred steps or so; an epoch has nine.
        training_settings(epochs__fixed=20, regularisation__batch_norm=True, regularisation__weight_decay=0.001),
    ],
    ids=["adam", "sgd", "batch_norm"],
)
def test_a_separable_problem_is_learned(settings: TrainingSettings) -> None:
    result = train_fold(_task(training=settings))
    assert result.output.probabilities.shape == (24, CLASSES)
    assert_allclose(result.output.probabilities.sum(axis=1), 1, atol=1e-5)
    assert (result.output.probabilities.argmax(axis=1) == LABELS[TEST]).mean() > 0.9
    assert result.history[-1]["loss"] < result.history[0]["loss"] / 2
    assert result.history[-1]["accuracy"] > 0.9


def test_the_same_task_gives_the_same_bytes() -> None:
    again = train_fold(_task())
    assert again.weights == _one_epoch().weights
    assert again.architecture == _one_epoch().architecture
    assert_array_equal(again.output.probabilities, _one_epoch().output.probabilities)
    assert again.history == _one_epoch().history


def test_seed_and_fold_change_the_result() -> None:
    assert _differs(_task(seed=2))
    assert _differs(_task(fold=1))


def test_the_test_rows_are_predicted_and_otherwise_ignored() -> None:
    images, labels = _toy(LABELS), LABELS.copy()
    images[TEST], labels[TEST] = 255 - images[TEST], (LABELS[TEST] + 1) % CLASSES
    # With early stopping, so that the choice of the number of epochs is covered as well.
    task = _task(training=training_settings(epochs__choose="early_stopping", epochs__most=1))
    one, other = train_fold(task), train_fold(replace(task, images=images, labels=labels))
    assert other.weights == one.weights
    assert other.history == one.history
    assert [record["phase"] for record in one.history] == ["choosing", "training"]
    assert not np.allclose(other.output.probabilities, one.output.probabilities)


def test_weights_and_architecture_rebuild_the_network_that_predicted(tmp_path: Path) -> None:
    (tmp_path / "fold.weights.h5").write_bytes(_one_epoch().weights)
    model = keras.models.model_from_json(_one_epoch().architecture)
    model.load_weights(tmp_path / "fold.weights.h5")
    pixels = _toy(LABELS)[TEST][..., None].astype(np.float32) / 255
    assert_allclose(model.predict_on_batch(pixels), _one_epoch().output.probabilities, atol=1e-6)


def test_dropout_decays_with_every_epoch(tmp_path: Path) -> None:
    decay = {"regularisation__dropout_decay": 0.5, "regularisation__dropout_block": 0.4, "epochs__fixed": 3}
    result = train_fold(_task(training=training_settings(**decay)))
    (tmp_path / "fold.weights.h5").write_bytes(result.weights)
    model = keras.models.model_from_json(result.architecture)
    model.load_weights(tmp_path / "fold.weights.h5")
    for name in ("dropout1", "dropout_dense"):
        assert float(model.get_layer(name).scale) == 0.5**2  # of the third epoch


def test_a_diverging_loss_is_an_error_that_names_the_learning_rate() -> None:
    diverging = training_settings(optimiser__name="sgd", optimiser__learning_rate=1e30, epochs__fixed=3)
    with pytest.raises(InputError, match=r"fold 4: the loss is (nan|inf) after epoch \d; lower .*learning_rate"):
        train_fold(_task(fold=4, training=diverging))


def test_every_epoch_is_recorded_and_reported() -> None:
    reports: list[Progress] = []
    result = train_fold(_task(fold=7, training=training_settings(epochs__fixed=2), report=reports.append))
    assert [report[:4] for report in reports] == [(7, "training", 1, 2), (7, "training", 2, 2)]
    for record, (*_, loss, accuracy) in zip(result.history, reports, strict=True):
        assert list(record) == ["fold", "phase", "epoch", "loss", "accuracy", "validation_loss", "precision_bits"]
        assert (record["fold"], record["phase"], record["validation_loss"]) == (7, "training", None)
        assert (record["loss"], record["accuracy"]) == pytest.approx((loss, accuracy), abs=1e-6)
    assert [record["epoch"] for record in result.history] == [1, 2]
    assert 0.2 < result.history[0]["accuracy"] <= 1


def test_early_stopping_trains_for_the_best_number_of_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([1.0, 0.5, 0.7, 0.6, 0.1])
    monkeypatch.setattr(training, "balanced_log_loss", lambda *_: next(losses))
    early = training_settings(epochs__choose="early_stopping", epochs__most=10, epochs__patience=2)
    reports: list[Progress] = []
    history = train_fold(_task(training=early, report=reports.append)).history
    assert [(record["phase"], record["epoch"], record["validation_loss"]) for record in history] == [
        ("choosing", 1, 1.0),
        ("choosing", 2, 0.5),
        ("choosing", 3, 0.7),
        ("choosing", 4, 0.6),
        ("training", 1, None),
        ("training", 2, None),
    ]
    assert reports[0][1:4] == ("choosing epochs", 1, 10)
    assert reports[-1][1:4] == ("training", 2, 2)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [({"steps": 18}, 2), ({"steps": 19}, 3), ({"steps": 1, "least": 2}, 2), ({"steps": 99, "most": 3}, 3)],
)
def test_a_budget_of_steps_becomes_whole_epochs_within_its_limits(budget: dict[str, int], expected: int) -> None:
    limits = {"steps": 1, "least": 1, "most": 9} | budget  # an epoch of 72 rows in batches of 8 has 9 steps
    training = training_settings(epochs__choose="budget", epochs__budget=limits)
    assert steps_per_epoch(_task(training=training), _training_set()) == 9
    assert [record["epoch"] for record in train_fold(_task(training=training)).history] == list(range(1, expected + 1))


def test_a_budget_trains_as_the_same_number_of_epochs_would() -> None:
    budget = training_settings(epochs__choose="budget")
    fixed = training_settings(epochs__choose="fixed", epochs__fixed=2)
    results = [train_fold(_task(training=training)) for training in (budget, fixed)]
    assert results[0].weights == results[1].weights


def test_rows_that_are_left_out_of_an_epoch_take_no_steps() -> None:
    dropped = _training_set(drop_fraction=1 / 3)  # 8 of the 24 rows of one class
    assert steps_per_epoch(_task(), dropped) == 8


def test_a_budget_with_more_epochs_at_least_than_at_most_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"least \(5\) must not exceed most \(4\)"):
        training_settings(epochs__budget={"steps": 1, "least": 5, "most": 4})


def test_the_history_says_in_how_many_bits_was_trained() -> None:
    for precision, bits in (("float32", 32), ("bfloat16", 16)):
        history = train_fold(_task(training=training_settings(precision=precision))).history
        assert {record["precision_bits"] for record in history} == {bits}


def test_early_stopping_stops_at_the_maximum_number_of_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter(np.linspace(1, 0, 10))
    monkeypatch.setattr(training, "balanced_log_loss", lambda *_: next(losses))
    early = training_settings(epochs__choose="early_stopping", epochs__most=2, epochs__patience=1)
    phases = [record["phase"] for record in train_fold(_task(training=early)).history]
    assert phases == ["choosing"] * 2 + ["training"] * 2


def test_split_validation_parts_the_training_rows_by_whole_groups() -> None:
    repeated = np.concatenate([TRAIN, TRAIN[:9]])
    whole = _training_set(
        repeated,
        class_weights=np.array([1.0, 2.0, 3.0]),
        drop_fraction=0.2,
    )
    task = _task(training_set=whole)
    fitting, validation = split_validation(task)
    assert not set(validation) & set(fitting.rows)
    assert set(validation) | set(fitting.rows) == set(TRAIN)
    assert not set(GROUPS[validation]) & set(GROUPS[fitting.rows])
    assert len(validation) == pytest.approx(len(TRAIN) / 3, abs=8)
    assert set(LABELS[validation]) == {0, 1, 2}
    _, times = np.unique(fitting.rows, return_counts=True)
    assert len(fitting.rows) == len(repeated[~np.isin(repeated, validation)]) > len(times)
    assert_array_equal(fitting.class_weights, [1, 2, 3])
    assert fitting.drop_fraction == 0.2
    assert_array_equal(split_validation(task)[1], validation)
    assert not np.array_equal(split_validation(replace(task, fold=1))[1], validation)


def test_where_there_are_synthetic_examples_repeats_of_the_fitting_rows_stand_in_for_them() -> None:
    synthetic = {SIZE: np.zeros((5, SIZE, SIZE), np.uint8)}
    few = np.concatenate([TRAIN[LABELS[TRAIN] != 2], TRAIN[LABELS[TRAIN] == 2][::3]])  # class 2 is rarer
    whole = _training_set(few, synthetic=synthetic, synthetic_labels=np.full(5, 2))
    fitting, validation = split_validation(_task(training_set=whole))
    assert fitting.synthetic == {}
    assert not set(validation) & set(fitting.rows)
    counts = fitting.class_counts(LABELS)
    assert (counts == counts.max()).all()


def test_early_stopping_on_artificial_examples_alone_says_what_to_change() -> None:
    synthetic = {SIZE: np.zeros((6, SIZE, SIZE), np.uint8)}
    none = _training_set(TRAIN[:0], synthetic=synthetic, synthetic_labels=np.arange(6) % 3)
    with pytest.raises(InputError, match="'artificial_only' leaves no rows to choose epochs on; use choose: fixed"):
        split_validation(_task(training_set=none))


def test_early_stopping_that_takes_a_whole_class_for_validation_says_what_to_change() -> None:
    coarse = np.where(LABELS == 2, 0, 1 + np.arange(N))  # all of class 2 is one group
    with pytest.raises(InputError, match=r"took all groups of class 2 .*for validation; raise train_cnn\.epochs"):
        for fold in range(20):  # some fold draws it
            split_validation(_task(groups=coarse, fold=fold))


@pytest.mark.parametrize("group_size", [24, N])
def test_early_stopping_with_fewer_groups_than_parts_still_watches_some_rows(group_size: int) -> None:
    coarse = _task(groups=np.arange(N) // group_size, training=training_settings(epochs__validation_parts=5))
    for fold in range(5):
        fitting, validation = split_validation(replace(coarse, fold=fold))
        assert len(validation) > 0
        assert len(fitting.rows) > 0


def test_synthetic_examples_teach_a_class_that_has_no_real_rows() -> None:
    without = TRAIN[LABELS[TRAIN] != 2]
    synthetic = {SIZE: _toy(np.full(24, 2))}
    training_set = _training_set(without, synthetic=synthetic, synthetic_labels=np.full(24, 2))
    result = train_fold(_task(training_set=training_set, training=training_settings(epochs__fixed=5)))
    assert (result.output.probabilities.argmax(axis=1) == LABELS[TEST]).mean() > 0.9


def test_class_weights_shift_probabilities_and_weigh_the_reported_accuracy() -> None:
    same = np.full((N, SIZE, SIZE), 100, np.uint8)
    weighted = _training_set(class_weights=np.array([2.5, 0.4, 0.1]))
    quick = training_settings(epochs__fixed=8, optimiser__learning_rate=0.05)
    plain, shifted = (
        train_fold(_task(images=same, training=quick, training_set=item)) for item in (_training_set(), weighted)
    )
    assert_allclose(plain.output.probabilities[0], 1 / 3, atol=0.12)
    assert_allclose(shifted.output.probabilities[0], [2.5 / 3, 0.4 / 3, 0.1 / 3], atol=0.08)
    assert plain.history[-1]["accuracy"] == pytest.approx(1 / 3, abs=0.12)
    assert shifted.history[-1]["accuracy"] == pytest.approx(2.5 / 3, abs=0.05)  # always class 0


def test_label_smoothing_keeps_the_network_from_certainty() -> None:
    smooth = training_settings(epochs__fixed=5, label_smoothing=0.6)
    result = train_fold(_task(training=smooth))
    assert (result.output.probabilities.argmax(axis=1) == LABELS[TEST]).mean() > 0.9
    assert result.output.probabilities.max() < 0.8  # 0.6 where the loss is least
    assert result.history[-1]["loss"] > 0.6 * math.log(3)


@pytest.mark.parametrize(
    "policy",
    [AUGMENT.model_copy(update={"transforms": ["flip"]}), AUGMENT.model_copy(update={"noise_sd": 0.3})],
    ids=["flip", "noise"],
)
def test_augmentation_changes_what_is_learned(policy: AugmentSettings) -> None:
    assert _differs(_task(augment=policy))


def test_noise_has_the_wanted_sd_and_is_new_for_every_image() -> None:
    policy = AUGMENT.model_copy(update={"noise_sd": 0.2})
    noise = training._augmented(np.zeros((50, 20, 20, 1), np.float32), policy, np.random.default_rng(0))
    assert noise.dtype == np.float32
    assert noise.std() == pytest.approx(0.2, rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert not np.array_equal(noise[0], noise[1])


def test_the_size_of_chunks_has_no_influence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHUNK", 21)
    assert_allclose(train_fold(_task()).output.probabilities, _one_epoch().output.probabilities, atol=1e-5)


def test_balanced_log_loss_counts_every_present_class_alike() -> None:
    labels = np.array([0, 0, 0, 2])
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.5, 0], [0.25, 0.5, 0.25], [0, 1, 0]])
    of_class_0 = (2 * math.log(2) + math.log(4)) / 3
    assert balanced_log_loss(labels, probabilities) == pytest.approx((of_class_0 - math.log(1e-7)) / 2)


# A feature that tells class 2 from the others, which look the same in the images below.
FEATURES = np.stack([np.equal(LABELS, 2) * 3.0, np.arange(N) % 5], axis=1)


def _rebuilt(result: NetworkResult, folder: Path) -> keras.Model:
    (folder / "fold.weights.h5").write_bytes(result.weights)
    model = keras.models.model_from_json(result.architecture)
    model.load_weights(folder / "fold.weights.h5")
    return model


def _alike() -> NDArray[np.uint8]:
    images = _toy(LABELS)
    images[LABELS == 2] = images[LABELS == 0]
    return images


def test_joined_features_tell_what_images_do_not(tmp_path: Path) -> None:
    quick = training_settings(epochs__fixed=8)
    blind = train_fold(_task(images=_alike(), training=quick)).output.probabilities.argmax(axis=1)
    task = _task(images=_alike(), features=FEATURES, training=quick)
    joined = train_fold(task)
    assert (
        (blind == LABELS[TEST]).mean() < 0.8 < 0.9 < (joined.output.probabilities.argmax(axis=1) == LABELS[TEST]).mean()
    )
    model = _rebuilt(joined, tmp_path)
    assert_allclose(predict(model, task.images[TEST], FEATURES[TEST]), joined.output.probabilities, atol=1e-6)


def test_features_are_standardised_by_the_training_rows_alone(tmp_path: Path) -> None:
    features = FEATURES.copy()
    features[TEST] = 1e6
    layer = _rebuilt(train_fold(_task(features=features)), tmp_path).get_layer("standardised")
    assert_allclose(np.asarray(layer.mean)[0], FEATURES[TRAIN].mean(axis=0), rtol=1e-5)
    repeated = train_fold(_task(features=features, training_set=_training_set(np.concatenate([TRAIN, TRAIN[:30]]))))
    layer = _rebuilt(repeated, tmp_path).get_layer("standardised")
    assert_allclose(np.asarray(layer.mean)[0], FEATURES[TRAIN].mean(axis=0), rtol=1e-5)  # each row once


def test_features_that_cannot_be_joined_are_refused() -> None:
    synthetic = _training_set(synthetic={SIZE: np.zeros((3, SIZE, SIZE), np.uint8)}, synthetic_labels=np.arange(3))
    with pytest.raises(InputError, match=r"join\.features: synthetic examples have none"):
        train_fold(_task(features=FEATURES, training_set=synthetic))
    names = ["area", "moment"]
    with pytest.raises(InputError, match="feature area, moment: has NaN or infinite values"):
        train_fold(_task(features=np.where(np.arange(N)[:, None] == 5, np.nan, FEATURES), feature_names=names))
    huge = FEATURES.copy()
    huge[5, 1] = -1e20  # its square overflows in 32 bits
    with pytest.raises(InputError, match=r"feature moment: has the value -1e\+20, .* up to 1e\+15 only"):
        train_fold(_task(features=huge, feature_names=names))


@pytest.mark.parametrize("top", ["dense", "average"])
def test_views_and_heads_are_classifiers_of_the_same_network(top: str, tmp_path: Path) -> None:
    row = {"size_px": SIZE, "blocks": [[4]], "halve": "pool", "top": top}
    network = NetworkSettings.model_validate(row | ({"dense_units": 8} if top == "dense" else {}))
    heads = {"alone": Head(np.empty((N, 0)), []), "beside": Head(FEATURES, ["one", "two"])}
    plain = _task(network=network, training=training_settings(epochs__fixed=6))
    task = replace(plain, training=training_settings(epochs__fixed=6, views=True), heads=heads, images=_alike())
    result = train_fold(task)
    assert result.weights == train_fold(replace(plain, images=_alike())).weights
    assert set(result.others) == {VIEWS, "alone", "beside"}
    for output in result.others.values():
        assert_allclose(output.probabilities.sum(axis=1), 1, atol=1e-5)
    right = {name: (output.predicted == LABELS[TEST]).mean() for name, output in result.others.items()}
    assert right["beside"] > 0.9 > right["alone"]  # without the feature, two classes look the same
    assert embed(_rebuilt(result, tmp_path), task.images).shape == (N, 8 if top == "dense" else 4)


def test_a_head_never_sees_what_is_true_of_the_test_rows() -> None:
    task = _task(heads={"svm": Head(FEATURES, ["one", "two"])})
    labels, features, images = LABELS.copy(), FEATURES.copy(), task.images.copy()
    labels[TEST] = (LABELS[TEST] + 1) % CLASSES
    features[TEST[1:]], images[TEST[1:]] = 9.0, 0
    changed = replace(task, labels=labels, images=images, heads={"svm": Head(features, ["one", "two"])})
    one, other = (train_fold(item).others["svm"].probabilities for item in (task, changed))
    assert_allclose(other[0], one[0], atol=1e-6)
    assert not np.allclose(other[1:], one[1:], atol=1e-3)


def test_the_mean_over_views_does_not_depend_on_how_a_particle_lies(tmp_path: Path) -> None:
    model = _rebuilt(_one_epoch(), tmp_path)
    images = _toy(LABELS)[TEST]
    found = predict_views(model, images)
    for same in (np.rot90(images, axes=(1, 2)), images[:, ::-1], images.swapaxes(1, 2)):
        assert_allclose(predict_views(model, same), found, atol=1e-6)
    assert not np.allclose(predict(model, images), found, atol=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"mixup": 0.4},
        {"loss__kind": "focal"},
        {"optimiser__schedule": "cosine", "epochs__fixed": 2},
        {"optimiser__schedule": "step", "epochs__fixed": 2},
        {"average_epochs": 2, "epochs__fixed": 2},
    ],
    ids=lambda changes: next(iter(changes)) + str(next(iter(changes.values()))),
)
def test_each_setting_of_training_has_effect(changes: dict[str, Any]) -> None:
    epochs = changes.get("epochs__fixed", 1)
    plain = train_fold(_task(training=training_settings(epochs__fixed=epochs))).output.probabilities
    assert not np.allclose(
        train_fold(_task(training=training_settings(**changes))).output.probabilities, plain, atol=1e-4
    )


def test_averaged_weights_are_the_mean_over_the_last_epochs(tmp_path: Path) -> None:
    ends = [
        _rebuilt(train_fold(_task(training=training_settings(epochs__fixed=epochs))), tmp_path).get_weights()
        for epochs in (2, 3)
    ]
    averaged = _rebuilt(train_fold(_task(training=training_settings(epochs__fixed=3, average_epochs=2))), tmp_path)
    for found, *both in zip(averaged.get_weights(), *ends, strict=True):
        assert_allclose(found, np.mean(both, axis=0), atol=1e-6)


def test_learning_rates_by_hand() -> None:
    base = training_settings().optimiser
    rates = {
        name: [learning_rate(base.model_copy(update={"schedule": name}), epoch, 4) for epoch in range(4)]
        for name in ("constant", "cosine", "step")
    }
    assert rates["constant"] == [0.02] * 4
    assert rates["cosine"] == pytest.approx([0.02, 0.01 * (1 + math.sqrt(0.5)), 0.01, 0.01 * (1 - math.sqrt(0.5))])
    assert rates["step"] == pytest.approx([0.02, 0.02, 0.002, 0.0002])


def test_mixup_blends_targets_with_their_images() -> None:
    images = np.eye(4, dtype=np.float32).reshape(4, 2, 2, 1)
    targets, weights = np.eye(4, dtype=np.float32), np.arange(4, dtype=np.float32)
    mixed = training._mixed([images, targets, weights], 0.5, np.random.default_rng(0))
    assert_allclose(mixed[0].reshape(4, 4), mixed[1])  # each image stands for its target
    assert_allclose(mixed[1] @ np.arange(4), mixed[2], rtol=1e-5)
    assert_allclose(mixed[1].sum(axis=1), 1, rtol=1e-6)
    assert not np.allclose(mixed[1], targets, atol=0.05)


def test_a_logit_adjusted_network_does_not_state_the_prior_of_its_training_set() -> None:
    same = np.full((N, SIZE, SIZE), 100, np.uint8)
    rows = np.concatenate([TRAIN[LABELS[TRAIN] == 0], TRAIN[LABELS[TRAIN] == 1][:8], TRAIN[LABELS[TRAIN] == 2][:4]])
    quick = {"epochs__fixed": 25, "optimiser__learning_rate": 0.03, "regularisation__dropout_dense": 0.0}
    found = [
        train_fold(
            _task(images=same, training=training_settings(**quick, loss__kind=kind), training_set=_training_set(rows))
        )
        for kind in ("cross_entropy", "logit_adjusted")
    ]
    assert_allclose(found[0].output.probabilities[0], np.array([24, 8, 4]) / 36, atol=0.1)
    assert_allclose(found[1].output.probabilities[0], 1 / 3, atol=0.1)


PLAIN = {"epochs__fixed": 8, "precision": "bfloat16"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"regularisation__batch_norm": True, "epochs__fixed": 20},
        {"regularisation__dropout_decay": 0.9},
        {"average_epochs": 2},
        {"epochs__choose": "early_stopping", "epochs__most": 8, "optimiser__name": "sgd"},
    ],
    ids=["plain", "batch_norm", "dropout_decay", "average_epochs", "early_stopping"],
)
@pytest.mark.parametrize("joined", [False, True])
def test_a_network_trained_in_bfloat16_is_written_and_predicts_in_float32(
    changes: dict[str, Any], joined: bool, tmp_path: Path
) -> None:
    features = {"features": FEATURES} if joined else {}
    short, long = (
        train_fold(_task(training=training_settings(**(PLAIN | changes | last)), **features))
        for last in ({"epochs__fixed": 1, "epochs__most": 1, "precision": "float32"}, {})
    )
    assert (long.output.probabilities.argmax(axis=1) == LABELS[TEST]).mean() > 0.9
    assert_allclose(long.output.probabilities.sum(axis=1), 1, atol=1e-6)
    assert long.architecture == short.architecture
    model = _rebuilt(long, tmp_path)
    assert_allclose(
        predict(model, _toy(LABELS)[TEST], *(rows[TEST] for rows in features.values())),
        long.output.probabilities,
        atol=1e-6,
    )
    assert keras.config.dtype_policy().name == "float32"


def test_views_and_heads_of_a_residual_network_trained_in_bfloat16_predict_in_float32(tmp_path: Path) -> None:
    network = NetworkSettings(size_px=SIZE, blocks=[[4, 4], [8, 8]], halve="entry", residual=True, top="average")
    settings = training_settings(epochs__fixed=10, precision="bfloat16", views=True)
    task = _task(network=network, training=settings, heads={"svm": Head(FEATURES, ["one", "two"])})
    result = train_fold(task)
    assert (result.output.probabilities.argmax(axis=1) == LABELS[TEST]).mean() > 0.9
    found = predict_views(_rebuilt(result, tmp_path), task.images[TEST])
    assert_allclose(result.others[VIEWS].probabilities, found, atol=1e-6)
    assert (result.others["svm"].predicted == LABELS[TEST]).mean() > 0.9


def test_bfloat16_is_near_float32_and_not_the_same() -> None:
    same = {"regularisation__dropout_block": 0.0, "regularisation__dropout_dense": 0.0}  # its draws are others
    fine, rough = (train_fold(_task(training=training_settings(precision=precision, **same))) for precision in POLICIES)
    assert rough.weights != fine.weights
    assert_allclose(rough.output.probabilities, fine.output.probabilities, atol=0.03)
    assert rough.history[0]["loss"] == pytest.approx(fine.history[0]["loss"], rel=0.02)


FCN = NetworkSettings(size_px=48, buckets_px=[16], blocks=[[4]], halve="pool", top="masked")


def _of_sizes() -> NDArray[np.uint8]:
    """Particles with columns, rows or nothing, in fields of 48 px, every other one of 24 px and the rest of 8 px."""
    fields, striped = np.zeros((N, 48, 48), np.uint8), _toy(np.full(N, 2)) + 1
    striped[LABELS == 0, :, ::4] += 150
    striped[LABELS == 1, ::4] += 150
    for field, image, large in zip(fields, striped, np.arange(N) % 2, strict=True):
        shown = np.kron(image, np.ones((3, 3), np.uint8)) if large else image
        edge = (48 - len(shown)) // 2
        field[edge : edge + len(shown), edge : edge + len(shown)] = shown
    return fields


def _fcn_task(**changes: Any) -> NetworkTask:
    settings = training_settings(epochs__fixed=20, regularisation__dropout_block=0.0)
    return _task(network=FCN, images=_of_sizes(), training=settings, **changes)


def test_particles_of_several_sizes_are_learned_in_batches_of_one_side(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, augmented = list[tuple[int, ...]](), training._augmented

    def watched(images: Any, *rest: Any) -> Any:
        seen.append(images.shape)
        return augmented(images, *rest)

    monkeypatch.setattr(training, "_augmented", watched)
    result = train_fold(_fcn_task())
    assert {shape[1:] for shape in seen} == {(16, 16, 1), (48, 48, 1)}
    assert max(shape[0] for shape in seen) == 8
    assert sum(shape[0] for shape in seen) == 20 * len(TRAIN)
    assert (result.output.probabilities.argmax(axis=1) == LABELS[TEST]).mean() > 0.9
    again = train_fold(_fcn_task())
    assert again.weights == result.weights
    assert_array_equal(again.output.probabilities, result.output.probabilities)


def test_particles_of_several_sizes_are_learned_in_bfloat16() -> None:
    task = _fcn_task()
    fine, result = (
        train_fold(replace(task, training=task.training.model_copy(update={"precision": precision})))
        for precision in POLICIES
    )
    assert result.weights != fine.weights
    assert result.architecture == fine.architecture
    assert (result.output.probabilities.argmax(axis=1) == LABELS[TEST]).mean() > 0.9


def test_predictions_and_embeddings_are_those_of_whole_fields_in_the_order_asked_for() -> None:
    images, features = _of_sizes(), np.random.default_rng(0).normal(size=(N, 2))
    keras.utils.set_random_seed(0)
    regularisation, sizes = training_settings().regularisation, (0.5, 1, 2, 4)
    model, whole = (
        build(row, CLASSES, ModelOptions(regularisation, *sizes))
        for row in (FCN, FCN.model_copy(update={"buckets_px": []}))
    )
    whole.set_weights(model.get_weights())
    expected = predict(whole, images, features)
    assert_allclose(predict(model, images, features), expected, atol=1e-5)
    assert_allclose(predict_views(model, images, features), predict_views(whole, images, features), atol=1e-5)
    assert_allclose(embed(model, images, features), embed(whole, images, features), atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.05
