"""The engine ``vectorised`` at several numbers of networks, in one process; ``benchmarks.gpu`` reads what it prints.

    KERAS_BACKEND=jax python -m benchmarks.gpu_arms FOLDER N_EXAMPLES N_PARTICLES SIDE NETWORKS:PRECISION ...

prints one line of JSON after the start, then one for each arm. The compiled programs are kept in FOLDER.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.training_arms import CLASSES, NETWORK, POLICY, SIZE, TRAINING, keras_model
from lipnet.classifiers.networks.backend import start_keras
from lipnet.classifiers.networks.task import NetworkTask
from lipnet.classifiers.vectorised import engine
from lipnet.samples.balance import TrainingSet

EPOCHS = 2  # the first one includes the compiler
ROUNDS = 5  # of the measurements of the device


def main() -> None:
    """Measure the start, the device, and each arm."""
    folder, n_examples, n_particles, side, *arms = sys.argv[1:]
    start_keras()
    start_s = time.time() - psutil.Process().create_time()
    _say({"start_s": start_s, **_device(int(side))})
    for arm in arms:
        networks, precision = arm.split(":")
        _say({"arm": arm, **_train(int(networks), precision, int(n_examples), int(n_particles), Path(folder))})


def _say(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)


def _device(side: int) -> dict[str, Any]:
    """Name of the device, its speed in products of matrices and in copies, and operations of a training example."""
    import jax
    import jax.numpy as jnp

    from benchmarks.profile import multiply_adds

    peaks, product = {}, jax.jit(jnp.matmul)
    for precision in ("float32", "bfloat16"):
        matrix = jnp.ones((side, side), precision)
        peaks[precision] = 2 * side**3 / _seconds(partial(product, matrix, matrix)) / 1e12
    values, change = jnp.ones((8, side, side)), jax.jit(lambda values: values + 1)
    return {
        "device": jax.devices()[0].device_kind,
        "tflops": peaks,
        "tbytes_per_s": 2 * values.nbytes / _seconds(partial(change, values)) / 1e12,
        # A multiply-add is two operations, and backward costs twice forward.
        "operations": 6 * multiply_adds(keras_model())[1],
    }


def _seconds(function: Callable[[], Any]) -> float:
    """Shortest time of a call on the device, after an unmeasured one."""
    seconds = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        function().block_until_ready()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def _train(networks: int, precision: str, n_examples: int, n_particles: int, programs: Path) -> dict[str, Any]:
    import jax

    ends = [time.perf_counter()]
    tasks = tasks_of(networks, precision, n_examples, n_particles)
    for _ in engine.train_all(tasks, lambda *_: None, lambda _: ends.append(time.perf_counter()), programs):
        pass
    first, later = np.diff(ends)[:2]
    memory = jax.local_devices()[0].memory_stats() or {}  # a processor does not tell
    return {"first_s": first, "epoch_s": later, "peak_bytes": memory.get("peak_bytes_in_use")}


def tasks_of(networks: int, precision: str, n_examples: int, n_particles: int) -> list[NetworkTask]:
    """Folds of random particles, some of them more than once in an epoch, as oversampling does."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n_particles, SIZE, SIZE), dtype=np.uint8)
    labels, rows = rng.integers(0, CLASSES, n_particles), np.arange(n_particles)
    whole = TrainingSet(np.resize(rows, n_examples), {}, np.empty(0, np.int64), np.ones(CLASSES), 0.0)
    epochs = TRAINING.epochs.model_copy(update={"choose": "fixed", "fixed": EPOCHS})
    training = TRAINING.model_copy(update={"epochs": epochs, "precision": precision, "engine": "vectorised"})
    shared = (images, whole, NETWORK, training, POLICY, lambda _: None)
    return [NetworkTask(labels, rows, rows, rows[:1], 0, fold, *shared) for fold in range(networks)]


if __name__ == "__main__":
    main()
