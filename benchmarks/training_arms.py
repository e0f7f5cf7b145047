"""Ways to train LipNet-4 that benchmarks.training compares; each is a process that waits for its turn.

    python -m benchmarks.training_arms ARM N_IMAGES PRECISION

trains one epoch per line of standard input and prints its seconds. All arms see the same random images,
with the augmentation of section 5.5 of the thesis, and batches of 32.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import ROOT
from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.settings import POLICIES, NetworkSettings, TrainingSettings
from lipnet.classifiers.networks.task import NetworkTask, Progress
from lipnet.classifiers.networks.training import train_fold
from lipnet.core.settings import parse, pick, read_params
from lipnet.samples.augment import AugmentSettings
from lipnet.samples.balance import TrainingSet

PARAMS = read_params(ROOT / "params.yaml")
SIZE, CLASSES = 28, 3
NETWORK = parse(NetworkSettings, pick(PARAMS, "networks", "lipnet4"), "networks.lipnet4")
TRAINING = parse(TrainingSettings, pick(PARAMS, "train_cnn"), "train_cnn")
POLICY = parse(AugmentSettings, pick(PARAMS, "augment"), "augment")
BATCH = TRAINING.batch_size
EPOCHS = 1_000  # upper limit; a run ends when its input ends
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


def main() -> None:
    """Train one epoch per line of input; stop at the end of the input."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("arm", choices=list(ARMS))
    parser.add_argument("n", type=int)
    parser.add_argument("precision", choices=list(POLICIES))
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (arguments.n, SIZE, SIZE), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, arguments.n)
    for _ in ARMS[arguments.arm](images, labels, arguments.precision):
        pass


def _turns() -> Iterator[None]:
    """Yield once per line of input; then print the seconds of that turn."""
    for _ in sys.stdin:
        start = time.perf_counter()
        yield
        print(time.perf_counter() - start, flush=True)


def _lipnet(images: Images, labels: Labels, precision: str, policy: AugmentSettings = POLICY) -> Iterator[None]:
    """Training of a fold by the code of this project; the report after each epoch ends a turn."""
    turns = _turns()

    def report(_: Progress) -> None:
        if next(turns, "over") == "over":
            raise EOFError

    epochs = TRAINING.epochs.model_copy(update={"choose": "fixed", "fixed": EPOCHS})
    training = TRAINING.model_copy(update={"epochs": epochs, "precision": precision})
    rows = np.arange(len(labels))
    whole = TrainingSet(rows, {}, np.empty(0, np.int64), np.ones(CLASSES), 0.0)
    task = NetworkTask(labels, rows, rows, rows[:1], 0, 0, images, whole, NETWORK, training, policy, report)
    next(turns)
    try:
        train_fold(task)
    except EOFError:
        yield


def _lipnet_plain(images: Images, labels: Labels, precision: str) -> Iterator[None]:
    """The same without augmentation, to measure the cost of augmentation."""
    yield from _lipnet(images, labels, precision, POLICY.model_copy(update={"transforms": []}))


def keras_model(precision: str = "float32") -> Any:
    """LipNet-4, compiled with the optimiser and the loss of the project's training."""
    import keras

    keras.config.set_dtype_policy(POLICIES[precision])
    model = build(NETWORK, CLASSES, ModelOptions(TRAINING.regularisation, TRAINING.mid_grey))
    model.compile(
        "adam", keras.losses.CategoricalCrossentropy(label_smoothing=TRAINING.label_smoothing), metrics=["accuracy"]
    )
    return model


def image_data_generator() -> Any:
    """The augmentation of section 5.5 of the thesis, as an ImageDataGenerator."""
    import tensorflow as tf

    return tf.keras.preprocessing.image.ImageDataGenerator(
        rotation_range=POLICY.rotation_deg,
        width_shift_range=POLICY.shift_percent / 100,
        height_shift_range=POLICY.shift_percent / 100,
        shear_range=np.rad2deg(POLICY.shear_max),
        zoom_range=[POLICY.zoom_min, 1],
        horizontal_flip=True,
        vertical_flip=True,
        fill_mode="constant",
    )


def _image_data_generator(images: Images, labels: Labels, precision: str) -> Iterator[None]:
    """The thesis's way: fit with ImageDataGenerator."""
    generator, model = image_data_generator(), keras_model(precision)
    floats, targets = _floats(images), _targets(labels)
    for _ in _turns():
        yield model.fit(generator.flow(floats, targets, batch_size=BATCH), verbose=0)


def _keras_layers(images: Images, labels: Labels, precision: str) -> Iterator[None]:
    """Keras's recommended way: fit with tf.data and random layers."""
    import tensorflow as tf
    from keras import layers

    shift = POLICY.shift_percent / 100
    augment = tf.keras.Sequential(
        [
            layers.RandomRotation(POLICY.rotation_deg / 360, fill_mode="constant"),
            layers.RandomTranslation(shift, shift, fill_mode="constant"),
            layers.RandomFlip(),
            layers.RandomShear(POLICY.shear_max, 0.0, fill_mode="constant"),
            layers.RandomZoom((POLICY.zoom_min - 1, 0.0), fill_mode="constant"),
        ]
    )
    model = keras_model(precision)  # behind the layers above, which stay in float32
    data = tf.data.Dataset.from_tensor_slices((_floats(images), _targets(labels))).shuffle(len(labels)).batch(BATCH)
    data = data.map(lambda x, y: (augment(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
    data = data.prefetch(tf.data.AUTOTUNE)
    for _ in _turns():
        yield model.fit(data, verbose=0)


def _pytorch(images: Images, labels: Labels, precision: str) -> Iterator[None]:
    """PyTorch as its users write it: channels last, fused Adam, affine_grid and grid_sample."""
    import torch
    from torch import nn
    from torch.nn import functional

    channels, blocks = 1, list[nn.Module]()
    for block in NETWORK.blocks:
        for filters in block:
            blocks += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            channels = filters
        blocks += [nn.MaxPool2d(2), nn.Dropout(TRAINING.regularisation.dropout_block)]
    units = NETWORK.dense_units or 0
    side = SIZE // 2 ** len(NETWORK.blocks)
    dense = [nn.Flatten(), nn.Linear(channels * side * side, units), nn.ReLU()]
    top = [nn.Dropout(TRAINING.regularisation.dropout_dense), nn.Linear(units, CLASSES)]
    model: Any = nn.Sequential(*blocks, *dense, *top).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    pixels = torch.from_numpy(_floats(images)).permute(0, 3, 1, 2)
    classes = torch.from_numpy(labels)
    for _ in _turns():
        order = torch.randperm(len(classes))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            grid = functional.affine_grid(_theta(len(rows)), [len(rows), 1, SIZE, SIZE], align_corners=False)
            batch = functional.grid_sample(pixels[rows], grid, align_corners=False)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                logits = model(batch)
            loss = functional.cross_entropy(logits.float(), classes[rows], label_smoothing=TRAINING.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        yield


def _theta(n: int) -> Any:
    """Random affine maps as PyTorch writes them, shape (n, 2, 3)."""
    import torch

    angle = torch.deg2rad(torch.randint(-POLICY.rotation_deg, POLICY.rotation_deg + 1, (n,)).float())
    zoom = torch.empty(n).uniform_(POLICY.zoom_min, 1)
    shear = torch.empty(n).uniform_(0, POLICY.shear_max)
    signs = torch.randint(0, 2, (n, 2)) * 2.0 - 1
    shift = torch.randint(-POLICY.shift_percent, POLICY.shift_percent + 1, (n, 2)) / 50
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = [cosine * signs[:, 0], (shear * cosine - sine) * signs[:, 1], shift[:, 0]]
    rows += [sine * signs[:, 0], (shear * sine + cosine) * signs[:, 1], shift[:, 1]]
    return torch.stack(rows, dim=1).reshape(n, 2, 3)


def _floats(images: Images) -> NDArray[np.float32]:
    return images[..., None].astype(np.float32) / np.float32(255)


def _targets(labels: Labels) -> NDArray[np.float32]:
    return np.eye(CLASSES, dtype=np.float32)[labels]


ARMS: dict[str, Callable[[Images, Labels, str], Iterator[None]]] = {
    "lipnet": _lipnet,
    "lipnet_plain": _lipnet_plain,
    "image_data_generator": _image_data_generator,
    "keras_layers": _keras_layers,
    "pytorch": _pytorch,
}


if __name__ == "__main__":
    main()
