"""Starting Keras: nothing is written to stderr, neither then nor when a network is built, whatever the backend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = """
from lipnet.classifiers.networks import backend
backend.start_keras()
import keras
keras.layers.Dense(1).get_config()
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_keras_starts_without_a_word(backend: str) -> None:
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
