"""Hashes of stage outputs in dvc.lock, and a check that inputs still have them.

DVC trusts its cache: it restores a damaged object to the data folder and reports it as up to date. It also misses
changes that keep size and modification time of a file. Therefore stages check the content of their inputs.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lipnet.core.errors import InputError

try:  # libyaml's parser if PyYAML has it: five times as fast, and every stage reads dvc.lock
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

LOCK = Path("dvc.lock")
PARAMS = "params.yaml"
FOLDER = ".dir"  # suffix of the hash of a folder
IGNORED = "__pycache__"  # folders that .dvcignore names


class StageRecord(NamedTuple):
    """What the lock file says of the last run of a stage.

    Attributes:
        deps: path -> MD5 of each dependency; the path is relative to the folder of the lock file.
        outs: path -> MD5 of each output.
        params: dotted key of params.yaml -> value.
    """

    deps: dict[str, str]
    outs: dict[str, str]
    params: dict[str, Any]


def read_stages(lock: Path) -> dict[str, StageRecord]:
    """The record of every stage, by its name; empty if there is no lock file.

    Raises:
        InputError: the lock file is damaged.
    """
    if not lock.exists():
        return {}
    try:
        stages = yaml.load(lock.read_text(encoding="utf-8"), Loader=SafeLoader)["stages"].items()
        return {
            name: StageRecord(_hashes(stage, "deps"), _hashes(stage, "outs"), stage.get("params", {}).get(PARAMS, {}))
            for name, stage in stages
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise InputError(f"{lock}: damaged ({error}); restore it from git") from None


def _hashes(stage: dict[str, Any], kind: str) -> dict[str, str]:
    return {item["path"]: item["md5"] for item in stage.get(kind, [])}


def read_outs(lock: Path) -> dict[str, str]:
    """MD5 of every output of every stage, by path; as ``read_stages``."""
    return {path: md5 for stage in read_stages(lock).values() for path, md5 in stage.outs.items()}


def check(inputs: Iterable[Path], lock: Path = LOCK) -> None:
    """Compare the content of files and folders, and of outputs inside these folders, with the lock file.

    Args:
        inputs: files and folders; paths that are missing or not in the lock file are not checked.
        lock: the lock file; its paths are relative to its folder.

    Raises:
        InputError: the content of a file is not what its stage wrote.
    """
    wanted = [path.absolute() for path in inputs]
    for name, md5 in read_outs(lock).items():
        path = (lock.parent / name).absolute()
        if path.exists() and any(path.is_relative_to(one) for one in wanted) and md5_of(path) != md5:
            raise InputError(
                f"{path}: not what its stage wrote; it was changed by hand, or is damaged. Delete it, and the copy "
                f"in DVC's cache (by default .dvc/cache/files/md5/{md5[:2]}/{md5[2:]}); then run `dvc repro`"
            )


def md5_of(path: Path) -> str:
    """MD5 of a file or of a folder, computed as DVC does for its lock file."""
    if not path.is_dir():
        return _md5_of_file(path)
    files = (file for file in path.rglob("*") if file.is_file() and IGNORED not in file.parts)
    found = sorted((file.relative_to(path).as_posix(), file) for file in files)
    listed: list[dict[str, Any]] = [{"md5": _md5_of_file(file), "relpath": name} for name, file in found]
    return hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest() + FOLDER


def md5_of_text(text: str) -> str:
    """MD5 of a file that holds this text in UTF-8."""
    return hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()


def _md5_of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
