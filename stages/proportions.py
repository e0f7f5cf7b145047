"""Measure how well the class shares of samples are recovered, by counting and by correcting the counts."""

from argparse import Namespace
from typing import Any

import pandas as pd

from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.parallel import stream
from lipnet.core.settings import parse, pick, seed_of
from lipnet.evaluation import bootstrap, prediction_files
from lipnet.evaluation.proportions import protocol
from lipnet.evaluation.score_tables import EvaluateSettings, first_of
from lipnet.plots import figure
from lipnet.plots.proportions import shares_picture


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the errors of all estimators, two numbers for each problem, and a picture of true and estimated shares."""
    settings = parse(protocol.ProportionSettings, pick(params, "proportions"), "proportions")
    headline = parse(EvaluateSettings, pick(params, "evaluate"), "evaluate").headline
    tables, headlines = [], {}
    for problem in pick(params, "problems"):
        predictions = prediction_files.read([arguments.predictions / problem, arguments.decisions / problem])
        path = arguments.particles / f"{problem}.csv"
        groups = bootstrap.groups_of(next(iter(predictions.values())), files.read_table(path), str(path))
        tasks = [
            task
            for name, item in predictions.items()
            for task in protocol.tasks_of(name, item, groups, settings, seed_of(params))
        ]
        drawn = list(bar(stream(protocol.run_task, tasks), f"{problem}: samples of known shares", len(tasks)))
        if not drawn:
            print(f"{problem}: no fold has all classes, so nothing can be said about class shares")
            continue
        samples = pd.concat(drawn, ignore_index=True)
        summary, shown = protocol.summarise(samples), first_of(headline, predictions, "headline")
        summary.insert(0, "problem", problem)
        tables.append(summary)
        headlines[problem] = protocol.headline(summary, shown)
        own = samples[samples["classifier"] == shown]
        figure.save(shares_picture(own, f"{problem}, {shown}"), arguments.pictures / f"{problem}.png")
    files.write_json(arguments.metrics, headlines)
    files.write_table(arguments.table, pd.concat(tables) if tables else pd.DataFrame(columns=["problem"]))


if __name__ == "__main__":
    run(__doc__, None, ["predictions", "decisions", "particles", "metrics", "table", "pictures"], main)
