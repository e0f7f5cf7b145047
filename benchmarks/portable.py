"""What ``portable: true`` costs, and which kernels depend on the processor without it.

    python -m benchmarks.portable [--images 512] [--rounds 15]

writes benchmarks/results/portable.md. Networks train in turns, with and without the variables of ``portable: true``.
The kernels run with all variables, and with one changed at a time. If QEMU's user emulation is installed (qemu-user),
they also run on an emulated Intel processor. QEMU computes approximate instructions exactly, so that a kernel that uses
them differs.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from statistics import median

from tqdm import tqdm

from benchmarks.measure import ROOT, table, write_results
from benchmarks.training import THREAD_VARIABLES, epoch, start, stop
from lipnet.core.portable import VARIABLES

QEMU, PROCESSOR = "qemu-x86_64", "Haswell"
# As on processors without VNNI, where TensorFlow does not use oneDNN.
OFF = {**VARIABLES, "TF_ENABLE_ONEDNN_OPTS": "0"}


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=512, help="number of images in an epoch")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    command = shlex.join(["portable", *sys.argv[1:]])
    parts = [*_price(arguments.images, arguments.rounds), "", *_kernels()]
    write_results(
        "portable", "The price and the effect of portable: true", command, ["tensorflow", "numpy", "scipy"], parts
    )


def _price(n_images: int, n_rounds: int) -> list[str]:
    """A table of the seconds of an epoch with and without the variables."""
    arms = {
        name: start("lipnet", "tensorflow", "float32", n_images, 1, 1, **changes)
        for name, changes in (("false", {}), ("true", VARIABLES))
    }
    try:
        for runner in arms.values():
            epoch(runner)
        rounds = [{name: epoch(runner) for name, runner in arms.items()} for _ in tqdm(range(n_rounds), "rounds")]
    finally:
        for runner in arms.values():
            stop(runner)
    ratios = sorted(one["true"] / one["false"] for one in rounds)
    low, high = ratios[n_rounds // 4], ratios[-1 - n_rounds // 4]
    rows = [[name, f"{median(one[name] for one in rounds):.2f}"] for name in arms]
    return [
        f"An epoch of LipNet-4 on {n_images} images, one thread, {n_rounds} rounds in turns. Ratio of the seconds, "
        f"true to false: {median(ratios):.2f}, quartiles {low:.2f} and {high:.2f}.",
        "",
        table(["portable", "seconds, median"], rows),
    ]


def _kernels() -> list[str]:
    """A table of the kernels that compute other bytes if one thing differs from ``portable: true``."""
    held = _digests(VARIABLES)
    others = {
        "portable: false": _digests({}),
        **{
            f"without {name}": _digests({one: VARIABLES[one] for one in VARIABLES if one != name})
            for name in list(VARIABLES)[1:]
        },
        "oneDNN off": _digests(OFF),
    }
    if shutil.which(QEMU):
        others["emulated Intel"] = _digests(VARIABLES, QEMU, "-cpu", PROCESSOR)
        others["emulated Intel, oneDNN off"] = _digests(OFF, QEMU, "-cpu", PROCESSOR)
    rows = [[name, *("" if other[name] == held[name] else "differs" for other in others.values())] for name in held]
    return ["Kernels whose bytes differ from those with `portable: true`:", "", table(["kernel", *others], rows)]


def _digests(variables: dict[str, str], *emulator: str) -> dict[str, str]:
    bare = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    threads = dict.fromkeys((*THREAD_VARIABLES, "TF_NUM_INTEROP_THREADS"), "1")
    command = [*emulator, sys.executable, "-m", "benchmarks.kernels"]
    environment = {**bare, **threads, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    digests: dict[str, str] = json.loads(done.stdout)
    return digests


if __name__ == "__main__":
    main()
