"""Seconds an epoch at the thesis's full size (LipNet-4, 28 px, 29,700 examples): one fold, then five folds at once.

    KERAS_BACKEND=jax python -m benchmarks.gpu [--images 29700] [--folds 5] [--rounds 5] [--precision bfloat16]

writes benchmarks/results/gpu.md and, if nvidia-smi is installed, gpu_utilisation.png with the utilisation of the GPUs,
as in the thesis's Figure 16. The folds share the first GPU; without one they share the processor.
"""

import argparse
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.measure import RESULTS, table, write_results
from benchmarks.training import epoch, start, stop
from lipnet.classifiers.networks.settings import POLICIES
from lipnet.plots import figure
from lipnet.plots.figure import COLOURS, styled

THESIS_S = (60, 130)  # an epoch on a GeForce 940M, section 8.1
WATCH = [
    "nvidia-smi",
    "--query-gpu=timestamp,index,utilization.gpu,memory.used",
    "--format=csv,noheader,nounits",
    "--loop-ms=200",
]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=29_700)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=list(POLICIES), default="float32")
    arguments = parser.parse_args()
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    precision, n = arguments.precision, arguments.images
    runners = [start("lipnet", backend, precision, n, folds, 1) for folds in (1, arguments.folds)]
    try:
        for runner in runners:
            epoch(runner)
        with watched_gpus() as samples:
            rounds = [[epoch(runner) for runner in runners] for _ in range(arguments.rounds)]
    finally:
        for runner in runners:
            stop(runner)
    one, many = (median(row[number] for row in rounds) for number in range(2))
    ratio = median(row[1] / row[0] for row in rounds)
    rows = [
        ["one fold", f"{one:.2f}", "1.00"],
        [f"{arguments.folds} folds at once", f"{many:.2f}", f"{ratio:.2f}"],
        [
            "the thesis, one fold",
            f"{THESIS_S[0]} to {THESIS_S[1]}",
            f"{THESIS_S[0] / one:.0f} to {THESIS_S[1] / one:.0f}",
        ],
    ]
    parts = [table([f"{n} examples, {backend}, {precision}", "seconds an epoch", "ratio to one fold"], rows)]
    if samples:
        figure.save(utilisation(samples[0]), RESULTS / "gpu_utilisation.png")
    write_results("gpu", "A training epoch at the thesis's size", "gpu", ["keras"], parts)


@contextmanager
def watched_gpus() -> Iterator[list[pd.DataFrame]]:
    """Sample the GPUs while the block runs; afterwards the list holds one table, or no table without nvidia-smi.

    The table has columns seconds (from the first sample), gpu, utilisation_percent, memory_mib.
    """
    samples = list[pd.DataFrame]()
    if shutil.which(WATCH[0]) is None:
        yield samples
        return
    with tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen(WATCH, stdout=output) as process:
            try:
                yield samples
            finally:
                process.terminate()
        output.seek(0)
        samples.append(_parse(output.read()))


def _parse(text: str) -> pd.DataFrame:
    whole_lines = text[: text.rfind("\n") + 1]  # the process may have been stopped in the middle of a line
    names = ["time", "gpu", "utilisation_percent", "memory_mib"]
    table = pd.read_csv(io.StringIO(whole_lines), names=names, skipinitialspace=True, parse_dates=["time"])
    time = table.pop("time")
    table.insert(0, "seconds", (time - time.min()).dt.total_seconds())
    return table


@styled
def utilisation(samples: pd.DataFrame) -> Figure:
    """Draw utilisation and memory in use, one line per GPU; columns as in ``watched_gpus``."""
    drawn = Figure(figsize=(7.5, 2.8), layout="constrained")
    busy, memory = drawn.subplots(1, 2)
    for number, (gpu, part) in enumerate(samples.groupby("gpu")):
        colour = COLOURS[number % len(COLOURS)]
        busy.plot(part["seconds"], part["utilisation_percent"], color=colour, label=f"GPU {gpu}")
        memory.plot(part["seconds"], part["memory_mib"] / 1024, color=colour)
    busy.set(xlabel="seconds", ylabel="GPU utilisation, %", ylim=(0, 105))
    memory.set(xlabel="seconds", ylabel="memory in use, GiB", ylim=(0, None))
    drawn.legend(frameon=False, loc="outside right center")
    return drawn


if __name__ == "__main__":
    main()
