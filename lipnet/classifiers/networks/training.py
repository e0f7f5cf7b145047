"""Train one network on one fold, epoch by epoch: arrays and settings in; weights, predictions, history out.

Thesis, sections 4.5, 5 and 8.1. Keras is imported inside the functions, as in ``backend``.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks import architecture, checkpoints, weights
from lipnet.classifiers.networks.architecture import ModelOptions
from lipnet.classifiers.networks.backend import device_of
from lipnet.classifiers.networks.checkpoints import Checkpoint
from lipnet.classifiers.networks.early_stopping import balanced_log_loss, best_epochs, is_over, split_validation
from lipnet.classifiers.networks.epoch import TrainEpoch, compiled
from lipnet.classifiers.networks.heads import network_output, other_outputs
from lipnet.classifiers.networks.losses import per_example
from lipnet.classifiers.networks.prediction import chunks, features_of, network_inputs, predict
from lipnet.classifiers.networks.settings import POLICIES, OptimiserSettings, learning_rate
from lipnet.classifiers.networks.task import NetworkResult, NetworkTask, Progress
from lipnet.classifiers.task import check_range
from lipnet.core.errors import InputError
from lipnet.core.seeds import derive, generator
from lipnet.samples import buckets
from lipnet.samples.augment import AugmentSettings, draw_maps, warp
from lipnet.samples.balance import TrainingSet, epoch_rows, sampled_prior
from lipnet.samples.crops import to_grey

if TYPE_CHECKING:
    import keras

LARGEST_JOINED = 1e15  # magnitude of a joined feature; its square is summed over all rows in 32 bits
CHUNK = 4096  # images augmented at once


def train_fold(task: NetworkTask) -> NetworkResult:
    """Train one network on one fold and predict its test rows.

    With a budget, the number of epochs follows from the number of steps of an epoch. With early stopping, it is chosen
    first: a network is trained on a part of the training rows and
    validated on the others. Then a new network is trained on all training rows for the chosen number of epochs. Each
    fold chooses its own number; a number common to all folds would depend on the test rows of other folds.

    If the backend has several devices of its preferred kind, folds take turns over them.

    Raises:
        InputError: the loss became NaN or infinite, a feature is not finite, or features are to be joined to synthetic
            examples, which have none.
    """
    check_features(task)
    with device_of(task.fold):
        return _train_fold(task)


def check_features(task: NetworkTask) -> None:
    """Check what ``train_fold`` says of features."""
    if task.heads and not len(task.training_set.rows):
        raise InputError("train_cnn.heads: all training rows are artificial; use another balance.method")
    if not task.features.shape[1]:
        return
    if len(task.training_set.synthetic_labels):
        raise InputError("train_cnn.join.features: synthetic examples have none; use balance.method: oversample")
    check_range(task.features, task.feature_names, LARGEST_JOINED)


def _train_fold(task: NetworkTask) -> NetworkResult:
    choosing = list[dict[str, Any]]()
    if task.training.epochs.choose == "early_stopping":
        epochs, choosing = _choose_epochs(task)
    else:
        epochs = planned_epochs(task)
    fitting, done = _resume(task, task.training_set, "training")
    for epoch in range(len(done.history), epochs):
        loss, accuracy = train_epoch(fitting, task, task.training_set, epoch, epochs)
        if epochs - epoch <= task.training.average_epochs:
            done.epoch_weights.append(fitting.model.get_weights())
        task.report(Progress(task.fold, "training", epoch + 1, epochs, loss, accuracy))
        done.history.append(record(task, "training", epoch, loss, accuracy, None))
        _save(fitting, done, task, "training")
    if done.epoch_weights:
        fitting.model.set_weights(averaged(done.epoch_weights))
    return result_of(_in_full_precision(fitting.model, task), task, choosing + done.history)


def planned_epochs(task: NetworkTask) -> int:
    """Number of epochs of a training that does not choose it by early stopping."""
    settings = task.training.epochs
    if settings.choose == "budget":
        return settings.budget.epochs(steps_per_epoch(task, task.training_set))
    return settings.fixed


def averaged(epoch_weights: list[list[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    """Mean of the weights after each of the last epochs (Izmailov et al. 2018)."""
    return [np.mean(arrays, axis=0) for arrays in zip(*epoch_weights, strict=True)]


def result_of(model: "keras.Model", task: NetworkTask, history: list[dict[str, Any]]) -> NetworkResult:
    """The result of a task, from its trained network, whose layers compute in float32, and its history."""
    return NetworkResult(
        weights=weights.to_bytes(model),
        architecture=model.to_json(indent=2),
        output=network_output(task, predict(model, task.images[task.test], features_of(task.features, task.test))),
        others=other_outputs(model, task),
        history=history,
    )


def _choose_epochs(task: NetworkTask) -> tuple[int, list[dict[str, Any]]]:
    """The number of epochs with the lowest validation loss, and the history of the epochs that it was chosen from."""
    settings = task.training.epochs
    training_set, validation = split_validation(task)
    fitting, done = _resume(task, training_set, "choosing")
    while not is_over(done.validation_losses, settings):
        epoch = len(done.validation_losses)
        loss, accuracy = train_epoch(fitting, task, training_set, epoch, settings.most)
        probabilities = predict(fitting.model, task.images[validation], features_of(task.features, validation))
        done.validation_losses.append(balanced_log_loss(task.labels[validation], probabilities))
        check_loss(done.validation_losses[-1], "validation loss", task, epoch)
        task.report(Progress(task.fold, "choosing epochs", epoch + 1, settings.most, loss, accuracy))
        done.history.append(record(task, "choosing", epoch, loss, accuracy, done.validation_losses[-1]))
        _save(fitting, done, task, "choosing")
    return best_epochs(done.validation_losses), done.history


def record(
    task: NetworkTask, phase: str, epoch: int, loss: float, accuracy: float, validation_loss: float | None
) -> dict[str, Any]:
    """The record of an epoch, counted from 0, in the history."""
    return {
        "fold": task.fold,
        "phase": phase,
        "epoch": epoch + 1,
        "loss": round(loss, 6),
        "accuracy": round(accuracy, 6),
        "validation_loss": None if validation_loss is None else round(validation_loss, 6),
        "precision_bits": 32 if task.training.precision == "float32" else 16,
    }


class Fitting(NamedTuple):
    """A network in training."""

    model: "keras.Model"
    optimiser: "keras.optimizers.Optimizer"
    train_epoch: TrainEpoch


def start(task: NetworkTask, training_set: TrainingSet) -> Fitting:
    """A new network of a task, with its optimiser and its compiled training step."""
    training, model = task.training, build(task, training_set, POLICIES[task.training.precision])
    loss = per_example(training.loss, training.label_smoothing, sampled_prior(training_set, task.labels))
    optimiser = make_optimiser(training.optimiser)
    return Fitting(model, optimiser, compiled(model, optimiser, loss, training.batch_size))


def build(task: NetworkTask, training_set: TrainingSet, policy: str) -> "keras.Model":
    """A new network of a task, whose layers compute with this dtype policy of Keras."""
    import keras

    # Keras numbers automatic names over all models of a process, and the names stand in the files: start from 0.
    keras.utils.clear_session()
    return build_another(task, training_set, policy)


def build_another(task: NetworkTask, training_set: TrainingSet, policy: str) -> "keras.Model":
    """The same network as of ``build``, with other names of its parts; much faster in a process of many networks."""
    import keras

    keras.utils.set_random_seed(derive("network", task.seed, task.fold))
    n_classes = len(training_set.class_weights)
    training, n_features = task.training, task.features.shape[1]
    n_channels = task.images.shape[3] if task.images.ndim == 4 else 1
    options = ModelOptions(
        training.regularisation, training.mid_grey, n_channels, n_features, feature_units=training.join.units
    )
    keras.config.set_dtype_policy(policy)
    try:
        model = architecture.build(task.network, n_classes, options)
    finally:
        keras.config.set_dtype_policy(POLICIES["float32"])
    if n_features:
        # Each row of the training set once, so that the class proportions are the natural ones.
        model.get_layer("standardised").adapt(task.features[np.unique(training_set.rows)])
    return model


def make_optimiser(settings: OptimiserSettings) -> "keras.optimizers.Optimizer":
    """A new optimiser, not yet built."""
    import keras

    if settings.name == "adam":
        return keras.optimizers.Adam(settings.learning_rate)
    return keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum, nesterov=settings.momentum > 0)


def _in_full_precision(model: "keras.Model", task: NetworkTask) -> "keras.Model":
    """The same network with layers that compute in float32; weights are float32 in any precision."""
    if task.training.precision == "float32":
        return model
    rebuilt = build(task, task.training_set, POLICIES["float32"])
    rebuilt.set_weights(model.get_weights())
    return rebuilt


def _resume(task: NetworkTask, training_set: TrainingSet, phase: str) -> tuple[Fitting, Checkpoint]:
    """A network in the state after its last complete epoch, and its checkpoint; a new network without a checkpoint."""
    fitting = start(task, training_set)
    done = Checkpoint() if task.checkpoint is None else checkpoints.read(path_of(task.checkpoint, phase))
    if done.variables:
        for variable, value in zip(_variables(fitting), done.variables, strict=True):
            variable.assign(value)
    return fitting, done


def _save(fitting: Fitting, done: Checkpoint, task: NetworkTask, phase: str) -> None:
    if task.checkpoint is not None:
        from keras.ops import convert_to_numpy

        done.variables = [convert_to_numpy(variable) for variable in _variables(fitting)]
        checkpoints.write(path_of(task.checkpoint, phase), done)


def _variables(fitting: Fitting) -> list[Any]:
    return [*fitting.model.weights, *fitting.optimiser.variables]


def path_of(checkpoint: Path, phase: str) -> Path:
    """File of the checkpoint of a phase."""
    return checkpoint.with_name(f"{checkpoint.name}.{phase}.npz")


def steps_per_epoch(task: NetworkTask, training_set: TrainingSet) -> int:
    """Number of optimiser steps of an epoch."""
    rows = epoch_rows(training_set, task.labels, generator("steps", 0))
    return -(-len(rows) // task.training.batch_size)


def train_epoch(
    fitting: Fitting, task: NetworkTask, training_set: TrainingSet, epoch: int, epochs: int
) -> tuple[float, float]:
    """Train one epoch, counted from 0, of this number of epochs; returns the mean loss and the weighted accuracy."""
    _prepare(fitting, task, epoch, epochs)
    return _train_epoch(fitting.train_epoch, task, training_set, epoch)


def _prepare(fitting: Fitting, task: NetworkTask, epoch: int, epochs: int) -> None:
    """Set the learning rate, the dropout rates and the seeds of an epoch."""
    fitting.optimiser.learning_rate = learning_rate(task.training.optimiser, epoch, epochs)
    # New seeds for every epoch: the draws of an epoch depend on its number, not on earlier draws.
    for number, layer in enumerate(fitting.model.layers):
        if hasattr(layer, "seed_generator"):
            state = layer.seed_generator.state
            state.assign(dropout_seed(task, epoch, number).astype(state.dtype))  # int32 on PyTorch
        if hasattr(layer, "scale") and "dropout" in layer.name:
            layer.scale.assign(task.training.regularisation.dropout_decay**epoch)


def dropout_seed(task: NetworkTask, epoch: int, layer: int) -> NDArray[np.uint32]:
    """State of the random numbers of a layer, by its number in the network, at the start of an epoch; shape (2,)."""
    return np.array([derive("dropout", task.seed, task.fold, epoch, layer), 0], np.uint32)


def _train_epoch(
    train_epoch: TrainEpoch, task: NetworkTask, training_set: TrainingSet, epoch: int
) -> tuple[float, float]:
    rng = generator("epoch", task.seed, task.fold, epoch)
    rows = epoch_rows(training_set, task.labels, rng)
    labels = np.concatenate([task.labels, training_set.synthetic_labels])
    targets = np.eye(len(training_set.class_weights), dtype=np.float32)
    class_weights = training_set.class_weights.astype(np.float32)
    sums = np.zeros(3)
    for chunk, side in _chunks_of_one_side(rows, task, training_set, rng):
        pixels = buckets.cut(_pixels(chunk, task, training_set), side)
        images, of_class = _augmented(pixels, task.augment, rng), labels[chunk]
        # Sample weights: Keras's class weights would also weight the mass that label smoothing moves to other classes.
        inputs = network_inputs(images, features_of(task.features, chunk))
        examples = [*inputs, targets[of_class], class_weights[of_class]]
        sums += train_epoch(*_mixed(examples, task.training.mixup, rng))
    loss, accuracy = sums[0] / len(rows), sums[1] / sums[2]
    check_loss(float(loss), "loss", task, epoch)
    return float(loss), float(accuracy)


def check_loss(loss: float, name: str, task: NetworkTask, epoch: int) -> None:
    """Stop if a loss is no number: a learning rate was too high."""
    if not np.isfinite(loss):
        raise InputError(
            f"fold {task.fold}: the {name} is {loss} after epoch {epoch + 1}; "
            f"lower train_cnn.optimiser.learning_rate (now {task.training.optimiser.learning_rate})"
        )


def _chunks_of_one_side(
    rows: NDArray[np.int64], task: NetworkTask, training_set: TrainingSet, rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], int]]:
    """Rows of an epoch to augment and train at once, in complete batches, and the side of their images."""
    network, batch = task.network, task.training.batch_size
    if not network.buckets_px:
        return [(chunk, network.size_px) for chunk in chunks(rows, max(CHUNK // batch, 1) * batch)]
    synthetic = training_set.synthetic.get(network.size_px, task.images[:0])
    sides = np.concatenate([buckets.least_sides(images, network.sides_px) for images in (task.images, synthetic)])
    return [(rows[part], int(sides[rows[part[0]]])) for part in buckets.batches(sides[rows], batch, rng)]


def _pixels(rows: NDArray[np.int64], task: NetworkTask, training_set: TrainingSet) -> NDArray[np.float32]:
    """Images of particles (rows below n) and of synthetic examples (rows from n), grey levels in [0, 1]."""
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


def _mixed(arrays: list[NDArray[np.float32]], alpha: float, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Mixup (Zhang et al. 2018): blend every example with another example: inputs, targets and sample weights."""
    if not alpha:
        return arrays
    n = len(arrays[0])
    share, other = rng.beta(alpha, alpha, n).astype(np.float32), rng.permutation(n)
    shares = [share.reshape(-1, *[1] * (array.ndim - 1)) for array in arrays]
    return [part * array + (1 - part) * array[other] for part, array in zip(shares, arrays, strict=True)]
