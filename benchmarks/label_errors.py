"""Planted label errors: change 5 % of the labels of a run, train all classifiers again, and count the errors found.

    python -m benchmarks.label_errors RUN PROBLEM [--share 0.05]

RUN is a folder of the pipeline with a finished run; its params.yaml has the folder of the particles, and its particle
table has the particles that were ingested. A corrections.csv in a copy of the particles changes the labels. A clone of
the committed files trains the classifiers. Writes benchmarks/results/label_errors.md.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from benchmarks import project
from benchmarks.measure import ROOT, table, write_results
from lipnet.core import files
from lipnet.core.problems import classes_of, encode
from lipnet.core.seeds import generator
from lipnet.core.settings import read_params
from lipnet.deployment.reports import label_errors
from lipnet.deployment.runs import read_predictions
from lipnet.evaluation.predictions import Predictions
from lipnet.sources.corrections import FILE_NAME

OTHERS = ("cnn", "cnn_half_shifted")  # for comparison: classifiers that do not predict at natural class shares
NOTE = [
    "Flipped: labels replaced by another class, drawn with equal probabilities. Precision: share of flipped labels in",
    "the top suggestions, as many as labels were flipped. Labels that were wrong before count as false suggestions.",
    "Likely: labels that cleanlab flags as errors; it is not given the number of errors.",
    "",
]


def main() -> None:
    """Train on changed labels and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("problem")
    parser.add_argument("--share", type=float, default=0.05, help="share of labels to change")
    arguments = parser.parse_args()
    params = read_params(arguments.run / "params.yaml")
    particles = files.read_table(arguments.run / f"data/particles/{arguments.problem}.csv")
    flipped = flip(particles, classes_of(params, arguments.problem), arguments.share, params["seed"])
    with tempfile.TemporaryDirectory() as name:
        predictions = train(arguments.run, Path(name), params, arguments.problem, flipped)
    command = f"label_errors RUN {arguments.problem} --share {arguments.share}"
    heading = f"{len(flipped)} of {len(particles)} labels of {arguments.problem} flipped."
    names = ["classifiers", "found among the top", "precision", "likely", "of them flipped"]
    parts = [heading, "", *NOTE, table(names, measure(predictions, set(flipped["id"])))]
    write_results("label_errors", "Planted label errors", command, ["cleanlab", "tensorflow", "scikit-learn"], parts)


def flip(particles: pd.DataFrame, classes: Sequence[str], share: float, seed: int) -> pd.DataFrame:
    """Corrections, columns id and label, that make a share of the labels wrong.

    Particles are drawn with equal probabilities, and then a wrong class for each of them.
    """
    random = generator("planted label errors", seed)
    rows = np.sort(random.choice(len(particles), round(share * len(particles)), replace=False))
    labels = encode(particles["label"], list(classes))[rows]
    wrong = (labels + random.integers(1, len(classes), len(rows))) % len(classes)
    return pd.DataFrame({"id": particles["id"].to_numpy()[rows], "label": np.array(classes)[wrong]})


def train(
    run: Path, folder: Path, params: dict[str, Any], problem: str, flipped: pd.DataFrame
) -> dict[str, Predictions]:
    """Predictions of all classifiers that are trained on the particles of a run with changed labels.

    Args:
        run: folder of the finished run.
        folder: an empty folder for the clone that trains.
        params: settings of the run.
        problem: name of the problem.
        flipped: corrections of ``flip``.
    """
    clone, raw = folder / "clone", folder / "raw"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    shutil.copytree(run / params["source"]["folder"] / problem, raw / problem, copy_function=shutil.copyfile)
    files.write_table(raw / problem / FILE_NAME, flipped)
    changed = {**params, "problems": [problem], "source": {**params["source"], "folder": str(raw)}}
    files.write_text(clone / "params.yaml", yaml.safe_dump(changed))
    command = [sys.executable, "-m", "dvc", "repro", f"decide@{problem}"]
    subprocess.run(command, cwd=clone, env=project.environment(), check=True, stdout=sys.stderr)
    return read_predictions(clone, problem)


def measure(predictions: dict[str, Predictions], flipped: set[str]) -> list[list[str]]:
    """Rows of the table: one per combination of classifiers, whose probabilities are averaged."""
    means = [some for n in range(1, 4) for some in combinations(label_errors.VOTERS, n)]
    known = [some for some in [*means, *((name,) for name in OTHERS)] if set(some) <= set(predictions)]
    return [[", ".join(some), *_found(predictions, some, flipped)] for some in known]


def _found(predictions: dict[str, Predictions], names: Sequence[str], flipped: set[str]) -> list[str]:
    ids, labels, probabilities = label_errors.mean_probabilities([predictions[name] for name in names])
    ranked = label_errors.rank(labels, probabilities)
    planted: NDArray[np.bool_] = np.isin(ids[ranked["row"]], sorted(flipped))
    top, likely = planted[: len(flipped)], ranked["likely"].to_numpy()
    found = f"{top.sum()} of {len(flipped)}"
    return [found, f"{top.mean():.2f}", str(likely.sum()), str((likely & planted).sum())]


if __name__ == "__main__":
    main()
