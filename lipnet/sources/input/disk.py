"""Files of the user on the disk: found under any spelling of their names; links only into the cache of DVC."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from lipnet.sources.input.spelling import file_key

_DVC_OBJECT = re.compile(r"files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")


def entries(folder: Path) -> Mapping[str, list[str]]:
    """Names in a folder by their ``file_key``; empty if there is no such folder."""
    try:
        return _entries(folder, folder.stat().st_mtime_ns)
    except (OSError, ValueError):
        return {}


@lru_cache(maxsize=256)  # every row would otherwise cost a listing of its folder
def _entries(folder: Path, changed_ns: int) -> dict[str, list[str]]:  # noqa: ARG001
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        found.setdefault(file_key(path.name), []).append(path.name)
    return found


def spellings(folder: Path, name: str) -> list[str]:
    """The entries of a folder that a name can mean: the one of just this name, or else all of the same ``file_key``.

    On disks that ignore capitals, too, the result is the name as the disk lists it, so that a file has only one.
    """
    found = entries(folder).get(file_key(name), [])
    return [name] if name in found or (not found and os.path.lexists(folder / name)) else found


def listed_as(folder: Path, name: str) -> Path:
    """Path of a table whose name is fixed; if there is none, of the one file whose name differs in capitals only."""
    names = [one for same in entries(folder).values() for one in same if one.lower() == name.lower()]
    return folder / (names[0] if len(names) == 1 and not (folder / name).exists() else name)


def in_dvc_cache(link: Path, folder: Path) -> bool:
    """Whether a link of a data folder leads to a file in the DVC cache of a repository that contains the folder.

    DVC makes such links with ``cache.type symlink``. The user trusts this cache; all else may come from a stranger.
    """
    target = Path(os.path.realpath(link))
    caches = (parent / ".dvc/cache" for parent in folder.absolute().parents)
    return target.is_file() and any(
        target.is_relative_to(os.path.realpath(cache)) for cache in caches if cache.is_dir()
    )


def advice_on_link(link: Path) -> str:
    """What to do about a link that is not followed."""
    if _DVC_OBJECT.search(Path(os.path.realpath(link)).as_posix()):
        return (
            "it leads to a DVC cache outside this repository; run `dvc config cache.type reflink,copy` and "
            "`dvc checkout --relink FOLDER.dvc`"
        )
    return "copy the file"
