"""Shared by the benchmarks: time and peak memory of a command, comparison of two functions, and result files."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from lipnet.core import files
from lipnet.evaluation.formatting import markdown_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SAMPLE_S = 0.1


class Usage(NamedTuple):
    """Time and memory of a command with all its child processes.

    Attributes:
        seconds: elapsed time.
        cpu_seconds: processor time of all cores together; it depends little on other load of the machine. It is
            sampled, so it is up to 0.1 s too low for each process.
        peak_gib: largest sum of resident memory; memory that processes share counts once for each.
    """

    seconds: float
    cpu_seconds: float
    peak_gib: float


def usage_of(command: Sequence[str], folder: Path) -> Usage:
    """Run a Python module of the project in another folder.

    Args:
        command: module and arguments.
        folder: working directory.

    Raises:
        RuntimeError: the command failed.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start, peak, cpu = time.perf_counter(), 0, dict[int, float]()
    with subprocess.Popen([sys.executable, "-m", *command], cwd=folder, env=environment) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _look(watched, cpu))
            time.sleep(SAMPLE_S)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: failed with {process.returncode}")
    return Usage(time.perf_counter() - start, sum(cpu.values()), peak / 2**30)


def _look(process: psutil.Process, cpu: dict[int, float]) -> int:
    """Resident bytes of a process and its children; writes the processor time of each process into ``cpu``."""
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            total += member.memory_info().rss
            times = member.cpu_times()
            cpu[member.pid] = times.user + times.system
    except psutil.NoSuchProcess:  # the process ended in the meantime
        pass
    return total


def machine(*packages: str) -> str:
    """One line on the machine, and the versions of Python and of packages."""
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python "
        f"{platform.python_version()}, {versions}"
    )


class Pair(NamedTuple):
    """Seconds of two functions that do the same, measured in turns; one entry per round."""

    ours: list[float]
    theirs: list[float]

    def cells(self) -> list[str]:
        """Median milliseconds of both, and the median of theirs divided by ours [smallest, largest]."""
        ratios = [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        times = [f"{1000 * median(seconds):.1f}" for seconds in (self.ours, self.theirs)]
        return [*times, f"{median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"]


def in_turns(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> Pair:
    """Time two functions in turns, after one unmeasured call of each."""
    pair = Pair([], [])
    for round_ in range(rounds + 1):
        for function, seconds in ((ours, pair.ours), (theirs, pair.theirs)):
            start = time.perf_counter()
            function()
            if round_:
                seconds.append(time.perf_counter() - start)
    return pair


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join([*markdown_table(names, list(rows)), ""])


def write_results(
    name: str, title: str, command: str, packages: Sequence[str], parts: Iterable[str], folder: Path = RESULTS
) -> None:
    """Write NAME.md into the folder, with machine and command at the top, and print it."""
    text = "\n".join([f"# {title}", "", machine(*packages), "", f"`python -m benchmarks.{command}`", "", *parts])
    files.write_text(folder / f"{name}.md", text)
    print(text)
