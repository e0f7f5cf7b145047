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
    "Mean absolute error of a class share. Any shares: uniform on the simplex; near: each training share times a",
    "factor from 0.5 to 2. Coverage: share of the samples whose interval contains the true share. Width: of the",
    "intervals. Both are means over classes. Samples are drawn from the test rows of one fold and corrected by the",
    "others.",
    "",
]
HEADER = [
    "problem",
    "classifier",
    "shares",
    *(name if name != DEFAULT else f"{name} (default)" for name in ESTIMATORS),
    "default / counted",
    "coverage",
    "worst class",
    "width",
]
KINDS = {UNIFORM: "any", NATURAL: "near"}


def main() -> None:
    """Write the table of all runs."""
    parser = argparse.ArgumentParser(description="recovery of class shares")
    parser.add_argument("runs", nargs="*", type=Path, default=[ROOT])
    runs = parser.parse_args().runs
    summary = pd.concat([files.read_table(run / "metrics/proportions.csv") for run in runs], ignore_index=True)
    sizes = sorted(summary["size"].unique().tolist())
    own = summary[summary["size"] == sizes[len(sizes) // 2]]
    of_all = own[own["class"] == "all"]
    heading = f"Samples of {own['size'].iloc[0]} particles, {of_all['n_samples'].max()} for each line."
    rows = [_row(own, row) for _, row in of_all.iterrows()]
    command = " ".join(["proportions", *("RUN" for run in runs if run != ROOT)])
    write_results("proportions", "Class shares", command, ["numpy", "scipy"], [heading, "", *NOTE, table(HEADER, rows)])


def _row(summary: pd.DataFrame, of_all: pd.Series) -> list[str]:
    of_classes = summary[summary["class"] != "all"]
    for key in ("problem", "classifier", "shares"):
        of_classes = of_classes[of_classes[key] == of_all[key]]
    worst = of_classes.sort_values("coverage", kind="stable").iloc[0]
    errors = [of_all[f"error_{name}"] for name in ESTIMATORS]
    return [
        of_all["problem"],
        of_all["classifier"],
        KINDS[of_all["shares"]],
        *(f"{error:.3f}" for error in errors),
        f"{errors[-1] / errors[0]:.2f}",
        f"{of_all['coverage']:.2f}",
        f"{worst['coverage']:.2f} ({worst['class']})",
        f"{of_all['width']:.2f}",
    ]


if __name__ == "__main__":
    main()
