"""The whole pipeline in a fresh clone: `dvc repro` compared with training, with nothing to do, and after a change.

    python -m benchmarks.pipeline [--rounds 5]

writes benchmarks/results/pipeline.md. The clone has the committed files; every stage is forced to run.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from benchmarks import project
from benchmarks.measure import ROOT, table, write_results

TRAINING = ("train_cnn", "train_svm", "train_trees")  # score_inner trains nothing by default
MADE_HERE = "ingest"  # simulates the particles of the default run
OTHER_MODEL = "lipnet1"
START, END = "start of dvc", "end of dvc"
NOTE = [
    "The time of a stage runs from the message of dvc that the stage starts to the next such message, so it includes",
    "hashing and saving of the outputs by dvc. Training is the time of `train_cnn`, `train_svm` and `train_trees`;",
    "overhead is all other time divided by that of training. Most of the time of `ingest` is the simulation of",
    "artificial particles, which a run on real data does not need.",
    "",
]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="number of runs of `dvc repro` with nothing to do")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        whole = _repro(clone, "--force")
        idle = [_repro(clone) for _ in range(arguments.rounds)]
        params = clone / "params.yaml"
        params.write_text(re.sub(r"(?m)^model: \w+", f"model: {OTHER_MODEL}", params.read_text("utf-8")), "utf-8")
        changed = _repro(clone)
    if not whole.keys() >= set(TRAINING) or any(set(times) != {START} for times in idle):
        raise RuntimeError(f"a training stage did not run, or a stage ran with nothing to do: {whole}, {idle}")
    nothing = median(times[START] for times in idle)
    total, training = sum(whole.values()), sum(whole[stage] for stage in TRAINING)
    parts = [
        *NOTE,
        table(["step", "seconds", "share of training"], _shares(whole, training)),
        table(
            ["what", "measured"],
            [
                ["`dvc repro`, every stage", f"{total:.0f} s"],
                ["training", f"{training:.0f} s"],
                ["overhead", f"{(total - training) / training:.1%}"],
                ["overhead without `ingest`", f"{(total - training - whole[MADE_HERE]) / training:.1%}"],
                ["`dvc repro` with nothing to do, median", f"{nothing:.2f} s"],
                [f"`dvc repro` with `model: {OTHER_MODEL}`", f"{sum(changed.values()):.0f} s"],
                ["stages that ran then", ", ".join(stage for stage in changed if stage not in (START, END))],
            ],
        ),
    ]
    write_results("pipeline", "The whole pipeline", "pipeline", ["dvc", "tensorflow", "scikit-learn"], parts)


def _repro(folder: Path, *options: str) -> dict[str, float]:
    """Seconds of each stage in `dvc repro`, summed over problems, and of the time before the first and after the last.

    Raises:
        RuntimeError: `dvc repro` failed.
    """
    environment = project.environment(PYTHONUNBUFFERED="1")
    command = [sys.executable, "-m", "dvc", "repro", *options]
    seconds, step, since = dict[str, float](), START, time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        for name in _steps(process.stdout or []):
            now = time.perf_counter()
            seconds[step] = seconds.get(step, 0) + now - since
            step, since = name, now
    seconds[step] = seconds.get(step, 0) + time.perf_counter() - since
    if process.returncode:
        raise RuntimeError(f"dvc repro: failed with {process.returncode}")
    return seconds


def _steps(lines: Iterable[str]) -> Iterable[str]:
    """Names of the stages that dvc starts, without their problems, and ``END`` for its last message."""
    for line in lines:
        if found := re.match(r"Running stage '(\w+)", line):
            yield found[1]
        elif line.startswith(("To track the changes", "Use `dvc push`")):
            yield END


def _shares(seconds: dict[str, float], training: float) -> list[list[str]]:
    return [[step, f"{spent:.1f}", f"{spent / training:.1%}"] for step, spent in seconds.items()]


if __name__ == "__main__":
    main()
