"""How many optimiser steps the network needs: one long run per data set, judged on the way.

    python -m benchmarks.training_length [--steps 3000] [--draws 2] [--precision float32] [--tables]

Everything happens among the training rows of fold 0; no test row is looked at. "Whole" trains on these rows without an
inner validation part, and is judged on that part. "Small" trains on a part of about 300 of these rows, and is judged on
all the others. Groups stay whole. The learning rate is constant, so the state of a long run after some steps is the
state of a run that ends there. A training is kept in data/scratch/training_length, so an interrupted benchmark goes on.
Writes benchmarks/results/training_length.md.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.measure import ROOT, table, write_results
from lipnet.classifiers.networks import training
from lipnet.classifiers.networks.early_stopping import balanced_log_loss
from lipnet.classifiers.networks.heads import network_output
from lipnet.classifiers.networks.prediction import predict
from lipnet.classifiers.networks.task import NetworkTask, network_of, task_of
from lipnet.classifiers.training_sets import training_set
from lipnet.core import files
from lipnet.core.parallel import run_all, stream_as_done
from lipnet.core.problems import classes_of, encode
from lipnet.core.recipes import set_values
from lipnet.core.seeds import derive
from lipnet.core.settings import parse, pick, read_params
from lipnet.evaluation import metrics
from lipnet.evaluation.posteriors import posterior, shift_prior
from lipnet.samples import crops, folds, particles
from lipnet.samples.balance import natural_prior
from lipnet.samples.features import FeatureSettings
from lipnet.samples.tables import Fold, Particles, folds_of
from lipnet.sources import ingest
from lipnet.sources.settings import SourceSettings
from lipnet.sources.source import open_source

Rows = NDArray[np.int64]

STEPS = (108, 216, 325, 450, 650, 900, 1200, 1600, 2200, 3000, 4500, 6000)
SMALL, VALIDATION_PARTS = 300, 5
BOXES = {"crop.mode": "cropped", "augment.fill": "nearest"}
SETS: dict[str, dict[str, Any]] = {  # problem -> changes to params.yaml
    "em_vesicles": {"source.kind": "table"},
    "liposomes": {"source.kind": "table", **BOXES},
    "lamellarity": {},
    "encapsulation": {},
}
REAL = [problem for problem, changes in SETS.items() if changes]
MEASURES = {  # column -> title
    "macro_f1": "Macro F1 of the most probable class",
    "macro_f1_half": "Macro F1 after half the prior shift",
    "log_loss": "Log loss after the whole shift",
    "log_loss_half": "Log loss after half the shift",
    "training_loss": "Training loss of the last epoch",
}
HOW = """\
One long run for each row of a table, LipNet-4 with the settings of params.yaml, judged among the training rows of fold
0, at the end of the first epoch that reached a number of steps. Sets of about 300 rows are judged on all other training
rows; the larger ones on an inner validation part with few particles of a rare class: their macro F1 is noisy. Runs that
had not ended when the benchmark was stopped are left out."""
SCRATCH = ROOT / "data" / "scratch" / "training_length"


class Run(NamedTuple):
    """One long training.

    Attributes:
        problem: data set.
        size: "small" or "whole".
        draw: number of the part.
        task: its ``test`` are the rows to judge on, all of them training rows of fold 0.
        floor: as in ``posteriors.unsmooth``.
        path: of its table.
    """

    problem: str
    size: str
    draw: int
    task: NetworkTask
    floor: float
    path: Path


def main() -> None:
    """Train what is missing, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=3000, help="steps of each run")
    parser.add_argument("--draws", type=int, default=2, help="runs of each data set and size")
    parser.add_argument("--precision", default="float32", help="as train_cnn.precision")
    parser.add_argument("--tables", action="store_true", help="train nothing; write the tables of what was trained")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "realdata")
    arguments = parser.parse_args()
    if not arguments.tables:
        train_all(arguments.shared, arguments.draws, arguments.steps, arguments.precision)
    found = [path for problem in SETS for path in sorted(SCRATCH.glob(f"{problem}_*"))]
    if not found:
        sys.exit(f"{SCRATCH}: nothing was trained yet")
    curves = pd.concat(map(pd.read_csv, found), ignore_index=True)
    command = f"training_length --steps {arguments.steps} --draws {arguments.draws} --precision {arguments.precision}"
    write_results("training_length", "How many steps the network needs", command, ["tensorflow", "keras"], text(curves))


def train_all(shared: Path, draws: int, steps: int, precision: str) -> None:
    """Train all runs that are not there yet."""
    params = set_values(read_params(ROOT / "params.yaml"), {"train_cnn.precision": precision})
    problems = [name for name, changes in SETS.items() if not changes or (shared / name).is_dir()]
    if problems != list(SETS):
        print(f"{shared}: not all of the real sets are there", file=sys.stderr)
    every = [run for name in problems for run in runs(name, params, shared / name, draws)]
    every.sort(key=lambda run: (run.draw, run.problem not in REAL, run.size))  # in case the time runs out
    todo = [run for run in every if not run.path.exists()]
    list(tqdm(stream_as_done(partial(train, most=steps), todo), total=len(todo)))


def runs(problem: str, params: dict[str, Any], folder: Path, draws: int) -> Iterator[Run]:
    """All runs of a data set."""
    params = set_values(params, SETS[problem])
    data, images = read(problem, params, folder)
    outer = folds.assign(
        data.labels,
        data.groups,
        data.classes,
        parse(folds.SplitSettings, pick(params, "split"), "split"),
        params["seed"],
    )
    train = folds_of(outer)[0].train
    for size, parts in (("small", small_parts(train, data)), ("whole", whole_parts(train, data))):
        for draw, (fitting, judged) in enumerate(parts[:draws]):
            fold = Fold(draw, 0, 0, fitting, judged)
            balanced = training_set(params, problem, fold, data.labels, images)
            pixels = images[network_of(params).size_px]
            task = task_of(params, data, fold, pixels, balanced, lambda _: None)
            path = SCRATCH / f"{problem}_{size}_{draw}.csv"
            yield Run(problem, size, draw, task, pick(params, "decide", "floor"), path)


def read(problem: str, params: dict[str, Any], folder: Path) -> tuple[Particles, dict[int, NDArray[np.uint8]]]:
    """The particles and their crops, as the stages ingest and crop make them."""
    classes, settings = classes_of(params, problem), parse(SourceSettings, pick(params, "source"), "source")
    measures = parse(FeatureSettings, pick(params, "features"), "features")
    source = open_source(problem, classes, folder, settings, measures, params["seed"])
    batches = run_all(partial(ingest.read_batch, read=source.read, measures=measures, labels={}), source.tasks)
    found, _ = ingest.join(batches)
    cropping = parse(crops.CropSettings, pick(params, "crop"), "crop")
    made = [
        crops.crop_all(particles.from_arrays(batch.arrays, problem), cropping, batch.known["id"].tolist())
        for batch in batches
        if len(batch.known)
    ]
    data = Particles(problem, found, classes, encode(found["label"], classes), pd.factorize(found["group"])[0])
    return data, crops.join(made)


def whole_parts(train: Rows, data: Particles) -> list[tuple[Rows, Rows]]:
    """Training rows without a validation part, and that part."""
    labels, groups, seed = data.labels[train], data.groups[train], derive("length of training", 0)
    parts = folds.parts(labels, groups, VALIDATION_PARTS, seed, "VALIDATION_PARTS")
    return [(train[fitting], train[judged]) for fitting, judged in parts]


def small_parts(train: Rows, data: Particles) -> list[tuple[Rows, Rows]]:
    """A part of about SMALL training rows in which no class is missing, and all others; nearest to SMALL first."""
    labels, groups, seed = data.labels[train], data.groups[train], derive("length of training", 1)
    parts = folds.parts(labels, groups, round(len(train) / SMALL), seed, "SMALL")
    complete = [part for part in parts if len(np.unique(labels[part[1]])) == len(data.classes)]
    nearest = sorted(complete, key=lambda part: abs(len(part[1]) - SMALL))
    return [(train[part], train[others]) for others, part in nearest]


def unfinished(run: Run) -> Path:
    """The table of a run that has not ended."""
    return run.path.with_suffix(".part")


def train(run: Run, most: int) -> None:
    """Train for at least ``most`` steps; write a row for each number of STEPS, at the first epoch that reaches it."""
    from lipnet.classifiers.networks.backend import device_of

    task, done, rows = run.task, 0, list[dict[str, Any]]()
    with device_of(0):
        fitting = training.start(task, task.training_set)
        per_epoch = training.steps_per_epoch(task, task.training_set)
        for epoch in range(-(-most // per_epoch)):
            loss, _ = training.train_epoch(fitting, task, task.training_set, epoch, 1)
            before, done = done, done + per_epoch
            if any(before < steps <= done for steps in STEPS):
                probabilities = predict(fitting.model, task.images[task.test])
                rows.append(
                    {
                        "problem": run.problem,
                        "rows": run.size,
                        "draw": run.draw,
                        "n": len(task.train),
                        "steps": max(steps for steps in STEPS if steps <= done),
                        "epochs": epoch + 1,
                        "training_loss": loss,
                        **judge(run, probabilities),
                    }
                )
                files.write_table(unfinished(run), pd.DataFrame(rows))
    unfinished(run).rename(run.path)


def judge(run: Run, probabilities: NDArray[np.float64]) -> dict[str, float]:
    """Measures on the rows that were not trained on."""
    task, true = run.task, run.task.labels[run.task.test]
    output = network_output(task, probabilities)
    stated, natural = posterior(output, run.floor), natural_prior(task.labels[task.train], probabilities.shape[1])
    found = {"balanced_log_loss": balanced_log_loss(true, probabilities)}
    for name, strength in (("_plain", 0.0), ("_half", 0.5), ("", 1.0)):
        shifted = shift_prior(stated.probabilities, stated.prior, natural, strength)
        overall, _ = metrics.score(true, shifted.argmax(axis=1), shifted)
        found |= {f"macro_f1{name}": overall["macro_f1"], f"log_loss{name}": overall["log_loss"]}
    found["macro_f1_shifted"], found["macro_f1"] = found["macro_f1"], found.pop("macro_f1_plain")
    return found


def text(curves: pd.DataFrame) -> list[str]:
    """How to read the tables, and one for each measure: data sets by steps, means over the runs."""
    parts = [HOW, ""]
    for column, title in MEASURES.items():
        cells = curves.pivot_table(index=["problem", "rows"], columns="steps", values=column, sort=False)
        cells = cells[sorted(cells.columns)]
        header = ["set", "rows to train on", "runs", *(f"{steps:,} steps" for steps in cells.columns)]
        rows = []
        for (problem, size), values in zip(cells.index.tolist(), cells.to_numpy(), strict=True):
            own = curves[(curves["problem"] == problem) & (curves["rows"] == size)]
            shown = ("" if np.isnan(value) else f"{value:.3f}" for value in values)
            rows.append([problem, f"{own['n'].mean():.0f}", f"{own['draw'].nunique()}", *shown])
        parts += [f"## {title}", "", table(header, rows)]
    return parts


if __name__ == "__main__":
    main()
