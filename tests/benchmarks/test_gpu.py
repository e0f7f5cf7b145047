"""The benchmark of GPUs: on a processor at small sizes; sampling of GPUs with a script that replaces nvidia-smi."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu import rows, utilisation, watched_gpus
from benchmarks.measure import ROOT

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

# In front of all imports of a process: as if TensorFlow and DVC were not installed.
WITHOUT = """import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "dvc", "torch"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())
"""
SMALL = ["--images", "40", "--particles", "30", "--side", "64", "--networks", "2", "--processes", "1"]


def _measured(folder: Path, *arguments: str) -> list[list[str]]:
    """Cells of the table of a run at small sizes."""
    (folder / "sitecustomize.py").write_text(WITHOUT)
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PATH": str(folder),  # without nvidia-smi
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    command = [sys.executable, "-m", "benchmarks.gpu", "--to", str(folder), *SMALL, *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    lines = (folder / "gpu.md").read_text().splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith(("| vectorised", "| processes"))]


def test_both_engines_are_measured_without_tensorflow_and_dvc(tmp_path: Path) -> None:
    cells = _measured(tmp_path, "--precisions", "float32", "--limit", "500")
    assert [row[:3] for row in cells] == [["vectorised", "2", "float32"], ["processes", "1", "float32"]]
    for row in cells:
        first_s, epoch_s = (float(cell) for cell in row[3:5])
        assert first_s > epoch_s > 0


def test_it_ends_at_the_limit_and_says_what_was_not_measured(tmp_path: Path) -> None:
    began = time.monotonic()
    cells = _measured(tmp_path, "--limit", "0.5")
    assert time.monotonic() - began < 60
    assert len(cells) == 4
    assert {cell for row in cells for cell in row[3:]} == {"not measured"}


def test_rows_give_speed_and_share_of_the_peak() -> None:
    about = {"start_s": 6.0, "operations": 1e8, "tflops": {"float32": 400.0, "bfloat16": 800.0}}
    done = {"arm": "5:bfloat16", "first_s": 10.5, "epoch_s": 0.5, "peak_bytes": 3 * 2**30}
    found = rows("vectorised", [about, done], ["5:bfloat16", "25:float32"], 20_000)
    # 5 x 20,000 images in half a second, 100 MFLOP each, are 20 TFLOP/s.
    assert found[0] == ["vectorised", "5", "bfloat16", "16.5", "0.50", "0.100", "200,000", "2.5%", "3.00"]
    assert found[1] == ["vectorised", "25", "float32", *["not measured"] * 6]
    (late,) = rows("processes", [{"arm": "5:float32", "longer_s": 31.2}], ["5:float32"], 20_000)
    assert late[3] == "more than 31"


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
