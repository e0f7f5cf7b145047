"""Find the strength of the prior shift that suits a sample with other class shares than the training particles.

    python -m benchmarks.class_shares [RUN ...]

RUN is a folder of the pipeline in which stage train_cnn is done for every problem; the default is this one. Test-fold
predictions of the network are weighted by class, so that the test particles have other class shares. Writes
benchmarks/results/class_shares.md. REAL in the results is a copy of the project with problems: [em_vesicles,
liposomes], source.kind: table, crop.mode: cropped, augment.fill: nearest and six epochs.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.measure import ROOT, table, write_results
from lipnet.core import files
from lipnet.core.recipes import with_recipe
from lipnet.core.settings import pick, read_params
from lipnet.deployment.runs import read_predictions
from lipnet.evaluation.posteriors import shift_prior, unsmooth
from lipnet.evaluation.predictions import PRIOR

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

STRENGTHS = (0.0, 0.5, 1.0)
# Shares proportional to (shares of the training particles) ** power.
SAMPLES = {"rarer still": 1.5, "as in training": 1.0, "half way to equal": 0.5, "equal": 0.0}
NOTE = [
    "Macro F1 of all test folds together. Shares: of the classes among the test particles; `rarer still` and `half way",
    "to equal` are the shares of the training particles to the power of 1.5 and of 0.5, made to sum to 1.",
    "",
]


def main() -> None:
    """Measure all problems and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="*", default=[ROOT])
    rows = pd.DataFrame([row for run in parser.parse_args().runs for row in of_run(run)])
    means = rows.groupby("shares", sort=False)[list(STRENGTHS)].mean().reset_index().assign(problem="mean")
    names = ["problem", "shares", *STRENGTHS]
    lines = pd.concat([rows, means])[names].to_numpy().tolist()
    cells = [[problem, shares, *(f"{value:.3f}" for value in values)] for problem, shares, *values in lines]
    heading = ["problem", "shares", *(f"shift {strength:g}" for strength in STRENGTHS)]
    parts = [*NOTE, table(heading, cells)]
    write_results("class_shares", "Class shares of new samples", "class_shares . REAL", ["numpy", "tensorflow"], parts)


def of_run(run: Path) -> Iterator[dict[Any, Any]]:
    """A row for each problem of a run and each kind of sample: macro F1 by strength of the shift."""
    params = with_recipe(read_params(run / "params.yaml"))
    smoothing, floor = pick(params, "train_cnn", "label_smoothing"), pick(params, "decide", "floor")
    for problem in params["problems"]:
        network = read_predictions(run, problem)["cnn"]
        priors = files.read_table(run / f"data/priors/{problem}/cnn.csv")
        predicted = {one: np.empty_like(network.true) for one in STRENGTHS}
        for _, row in priors[priors["classifier"] == "cnn"].iterrows():
            test = (network.repeat == row["repeat"]) & (network.fold == row["fold"])
            training = (network.repeat == row["repeat"]) & ~test
            given = row[[PRIOR + name for name in network.classes]].to_numpy(np.float64)
            exact = unsmooth(network.probabilities[test], smoothing, floor)
            for one in STRENGTHS:
                shares = _shares(network.true[training], len(given))
                predicted[one][test] = shift_prior(exact, given, shares, one).argmax(axis=1)
        for name, power in SAMPLES.items():
            weights = _shares(network.true, len(network.classes)) ** (power - 1)
            scores: dict[Any, Any] = {one: _macro_f1(network.true, predicted[one], weights) for one in STRENGTHS}
            yield scores | {"problem": problem, "shares": name}


def _shares(labels: Labels, n_classes: int) -> Floats:
    return np.asarray(np.bincount(labels, minlength=n_classes) / len(labels))


def _macro_f1(true: Labels, predicted: Labels, weights: Floats) -> float:
    confusion = np.zeros((len(weights), len(weights)))
    np.add.at(confusion, (true, predicted), weights[true])
    return float((2 * np.diag(confusion) / (confusion.sum(axis=0) + confusion.sum(axis=1))).mean())


if __name__ == "__main__":
    main()
