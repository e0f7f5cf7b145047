"""How well class shares are recovered, by every estimator, classifier and data set.

    python -m benchmarks.proportions [RUN ...]

RUN is a folder of the pipeline in which stage proportions is done; the default is this one. Collects their
metrics/proportions.csv, samples of the middle size, in benchmarks/results/proportions.md.
"""

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.measure import ROOT, table, write_results
from lipnet.core import files
from lipnet.evaluation.proportions.protocol import DEFAULT, ESTIMATORS, NATURAL, UNIFORM

NOTE = [
    "Mean absolute error of a class share. In each cell: samples of any shares (uniform on the simplex) / samples near",
    "the training shares (each times a factor from 0.5 to 2). Coverage: share of the samples whose interval contains",
    "the true share, mean over classes; then the class with the least. Width: of the intervals. Samples are drawn from",
    "the test rows of one fold and corrected by the others.",
    "",
]
HEADER = [
    "problem",
    "classifier",
    *(name if name != DEFAULT else f"{name} (default)" for name in ESTIMATORS),
    "default to counted",
    "coverage",
    "least covered",
    "width",
]
KINDS = (UNIFORM, NATURAL)


def main() -> None:
    """Write the table of all runs."""
    parser = argparse.ArgumentParser(description="recovery of class shares")
    parser.add_argument("runs", nargs="*", type=Path, default=[ROOT])
    runs = parser.parse_args().runs
    summary = pd.concat([files.read_table(run / "metrics/proportions.csv") for run in runs], ignore_index=True)
    sizes = sorted(summary["size"].unique().tolist())
    own = summary[summary["size"] == sizes[len(sizes) // 2]]
    heading = f"Samples of {own['size'].iloc[0]} particles, {own['n_samples'].max()} of each kind and classifier."
    rows = [_row(part) for _, part in own.groupby(["problem", "classifier"], sort=False)]
    command = " ".join(["proportions", *("RUN" for run in runs if run != ROOT)])
    write_results("proportions", "Class shares", command, ["numpy", "scipy"], [heading, "", *NOTE, table(HEADER, rows)])


def _row(of_classifier: pd.DataFrame) -> list[str]:
    """A line of the table, from the rows of one classifier in one problem."""
    of_all, least = [], []
    for kind in KINDS:
        part = of_classifier[of_classifier["shares"] == kind].set_index("class")
        of_all.append(part.loc["all"])
        least.append(part["coverage"].drop("all"))
    errors = [[one[f"error_{name}"] for one in of_all] for name in ESTIMATORS]
    ratios = [default / counted for default, counted in zip(errors[-1], errors[0], strict=True)]
    return [
        str(of_classifier["problem"].iloc[0]),
        str(of_classifier["classifier"].iloc[0]),
        *(" / ".join(f"{error:.3f}" for error in pair) for pair in errors),
        " / ".join(f"{ratio:.2f}" for ratio in ratios),
        " / ".join(f"{one['coverage']:.2f}" for one in of_all),
        " / ".join(f"{one.min():.2f} {one.idxmin()}" for one in least),
        " / ".join(f"{one['width']:.2f}" for one in of_all),
    ]


if __name__ == "__main__":
    main()
