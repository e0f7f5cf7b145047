"""Kill a run at random moments, resume it, and compare every byte with a run that was not killed.

    python -m benchmarks.kills [--kills 50] [--seed 1]

writes benchmarks/results/kills.md. In a copy of the project with small settings, the outputs of one stage are deleted.
`dvc repro` is started, and signal 9 is sent to `dvc`, to the process of the stage, or to one of its workers. Then no
process of the run may remain, and the next `dvc repro` must end with the same dvc.lock and with files that agree with
it.
"""

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import yaml
from tqdm import tqdm

from benchmarks import project
from benchmarks.measure import table, write_results

PROBLEM = "lamellarity"
FOLDS, EPOCHS = 3, 10
SETTINGS = {
    "problems": [PROBLEM],
    "source.artificial.n_particles": 400,
    "split.folds": FOLDS,
    "train_svm.calibration_folds": 2,
    "train_cnn.epochs.choose": "fixed",
    "train_cnn.epochs.fixed": EPOCHS,
}
STAGES = {f"ingest@{PROBLEM}": 1, f"train_cnn@{PROBLEM}": 3, "evaluate": 1}  # stage -> share of the kills
VICTIMS = ("dvc", "stage", "worker")
MARK = "LIPNET_KILLED_RUN"  # environment variable of every process of a run
EPOCHS_OF_RUN = FOLDS * EPOCHS
COLUMNS = ["stage", "killed", "times", "identical", "processes left", f"epochs of {EPOCHS_OF_RUN} each found done"]
ENDS_S = 10  # time limit in which all processes must end


class Outcome(NamedTuple):
    """Result of one kill.

    Attributes:
        stage: the stage that ran.
        victim: the kind of process that was killed.
        orphans: number of processes of the run that remained.
        identical: whether the next run ended with the same bytes.
        epochs: number of epochs, over all folds, that the next run did not have to train again.
    """

    stage: str
    victim: str
    orphans: int
    identical: bool
    epochs: int


def main() -> None:
    """Kill, compare and write the table; exit code 1 if a process remained or a byte differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    stages = [stage for stage, share in STAGES.items() for _ in range(share)]
    with tempfile.TemporaryDirectory() as name:
        folder, pristine = Path(name) / "run", Path(name) / "pristine"
        _prepare(folder)
        shutil.copytree(folder, pristine, symlinks=True)
        seconds = {stage: _seconds(folder, stage) for stage in STAGES}
        outcomes = []
        for number in tqdm(range(arguments.kills), "kills"):
            stage = stages[number % len(stages)]
            outcomes.append(_kill(folder, pristine, stage, rng.choice(VICTIMS), rng.uniform(0, seconds[stage])))
            tqdm.write(str(outcomes[-1]), file=sys.stderr)
    _report(outcomes, seconds, arguments)
    if any(outcome.orphans or not outcome.identical for outcome in outcomes):
        sys.exit("kills: processes remained, or results differ; see benchmarks/results/kills.md")


def _prepare(folder: Path) -> None:
    project.copy(folder)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    project.change(params, SETTINGS)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    project.repro(folder)


def _undo(folder: Path, stage: str) -> None:
    """Delete the outputs of a stage, and its entry in dvc.lock; the outputs of all other stages stay."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))
    for out in lock["stages"].pop(stage)["outs"]:
        path = folder / out["path"]
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False), encoding="utf-8")


def _seconds(folder: Path, stage: str) -> float:
    _undo(folder, stage)
    start = time.perf_counter()
    project.repro(folder, stage)
    return time.perf_counter() - start


def _kill(folder: Path, pristine: Path, stage: str, victim: str, after_s: float) -> Outcome:
    shutil.rmtree(folder)
    shutil.copytree(pristine, folder, symlinks=True)
    _undo(folder, stage)
    mark = str(time.monotonic_ns())
    command = [sys.executable, "-m", "dvc", "repro", "--no-run-cache", stage]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=project.environment(**{MARK: mark}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(after_s)
        killed, which = _victim(process.pid, mark, victim)
        if killed:
            killed.kill()
        process.wait()
    orphans = _left(mark)
    command = [sys.executable, "-m", "dvc", "repro", "--no-run-cache"]
    again = subprocess.run(command, cwd=folder, env=project.environment(), capture_output=True, text=True, check=False)
    same = again.returncode == 0 and _outputs(folder) == _outputs(pristine) and _clean(folder)
    if not same:
        tqdm.write(again.stdout + again.stderr, file=sys.stderr)
    trained = len(re.findall(r"epoch \d+/", again.stderr))
    return Outcome(stage, which, orphans, same, EPOCHS_OF_RUN - trained if "train_cnn" in stage else 0)


def _victim(dvc: int, mark: str, wanted: str) -> tuple[psutil.Process | None, str]:
    """The process to kill, and its kind.

    If there is no worker at this moment, the stage is killed; if there is no stage, dvc is killed.
    """
    others = [process for process in _marked(mark) if process.pid != dvc]
    stages = [process for process in others if _parent(process) == dvc]
    workers = [process for process in others if any(_parent(process) == stage.pid for stage in stages)]
    workers = [process for process in workers if "resource_tracker" not in " ".join(_command(process))]
    for name, candidates in (("worker", workers), ("stage", stages)):
        if wanted == name and candidates:
            return candidates[-1], name
        if wanted == name:
            wanted = "stage" if name == "worker" else "dvc"
    return (psutil.Process(dvc), "dvc") if psutil.pid_exists(dvc) else (None, "none, the run had ended")


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:
            continue


def _left(mark: str) -> int:
    until = time.monotonic() + ENDS_S
    while (left := list(_marked(mark))) and time.monotonic() < until:
        time.sleep(0.1)
    for process in left:
        process.kill()
    return len(left)


def _outputs(folder: Path) -> project.Outputs:
    return project.hashes(project.read_lock(folder / "dvc.lock"), "outs")


def _clean(folder: Path) -> bool:
    """Whether the files agree with dvc.lock, and there are no partly written files."""
    command = [sys.executable, "-m", "dvc", "status", "--quiet", "dvc.yaml"]
    status = subprocess.run(command, cwd=folder, env=project.environment(), check=False)
    return status.returncode == 0 and not list(folder.glob("[!.]*/**/*.part"))


def _report(outcomes: list[Outcome], seconds: dict[str, float], arguments: argparse.Namespace) -> None:
    groups = Counter((outcome.stage, outcome.victim) for outcome in outcomes)
    rows = []
    for stage, victim in sorted(groups):
        group = [outcome for outcome in outcomes if (outcome.stage, outcome.victim) == (stage, victim)]
        identical, orphans = sum(one.identical for one in group), sum(one.orphans for one in group)
        rows.append(
            [stage, victim, f"{len(group)}", f"{identical}", f"{orphans}", f"{sum(one.epochs for one in group)}"]
        )
    identical, orphans = sum(one.identical for one in outcomes), sum(one.orphans for one in outcomes)
    spans = ", ".join(f"{stage} {spent:.0f} s" for stage, spent in seconds.items())
    parts = [
        f"{identical} of {len(outcomes)} runs ended with the same bytes as a run that was not killed;",
        f"{orphans} processes remained.",
        f"Killed at a random moment of `dvc repro STAGE` (undisturbed: {spans}), {FOLDS} folds, {EPOCHS} epochs.",
        "",
        table(COLUMNS, rows),
    ]
    options = f"kills --kills {arguments.kills} --seed {arguments.seed}"
    write_results("kills", "Killed at random moments", options, ["dvc", "tensorflow"], parts)


if __name__ == "__main__":
    main()
