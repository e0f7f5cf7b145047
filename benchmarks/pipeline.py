"""The whole pipeline in a fresh clone: `dvc repro` beside its training, with nothing to do, and after a change.

    python -m benchmarks.pipeline [--rounds 5]

writes benchmarks/results/pipeline.md. The clone holds what is committed; every stage is made to run.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from benchmarks.measure import ROOT, table, write_results

TRAINING = ("train_cnn", "train_svm", "train_trees")  # score_inner trains nothing by default
MADE_HERE = "ingest"  # the default run makes its own particles
OTHER_MODEL = "lipnet1"
START, END = "start of dvc", "end of dvc"
NOTE = [
    "A stage's time runs from dvc's word that it starts to the next such word, so it includes dvc's hashing and saving",
    "of what the stage wrote. Training is all of the time of `train_cnn`, `train_svm` and `train_trees`; overhead is",
    "all other time over that of training. Making artificial particles, most of `ingest`, is spared to a run on one's",
    "own data.",
    "",
]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of `dvc repro` with nothing to do")
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
        raise RuntimeError(f"stages ran that should not, or did not that should: {whole}, {idle}")
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
                ["overhead but for `ingest`", f"{(total - training - whole[MADE_HERE]) / training:.1%}"],
                ["`dvc repro` with nothing to do, median", f"{nothing:.2f} s"],
                [f"`dvc repro` with `model: {OTHER_MODEL}`", f"{sum(changed.values()):.0f} s"],
                ["stages that ran then", ", ".join(stage for stage in changed if stage not in (START, END))],
            ],
        ),
    ]
    write_results("pipeline", "The whole pipeline", "pipeline", ["dvc", "tensorflow", "scikit-learn"], parts)


def _repro(folder: Path, *options: str) -> dict[str, float]:
    """Seconds of `dvc repro` by stage, a stage's problems together, and before the first and after the last one.

    Raises:
        RuntimeError: it failed.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where the stages find python
    environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
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
    """The stages that dvc says it starts, without their problems, and its last word."""
    for line in lines:
        if found := re.match(r"Running stage '(\w+)", line):
            yield found[1]
        elif line.startswith(("To track the changes", "Use `dvc push`")):
            yield END


def _shares(seconds: dict[str, float], training: float) -> list[list[str]]:
    return [[step, f"{spent:.1f}", f"{spent / training:.1%}"] for step, spent in seconds.items()]


if __name__ == "__main__":
    main()
