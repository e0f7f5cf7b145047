"""Run the pipeline as on an older processor, and compare its metrics with the committed ones.

    python -m benchmarks.other_processor

writes benchmarks/results/other_processor.md. The numerical libraries are set to use no instructions newer than AVX2.
So they sum in another order, as on a processor that is ten years old. TensorFlow's kernels outside oneDNN are not
changed. Other physical processors were not measured.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import project
from benchmarks.measure import ROOT, table, write_results
from lipnet.core import files
from lipnet.evaluation.score_tables import records_of

OLDER = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


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
    """Run, compare and write the table."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "older"
        project.copy(folder)
        (folder / "dvc.lock").unlink()
        project.repro(folder, **OLDER)
        found = read(folder)
    moved = list(differences(read(ROOT), found))
    rows = [_row(classifier, moved) for classifier in sorted({one.classifier for one in moved})]
    parts = [table(["classifier", "means that moved", "farthest", "of its spread over folds", "measure"], rows)]
    packages = ["numpy", "scikit-learn", "tensorflow"]
    write_results("other_processor", "As on an older processor", "other_processor", packages, parts)


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
