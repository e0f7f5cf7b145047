"""Training of one network on one fold: arrays and settings in; weights, predictions, history out (thesis, 4.5, 5, 8.1).

Keras is imported inside the functions that train: the parent process, which only hands out folds, never pays for it.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.model_selection import StratifiedGroupKFold

from lipnet import networks
from lipnet.augment import AugmentSettings, draw_maps
from lipnet.balance import TrainingSet, epoch_rows, oversample
from lipnet.epoch import Run, compiled
from lipnet.errors import InputError
from lipnet.networks import NetworkSettings, RegularisationSettings
from lipnet.seeds import derive, generator
from lipnet.settings import Settings

if TYPE_CHECKING:
    import keras

CHUNK = 4096  # images augmented at once
PREDICTED = 512  # images predicted at once: each takes 0.2 MB in every convolution


class OptimiserSettings(Settings):
    """Section ``train_cnn.optimiser`` of params.yaml (thesis, section 4.5)."""

    name: Literal["adam", "sgd"]
    learning_rate: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)


class EpochSettings(Settings):
    """Section ``train_cnn.epochs`` of params.yaml (thesis, section 5.4)."""

    choose: Literal["fixed", "early_stopping"]
    fixed: int = Field(ge=1)
    most: int = Field(ge=1)
    patience: int = Field(ge=1)
    validation_parts: int = Field(ge=2)


class TrainingSettings(Settings):
    """Section ``train_cnn`` of params.yaml."""

    batch_size: int = Field(ge=1)
    mid_grey: float = Field(ge=0, le=1)
    label_smoothing: float = Field(ge=0, lt=1)
    optimiser: OptimiserSettings
    epochs: EpochSettings
    regularisation: RegularisationSettings
    threads_per_fold: int = Field(ge=1)


Report = Callable[[int, str, int, int, float, float], None]  # fold, phase, epoch, epochs, loss, accuracy


@dataclass(frozen=True)
class FoldTask:
    """All that training one fold needs; picklable.

    Attributes:
        fold: number of the fold over all repeats; part of every seed.
        images: crops of all particles, shape (n, size_px, size_px), uint8.
        labels: class index of every particle, shape (n,).
        groups: group index of every particle, shape (n,).
        test: rows of the test fold, shape (n_test,); predicted at the end, never looked at before.
        training_set: the balanced training set.
        network: row of the table of networks.
        training: how to train.
        augment: augmentation policy.
        seed: seed of the whole run.
        report: called after every epoch.
    """

    fold: int
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    test: NDArray[np.int64]
    training_set: TrainingSet
    network: NetworkSettings
    training: TrainingSettings
    augment: AugmentSettings
    seed: int
    report: Report


@dataclass(frozen=True)
class FoldResult:
    """What training one fold gives.

    Attributes:
        weights: content of a ``.weights.h5`` file.
        architecture: content of the architecture JSON file.
        probabilities: of the test rows, shape (n_test, K).
        history: one record per epoch: fold, phase, epoch, loss, accuracy and, while choosing epochs, validation_loss.
    """

    weights: bytes
    architecture: str
    probabilities: NDArray[np.float64]
    history: list[dict[str, Any]]


def train_fold(task: FoldTask) -> FoldResult:
    """Train one network on one fold and predict its test rows.

    With early stopping the number of epochs is chosen first, by a run on a part of the training rows that is watched on
    the rest of them; then the network is trained anew on all training rows for that number. Each fold chooses its own:
    a number common to all folds would have been chosen on rows that other folds test on.

    Where the backend has several devices of the kind it prefers, folds take turns over them.

    Raises:
        InputError: the loss became NaN or infinite.
    """
    with _on_device_of(task.fold):
        return _train_fold(task)


def _train_fold(task: FoldTask) -> FoldResult:
    epochs, history = task.training.epochs.fixed, list[dict[str, Any]]()
    if task.training.epochs.choose == "early_stopping":
        epochs, history = _choose_epochs(task)
    model, run = _started(task)
    for epoch in range(epochs):
        _prepare_dropout(model, task, epoch)
        loss, accuracy = _train_epoch(run, task, task.training_set, epoch)
        task.report(task.fold, "training", epoch + 1, epochs, loss, accuracy)
        history.append(_record(task.fold, "training", epoch, loss, accuracy, None))
    return FoldResult(
        weights=_weights(model),
        architecture=model.to_json(indent=2),
        probabilities=predict(model, task.images[task.test]),
        history=history,
    )


def _started(task: FoldTask) -> tuple["keras.Model", Run]:
    import keras

    # Automatic names, which stand in the files, count on from model to model: begin anew, whatever this process did.
    keras.utils.clear_session()
    keras.utils.set_random_seed(derive("network", task.seed, task.fold))
    n_classes = len(task.training_set.class_weights)
    training = task.training
    model = networks.build(task.network, n_classes, training.regularisation, training.mid_grey)
    run = compiled(model, _optimiser(training.optimiser), training.label_smoothing, training.batch_size)
    return model, run


def _optimiser(settings: OptimiserSettings) -> "keras.optimizers.Optimizer":
    import keras

    if settings.name == "adam":
        return keras.optimizers.Adam(settings.learning_rate)
    return keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum, nesterov=settings.momentum > 0)


@contextmanager
def _on_device_of(fold: int) -> Iterator[None]:
    start_keras()
    import keras

    devices = _devices()
    with keras.device(devices[fold % len(devices)]) if len(devices) > 1 else nullcontext():
        yield


def _devices() -> list[str]:
    import keras

    if keras.backend.backend() == "torch":  # Keras cannot list its devices
        import torch

        return [f"gpu:{number}" for number in range(torch.cuda.device_count())]
    return keras.distribution.list_devices()


def start_keras() -> None:
    """Import Keras and start its backend, which talks about devices that are not there, without a word."""
    # TensorFlow's C++ code writes to descriptor 2 before any setting of its own can stop it. Exceptions still pass.
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import keras

        keras.ops.zeros(1)
        # It warns of what training many folds in one process does on purpose: a compiled step for each of them.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _train_epoch(run: Run, task: FoldTask, training_set: TrainingSet, epoch: int) -> tuple[float, float]:
    rng = generator("epoch", task.seed, task.fold, epoch)
    rows = epoch_rows(training_set, task.labels, rng)
    labels = np.concatenate([task.labels, training_set.synthetic_labels])
    targets = np.eye(len(training_set.class_weights), dtype=np.float32)
    weights = training_set.class_weights.astype(np.float32)
    sums = np.zeros(3)
    batch = task.training.batch_size
    for chunk in _chunks(rows, max(CHUNK // batch, 1) * batch):
        images = _augmented(_pixels(chunk, task, training_set), task.augment, rng)
        of_class = labels[chunk]
        # A weight per sample: a weight per class would also weigh the mass that label smoothing spreads.
        sums += run(images, targets[of_class], weights[of_class])
    loss, accuracy = sums[0] / len(rows), sums[1] / sums[2]
    if not np.isfinite(loss):
        raise InputError(
            f"fold {task.fold}: the loss is {loss} after epoch {epoch + 1}; "
            f"lower train_cnn.optimiser.learning_rate (now {task.training.optimiser.learning_rate})"
        )
    return float(loss), float(accuracy)


def _prepare_dropout(model: "keras.Model", task: FoldTask, epoch: int) -> None:
    # Seeding anew in every epoch makes an epoch depend on its number alone, not on what ran before it.
    for number, layer in enumerate(model.layers):
        if hasattr(layer, "seed_generator"):
            state = layer.seed_generator.state
            seed = np.array([derive("dropout", task.seed, task.fold, epoch, number), 0], np.uint32)
            state.assign(seed.astype(state.dtype))  # int32 on PyTorch
        if hasattr(layer, "scale") and "dropout" in layer.name:
            layer.scale.assign(task.training.regularisation.dropout_decay**epoch)


def _chunks(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _pixels(rows: NDArray[np.int64], task: FoldTask, training_set: TrainingSet) -> NDArray[np.float32]:
    n = len(task.labels)
    pixels = np.empty((len(rows), *task.images.shape[1:]), np.uint8)
    real = rows < n
    pixels[real] = task.images[rows[real]]
    if not real.all():
        pixels[~real] = training_set.synthetic[task.network.size_px][rows[~real] - n]
    return to_grey(pixels)


def to_grey(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a network sees of crops (n, size_px, size_px): grey levels in [0, 1], shape (n, size_px, size_px, 1)."""
    return pixels[..., None].astype(np.float32) / np.float32(255)


def _augmented(images: NDArray[np.float32], settings: AugmentSettings, rng: np.random.Generator) -> NDArray[np.float32]:
    if settings.transforms:
        maps = draw_maps(len(images), images.shape[1], settings, rng)
        images = warp_with_keras(images, maps, settings)
    if settings.noise_sd:
        images = images + rng.standard_normal(images.shape, dtype=np.float32) * np.float32(settings.noise_sd)
    return images


def warp_with_keras(
    images: NDArray[np.float32], maps: NDArray[np.float32], settings: AugmentSettings
) -> NDArray[np.float32]:
    """Apply affine maps (n, 6) to images (n, size_px, size_px, 1); agrees with ``augment.warp``, and is far faster."""
    import keras

    projective = np.concatenate([maps, np.zeros((len(maps), 2), np.float32)], axis=1)
    warped = keras.ops.image.affine_transform(
        images,
        projective,
        interpolation=settings.interpolation,
        fill_mode=settings.fill,
        fill_value=0.0,
        data_format="channels_last",
    )
    return np.asarray(keras.ops.convert_to_numpy(warped))


def predict(model: "keras.Model", pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Probabilities of crops (n, size_px, size_px), shape (n, K)."""
    parts = [model.predict_on_batch(to_grey(pixels[part])) for part in _chunks(np.arange(len(pixels)), PREDICTED)]
    return np.concatenate(parts).astype(np.float64)


def _weights(model: "keras.Model") -> bytes:
    # Keras writes weights to files only.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fold.weights.h5"
        model.save_weights(path)
        return path.read_bytes()


def _record(
    fold: int, phase: str, epoch: int, loss: float, accuracy: float, validation_loss: float | None
) -> dict[str, Any]:
    return {
        "fold": fold,
        "phase": phase,
        "epoch": epoch + 1,
        "loss": round(loss, 6),
        "accuracy": round(accuracy, 6),
        "validation_loss": None if validation_loss is None else round(validation_loss, 6),
    }


def _choose_epochs(task: FoldTask) -> tuple[int, list[dict[str, Any]]]:
    settings = task.training.epochs
    fitting, validation = split_validation(task)
    model, run = _started(task)
    best, best_epoch, history = np.inf, 0, []
    for epoch in range(settings.most):
        _prepare_dropout(model, task, epoch)
        loss, accuracy = _train_epoch(run, task, fitting, epoch)
        watched = balanced_log_loss(task.labels[validation], predict(model, task.images[validation]))
        task.report(task.fold, "choosing epochs", epoch + 1, settings.most, loss, accuracy)
        history.append(_record(task.fold, "choosing", epoch, loss, accuracy, watched))
        if watched < best:
            best, best_epoch = watched, epoch
        elif epoch - best_epoch >= settings.patience:
            break
    return best_epoch + 1, history


def split_validation(task: FoldTask) -> tuple[TrainingSet, NDArray[np.int64]]:
    """Part the training rows of a fold: a training set without the validation rows, and those rows; groups stay whole.

    Synthetic examples are left out, because SMOTE may have made them from validation rows; repeats of the fitting rows
    stand in for them, so that class shares and length of an epoch are those of the training that follows.

    Raises:
        InputError: there are no training rows but artificial ones, or the fitting rows lack a class.
    """
    rows = np.unique(task.training_set.rows)
    if not len(rows):
        raise InputError("balance.method 'artificial_only' leaves no rows to choose epochs on; use choose: fixed")
    groups = task.groups[rows]
    if len(np.unique(groups)) == 1:  # nothing can be kept apart, so rows are
        groups = np.arange(len(groups))
    n_parts = min(task.training.epochs.validation_parts, len(np.unique(groups)))
    splitter = StratifiedGroupKFold(n_parts, shuffle=True, random_state=derive("validation", task.seed, task.fold))
    _, held_out = next(splitter.split(rows, task.labels[rows], groups))
    validation = rows[held_out]
    whole = task.training_set
    fitting = whole.rows[~np.isin(whole.rows, validation)]
    if len(np.unique(task.labels[fitting])) < len(whole.class_weights):
        raise InputError(
            f"fold {task.fold}: early stopping took all groups of a class for validation; raise "
            "train_cnn.epochs.validation_parts or use choose: fixed"
        )
    if len(whole.synthetic_labels):
        fitting = oversample(fitting, task.labels, generator("validation", task.seed, task.fold))
    return (
        TrainingSet(
            rows=fitting,
            synthetic={},
            synthetic_labels=np.empty(0, np.int64),
            class_weights=whole.class_weights,
            drop_fraction=whole.drop_fraction,
        ),
        validation,
    )


def balanced_log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Log loss averaged within each class, then over the classes present, so that rare classes count as much as any."""
    losses = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-7, 1))
    return float(np.mean([losses[labels == label].mean() for label in np.unique(labels)]))
