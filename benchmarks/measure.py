"""What the benchmarks share: a command's time and peak memory, and the machine that it ran on."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).parents[1]
SAMPLE_S = 0.1


class Usage(NamedTuple):
    """Wall time, and the largest sum of resident memory over a command and all its children (shared pages twice)."""

    seconds: float
    peak_gib: float


def usage_of(command: Sequence[str], folder: Path) -> Usage:
    """Run a Python module of the project in a folder of its own.

    Raises:
        RuntimeError: it failed.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start, peak = time.perf_counter(), 0
    with subprocess.Popen([sys.executable, "-m", *command], cwd=folder, env=environment) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _resident(watched))
            time.sleep(SAMPLE_S)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: failed with {process.returncode}")
    return Usage(time.perf_counter() - start, peak / 2**30)


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            total += member.memory_info().rss
    except psutil.NoSuchProcess:  # it ended between the listing and the look
        pass
    return total


def machine(*packages: str) -> str:
    """One line on the machine, Python and the packages at work."""
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python "
        f"{platform.python_version()}, {versions}"
    )
