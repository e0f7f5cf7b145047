"""Folds take turns over the devices of a machine; in the test, the processor pretends to be two devices."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TWO_FOR_JAX = "--xla_force_host_platform_device_count=2"


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_folds_take_turns_over_two_devices_and_their_results_do_not_depend_on_them(backend: str) -> None:
    pytest.importorskip(backend)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": paths, "XLA_FLAGS": TWO_FOR_JAX}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["0", "1", "0", "same"]


def _main() -> None:
    """Print the device that each of three folds was trained on, and whether fold 1 is the same on device 0."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

    from test_training import _task

    from lipnet.classifiers.networks import backend, training

    seen = list[str]()
    compiled = training.compiled

    def watched(model: Any, *rest: Any) -> Any:
        run = compiled(model, *rest)

        def watched_run(*arrays: Any) -> Any:
            sums = run(*arrays)
            seen.append(_number_of_device(model.trainable_variables[-1].value))
            return sums

        return watched_run

    training.compiled = watched
    spread = [training.train_fold(_task(fold=fold)) for fold in range(3)]
    print(*seen)
    backend.devices = lambda: ["cpu:0"]
    print("same" if training.train_fold(_task(fold=1)).weights == spread[1].weights else "different")


def _number_of_device(value: Any) -> str:
    if hasattr(value, "devices"):  # JAX
        (device,) = value.devices()
        return str(device.id)
    return str(value.device.rsplit(":", 1)[1])


if __name__ == "__main__":
    _main()
