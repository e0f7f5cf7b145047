"""What the benchmarks share: a command's time and peak memory, and the machine that it ran on."""

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

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SAMPLE_S = 0.1


class Usage(NamedTuple):
    """What a command and all its children take.

    Attributes:
        seconds: of the clock.
        cpu_seconds: of all cores together; other load on the machine changes it little. Sampled, so up to 0.1 s too low
            for each process.
        peak_gib: the largest sum of resident memory, pages that processes share counted once for each.
    """

    seconds: float
    cpu_seconds: float
    peak_gib: float


def usage_of(command: Sequence[str], folder: Path) -> Usage:
    """Run a Python module of the project in a folder of its own.

    Raises:
        RuntimeError: it failed.
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
    """Resident bytes of a process and its children; their processor time so far goes into ``cpu``, by process."""
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            total += member.memory_info().rss
            times = member.cpu_times()
            cpu[member.pid] = times.user + times.system
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


class Pair(NamedTuple):
    """Seconds of two ways to do the same, measured in turns, one entry a round."""

    ours: list[float]
    theirs: list[float]

    def cells(self) -> list[str]:
        """Median milliseconds of both, and the median of theirs over ours [least, most]."""
        ratios = [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        times = [f"{1000 * median(seconds):.1f}" for seconds in (self.ours, self.theirs)]
        return [*times, f"{median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"]


def in_turns(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> Pair:
    """Time both after one unmeasured call of each."""
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
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([*lines, ""])


def write_results(name: str, title: str, command: str, packages: Sequence[str], parts: Iterable[str]) -> None:
    """Write results/NAME.md with the machine and the command at its head, and print it."""
    text = "\n".join([f"# {title}", "", machine(*packages), "", f"`python -m benchmarks.{command}`", "", *parts])
    files.write_text(RESULTS / f"{name}.md", text)
    print(text)
