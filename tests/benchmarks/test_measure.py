"""Time and memory of a command with its child processes."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.measure import _look, usage_of

CHILD = "held = bytearray(200 * 2**20); print('ready', flush=True); input()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def test_memory_and_processor_time_of_children_count() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "ready\n"
        cpu: dict[int, float] = {}
        held = _look(psutil.Process(process.pid), cpu)
        (child,) = psutil.Process(process.pid).children()
        process.stdin.write("\n")
    assert 200 * 2**20 <= held < 2**30
    assert cpu.keys() == {process.pid, child.pid}


def test_a_command_that_fails_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text("raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="failing: failed with 3"):
        usage_of(["failing"], tmp_path)
