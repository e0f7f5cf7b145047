"""Runs the other tests of this folder with Keras on JAX, in one process: its start and its compiler take the time."""

import os
import subprocess
import sys
from pathlib import Path

QUICK_TO_COMPILE = "--xla_backend_optimization_level=0"  # the programs are small; compiling them takes the time
ROOT = Path(__file__).parents[3]


def test_the_tests_of_this_folder_pass_with_keras_on_jax() -> None:
    if os.environ.get("KERAS_BACKEND") == "jax":
        return  # it is this process
    environment = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": QUICK_TO_COMPILE}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", str(Path(__file__).parent)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
