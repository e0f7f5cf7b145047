"""Shared by the checks of reproducibility: a copy of the project in another folder, and DVC in that copy."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import ROOT

Outputs = dict[str, dict[str, str]]  # stage -> path -> MD5


def copy(folder: Path, *ignored: str) -> None:
    """Copy the tracked files of the working tree, and some ignored ones, into a new git repository and commit them.

    Args:
        folder: the new repository.
        ignored: paths of files and folders that git ignores and that are copied too.
    """
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
    """Environment for commands in a copy, with the Python of this process first in PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, **changes}


def repro(folder: Path, *options: str, **changes: str) -> None:
    """Run `dvc repro` without the run cache; its output is not captured.

    Args:
        folder: the copy of the project.
        options: options of `dvc repro`.
        changes: changes of the environment.

    Raises:
        RuntimeError: `dvc repro` failed.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--no-run-cache", *options]
    done = subprocess.run(command, cwd=folder, env=environment(**changes), check=False)
    if done.returncode:
        raise RuntimeError(f"dvc repro: failed with {done.returncode}")


def change(params: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Change settings in place; the keys are dotted names, such as ``split.folds``.

    Raises:
        KeyError: a section does not exist.
    """
    for name, value in changes.items():
        *sections, key = name.split(".")
        section = params
        for one in sections:
            section = section[one]
        section[key] = value


def edit(folder: Path, changes: Mapping[str, Any]) -> None:
    """Change settings in params.yaml of a copy, as ``change`` does; its comments are lost."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(params, changes)
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def read_lock(path: Path) -> dict[str, Any]:
    """Stages of a dvc.lock."""
    stages: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    return stages


def cells(folder: Path) -> set[str]:
    """Names of all stages of the graph in a folder, with their problems or images, as dvc.lock names them."""
    graph, params = (
        yaml.safe_load((folder / name).read_text(encoding="utf-8")) for name in ("dvc.yaml", "params.yaml")
    )
    found = set()
    for name, stage in graph["stages"].items():
        lists = [params.get(reference.strip("${}"), []) for reference in stage.get("matrix", {}).values()]
        found |= {f"{name}@{item}" for items in lists for item in items} if lists else {name}
    return found


def hashes(stages: dict[str, Any], kind: str) -> Outputs:
    """MD5 of all ``outs`` or ``deps`` (``kind``) of each stage of a dvc.lock."""
    return {name: {item["path"]: item["md5"] for item in stage.get(kind, [])} for name, stage in stages.items()}
