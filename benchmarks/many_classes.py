"""Time and memory of classifiers on particles of many classes: 121 by default.

    python -m benchmarks.many_classes [--rows 30000] [--classes 121] [--kinds svm trees forest]

trains one fold on features drawn here, four fifths of the rows, and predicts the rest, each classifier in a process of
its own. Writes benchmarks/results/many_classes.md.
"""

import argparse
import os
import sys

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from benchmarks.measure import ROOT, Usage, table, usage_of, write_results
from lipnet.classifiers import svm, trees
from lipnet.core.settings import read_params
from lipnet.evaluation.metrics import score
from lipnet.evaluation.predictions import FoldOutput

N_FEATURES, SPREAD, GROUP = 30, 1.2, 5  # spread within a class, in units of the spread of the classes' centres
KINDS = ("svm", "trees", "forest")


def main() -> None:
    """Measure every classifier, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--classes", type=int, default=121)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--train", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = ["--rows", str(arguments.rows), "--classes", str(arguments.classes)]
    if arguments.train:
        train(arguments.train, arguments.rows, arguments.classes)
        sys.exit()
    rows = []
    for kind in arguments.kinds:
        usage: Usage = usage_of(["benchmarks.many_classes", "--train", kind, *sizes], ROOT)
        rows.append([kind, f"{usage.cpu_seconds:.0f}", f"{usage.seconds:.0f}", f"{usage.peak_gib:.2f}"])
    pairs = arguments.classes * (arguments.classes - 1) // 2
    gib = 0.8 * arguments.rows * pairs * 8 / 2**30
    text = [
        f"{arguments.rows:,} rows of {arguments.classes} classes, {N_FEATURES} features; one fold, one thread. "
        f"The SVM is calibrated on a sum for each class; all {pairs:,} pairwise decision values of the training rows "
        f"would take {gib:.2f} GiB in each copy.\n",
        table(["classifier", "processor s", "elapsed s", "peak GiB of the process"], rows),
    ]
    command = f"many_classes {' '.join(sizes)} --kinds {' '.join(arguments.kinds)}"
    write_results("many_classes", "Many classes", command, ["scikit-learn", "libsvm-official"], text)


def train(kind: str, n: int, n_classes: int) -> None:
    """Train one fold and predict its test rows; print accuracy and log loss."""
    params, rng, rows = read_params(ROOT / "params.yaml"), np.random.default_rng(0), np.arange(n)
    labels = rows % n_classes
    features = rng.normal(size=(n_classes, N_FEATURES))[labels] + rng.normal(0, SPREAD, (n, N_FEATURES))
    names = [f"feature_{number}" for number in range(N_FEATURES)]
    fold = (labels, rows // GROUP, rows[n // 5 :], rows[: n // 5], params["seed"], features, names)
    output: FoldOutput
    if kind == "svm":
        output = svm.train_fold(svm.SvmTask(*fold, svm.settings_of(params))).output
    else:
        of_kind: trees.Kind = "boosted" if kind == "trees" else "forest"
        output = trees.train_fold(trees.TreeTask(*fold, of_kind, trees.settings_of(params))).output
    measures, _ = score(labels[: n // 5], output.predicted, output.probabilities)
    print(kind, {name: round(measures[name], 3) for name in ("accuracy", "log_loss")})


if __name__ == "__main__":
    main()
