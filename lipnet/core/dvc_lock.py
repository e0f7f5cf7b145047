"""What dvc.lock says of the files that stages wrote, and whether they still are those files.

DVC trusts its cache: it puts a damaged object back into the data folder and calls it up to date, and it does not see a
change that leaves size and time of a file as they were. So stages look at the content of what they read.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lipnet.core.errors import InputError

try:  # libyaml's parser, where PyYAML has it: five times as fast, and every stage waits for it
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

LOCK = Path("dvc.lock")
FOLDER = ".dir"  # ends the hash of a folder


def read_outs(lock: Path) -> dict[str, str]:
    """MD5 of every output of every stage, by its path; none where there is no lock file.

    Raises:
        InputError: the lock file is damaged.
    """
    if not lock.exists():
        return {}
    try:
        stages = yaml.load(lock.read_text(encoding="utf-8"), Loader=SafeLoader)["stages"].values()
        return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise InputError(f"{lock}: damaged ({error}); restore it from git") from None


def check(inputs: Iterable[Path], lock: Path = LOCK) -> None:
    """Compare the content of files and folders with what the lock file says of them, or of what lies in them.

    Args:
        inputs: what is to be read; what the lock file does not know, or what is not there, is passed over.
        lock: the lock file; its paths are relative to its folder.

    Raises:
        InputError: a file is not the one that its stage wrote.
    """
    wanted = [path.absolute() for path in inputs]
    for name, md5 in read_outs(lock).items():
        path = (lock.parent / name).absolute()
        if path.exists() and any(path.is_relative_to(one) for one in wanted) and digest(path) != md5:
            raise InputError(
                f"{path}: not what its stage wrote; it was changed by hand, or is damaged. Delete it, and the copy "
                f"in DVC's cache, .dvc/cache/files/md5/{md5[:2]}/{md5[2:]} unless you moved it; then run `dvc repro`"
            )


def digest(path: Path) -> str:
    """MD5 of a file or of a folder, as DVC writes them into its lock file."""
    if not path.is_dir():
        return _md5(path)
    found = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    listed: list[dict[str, Any]] = [{"md5": _md5(file), "relpath": name} for name, file in found]
    return hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest() + FOLDER


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
