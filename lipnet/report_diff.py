"""What a reviewer of a pull request needs, as Markdown: metrics and parameters that changed, and links to new pictures.

    python -m lipnet.report_diff BASE

compares the working tree with revision BASE, by `dvc metrics diff`, `dvc params diff` and `git diff`.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lipnet.errors import InputError

PICTURES = ("plots", "studies/figures")
DIGITS = 4


def main() -> None:
    """Print the comparison with the revision that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m lipnet.report_diff BASE")
    try:
        print(compare(Path(), sys.argv[1]))
    except InputError as error:
        sys.exit(f"pr-report: {error}")


def compare(folder: Path, base: str) -> str:
    """The comparison of the working tree in ``folder`` with revision ``base``.

    Raises:
        InputError: the revision is unknown, or dvc cannot read one of the two.
    """
    _run(folder, "git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    metrics = _changes(folder, "metrics", base)
    params = _changes(folder, "params", base)
    listed = _run(folder, "git", "diff", "--name-status", "--no-renames", "-z", base, "--", *PICTURES)
    parts = [
        f"## Against {_code(base)}",
        "### Metrics",
        _table(["file", "metric", "before", "now", "change"], map(_metric_row, metrics)) or "No metric changed.",
        "### Parameters",
        _table(["file", "parameter", "before", "now"], map(_param_row, params)) or "No parameter changed.",
        "### Pictures",
        _pictures(listed.split("\0")) or "No picture changed.",
    ]
    return "\n\n".join(parts)


def _run(folder: Path, *command: str) -> str:
    """Standard output of a command."""
    if command[0] == "dvc":
        command = (sys.executable, "-m", *command)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["unknown revision; fetch it, or name another as BASE"]
        raise InputError(f"{' '.join(command[-5:])}: {said[-1]}")
    return done.stdout


def _changes(folder: Path, kind: str, base: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    """File, dotted name, and old and new value of all that changed, as it is shown."""
    found = json.loads(_run(folder, "dvc", kind, "diff", "--json", base) or "{}")
    rows = [(file, name, values) for file, of_file in found.items() for name, values in of_file.items()]
    return [row for row in rows if _shown(row[2].get("old")) != _shown(row[2].get("new"))]


def _metric_row(change: tuple[str, str, Mapping[str, Any]]) -> list[str]:
    file, name, values = change
    diff = values.get("diff")
    return [_code(file), _code(name), _shown(values.get("old")), _shown(values.get("new")), _signed(diff)]


def _param_row(change: tuple[str, str, Mapping[str, Any]]) -> list[str]:
    file, name, values = change
    return [_code(file), _code(name), _code(_shown(values.get("old"))), _code(_shown(values.get("new")))]


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def _signed(diff: Any) -> str:
    return f"{diff:+.{DIGITS}g}" if isinstance(diff, int | float) else "-"


def _code(text: str) -> str:
    # As code, a name can be neither Markdown nor HTML nor mention anybody; a bar would end the cell.
    return "`" + text.replace("`", "'").replace("|", "/").replace("\n", " ") + "`"


def _table(names: Sequence[str], rows: Iterable[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(names)} |", f"|{'---|' * len(names)}", *lines]) if lines else ""


def _pictures(listed: Sequence[str]) -> str:
    """A line for each picture of `git diff --name-status -z`, whose fields are state, path, state, path ..."""
    words = {"A": "new", "M": "changed", "D": "gone"}
    pairs = zip(listed[::2], listed[1::2], strict=False)
    named = [(words.get(state, "changed"), path) for state, path in pairs if path.endswith((".png", ".svg"))]
    return "\n".join(
        f"- {word}: {_code(path)}" if word == "gone" else f"- {word}: [{path}]({quote(path)})" for word, path in named
    )


if __name__ == "__main__":
    main()
