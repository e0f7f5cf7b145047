"""A copy of the project in another folder, and DVC there: what the checks of reproducibility share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import ROOT

Outputs = dict[str, dict[str, str]]  # stage -> path -> MD5


def copy(folder: Path, *ignored: str) -> None:
    """Copy the files that git tracks, as they are in the working tree, and these ignored ones; commit them there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for name in ignored:
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "copy"]):
        identity = ["-c", "user.name=copy", "-c", "user.email=copy@example.invalid"]
        subprocess.run(["git", *identity, *words], cwd=folder, check=True)


def environment(**changes: str) -> dict[str, str]:
    """Environment of commands in a copy: Python as here."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where the stages find python
    return {**os.environ, "PATH": path, **changes}


def repro(folder: Path, *options: str, **changes: str) -> None:
    """`dvc repro`, never from the run cache; what it says passes through.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--no-run-cache", *options]
    done = subprocess.run(command, cwd=folder, env=environment(**changes), check=False)
    if done.returncode:
        raise RuntimeError(f"dvc repro: failed with {done.returncode}")


def read_lock(path: Path) -> dict[str, Any]:
    """Stages of a dvc.lock."""
    stages: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    return stages


def hashes(stages: dict[str, Any], kind: str) -> Outputs:
    """MD5 of every ``outs`` or ``deps`` of every stage of a dvc.lock."""
    return {name: {item["path"]: item["md5"] for item in stage.get(kind, [])} for name, stage in stages.items()}
