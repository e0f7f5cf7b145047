"""Training at the thesis's full size (LipNet-4, 28 px, 29,700 examples) on a GPU: 1, 5 and 25 networks, both engines.

    python -m benchmarks.gpu [--engines vectorised processes] [--limit 110]

needs JAX, Keras and the dependencies of the library, but neither TensorFlow nor DVC. It ends after --limit seconds and
writes what was measured until then: benchmarks/results/gpu.md and, if nvidia-smi is installed, gpu_utilisation.png with
the utilisation of the GPUs meanwhile, as in the thesis's Figure 16. Five processes alone need most of the limit:
`--engines processes` measures them. Without a GPU everything runs on the processor; see --help for smaller sizes.
"""

import argparse
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.measure import RESULTS, ROOT, table, write_results
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
ENGINES = ("vectorised", "processes")
COLUMNS = [
    *("engine", "networks at once", "precision", "start to end of the first epoch, s", "an epoch of all, s"),
    *("per network, s", "images/s", "of the peak", "peak memory, GiB"),
]
ABOUT = (
    "Two epochs are trained: the first includes the compiler, the second is the epoch of the table. The peak of memory "
    "is that of the process until then, as the device tells."
)
Found = list[dict[str, Any]]


def main() -> None:
    """Measure and write the table."""
    arguments = _arguments()
    os.environ["KERAS_BACKEND"] = "jax"
    end = time.monotonic() + arguments.limit
    with watched_gpus() as samples:
        found: dict[str, Found] = {name: _MEASURE[name](arguments, end) for name in arguments.engines}
    if samples:
        figure.save(utilisation(samples[0]), arguments.to / "gpu_utilisation.png")
    command = shlex.join(["gpu", *sys.argv[1:]])
    arms = {name: _arms(name, arguments) for name in found}
    cells = [row for name, ones in found.items() for row in rows(name, ones, arms[name], arguments.images)]
    thesis = f"The thesis needed {THESIS_S[0]} to {THESIS_S[1]} s for an epoch of one network (GeForce 940M).\n"
    parts = [*_about(found, arguments.images), table(COLUMNS, cells), thesis]
    write_results("gpu", "Training at the thesis's size on a GPU", command, ["keras", "jax"], parts, arguments.to)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--limit", type=float, default=110, help="seconds to measure")
    parser.add_argument("--networks", nargs="+", type=int, default=[1, 5, 25], help="trained at once, ascending")
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 5], help="trained at once, ascending")
    parser.add_argument("--precisions", nargs="+", choices=list(POLICIES), default=["bfloat16", "float32"])
    parser.add_argument("--images", type=int, default=29_700, help="examples in an epoch of one network")
    parser.add_argument("--particles", type=int, default=14_169, help="different images")
    parser.add_argument("--side", type=int, default=8192, help="of the matrices that measure the device")
    parser.add_argument("--to", type=Path, default=RESULTS, help="folder of the results")
    return parser.parse_args()


def _arms(engine: str, arguments: argparse.Namespace) -> list[str]:
    """Networks at once and precision, NETWORKS:PRECISION, by growing need of memory."""
    numbers = arguments.networks if engine == "vectorised" else arguments.processes
    return [f"{n}:{precision}" for n in numbers for precision in arguments.precisions]


def _vectorised(arguments: argparse.Namespace, end: float) -> Found:
    """What ``benchmarks.gpu_arms`` printed before the end: the start and the device, then each arm."""
    sizes = [str(size) for size in (arguments.images, arguments.particles, arguments.side)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-m", "benchmarks.gpu_arms", folder, *sizes]
        command += _arms("vectorised", arguments)
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
        with process, _at(end, process.kill):
            assert process.stdout
            found = [json.loads(line) for line in process.stdout if line.endswith("}\n")]
        if process.returncode and time.monotonic() < end:  # what was measured before still counts
            errors.seek(0)
            print(errors.read(), file=sys.stderr)
    return found


def _processes(arguments: argparse.Namespace, end: float) -> Found:
    """Two epochs of the engine ``processes``, whose processes start at once; what had ended before the end."""
    found = Found()
    for arm in _arms("processes", arguments):
        (n, precision), began = arm.split(":"), time.monotonic()
        if began >= end:
            break
        runner = start("lipnet", "jax", precision, arguments.images, int(n), 1)
        try:
            with _at(end, partial(stop, runner)):
                epoch(runner)
                first_s = time.monotonic() - began
                found.append({"arm": arm, "first_s": first_s, "epoch_s": epoch(runner)})
        except (RuntimeError, OSError):
            if time.monotonic() < end:
                raise
            found.append({"arm": arm, "longer_s": time.monotonic() - began})
        finally:
            stop(runner)
    return found


_MEASURE = {"vectorised": _vectorised, "processes": _processes}


@contextmanager
def _at(end: float, action: Callable[[], None]) -> Iterator[None]:
    """Do something at this time, unless the block ends earlier."""
    timer = Timer(max(end - time.monotonic(), 0), action)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _about(found: dict[str, Found], n_images: int) -> list[str]:
    """The device and what the columns mean."""
    lines = [f"An epoch of one network has {n_images} examples. {ABOUT}\n"]
    for one in found.get("vectorised", [])[:1]:
        speeds = ", ".join(f"{value:.3g} TFLOP/s in {name}" for name, value in one["tflops"].items())
        lines.append(
            f"{one['device']}. Its peak is the speed of large matrix products in JAX's default precision: {speeds}. "
            f"It copies {one['tbytes_per_s']:.3g} TB/s. An example needs {one['operations'] / 1e6:.0f} MFLOP. "
            f"From the start of the process until the device computes: {one['start_s']:.1f} s.\n"
        )
    return lines


def rows(engine: str, found: Found, arms: Sequence[str], n_images: int) -> list[list[str]]:
    """Cells of the table, a row for each arm; what did not end in time says so."""
    about = next((one for one in found if "tflops" in one), {"start_s": 0.0})
    by_arm = {one["arm"]: one for one in found if "arm" in one}
    return [[engine, *arm.split(":"), *_cells(by_arm.get(arm, {}), about, arm, n_images)] for arm in arms]


def _cells(one: dict[str, Any], about: dict[str, Any], arm: str, n_images: int) -> list[str]:
    if "epoch_s" not in one:
        ended = f"more than {one['longer_s']:.0f}" if one else "not measured"
        return [ended, *["not measured"] * 5]
    n, precision = arm.split(":")
    speed = int(n) * n_images / one["epoch_s"]
    cells = [f"{about['start_s'] + one['first_s']:.1f}", f"{one['epoch_s']:.2f}", f"{one['epoch_s'] / int(n):.3f}"]
    share = f"{speed * about['operations'] / 1e12 / about['tflops'][precision]:.1%}" if "tflops" in about else "-"
    memory = f"{one['peak_bytes'] / 2**30:.2f}" if one.get("peak_bytes") else "-"
    return [*cells, f"{speed:,.0f}", share, memory]


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
