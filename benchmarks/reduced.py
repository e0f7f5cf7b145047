"""Run the pipeline on few particles, and compare the hash of every output with those in benchmarks/reduced.csv.

    make verify-reduced
    python -m benchmarks.reduced --write     # after a change of the code that changes outputs on purpose

The hashes are those of every x86-64 processor with AVX2 (``portable: true``).
"""

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks import project
from benchmarks.measure import ROOT
from lipnet.core import files

HASHES = ROOT / "benchmarks" / "reduced.csv"
SETTINGS = {
    "portable": True,
    "problems": ["lamellarity"],
    "source.artificial.n_particles": 90,
    "source.artificial.min_per_class": 15,
    "source.artificial.particles_per_micrograph": 3,
    "split.folds": 2,
    "train_svm.calibration_folds": 2,
    "train_cnn.epochs.choose": "fixed",
    "train_cnn.epochs.fixed": 2,
}
KEY = ["stage", "path"]


def main() -> None:
    """Run and compare, or write the hashes; exit code 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write benchmarks/reduced.csv instead of comparing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "reduced"
        project.copy(folder)
        (folder / "dvc.lock").unlink()
        project.edit(folder, SETTINGS)
        project.repro(folder)
        found = outputs(folder)
    if arguments.write:
        files.write_table(HASHES, found)
        return
    wrong = differing(pd.read_csv(HASHES), found)
    if wrong:
        lines = ["these outputs of the reduced run differ from benchmarks/reduced.csv:", *wrong]
        sys.exit("\n".join([*lines, "if the code changed them on purpose, run `python -m benchmarks.reduced --write`"]))
    print(f"reduced: {len(found)} outputs are identical to those in benchmarks/reduced.csv")


def outputs(folder: Path) -> pd.DataFrame:
    """Hashes of all outputs of a run: columns stage, path, md5."""
    found = project.hashes(project.read_lock(folder / "dvc.lock"), "outs")
    rows = [(stage, path, md5) for stage, paths in found.items() for path, md5 in paths.items()]
    return pd.DataFrame(rows, columns=[*KEY, "md5"])


def differing(committed: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """A line for each output that differs or that one of two tables lacks: its stage and its path."""
    both = committed.merge(found, on=KEY, how="outer", suffixes=("", "_found"))
    return (both["stage"] + ": " + both["path"])[both["md5"] != both["md5_found"]].tolist()


if __name__ == "__main__":
    main()
