"""Time of the parts of a training step of LipNet-4, on one thread, compared with the peak of the processor.

    python -m benchmarks.profile [--images 2048] [--rounds 5]

writes benchmarks/results/profile.md. TensorFlow's profiler times the operations; the peak is a product of two large
matrices. All times are processor times, which other load on the machine changes little.
"""

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure import table, write_results
from benchmarks.training import THREAD_VARIABLES
from benchmarks.training_arms import BATCH, CLASSES, POLICY, SIZE, TRAINING, keras_model
from lipnet.classifiers.networks.epoch import compiled
from lipnet.classifiers.networks.losses import per_example
from lipnet.classifiers.networks.settings import POLICIES
from lipnet.samples.augment import draw_maps, warp

# Part of a step -> words in the names of its operations; the first part that matches counts.
PARTS = {
    "convolutions": ("Conv2D",),
    "Adam": ("adam", "ApplyAdam"),
    "dense layers": ("MatMul",),
    "dropout": ("dropout",),
    "max-pooling": ("pool",),
    "gradient of ReLU": ("ReluGrad",),
    "between precisions": ("Cast",),
    "the rest": ("",),
}
SIDE = 2048  # of the matrices


class Found(NamedTuple):
    """Measurements of one process.

    Attributes:
        epoch_s: an epoch without its augmentation.
        augmentation_s: the augmentation of an epoch.
        parts_s: an epoch by the keys of PARTS.
        peak: GFLOP/s of a matrix product.
        convolutions: multiply-adds of an image, forward, in the convolutions.
        everything: multiply-adds of an image, forward, in all layers.
    """

    epoch_s: float
    augmentation_s: float
    parts_s: dict[str, float]
    peak: float
    convolutions: int
    everything: int


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    n = arguments.images
    both = {precision: _in_process(n, arguments.rounds, precision) for precision in POLICIES}
    found = both["float32"]
    shares = {name: _shares(one.parts_s) for name, one in both.items()}
    # A multiply-add is two operations, and backward costs twice forward.
    whole, convolutions = (6 * count / 1e9 for count in (found.everything, found.convolutions))
    rates = {
        "matrix product: the peak": found.peak,
        "convolutions": n * convolutions / (shares["float32"]["convolutions"] * found.epoch_s),
        "all of the step": n * whole / found.epoch_s,
    }
    parts = [
        f"LipNet-4 at {SIZE} px has {found.everything / 1e6:.1f} million multiply-adds forward an image, "
        f"{convolutions / whole:.0%} of them in convolutions: {1000 * whole:.0f} MFLOP a training example.",
        f"At the peak of one thread that would be {found.peak / whole:.0f} images a second; it is "
        f"{n / found.epoch_s:.0f}.\n",
        table(
            ["part of a step", *(f"share in {name}" for name in shares)],
            [[part, *(f"{of_one[part]:.0%}" for of_one in shares.values())] for part in PARTS],
        ),
        table(["rate", "GFLOP/s", "of the peak"], [[k, f"{v:.0f}", f"{v / found.peak:.0%}"] for k, v in rates.items()]),
        table(
            ["besides", "measured"],
            [
                *(
                    [f"augmentation, of the time of the steps in {name}", f"{one.augmentation_s / one.epoch_s:.1%}"]
                    for name, one in both.items()
                ),
                ["steps in bfloat16 are faster by", f"{found.epoch_s / both['bfloat16'].epoch_s:.2f}"],
            ],
        ),
    ]
    write_results("profile", "Where a training step's time goes", "profile", ["tensorflow", "keras"], parts)


def _shares(seconds: dict[str, float]) -> dict[str, float]:
    return {part: one / sum(seconds.values()) for part, one in seconds.items()}


def _in_process(n: int, rounds: int, precision: str) -> Found:
    # TensorFlow reads the environment once, when it starts.
    one_thread = dict.fromkeys([*THREAD_VARIABLES, "TF_NUM_INTEROP_THREADS"], "1")
    os.environ.update({**one_thread, "TF_CPP_MIN_LOG_LEVEL": "3"})
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_measure, n, rounds, precision).result()


def _measure(n: int, rounds: int, precision: str) -> Found:
    rng = np.random.default_rng(0)
    images = rng.random((n, SIZE, SIZE, 1), dtype=np.float32)
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, n)]
    weights = np.ones(n, np.float32)
    model = keras_model(precision)
    loss = per_example(TRAINING.loss, TRAINING.label_smoothing, np.full(CLASSES, 1 / CLASSES))
    run = compiled(model, model.optimizer, loss, BATCH)
    epoch_s = _median_s(lambda: run(images, targets, weights), rounds)
    augmentation_s = _median_s(lambda: warp(images[..., 0], draw_maps(n, SIZE, POLICY, rng), POLICY), rounds)
    parts_s = _profile(lambda: run(images, targets, weights))
    return Found(epoch_s, augmentation_s, parts_s, _peak(rounds), *multiply_adds(model))


def _median_s(function: Callable[[], object], rounds: int) -> float:
    """Median processor seconds of a call, after one unmeasured call."""
    seconds = []
    for _ in range(rounds + 1):
        began = time.process_time()
        function()
        seconds.append(time.process_time() - began)
    return median(seconds[1:])


def _profile(function: Callable[[], object]) -> dict[str, float]:
    """Seconds of a call by the keys of PARTS."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space, spent = xplane_pb2.XSpace(), dict.fromkeys(PARTS, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            function()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space.ParseFromString(path.read_bytes())
    for name, seconds in _operations(space):
        spent[next(part for part, words in PARTS.items() if any(word in name for word in words))] += seconds
    return spent


def _operations(space: Any) -> Iterator[tuple[str, float]]:
    """Names, `place/in/the/graph:Kind`, and seconds of operations; events that enclose operations are left out."""
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if "/" in name and "::" not in name:
                    yield name, event.duration_ps / 1e12


def multiply_adds(model: Any) -> tuple[int, int]:
    """Multiply-adds of one image, forward: in the convolutions, and in all layers."""
    convolutions = dense = 0
    for layer in model.layers:
        if not layer.weights:
            continue
        kernel = math.prod(layer.kernel.shape)
        if len(layer.output.shape) == 4:
            convolutions += kernel * math.prod(layer.output.shape[1:3])
        else:
            dense += kernel
    return convolutions, convolutions + dense


def _peak(rounds: int) -> float:
    """GFLOP/s of a product of two matrices in float32 by TensorFlow."""
    import tensorflow as tf

    matrix = tf.constant(np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32))
    return 2 * SIDE**3 / _median_s(lambda: tf.matmul(matrix, matrix).numpy(), rounds) / 1e9


if __name__ == "__main__":
    main()
