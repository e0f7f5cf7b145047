"""The same training code on every other backend of Keras 3 that is installed, each in a process of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LEARNS_AND_REPEATS = "separable or same_bytes or diverging or dropout_decays or class_weights_shift or bfloat16_is_near"


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_training_passes_its_tests_on_another_backend(backend: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "tests/classifiers/networks/test_training.py",
        "-k",
        LEARNS_AND_REPEATS,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout
