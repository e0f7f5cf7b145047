"""Seconds an epoch at the thesis's full size (LipNet-4, 28 px, 29,700 examples): one fold, then five folds at once.

    KERAS_BACKEND=jax python -m benchmarks.gpu [--images 29700] [--folds 5] [--rounds 5]

writes benchmarks/results/gpu.md. The folds share the first GPU; without one they share the processor.
"""

import argparse
import os
from statistics import median

from benchmarks.measure import table, write_results
from benchmarks.training import epoch, start, stop

THESIS_S = (60, 130)  # an epoch on a GeForce 940M, section 8.1


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=29_700)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    runners = [start("lipnet", backend, arguments.images, folds, 1) for folds in (1, arguments.folds)]
    try:
        for runner in runners:
            epoch(runner)
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
    parts = [table([f"{arguments.images} examples, {backend}", "seconds an epoch", "ratio to one fold"], rows)]
    write_results("gpu", "A training epoch at the thesis's size", "gpu", ["keras"], parts)


if __name__ == "__main__":
    main()
