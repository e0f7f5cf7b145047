"""Runs by name: a folder, a git revision or a DVC experiment, and the results that two of them are compared by."""

import hashlib
import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lipnet.core.errors import InputError

TRAINING = ("train_cnn", "train_svm", "train_trees")
PARAMS = ("params.yaml", "studies/params.yaml")
PICTURES = ("plots/evaluation", "plots/comparison")
OF_FOLDS = {"problem": str, "classifier": str, "class": str, "measure": str}  # text columns of metrics/per_fold.csv


@dataclass(frozen=True)
class Revision:
    """Where the files of a run are.

    Attributes:
        name: what the user calls it.
        root: the folder that holds params.yaml.
        commit: git commit that holds the files; None: they are in the folder.
    """

    name: str
    root: Path
    commit: str | None = None

    def read(self, path: str) -> bytes | None:
        """Content of a file; None if there is none."""
        if self.commit is not None:
            return git(self.root, "show", f"{self.commit}:./{path}")
        file = self.root / path
        return file.read_bytes() if file.is_file() else None

    def pictures(self) -> dict[str, bytes]:
        """The pictures of the stages evaluate and compare, by path."""
        if self.commit is None:
            paths = (path for name in PICTURES for path in (self.root / name).glob("*"))
            found = [path.relative_to(self.root).as_posix() for path in paths]
        else:
            listed = git(self.root, "ls-tree", "-r", "-z", "--name-only", self.commit, *PICTURES) or b""
            found = listed.decode().split("\0")
        return {path: self.read(path) or b"" for path in sorted(found) if path.endswith(".png")}


@dataclass(frozen=True)
class RunResults:
    """The results of a run for a comparison with another run.

    Attributes:
        name: what the user calls the run.
        params: files of parameters, by name, without recipes applied.
        folds: metrics/per_fold.csv.
        md5: of the outputs of all stages, by path.
        stale: settings, and modules of the training, that changed after the run.
    """

    name: str
    params: dict[str, dict[str, Any]]
    folds: pd.DataFrame
    md5: dict[str, str]
    stale: Sequence[str] = ()


def find_revision(name: str, root: Path) -> Revision:
    """Find a run by the name of its folder, of a git revision, or of a DVC experiment.

    Args:
        name: a folder is one that holds params.yaml.
        root: folder in the git repository of revisions and experiments.

    Raises:
        InputError: there is no such run, or several experiments have this name.
    """
    if (Path(name) / "params.yaml").is_file():
        return Revision(name, Path(name))
    commit = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    refs = (git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or b"").decode().splitlines()
    # An experiment is refs/exps/AB/CDEF.../NAME, where ABCDEF... is the commit that it started from.
    split = [ref.split("/") for ref in refs]
    experiments = {parts[0].split()[0] for parts in split if len(parts) == 5 and parts[-1] == name}
    if commit is None and len(experiments) != 1:
        what = "several experiments have this name" if experiments else "no such folder, git revision or experiment"
        raise InputError(f"{name}: {what}; `git log` and `dvc exp list --all-commits` list what there is")
    return Revision(name, root, commit.decode().strip() if commit is not None else experiments.pop())


def read_results(revision: Revision) -> RunResults:
    """Read the results of a run for a comparison.

    Raises:
        InputError: a file is missing or damaged; the message names the run and the file.
    """
    folds = _content(revision, "metrics/per_fold.csv")
    try:
        types = {**OF_FOLDS, "value": float}
        table = pd.read_csv(io.BytesIO(folds), dtype=types, keep_default_na=False, na_values={"value": [""]})
        params = {name: yaml.safe_load(revision.read(name) or b"{}") for name in PARAMS}
        stages = (yaml.safe_load(revision.read("dvc.lock") or b"") or {"stages": {}})["stages"]
        md5 = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
        stale = _stale(revision, params["params.yaml"], stages)
    except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"{revision.name}: its results are damaged ({error}); run `dvc repro`") from None
    missing = [name for name in (*OF_FOLDS, "repeat", "fold", "n_train", "n_test", "value") if name not in table]
    if missing:
        raise InputError(f"{revision.name}: metrics/per_fold.csv: column {missing[0]} is missing; run `dvc repro`")
    return RunResults(revision.name, params, table, md5, stale)


def _stale(revision: Revision, params: dict[str, Any], stages: dict[str, Any]) -> list[str]:
    """What differs between the record of the run in dvc.lock, and the settings and modules of the revision."""
    found = dict[str, None]()
    for name, stage in stages.items():
        recorded = (stage.get("params") or {}).get("params.yaml", {}) if name != "check" else {}  # it reads everything
        for key, value in recorded.items():
            changed = differing_keys(value, value_at(params, key), key)
            found |= dict.fromkeys(f"params.yaml: {one}" for one in changed)
        modules = stage.get("deps", []) if name.split("@")[0] in TRAINING else []
        for path, md5 in ((item["path"], item["md5"]) for item in modules if item["path"].endswith(".py")):
            if hashlib.md5(revision.read(path) or b"", usedforsecurity=False).hexdigest() != md5:
                found[path] = None
    return list(found)


def value_at(params: dict[str, Any], dotted: str) -> Any:
    """The value of a dotted key; None if there is none."""
    value: Any = params
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def differing_keys(before: Any, now: Any, key: str) -> list[str]:
    """Dotted keys of the values that differ; ``key`` is that of both."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [] if before == now else [key]
    names = list(dict.fromkeys([*before, *now]))
    return [one for name in names for one in differing_keys(before.get(name), now.get(name), f"{key}.{name}")]


def _content(revision: Revision, path: str) -> bytes:
    content = revision.read(path)
    if content is None:
        raise InputError(f"{revision.name}: {path}: no such file; run `dvc repro` there, and commit its results")
    return content


def git(root: Path, *words: str) -> bytes | None:
    """Output of a git command; None if it fails: no git here, no repository, or nothing of that name."""
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
