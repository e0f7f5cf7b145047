"""The command line that all stages share."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lipnet.core import dvc_lock, lifeline
from lipnet.core.errors import InputError, reason
from lipnet.core.recipes import with_recipe
from lipnet.core.settings import read_params

PARAMS = Path("params.yaml")
INTERRUPTED = 130  # exit code of a program ended by Ctrl-C, as in shells


def run(
    description: str | None,
    item: str | None,
    paths: Iterable[str],
    main: Callable[..., None],
    read: Callable[[Path], dict[str, Any]] = lambda path: with_recipe(read_params(path)),
) -> None:
    """Parse ``[ITEM] --path PATH ...``, call ``main(params, arguments)``, and turn input errors into one message.

    The stage ends when the `dvc` that called it ends. SIGINT and SIGTERM end it with a message and exit code 130.

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
        params = read(PARAMS)
        if "DVC_STAGE" in os.environ:  # `dvc repro` deletes outputs first, so the other paths are inputs
            dvc_lock.check(path for path in vars(arguments).values() if isinstance(path, Path))
        main(params, arguments)
    except InputError as error:
        sys.exit(f"{where}: {error}")
    except OSError as error:
        sys.exit(f"{where}: {error}: {reason(error)}")
    except KeyboardInterrupt:
        print(f"{where}: stopped; `dvc repro` continues from there", file=sys.stderr)
        sys.exit(INTERRUPTED)


def bar(items: Iterable[Any] | None, title: str, total: int | None = None) -> Any:
    """A progress bar on stderr; it appears only after two seconds."""
    return tqdm(items, desc=title, total=total, delay=2, mininterval=1, file=sys.stderr)
