"""A training epoch of LipNet-4 with the full augmentation: this project beside what a user would pick instead.

    python -m benchmarks.training [--images 2048] [--rounds 5] [--arms lipnet keras_layers ...]

writes benchmarks/results/training.md. Every arm may use two cores as it best can: one process of two threads, or two
processes of one thread that train a network each. The arms take turns, so that all meet the same state of the machine.
"""

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from statistics import median
from typing import NamedTuple

from tqdm import tqdm

from benchmarks.measure import ROOT, table, write_results
from benchmarks.training_arms import ARMS

LAYOUTS = {"one process, two threads": (1, 2), "two processes, one thread each": (2, 1)}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC")
BACKENDS = {"lipnet, JAX": ("lipnet", "jax"), "lipnet, PyTorch": ("lipnet", "torch")}
REFERENCE = "lipnet"
NOTE = [
    "Images per second, median of the rounds; ratio: those of `lipnet` over those of the arm, median over the rounds",
    "[least, most], each arm in the layout that serves it best.",
    "",
]


class Runner(NamedTuple):
    """An arm at work in one layout."""

    arm: str
    layout: str
    processes: list[subprocess.Popen[str]]


def main() -> None:
    """Measure and write the table."""
    names = [*ARMS, *BACKENDS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=2048, help="in an epoch of one network")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arms", nargs="*", choices=names, default=[name for name in names if _installed(name)])
    arguments = parser.parse_args()
    runners = [_start(arm, layout, arguments.images) for arm in arguments.arms for layout in LAYOUTS]
    try:
        for runner in tqdm(runners, "first epochs, with all starts"):
            _epoch(runner)
        rounds = [
            {(one.arm, one.layout): len(one.processes) * arguments.images / _epoch(one) for one in runners}
            for _ in tqdm(range(arguments.rounds), "rounds")
        ]
    finally:
        for runner in runners:
            for process in runner.processes:
                process.kill()
    packages = [name for name in ("tensorflow", "keras", "torch", "jax") if find_spec(name)]
    title = "A training epoch: LipNet-4, batch 32, full augmentation"
    write_results("training", title, "training", packages, [*NOTE, _report(arguments.arms, rounds)])


def _installed(name: str) -> bool:
    needed = {"pytorch": "torch", "lipnet, PyTorch": "torch", "lipnet, JAX": "jax"}.get(name)
    return needed is None or find_spec(needed) is not None


def _start(arm: str, layout: str, n_images: int) -> Runner:
    n_processes, n_threads = LAYOUTS[layout]
    code, backend = BACKENDS.get(arm, (arm, "tensorflow"))
    environment = {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(n_threads)),
        "TF_NUM_INTEROP_THREADS": str(n_threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": backend,
    }
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.training_arms", code, str(n_images)]
    return Runner(
        arm,
        layout,
        [
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(n_processes)
        ],
    )


def _epoch(runner: Runner) -> float:
    """Seconds until all processes of an arm are through."""
    for process in runner.processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.stdout.readline() for process in runner.processes if process.stdout]
    if not all(answers):
        raise RuntimeError(f"{runner.arm}, {runner.layout}: ended without an answer")
    return max(map(float, answers))


def _report(arms: list[str], rounds: list[dict[tuple[str, str], float]]) -> str:
    best = {arm: max(LAYOUTS, key=lambda layout: median(row[arm, layout] for row in rounds)) for arm in arms}
    rows = []
    for arm in arms:
        speeds = [f"{median(row[arm, layout] for row in rounds):.0f}" for layout in LAYOUTS]
        ratios = [row[REFERENCE, best[REFERENCE]] / row[arm, best[arm]] for row in rounds]
        rows.append([arm, *speeds, f"{median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"])
    return table(["arm", *LAYOUTS, "lipnet is faster by"], rows)


if __name__ == "__main__":
    main()
