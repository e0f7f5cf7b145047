"""Time and peak memory of every stage for growing numbers of particles.

    python -m benchmarks.growth [--sizes 2000 10000 25000 100000] [--svm-most 25000]

writes benchmarks/results/growth.md. It uses artificial particles, two folds and one epoch, so that
the largest size takes less than an hour.
"""

import argparse
import shlex
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks import project
from benchmarks.measure import ROOT, Usage, table, usage_of, write_results
from lipnet.core import files
from lipnet.core.settings import read_params

USAGE = ["seconds", "CPU seconds", "CPU ms a particle", "peak memory, GiB"]
NOTE = [
    "Seconds and memory are of the stage's command with all its processes; memory that processes share counts once for",
    "each. CPU ms a further particle: difference in CPU time to the size above, divided by that in particles. It",
    "excludes the cost of a start. `train_svm` runs only at the smaller sizes, because the time of LIBSVM grows",
    "faster than linearly. At larger sizes, copies of the network's predictions replace those of the SVMs.",
    "",
]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problem", default="encapsulation")
    parser.add_argument("--sizes", type=int, nargs="*", default=[2_000, 10_000, 25_000, 100_000])
    parser.add_argument("--svm-most", type=int, default=25_000, help="largest number of particles to train SVMs on")
    arguments = parser.parse_args()
    usages: dict[str, dict[int, Usage]] = {}
    for n in sorted(arguments.sizes):
        for stage, usage in _all_stages(arguments.problem, n, n <= arguments.svm_most).items():
            usages.setdefault(stage, {})[n] = usage
    parts = [*NOTE, table(["stage", "particles", *USAGE, "CPU ms a further particle"], _rows(usages))]
    packages = ["numpy", "pandas", "scikit-image", "scikit-learn", "tensorflow"]
    write_results("growth", "Growth with the number of particles", "growth", packages, parts)


def cells(usage: Usage, n: int) -> list[str]:
    """Cells of the columns ``USAGE`` for a stage that processed n particles."""
    spent = usage.cpu_seconds
    return [f"{usage.seconds:.1f}", f"{spent:.1f}", f"{1000 * spent / n:.2f}", f"{usage.peak_gib:.2f}"]


def stage_commands(params: dict[str, Any], problem: str) -> dict[str, list[str]]:
    """Module and arguments of every stage in dvc.yaml, in its order."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    values = {"${item.problem}": problem, "${source.folder}": params["source"]["folder"]}
    commands = {}
    for name, stage in stages.items():
        command = stage["cmd"]
        if "${item.images}" in command:  # no images are shared
            continue
        for placeholder, value in values.items():
            command = command.replace(placeholder, value)
        commands[name] = shlex.split(command)[2:]  # without `python -m`
    return commands


def write_params(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write params.yaml of the project into a folder, with changes; the keys are dotted names of settings."""
    params = read_params(ROOT / "params.yaml")
    project.change(params, changes)
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return params


def _all_stages(problem: str, n: int, svm: bool) -> dict[str, Usage]:
    changes = {
        "problems": [problem],
        "source.artificial.n_particles": n,
        "split.folds": 2,
        "train_cnn.epochs.choose": "fixed",
        "train_cnn.epochs.fixed": 1,
    }
    usages = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params = write_params(folder, **changes)
        for stage, command in stage_commands(params, problem).items():
            if stage == "train_svm" and not svm:
                _copy_network(folder / "data", problem, params["train_svm"]["features"])
            else:
                usages[stage] = usage_of(command, folder)
    return usages


def _copy_network(data: Path, problem: str, names: Iterable[str]) -> None:
    """Write predictions and priors of the network as those of the SVMs."""
    predictions, priors = data / "predictions" / problem, data / "priors" / problem
    (predictions / "svm").mkdir()
    for name in names:
        shutil.copy(predictions / "cnn" / "cnn.csv", predictions / "svm" / f"{name}.csv")
    network = files.read_table(priors / "cnn.csv").query("classifier == 'cnn'")
    files.write_table(priors / "svm.csv", pd.concat([network.assign(classifier=name) for name in names]))


def _rows(usages: dict[str, dict[int, Usage]]) -> list[list[str]]:
    rows = []
    for stage, by_size in usages.items():
        smaller: tuple[int, Usage] | None = None
        for n, usage in by_size.items():
            further = f"{1000 * (usage.cpu_seconds - smaller[1].cpu_seconds) / (n - smaller[0]):.2f}" if smaller else ""
            rows.append([stage, str(n), *cells(usage, n), further])
            smaller = n, usage
    return rows


if __name__ == "__main__":
    main()
