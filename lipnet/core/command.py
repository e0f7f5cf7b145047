"""What every stage's command line shares."""

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
INTERRUPTED = 130  # what shells call a program that Ctrl-C ended


def run(
    description: str | None,
    item: str | None,
    paths: Iterable[str],
    main: Callable[..., None],
    read: Callable[[Path], dict[str, Any]] = lambda path: with_recipe(read_params(path)),
) -> None:
    """Parse ``[ITEM] --path PATH ...``, call ``main(params, arguments)``, and turn input errors into one message.

    The stage ends with the `dvc` that called it. SIGINT and SIGTERM end it with a message and exit code 130.
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
        if "DVC_STAGE" in os.environ:  # under `dvc repro`, which has deleted this stage's own outputs
            dvc_lock.check(path for path in vars(arguments).values() if isinstance(path, Path))
        main(params, arguments)
    except InputError as error:
        sys.exit(f"{where}: {error}")
    except OSError as error:
        sys.exit(f"{where}: {error}: {reason(error)}")
    except KeyboardInterrupt:
        print(f"{where}: stopped; `dvc repro` goes on where it stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)


def bar(items: Iterable[Any] | None, title: str, total: int | None = None) -> Any:
    """A progress bar on stderr that stays away for what takes less than two seconds."""
    return tqdm(items, desc=title, total=total, delay=2, mininterval=1, file=sys.stderr)
