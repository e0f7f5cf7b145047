"""Measure how well the class shares of samples are recovered, and write what corrects those of new samples."""

from argparse import Namespace
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.parallel import stream
from lipnet.core.seeds import generator
from lipnet.core.settings import parse, pick, seed_of
from lipnet.evaluation import bootstrap, prediction_files
from lipnet.evaluation.predictions import Predictions
from lipnet.evaluation.proportions import corrections, protocol, records
from lipnet.evaluation.proportions.protocol import ProportionSettings
from lipnet.plots import figure
from lipnet.plots.proportions import shares_picture


class Work(NamedTuple):
    """One classifier of a problem, its samples of known shares, and how to learn its correction."""

    classifier: str
    predictions: Predictions
    groups: NDArray[np.int64]
    samples: pd.DataFrame
    settings: ProportionSettings
    seed: int


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write samples with their estimates and errors, two numbers a problem, pictures, and what corrects new samples."""
    settings = parse(ProportionSettings, pick(params, "proportions"), "proportions")
    tables, headlines = [], {}
    for problem in pick(params, "problems"):
        predictions = prediction_files.read([arguments.predictions / problem, arguments.decisions / problem])
        path = arguments.particles / f"{problem}.csv"
        groups = bootstrap.groups_of(next(iter(predictions.values())), files.read_table(path), str(path))
        samples = _samples(problem, predictions, groups, settings, seed_of(params))
        work = [
            Work(name, item, groups, samples.get(name, pd.DataFrame()), settings, seed_of(params))
            for name, item in predictions.items()
        ]
        found = dict(bar(stream(_record, work), f"{problem}: corrections", len(work)))
        files.write_json(arguments.corrections / f"{problem}.json", found)
        if not samples:
            print(f"{problem}: no two folds have all classes, so it is not known how good class shares are")
            continue
        widened = pd.concat([protocol.widened(of_one, settings.confidence) for of_one in samples.values()])
        files.write_table(arguments.corrections / f"{problem}.csv", widened.round(6))
        summary = protocol.summarise(widened)
        shown = next(name for name in [*settings.headline, *samples] if name in samples)
        summary.insert(0, "problem", problem)
        tables.append(summary)
        headlines[problem] = protocol.headline(summary, shown)
        picture = shares_picture(widened[widened["classifier"] == shown], f"{problem}, {shown}")
        figure.save(picture, arguments.pictures / f"{problem}.png")
    files.write_json(arguments.metrics, headlines)
    files.write_table(arguments.table, pd.concat(tables) if tables else pd.DataFrame(columns=["problem"]))


def _samples(
    problem: str,
    predictions: dict[str, Predictions],
    groups: NDArray[np.int64],
    settings: ProportionSettings,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Samples of known shares with their estimates, by classifier."""
    tasks = [
        task for name, item in predictions.items() for task in protocol.tasks_of(name, item, groups, settings, seed)
    ]
    drawn: Iterator[pd.DataFrame] = bar(
        stream(protocol.run_task, tasks), f"{problem}: samples of known shares", len(tasks)
    )
    table = pd.concat(drawn, ignore_index=True) if tasks else pd.DataFrame({"classifier": []})
    return {str(name): own for name, own in table.groupby("classifier", sort=False)}


def _record(work: Work) -> tuple[str, dict[str, Any]]:
    """Name of the classifier, and the record of its correction, learnt from all folds."""
    rng, rows = generator(f"correction {work.classifier}", work.seed), np.ones(len(work.groups), np.bool_)
    correction = corrections.fit(work.predictions, work.groups, rows, work.settings.replicates, rng)
    if len(work.samples):
        correction = correction._replace(widening=protocol.widening_of(work.samples, work.settings.confidence))
    record = records.record_of(work.predictions, work.groups, correction, work.settings.confidence, rng)
    return work.classifier, record.model_dump(mode="json")


if __name__ == "__main__":
    paths = ["predictions", "decisions", "particles", "corrections", "metrics", "table", "pictures"]
    run(__doc__, None, paths, main)
