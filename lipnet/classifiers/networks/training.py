"""Training of one network on one fold: arrays and settings in; weights, predictions, history out (thesis, 4.5, 5, 8.1).

Keras is imported inside the functions that train: the parent process, which only hands out folds, never pays for it.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lipnet.classifiers import svm
from lipnet.classifiers.networks import architecture, checkpoints
from lipnet.classifiers.networks.architecture import NetworkSettings, RegularisationSettings
from lipnet.classifiers.networks.checkpoints import Checkpoint
from lipnet.classifiers.networks.epoch import Run, as_input, compiled
from lipnet.classifiers.networks.losses import per_example
from lipnet.classifiers.svm import SvmSettings, SvmTask
from lipnet.classifiers.task import FoldTask
from lipnet.core.errors import InputError
from lipnet.core.seeds import derive, generator
from lipnet.core.settings import Settings
from lipnet.evaluation.predictions import FoldOutput
from lipnet.samples import buckets, folds
from lipnet.samples.augment import AugmentSettings, draw_maps, warp
from lipnet.samples.balance import LossSettings, TrainingSet, epoch_rows, oversample, sampled_prior, stated_prior
from lipnet.samples.crops import to_grey

if TYPE_CHECKING:
    import keras

CHUNK = 4096  # images augmented at once
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # train_cnn.precision -> Keras's name
PREDICTED = 512  # images predicted at once: each takes 0.2 MB in every convolution
PREDICTED_PIXELS = PREDICTED * 28**2  # the same where images have several sides
VIEWS = "cnn_views"  # classifier: mean of the network's probabilities over the eight views of a square


class OptimiserSettings(Settings):
    """Section ``train_cnn.optimiser`` of params.yaml (thesis, section 4.5)."""

    name: Literal["adam", "sgd"]
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine", "step"]
    step_factor: float = Field(gt=0, le=1)
    momentum: float = Field(ge=0, lt=1)


class EpochSettings(Settings):
    """Section ``train_cnn.epochs`` of params.yaml (thesis, section 5.4)."""

    choose: Literal["fixed", "early_stopping"]
    fixed: int = Field(ge=1)
    most: int = Field(ge=1)
    patience: int = Field(ge=1)
    validation_parts: int = Field(ge=2)


class JoinSettings(Settings):
    """Section ``train_cnn.join`` of params.yaml: particle features as a second input (thesis, section 12)."""

    features: list[str]
    units: int = Field(ge=1)


class HeadSettings(Settings):
    """Section ``train_cnn.heads`` of params.yaml: SVMs on the embedding and on features; keys as in ``train_svm``."""

    svms: dict[svm.SvmName, list[str]]
    cost: float = Field(gt=0)
    gamma: float | None = Field(gt=0)
    class_weights: bool
    calibration_folds: int = Field(ge=2)
    cache_mb: int = Field(ge=1)

    def of_svm(self) -> SvmSettings:
        """The settings of each of these SVMs."""
        return SvmSettings(features={"embedding": ["embedding"]}, **self.model_dump(exclude={"svms"}))


class TrainingSettings(Settings):
    """Section ``train_cnn`` of params.yaml."""

    batch_size: int = Field(ge=1)
    precision: Literal["float32", "bfloat16"]
    mid_grey: float = Field(ge=0, le=1)
    label_smoothing: float = Field(ge=0, lt=1)
    loss: LossSettings
    mixup: float = Field(ge=0)
    optimiser: OptimiserSettings
    average_epochs: int = Field(ge=0)
    epochs: EpochSettings
    regularisation: RegularisationSettings
    join: JoinSettings
    views: bool
    heads: HeadSettings
    threads_per_fold: int = Field(ge=1)


class Head(NamedTuple):
    """An SVM on the embedding and on features of all particles, shape (n, n_features), which may be no features."""

    features: NDArray[np.float64]
    names: list[str]


NO_FEATURES = np.empty((0, 0))
Report = Callable[[int, str, int, int, float, float], None]  # fold, phase, epoch, epochs, loss, accuracy


@dataclass(frozen=True)
class NetworkTask(FoldTask):
    """All that training one fold needs; picklable.

    Attributes:
        fold: number of the fold over all repeats; part of every seed.
        images: crops of all particles, shape (n, size_px, size_px) or (n, size_px, size_px, n_channels), uint8.
        training_set: the balanced training set.
        network: row of the table of networks.
        training: how to train.
        augment: augmentation policy.
        report: called after every epoch.
        features: of all particles to join to the images, shape (n, n_features); NO_FEATURES where none are joined.
        heads: SVMs to put on the embedding, by name.
        checkpoint: where to keep what a killed training goes on from, without a suffix; None: nowhere.
    """

    fold: int
    images: NDArray[np.uint8]
    training_set: TrainingSet
    network: NetworkSettings
    training: TrainingSettings
    augment: AugmentSettings
    report: Report
    features: NDArray[np.float64] = field(default_factory=lambda: NO_FEATURES)
    heads: dict[str, Head] = field(default_factory=dict)
    checkpoint: Path | None = None


@dataclass(frozen=True)
class NetworkResult:
    """What training one fold gives.

    Attributes:
        weights: content of a ``.weights.h5`` file.
        architecture: content of the architecture JSON file.
        output: of the test rows.
        others: classifiers that rest on the same network, by name: its views, and the SVMs on its embedding.
        history: one record per epoch: fold, phase, epoch, loss, accuracy and, while choosing epochs, validation_loss.
    """

    weights: bytes
    architecture: str
    output: FoldOutput
    others: dict[str, FoldOutput]
    history: list[dict[str, Any]]


def train_fold(task: NetworkTask) -> NetworkResult:
    """Train one network on one fold and predict its test rows.

    With early stopping the number of epochs is chosen first, by a run on a part of the training rows that is watched on
    the rest of them; then the network is trained anew on all training rows for that number. Each fold chooses its own:
    a number common to all folds would have been chosen on rows that other folds test on.

    Where the backend has several devices of the kind it prefers, folds take turns over them.

    Raises:
        InputError: the loss became NaN or infinite, a feature is not finite, or features are to be joined to synthetic
            examples, which have none.
    """
    _check_features(task)
    with _on_device_of(task.fold):
        return _train_fold(task)


def _train_fold(task: NetworkTask) -> NetworkResult:
    epochs, choosing = task.training.epochs.fixed, list[dict[str, Any]]()
    if task.training.epochs.choose == "early_stopping":
        epochs, choosing = _choose_epochs(task)
    started, done = _resumed(task, task.training_set, "training")
    for epoch in range(len(done.history), epochs):
        _prepare(started, task, epoch, epochs)
        loss, accuracy = _train_epoch(started.run, task, task.training_set, epoch)
        if epochs - epoch <= task.training.average_epochs:
            done.kept.append(started.model.get_weights())
        task.report(task.fold, "training", epoch + 1, epochs, loss, accuracy)
        done.history.append(_record(task.fold, "training", epoch, loss, accuracy, None))
        _keep(started, done, task, "training")
    if done.kept:  # the mean over the last epochs (Izmailov et al. 2018)
        started.model.set_weights([np.mean(arrays, axis=0) for arrays in zip(*done.kept, strict=True)])
    model = _finished(started.model, task)
    return NetworkResult(
        weights=_weights(model),
        architecture=model.to_json(indent=2),
        output=_output(task, predict(model, *_seen_of(task, task.test))),
        others=_others(model, task),
        history=choosing + done.history,
    )


def _check_features(task: NetworkTask) -> None:
    if task.heads and not len(task.training_set.rows):
        raise InputError("train_cnn.heads: all training rows are artificial; use another balance.method")
    if not task.features.shape[1]:
        return
    if len(task.training_set.synthetic_labels):
        raise InputError("train_cnn.join.features: synthetic examples have none; use balance.method: oversample")
    bad = np.flatnonzero(~np.isfinite(task.features).all(axis=1))
    if len(bad):
        raise InputError(f"train_cnn.join.features: {len(bad)} particles have NaN or infinite values; leave them out")


class _Started(NamedTuple):
    model: "keras.Model"
    optimiser: "keras.optimizers.Optimizer"
    run: Run


def _started(task: NetworkTask, training_set: TrainingSet) -> _Started:
    training, model = task.training, _built(task, training_set, POLICIES[task.training.precision])
    loss = per_example(training.loss, training.label_smoothing, sampled_prior(training_set, task.labels))
    optimiser = _optimiser(training.optimiser)
    return _Started(model, optimiser, compiled(model, optimiser, loss, training.batch_size))


def _built(task: NetworkTask, training_set: TrainingSet, policy: str) -> "keras.Model":
    import keras

    # Automatic names, which stand in the files, count on from model to model: begin anew, whatever this process did.
    keras.utils.clear_session()
    keras.utils.set_random_seed(derive("network", task.seed, task.fold))
    n_classes = len(training_set.class_weights)
    training, n_features = task.training, task.features.shape[1]
    n_channels = task.images.shape[3] if task.images.ndim == 4 else 1
    shape = (training.regularisation, training.mid_grey, n_channels, n_features, training.join.units)
    keras.config.set_dtype_policy(policy)
    try:
        model = architecture.build(task.network, n_classes, *shape)
    finally:
        keras.config.set_dtype_policy(POLICIES["float32"])
    if n_features:
        # The natural proportions, not the repeats; rows of the training set only.
        model.get_layer("standardised").adapt(task.features[np.unique(training_set.rows)])
    return model


def _finished(model: "keras.Model", task: NetworkTask) -> "keras.Model":
    """The network as it is kept and asked: its weights, which are float32 in any case, in layers of float32."""
    if task.training.precision == "float32":
        return model
    finished = _built(task, task.training_set, POLICIES["float32"])
    finished.set_weights(model.get_weights())
    return finished


def _resumed(task: NetworkTask, training_set: TrainingSet, phase: str) -> tuple[_Started, Checkpoint]:
    """A network as its last whole epoch left it, and what those epochs gave; a new one where there was none."""
    started = _started(task, training_set)
    done = Checkpoint() if task.checkpoint is None else checkpoints.read(_path_of(task.checkpoint, phase))
    if done.variables:
        for variable, value in zip(_variables(started), done.variables, strict=True):
            variable.assign(value)
    return started, done


def _keep(started: _Started, done: Checkpoint, task: NetworkTask, phase: str) -> None:
    if task.checkpoint is not None:
        from keras.ops import convert_to_numpy

        done.variables = [convert_to_numpy(variable) for variable in _variables(started)]
        checkpoints.write(_path_of(task.checkpoint, phase), done)


def _variables(started: _Started) -> list[Any]:
    return [*started.model.weights, *started.optimiser.variables]


def _path_of(checkpoint: Path, phase: str) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}.{phase}.npz")


def _output(task: NetworkTask, probabilities: NDArray[np.float64]) -> FoldOutput:
    prior = stated_prior(task.training.loss, sampled_prior(task.training_set, task.labels))
    return FoldOutput(probabilities.argmax(axis=1), probabilities, prior, task.training.label_smoothing)


def _others(model: "keras.Model", task: NetworkTask) -> dict[str, FoldOutput]:
    others = dict[str, FoldOutput]()
    if task.training.views:
        others[VIEWS] = _output(task, predict_views(model, *_seen_of(task, task.test)))
    if task.heads:
        embedding, settings = embed(model, task.images, task.features), task.training.heads.of_svm()
    for name, head in task.heads.items():
        # The network has seen the training rows; what it says of the test rows is news to it and to the SVM.
        values = np.concatenate([embedding, head.features], axis=1)
        names = [f"embedding_{unit:03d}" for unit in range(embedding.shape[1])] + head.names
        train = np.unique(task.training_set.rows)
        others[name] = svm.train_fold(
            SvmTask(task.labels, task.groups, train, task.test, task.seed, values, names, settings)
        ).output
    return others


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


def _train_epoch(run: Run, task: NetworkTask, training_set: TrainingSet, epoch: int) -> tuple[float, float]:
    rng = generator("epoch", task.seed, task.fold, epoch)
    rows = epoch_rows(training_set, task.labels, rng)
    labels = np.concatenate([task.labels, training_set.synthetic_labels])
    targets = np.eye(len(training_set.class_weights), dtype=np.float32)
    weights = training_set.class_weights.astype(np.float32)
    sums = np.zeros(3)
    for chunk, side in _trained_together(rows, task, training_set, rng):
        pixels = buckets.cut(_pixels(chunk, task, training_set), side)
        images, of_class = _augmented(pixels, task.augment, rng), labels[chunk]
        # A weight per sample: a weight per class would also weigh the mass that label smoothing spreads.
        examples = [*_inputs(images, _of_rows(task.features, chunk)), targets[of_class], weights[of_class]]
        sums += run(*_mixed(examples, task.training.mixup, rng))
    loss, accuracy = sums[0] / len(rows), sums[1] / sums[2]
    _check_loss(float(loss), "loss", task, epoch)
    return float(loss), float(accuracy)


def _check_loss(loss: float, name: str, task: NetworkTask, epoch: int) -> None:
    if not np.isfinite(loss):
        raise InputError(
            f"fold {task.fold}: the {name} is {loss} after epoch {epoch + 1}; "
            f"lower train_cnn.optimiser.learning_rate (now {task.training.optimiser.learning_rate})"
        )


def _trained_together(
    rows: NDArray[np.int64], task: NetworkTask, training_set: TrainingSet, rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], int]]:
    """Rows of an epoch that go into training at once, whole batches, and the side of their images."""
    network, batch = task.network, task.training.batch_size
    if not network.buckets_px:
        return [(chunk, network.size_px) for chunk in _chunks(rows, max(CHUNK // batch, 1) * batch)]
    synthetic = training_set.synthetic.get(network.size_px, task.images[:0])
    sides = np.concatenate([buckets.least_sides(some, network.sides_px) for some in (task.images, synthetic)])
    return [(rows[part], int(sides[rows[part[0]]])) for part in buckets.batches(sides[rows], batch, rng)]


def _inputs(images: NDArray[np.float32], features: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    return [images, features.astype(np.float32)] if features.shape[1] else [images]


def _seen_of(task: NetworkTask, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    return task.images[rows], _of_rows(task.features, rows)


def _of_rows(features: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return features[rows] if features.shape[1] else features[:0]  # rows of synthetic examples have no features


def _mixed(arrays: list[NDArray[np.float32]], alpha: float, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Mixup (Zhang et al. 2018): every example is blended with another one, targets and weights with it."""
    if not alpha:
        return arrays
    n = len(arrays[0])
    share, other = rng.beta(alpha, alpha, n).astype(np.float32), rng.permutation(n)
    shares = [share.reshape(-1, *[1] * (array.ndim - 1)) for array in arrays]
    return [part * array + (1 - part) * array[other] for part, array in zip(shares, arrays, strict=True)]


def learning_rate(settings: OptimiserSettings, epoch: int, epochs: int) -> float:
    """Learning rate of an epoch, the first is 0: falling along half a cosine, or by steps after 1/2 and 3/4 of all."""
    if settings.schedule == "cosine":
        return settings.learning_rate * (1 + np.cos(np.pi * epoch / epochs)) / 2
    if settings.schedule == "step":
        return settings.learning_rate * settings.step_factor ** ((epoch >= epochs / 2) + (epoch >= 3 * epochs / 4))
    return settings.learning_rate


def _prepare(started: _Started, task: NetworkTask, epoch: int, epochs: int) -> None:
    started.optimiser.learning_rate = learning_rate(task.training.optimiser, epoch, epochs)
    # Seeding anew in every epoch makes an epoch depend on its number alone, not on what ran before it.
    for number, layer in enumerate(started.model.layers):
        if hasattr(layer, "seed_generator"):
            state = layer.seed_generator.state
            seed = np.array([derive("dropout", task.seed, task.fold, epoch, number), 0], np.uint32)
            state.assign(seed.astype(state.dtype))  # int32 on PyTorch
        if hasattr(layer, "scale") and "dropout" in layer.name:
            layer.scale.assign(task.training.regularisation.dropout_decay**epoch)


def _chunks(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _pixels(rows: NDArray[np.int64], task: NetworkTask, training_set: TrainingSet) -> NDArray[np.float32]:
    n = len(task.labels)
    pixels = np.empty((len(rows), *task.images.shape[1:]), np.uint8)
    real = rows < n
    pixels[real] = task.images[rows[real]]
    if not real.all():
        pixels[~real] = training_set.synthetic[task.network.size_px][rows[~real] - n]
    return to_grey(pixels)


def _augmented(images: NDArray[np.float32], settings: AugmentSettings, rng: np.random.Generator) -> NDArray[np.float32]:
    if settings.transforms:
        maps = draw_maps(len(images), images.shape[1], settings, rng)
        channels = [warp(images[..., channel], maps, settings) for channel in range(images.shape[3])]
        images = np.stack(channels, axis=-1)
    if settings.noise_sd:
        images = images + rng.standard_normal(images.shape, dtype=np.float32) * np.float32(settings.noise_sd)
    return images


def predict(
    model: "keras.Model", pixels: NDArray[np.uint8], features: NDArray[np.float64] = NO_FEATURES
) -> NDArray[np.float64]:
    """Probabilities of crops, shape (n, K).

    Args:
        model: a network of ``networks.build``, or a part of one.
        pixels: shape (n, size_px, size_px) or (n, size_px, size_px, n_channels).
        features: to join, shape (n, n_features), where the network takes them.
    """
    parts, order = [], []
    for rows, side in _predicted_together(model, pixels):
        inputs = _inputs(to_grey(buckets.cut(pixels[rows], side)), _of_rows(features, rows))
        parts.append(model.predict_on_batch(as_input(inputs)))
        order.append(rows)
    return np.concatenate(parts).astype(np.float64)[np.argsort(np.concatenate(order))]


def _predicted_together(model: "keras.Model", pixels: NDArray[np.uint8]) -> list[tuple[NDArray[np.int64], int]]:
    if model.inputs[0].shape[1] is None:
        return list(buckets.together(pixels, PREDICTED_PIXELS))
    return [(rows, pixels.shape[1]) for rows in _chunks(np.arange(len(pixels)), PREDICTED)]


def predict_views(
    model: "keras.Model", pixels: NDArray[np.uint8], features: NDArray[np.float64] = NO_FEATURES
) -> NDArray[np.float64]:
    """Mean of the probabilities over the eight views of a square: four turns, each also mirrored; shape (n, K)."""
    turned = [np.rot90(pixels, turns, axes=(1, 2)) for turns in range(4)]
    views = [*turned, *(view[:, :, ::-1] for view in turned)]
    return np.mean([predict(model, view, features) for view in views], axis=0)


def embed(
    model: "keras.Model", pixels: NDArray[np.uint8], features: NDArray[np.float64] = NO_FEATURES
) -> NDArray[np.float64]:
    """What the layer ``classes`` of a network sees, averaged over places where it has any: shape (n, n_units)."""
    import keras

    embedding = model.get_layer("classes").input
    inner = keras.Model(model.input, embedding)
    values = predict(inner, pixels, features)
    return values.mean(axis=(1, 2)) if values.ndim == 4 else values


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


def _choose_epochs(task: NetworkTask) -> tuple[int, list[dict[str, Any]]]:
    settings = task.training.epochs
    fitting, validation = split_validation(task)
    started, done = _resumed(task, fitting, "choosing")
    while not _chosen(done.watched, settings):
        epoch = len(done.watched)
        _prepare(started, task, epoch, settings.most)
        loss, accuracy = _train_epoch(started.run, task, fitting, epoch)
        stated = predict(started.model, *_seen_of(task, validation))
        done.watched.append(balanced_log_loss(task.labels[validation], stated))
        _check_loss(done.watched[-1], "validation loss", task, epoch)
        task.report(task.fold, "choosing epochs", epoch + 1, settings.most, loss, accuracy)
        done.history.append(_record(task.fold, "choosing", epoch, loss, accuracy, done.watched[-1]))
        _keep(started, done, task, "choosing")
    return int(np.argmin(done.watched)) + 1, done.history


def _chosen(watched: list[float], settings: EpochSettings) -> bool:
    """Whether the least loss is as long ago as patience lasts, or all epochs are done."""
    return len(watched) == settings.most or len(watched) - int(np.argmin([*watched, np.inf])) > settings.patience


def split_validation(task: NetworkTask) -> tuple[TrainingSet, NDArray[np.int64]]:
    """Part the training rows of a fold: a training set without the validation rows, and those rows; groups stay whole.

    Synthetic examples are left out, because SMOTE may have made them from validation rows; repeats of the fitting rows
    stand in for them, so that class shares and length of an epoch are those of the training that follows.

    Raises:
        InputError: there are no training rows but artificial ones, or the fitting rows lack a class.
    """
    rows = np.unique(task.training_set.rows)
    if not len(rows):
        raise InputError("balance.method 'artificial_only' leaves no rows to choose epochs on; use choose: fixed")
    n_parts, seed = task.training.epochs.validation_parts, derive("validation", task.seed, task.fold)
    _, held_out = folds.parts(task.labels[rows], task.groups[rows], n_parts, seed)[0]
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
