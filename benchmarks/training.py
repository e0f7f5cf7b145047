"""A training epoch of LipNet-4 with full augmentation: this project compared with common alternatives.

    python -m benchmarks.training [--images 2048] [--rounds 5] [--arms lipnet keras_layers ...]

writes benchmarks/results/training.md. Every arm uses two cores, in its faster layout: one process of two threads, or
two processes of one thread that train one network each. The arms run in turns, under the same load of the machine.
"""

import argparse
import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from statistics import median
from typing import Any, NamedTuple

from tqdm import tqdm

from benchmarks.measure import ROOT, table, write_results
from benchmarks.training_arms import ARMS

LAYOUTS = {"one process, two threads": (1, 2), "two processes, one thread each": (2, 1)}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC")
# Name -> arm, backend, `train_cnn.precision` or its equivalent.
NAMES = {
    **{arm: (arm, "tensorflow", "float32") for arm in ARMS},
    "lipnet, JAX": ("lipnet", "jax", "float32"),
    "lipnet, PyTorch": ("lipnet", "torch", "float32"),
    **{f"{arm}, bfloat16": (arm, "tensorflow", "bfloat16") for arm in ARMS},
}
NEEDED = {"pytorch": "torch", "lipnet, PyTorch": "torch", "lipnet, JAX": "jax", "pytorch, bfloat16": "torch"}
REFERENCES = ("lipnet", "lipnet, bfloat16")
NOTE = [
    "Images per second: median over rounds. Ratios: images per second of `lipnet` divided by those of the arm, median",
    "over rounds [smallest, largest], each arm in its faster layout.",
    "",
]


class Runner(NamedTuple):
    """Processes that train at the same time, one network each."""

    name: str
    processes: list[subprocess.Popen[str]]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=2048, help="number of images in an epoch of one network")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arms", nargs="*", choices=NAMES, default=[name for name in NAMES if _installed(name)])
    arguments = parser.parse_args()
    runners = {
        (name, layout): start(*NAMES[name], arguments.images, *LAYOUTS[layout])
        for name in arguments.arms
        for layout in LAYOUTS
    }
    try:
        for runner in tqdm(runners.values(), "first epochs, including the start"):
            epoch(runner)
        rounds = [
            {name: len(one.processes) * arguments.images / epoch(one) for name, one in runners.items()}
            for _ in tqdm(range(arguments.rounds), "rounds")
        ]
    finally:
        for runner in runners.values():
            stop(runner)
    packages = [name for name in ("tensorflow", "keras", "torch", "jax") if find_spec(name)]
    title = "A training epoch: LipNet-4, batch 32, full augmentation"
    write_results(
        "training", title, shlex.join(["training", *sys.argv[1:]]), packages, [*NOTE, _report(arguments.arms, rounds)]
    )


def _installed(name: str) -> bool:
    return name not in NEEDED or find_spec(NEEDED[name]) is not None


def start(
    arm: str, backend: str, precision: str, n_images: int, n_processes: int, n_threads: int, **changes: str
) -> Runner:
    """Start the processes of an arm, with changes of the environment; the first ``epoch`` trains the first epoch."""
    environment = {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(n_threads)),
        "TF_NUM_INTEROP_THREADS": str(n_threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "KERAS_BACKEND": backend,
        **changes,
    }
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.training_arms", arm, str(n_images), precision]
    channels: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    started = [subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **channels) for _ in range(n_processes)]
    return Runner(f"{arm} on {backend}", started)


def epoch(runner: Runner) -> float:
    """Train one epoch in all processes of a runner and return the seconds of the slowest one.

    Raises:
        RuntimeError: a process ended.
    """
    for process in runner.processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.stdout.readline() for process in runner.processes if process.stdout]
    if not all(answers):
        raise RuntimeError(f"{runner.name}: a process ended before the end of the epoch")
    return max(map(float, answers))


def stop(runner: Runner) -> None:
    """End the processes of a runner."""
    for process in runner.processes:
        process.kill()


def _report(arms: list[str], rounds: list[dict[tuple[str, str], float]]) -> str:
    best = {arm: max(LAYOUTS, key=lambda layout: median(row[arm, layout] for row in rounds)) for arm in arms}
    rows, references = [], [one for one in REFERENCES if one in arms]
    for arm in arms:
        speeds = [f"{median(row[arm, layout] for row in rounds):.0f}" for layout in LAYOUTS]
        rows.append([arm, *speeds, *(_ratio(rounds, best, one, arm) for one in references)])
    return table(["arm", *LAYOUTS, *(f"{one} is faster by" for one in references)], rows)


def _ratio(rounds: list[dict[tuple[str, str], float]], best: dict[str, str], one: str, other: str) -> str:
    ratios = [row[one, best[one]] / row[other, best[other]] for row in rounds]
    return f"{median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


if __name__ == "__main__":
    main()
