"""Sampling of GPUs, with a script that replaces nvidia-smi."""

import os
import time
from pathlib import Path

import pytest

from benchmarks.gpu import utilisation, watched_gpus

# A sample of two GPUs, the next one, and a line that the end cuts short.
SCRIPT = """#!/bin/sh
echo "$@" > "$(dirname "$0")/arguments"
echo "2026/11/25 10:00:00.000, 0, 40, 1024"
echo "2026/11/25 10:00:00.000, 1, 0, 512"
echo "2026/11/25 10:00:00.250, 0, 97, 2048"
echo "2026/11/25 10:00:00.250, 1, 3, 512"
printf "2026/11/25 10:00:00.500, 0, 9"
touch "$(dirname "$0")/said"
exec sleep 600
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / "nvidia-smi"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def _wait_for(path: Path) -> None:
    for _ in range(1_000):
        if path.exists():
            return
        time.sleep(0.01)


def test_samples_are_those_of_nvidia_smi_which_ends_with_the_block(fake: Path) -> None:
    with watched_gpus() as samples:
        _wait_for(fake / "said")
        assert samples == []
    (table,) = samples
    assert table.to_dict("list") == {
        "seconds": [0.0, 0.0, 0.25, 0.25],
        "gpu": [0, 1, 0, 1],
        "utilisation_percent": [40, 0, 97, 3],
        "memory_mib": [1024, 512, 2048, 512],
    }
    assert "--query-gpu=timestamp,index,utilization.gpu,memory.used" in (fake / "arguments").read_text()


def test_without_nvidia_smi_there_are_no_samples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with watched_gpus() as samples:
        pass
    assert samples == []


def test_the_picture_has_a_line_a_gpu(fake: Path) -> None:
    with watched_gpus() as samples:
        _wait_for(fake / "said")
    busy, memory = utilisation(samples[0]).axes
    assert [line.get_label() for line in busy.lines] == ["GPU 0", "GPU 1"]
    assert [list(line.get_ydata()) for line in busy.lines] == [[40, 97], [0, 3]]
    assert [list(line.get_ydata()) for line in memory.lines] == [[1, 2], [0.5, 0.5]]
