"""Run the pipeline with ``portable: false``, and compare its metrics with the committed ones.

    python -m benchmarks.other_processor

prints a table for benchmarks/results/other_processor.md: how far numbers move if libraries choose their kernels by this
processor. The committed metrics, with ``portable: true``, are those of every processor.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import project
from benchmarks.measure import ROOT, machine, table
from lipnet.core import files
from lipnet.evaluation.score_tables import records_of


class Difference(NamedTuple):
    """Change of one mean over folds.

    Attributes:
        classifier: name of the classifier.
        measure: problem and measure.
        moved: absolute change of the mean.
        spread: standard deviation over folds; 0 if undefined.
    """

    classifier: str
    measure: str
    moved: float
    spread: float


def main() -> None:
    """Run, compare and print the table."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "native"
        project.copy(folder)
        (folder / "dvc.lock").unlink()
        project.edit(folder, {"portable": False})
        project.repro(folder)
        found = read(folder)
    moved = list(differences(read(ROOT), found))
    rows = [_row(classifier, moved) for classifier in sorted({one.classifier for one in moved})]
    head = ["classifier", "means that moved", "farthest", "of its spread over folds", "measure"]
    print(machine("numpy", "scikit-learn", "tensorflow"), "", table(head, rows), sep="\n")


def read(folder: Path) -> dict[str, Any]:
    """All means of a run: problem -> classifier -> measures."""
    summary = files.read_table(folder / "metrics/summary.csv")
    return {str(problem): records_of(part) for problem, part in summary.groupby("problem", sort=False)}


def differences(committed: dict[str, Any], found: dict[str, Any]) -> Iterator[Difference]:
    """Changes of all means of metrics/summary.csv that are defined in both runs."""
    for problem, classifiers in committed.items():
        for classifier, measures in classifiers.items():
            for measure, value in _leaves(measures):
                other = dict(_leaves(found[problem][classifier]))[measure]
                if value["mean"] is not None and other["mean"] is not None:
                    moved = abs(value["mean"] - other["mean"])
                    yield Difference(classifier, f"{problem}, {measure}", moved, value["sd"] or 0.0)


def _leaves(measures: dict[str, Any], name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in measures.items():
        if "mean" in value:
            yield f"{name}{key}", value
        else:
            yield from _leaves(value, f"{name}{key} ")


def _row(classifier: str, moved: list[Difference]) -> list[str]:
    own = [one for one in moved if one.classifier == classifier]
    farthest = max(own, key=lambda one: one.moved)
    share = f"{farthest.moved / farthest.spread:.2f}" if farthest.spread else "-"
    n_moved = sum(one.moved > 0 for one in own)
    return [classifier, f"{n_moved} of {len(own)}", f"{farthest.moved:.4f}", share, farthest.measure]


if __name__ == "__main__":
    main()
