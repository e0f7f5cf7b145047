"""What to label next, simulated: labels that `lipnet suggest` needs to match labels chosen at random.

    python -m benchmarks.suggest [--folder ../shared/realdata/em_vesicles] [--runs 6] [--labels 600]

Every run hides all labels of em_vesicles except those of 200 particles chosen at random, and holds out a quarter of the
particles, in whole groups, for testing. Then each strategy chooses 50 particles at a time, and their labels are shown.
The model in the loop is the SVM of params.yaml on measured features, because it trains in a fraction of a second.
Writes benchmarks/results/suggest.md.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.measure import ROOT, table, write_results
from lipnet.classifiers import svm
from lipnet.core.problems import classes_of, encode
from lipnet.core.seeds import derive, generator
from lipnet.core.settings import parse, pick, read_params
from lipnet.deployment.suggestions import choose, scores, standardise
from lipnet.evaluation.formatting import mean_with_sd
from lipnet.samples import folds
from lipnet.samples.balance import natural_prior
from lipnet.samples.feature_names import NOT_FEATURES
from lipnet.samples.features import FeatureSettings
from lipnet.samples.tables import Fold, Particles
from lipnet.sources import ingest
from lipnet.sources.settings import SourceSettings
from lipnet.sources.source import open_source

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

PROBLEM = "em_vesicles"
START, ROUND, TEST_PARTS, MODELS = 200, 50, 4, 5
RANDOM, SUGGEST = "random", "lipnet suggest"
HIGHEST = {"highest score, near-copies included": "score", "highest entropy only": "uncertainty"}
STRATEGIES = (RANDOM, SUGGEST, *HIGHEST)
SHOWN = (200, 300, 400, 500, 600)
NOTE = [
    "Mean ± standard deviation over runs. Runs differ in the first 200 labels and the test part: four parts in turn.",
    "All strategies of a run start from the same labels and are tested on the same particles. The five models of the",
    "ensemble are SVMs, each trained on four fifths of the labels. The strategy sees their probabilities and the",
    "measured features, never a test particle.",
    "",
]
READ = [
    "A test part has few particles of the rarest class, so macro F1 is noisy. Counts of labels are those of the first",
    "round that is good enough, which luck may bring early: compare with the row of random choice.",
    "",
]


def pick_rows(name: str, probabilities: Floats, prior: Floats, embedding: Floats, seed: int) -> Rows:
    """Rows of the particles that a strategy of ``STRATEGIES`` labels next.

    Args:
        name: of the strategy.
        probabilities: as in ``suggestions.scores``.
        prior: as in ``suggestions.scores``.
        embedding: as in ``suggestions.choose``.
        seed: of the round.
    """
    if name == RANDOM:
        return generator("labels at random", seed).permutation(len(embedding))[:ROUND]
    reasons = scores(probabilities, prior)
    if name == SUGGEST:
        return choose(reasons["score"].to_numpy(), embedding, ROUND, seed)
    return np.argsort(-reasons[HIGHEST[name]].to_numpy(), kind="stable")[:ROUND]


def main() -> None:
    """Simulate all runs and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT.parent / "shared/realdata" / PROBLEM)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--labels", type=int, default=600, help="number of labels at the end of a run")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        sys.exit(f"{arguments.folder}: no such folder; skipped")
    params = read_params(ROOT / "params.yaml")
    params["train_svm"]["library"] = "scikit-learn"  # the same models, faster
    data = read(arguments.folder, params)
    runs = [(run, name) for run in range(arguments.runs) for name in STRATEGIES]
    parts = [simulate(data, params, run, name, arguments.labels) for run, name in tqdm(runs)]
    ceiling = [all_labels(data, params, run) for run in range(arguments.runs)]
    command = f"suggest --runs {arguments.runs} --labels {arguments.labels}"
    text = in_tables(pd.concat(parts, ignore_index=True), data, ceiling)
    write_results("suggest", "What to label next, simulated", command, ["scikit-learn", "numpy"], text)


def read(folder: Path, params: dict[str, Any]) -> Particles:
    """The particles with measured features, as the stage ingest reads them."""
    classes = classes_of(params, PROBLEM)
    settings = parse(SourceSettings, {**pick(params, "source"), "kind": "table"}, "source")
    measures = parse(FeatureSettings, pick(params, "features"), "features")
    source = open_source(PROBLEM, classes, folder, settings, measures, params["seed"])
    found, _ = ingest.join([ingest.read_batch(task, source.read, measures, {}) for task in source.tasks])
    return Particles(PROBLEM, found, classes, encode(found["label"], classes), pd.factorize(found["group"])[0])


def split(data: Particles, run: int) -> tuple[Rows, Rows]:
    """Rows that may be labelled, and test rows; groups are kept whole."""
    return folds.parts(data.labels, data.groups, TEST_PARTS, derive("test part", 0), "TEST_PARTS")[run % TEST_PARTS]


def simulate(data: Particles, params: dict[str, Any], run: int, name: str, most: int) -> pd.DataFrame:
    """Rounds of one strategy, with columns run, strategy, labels, macro_f1 and rare (rare particles found)."""
    embedding = standardise(data.table.drop(columns=list(NOT_FEATURES)).to_numpy(np.float64))
    pool, test = split(data, run)
    rare = np.bincount(data.labels).argmin()
    labelled, rows = generator("first labels", run).permutation(pool)[:START], []
    while True:
        others = np.setdiff1d(pool, labelled)
        probabilities = ensemble(data, params, labelled, np.concatenate([test, others]), run)
        f1 = macro_f1(data.labels[test], probabilities[:, : len(test)], len(data.classes))
        rows.append((run, name, len(labelled), f1, int((data.labels[labelled] == rare).sum())))
        if len(labelled) >= most or not len(others):
            return pd.DataFrame(rows, columns=["run", "strategy", "labels", "macro_f1", "rare"])
        prior = natural_prior(data.labels[labelled], len(data.classes))
        seed = derive("round", run, len(labelled))
        chosen = pick_rows(name, probabilities[:, len(test) :], prior, embedding[others], seed)
        labelled = np.concatenate([labelled, others[chosen]])


def all_labels(data: Particles, params: dict[str, Any], run: int) -> float:
    """Macro F1 of a run if every particle outside the test part is labelled."""
    pool, test = split(data, run)
    return macro_f1(data.labels[test], ensemble(data, params, pool, test, run), len(data.classes))


def ensemble(data: Particles, params: dict[str, Any], labelled: Rows, others: Rows, run: int) -> Floats:
    """Probabilities of the particles ``others`` by SVMs trained on parts of the labelled rows, (MODELS, n, K).

    Few labels may lack a class; its probability is 0 then.
    """
    parts = folds.parts(data.labels[labelled], data.groups[labelled], MODELS, derive("models", run), "MODELS")
    tasks = [svm.task_of(params, "svm", data, Fold(0, 0, 0, labelled[rows], others)) for rows, _ in parts]
    return np.stack([svm.train_fold(task).output.probabilities for task in tasks])


def macro_f1(true: Rows, probabilities: Floats, n_classes: int) -> float:
    """Macro F1 of the most probable class by the mean over models."""
    confusion = np.zeros((n_classes, n_classes))
    np.add.at(confusion, (true, probabilities.mean(axis=0).argmax(axis=1)), 1)
    return float(np.mean(2 * np.diag(confusion) / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)))


def needed(curve: pd.DataFrame, column: str, wanted: float) -> float:
    """The smallest number of labels with at least the wanted value; NaN if it is never reached."""
    reached = curve.loc[curve[column] >= wanted, "labels"]
    return float(reached.min()) if len(reached) else float("nan")


def in_tables(rounds: pd.DataFrame, data: Particles, ceiling: Sequence[float]) -> list[str]:
    """Text of the results: the tables of rounds, and the labels that each strategy needs."""
    counts = np.bincount(data.labels)
    rarest = data.classes[counts.argmin()]
    shown = [labels for labels in SHOWN if labels <= rounds["labels"].max()]
    header = ["strategy", *(f"{labels} labels" for labels in shown)]
    parts = [f"{len(data.labels)} particles, {counts.min()} of them {rarest}; {len(ceiling)} runs.", "", *NOTE]
    for column, title in (("macro_f1", "Macro F1 on the test part"), ("rare", f"{rarest} among the labels")):
        cells = [[name, *(_cell(rounds, name, column, labels) for labels in shown)] for name in STRATEGIES]
        parts += [f"## {title}", "", table(header, cells)]
    all_of_them = mean_with_sd(float(np.mean(ceiling)), float(np.std(ceiling)))
    parts += [f"With all labels outside the test part, macro F1 is {all_of_them}.", ""]
    last = int(rounds["labels"].max())
    parts += [f"## Labels needed to match {last} random labels of the same run", ""]
    names = ["strategy", "macro F1", "runs that reach it", f"{rarest} found", "runs that reach it"]
    return [*parts, table(names, [[name, *_labels_needed(rounds, name)] for name in STRATEGIES]), *READ]


def _cell(rounds: pd.DataFrame, name: str, column: str, labels: int) -> str:
    values = rounds.loc[(rounds["strategy"] == name) & (rounds["labels"] == labels), column]
    digits = 3 if column == "macro_f1" else 1
    return f"{values.mean():.{digits}f} ± {values.std(ddof=0):.{digits}f}"


def _labels_needed(rounds: pd.DataFrame, name: str) -> list[str]:
    cells = []
    for column in ("macro_f1", "rare"):
        counts = []
        for _, of_run in rounds.groupby("run"):
            at_the_end = of_run.loc[of_run["strategy"] == RANDOM, column].iloc[-1]
            counts.append(needed(of_run[of_run["strategy"] == name], column, at_the_end))
        reached = [count for count in counts if np.isfinite(count)]
        cells += [f"{np.mean(reached):.0f} ± {np.std(reached):.0f}" if reached else "never"]
        cells += [f"{len(reached)} of {len(counts)}"]
    return cells


if __name__ == "__main__":
    main()
