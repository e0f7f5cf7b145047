"""The command line that all stages share."""

import argparse
import hashlib
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from lipnet.core import dvc_lock, lifeline, portable
from lipnet.core.errors import InputError, reason
from lipnet.core.recipes import with_recipe
from lipnet.core.settings import PARAMS, read_params

INTERRUPTED = 130  # exit code of a program ended by Ctrl-C, as in shells
PACKAGES = ("lipnet", "stages")  # the code that DVC records


class Version(NamedTuple):
    """A file of code at one moment; the MD5 is compared only if time or size differ."""

    time_ns: int
    size: int
    md5: str


def run(
    description: str | None,
    item: str | None,
    paths: Iterable[str],
    main: Callable[..., None],
    read: Callable[[Path], dict[str, Any]] = lambda path: with_recipe(read_params(path)),
) -> None:
    """Parse ``[ITEM] --path PATH ...``, call ``main(params, arguments)``, and turn input errors into one message.

    The stage ends when the `dvc` that called it ends. SIGINT and SIGTERM end it with a message and exit code 130. It
    fails if its code was edited meanwhile: DVC records the code as it is at the end, which is not the code that ran.

    Args:
        description: of the stage, for the help.
        item: what the first argument names, e.g. problem; None: there is no such argument.
        paths: names of the required options, each a path.
        main: the stage; called with the parameters and the parsed command line.
        read: reads the parameters from params.yaml.
    """
    parser = argparse.ArgumentParser(description=description)
    if item:
        parser.add_argument(item, help=f"name of the {item}, as in params.yaml")
    for name in paths:
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    where = f"{parser.prog} {getattr(arguments, item)}" if item else parser.prog
    lifeline.end_with_ancestors()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = code_versions()
        params = read(PARAMS)
        portable.check(params)
        if "DVC_STAGE" in os.environ:  # `dvc repro` deletes outputs first, so the other paths are inputs
            dvc_lock.check(path for path in vars(arguments).values() if isinstance(path, Path))
        main(params, arguments)
        check_code(code)
    except InputError as error:
        sys.exit(f"{where}: {error}")
    except OSError as error:
        sys.exit(f"{where}: {error}: {reason(error)}")
    except KeyboardInterrupt:
        print(f"{where}: stopped; `dvc repro` continues from there", file=sys.stderr)
        sys.exit(INTERRUPTED)


def code_versions() -> dict[Path, Version]:
    """All files of code of the project, as they are now."""
    folders = [Path(folder) for name in PACKAGES if name in sys.modules for folder in sys.modules[name].__path__]
    return {path: _version(path) for folder in folders for path in folder.rglob("*.py")}


def check_code(before: dict[Path, Version]) -> None:
    """Check that no module that this process has loaded has changed.

    Args:
        before: the files at the start of the process.

    Raises:
        InputError: a module has changed; the message names all of them.
    """
    loaded = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    changed = sorted(path.name for path in loaded & before.keys() if _has_changed(path, before[path]))
    if changed:
        raise InputError(f"{', '.join(changed)}: edited while the stage ran; run `dvc repro` again")


def _version(path: Path) -> Version:
    status, content = path.stat(), path.read_bytes()
    return Version(status.st_mtime_ns, status.st_size, hashlib.md5(content, usedforsecurity=False).hexdigest())


def _has_changed(path: Path, before: Version) -> bool:
    if not path.exists():
        return True
    status = path.stat()
    same = (status.st_mtime_ns, status.st_size) == (before.time_ns, before.size)
    return not same and _version(path).md5 != before.md5


def bar(items: Iterable[Any] | None, title: str, total: int | None = None) -> Any:
    """A progress bar on stderr; it appears only after two seconds."""
    return tqdm(items, desc=title, total=total, delay=2, mininterval=1, file=sys.stderr)
