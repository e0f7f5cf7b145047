"""The two libraries of the SVMs side by side: libsvm-official, and scikit-learn's SVC, a copy of LIBSVM with BLAS.

    python -m benchmarks.svm [--rows 2000 10000 25000] [--rounds 3]

writes benchmarks/results/svm.md. Data: three overlapping normal clouds in 60 dimensions, as imbalanced as particles.
"""

import argparse
import os
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from benchmarks.measure import ROOT, in_turns, table, write_results
from lipnet.classifiers.svm import SvmSettings, decide, fit
from lipnet.core.settings import parse, pick, read_params

SHARES = (0.87, 0.12, 0.01)
FEATURES = 60
N_CLASSES = len(SHARES)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[2_000, 10_000, 25_000])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows = [row for n in arguments.rows for row in _measure(n, arguments.rounds)]
    names = ["rows", "step", "libsvm-official, ms", "SVC, ms", "SVC / libsvm-official", "equal predictions"]
    packages = ["libsvm-official", "scikit-learn", "numpy"]
    write_results("svm", "LIBSVM and scikit-learn's SVC, one thread", "svm", packages, [table(names, rows)])


def _measure(n: int, rounds: int) -> list[list[str]]:
    """Rows of the table for n training rows and n / 4 new ones."""
    section = pick(read_params(ROOT / "params.yaml"), "train_svm")
    both = [parse(SvmSettings, section | {"library": name}, "train_svm") for name in ("libsvm", "scikit-learn")]
    (x, y), (new, _) = _clouds(n, 0), _clouds(n // 4, 1)
    training = in_turns(partial(fit, x, y, both[0]), partial(fit, x, y, both[1]), rounds)
    ours, theirs = (partial(decide, fit(x, y, settings), new, N_CLASSES) for settings in both)
    prediction = in_turns(ours, theirs, rounds)
    equal = f"{(ours()[0] == theirs()[0]).mean():.4f}"
    return [[str(n), "training", *training.cells(), equal], [str(n), "prediction", *prediction.cells(), equal]]


def _clouds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.choice(N_CLASSES, n, p=SHARES)
    return rng.normal(size=(n, FEATURES)) + 0.25 * y[:, None], y


if __name__ == "__main__":
    main()
