"""Markdown report of a pull request: metrics, parameters and pictures that differ from a base revision.

    python .ci/pr_report.py BASE        (make pr-report BASE=origin/main)

Means are shown with their change in units of the standard deviation over folds, largest changes first. Unchanged values
are omitted.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

SCORES = "metrics/metrics.json"
MOST = 25  # maximum number of rows of a table; further rows are in a folded table
Diff = dict[str, dict[str, Any]]  # key -> {"old": ..., "new": ...}


class Moved(NamedTuple):
    """Change of the mean over folds of one measure. ``spread``: standard deviation over folds here, None if unknown."""

    problem: str
    classifier: str
    measure: str
    old: float | None
    new: float | None
    spread: float | None

    @property
    def change(self) -> float:
        """New minus old; infinite if one of them is undefined."""
        return float("inf") if self.old is None or self.new is None else self.new - self.old

    def cells(self) -> list[str]:
        """Cells of a row of the table."""
        known = self.spread and self.change != float("inf")
        return [
            *(self.problem, self.classifier, self.measure, show(self.old), show(self.new)),
            f"{self.change:+.4f}" if self.change != float("inf") else "",
            f"{self.change / self.spread:+.1f}" if known and self.spread else "",
        ]


def main() -> None:
    """Print the report; exit code 1 with the message of dvc or git if the base is unknown."""
    if len(sys.argv) != 2:
        sys.exit("usage: python .ci/pr_report.py BASE, a revision, e.g. origin/main")
    base = sys.argv[1]
    metrics, params = _dvc("metrics", base), _dvc("params", base)
    print("\n".join(report(base, metrics, params, _pictures(base))))


def report(base: str, metrics: dict[str, Diff], params: dict[str, Diff], pictures: list[str]) -> Iterator[str]:
    """The lines of the report.

    Args:
        base: name of the base revision.
        metrics: file -> changed metrics, as `dvc metrics diff` reports them.
        params: file -> changed parameters, as `dvc params diff` reports them.
        pictures: paths of the pictures that changed.
    """
    moved = sorted(moves(metrics.get(SCORES, {})), key=_order)
    whole = [one for one in moved if " " not in one.measure]
    names = ["problem", "classifier", "measure", "base", "here", "change", "in spreads over folds"]
    yield f"## What differs from `{base}`"
    yield from ["", "### Parameters", ""]
    yield from table(["file", "parameter", "base", "here"], _rows(params))
    yield from ["", "### Scores", ""]
    yield from table(names, [one.cells() for one in whole[:MOST]])
    yield from _folded(f"{len(whole) - MOST} smaller changes", names, whole[MOST:])
    yield from _folded("by class", names, [one for one in moved if " " in one.measure])
    others = _rows({path: diff for path, diff in metrics.items() if path != SCORES})
    if others:
        yield from ["", "### Other metrics", ""]
        yield from table(["file", "metric", "base", "here"], others)
    yield from ["", "### Pictures", ""]
    yield from [f"- [{path}]({_link(path)})" for path in pictures] or ["No change."]


def _order(moved: Moved) -> tuple[Any, ...]:
    """Key to sort by: largest changes first, new and removed measures last."""
    new = moved.change == float("inf")
    return (new, 0 if new else -abs(moved.change), moved.problem, moved.classifier, moved.measure)


def moves(diff: Diff) -> Iterator[Moved]:
    """All means that changed, with their present standard deviation over folds."""
    for key, value in diff.items():
        if key.endswith(".mean"):
            problem, classifier, *measure = key.removesuffix(".mean").split(".")
            spread = _spreads().get(key.removesuffix(".mean"))
            yield Moved(problem, classifier, " ".join(measure), value.get("old"), value.get("new"), spread)


def _spreads() -> dict[str, float]:
    def leaves(values: dict[str, Any], name: str) -> Iterator[tuple[str, float]]:
        for key, value in values.items():
            if "mean" in value:
                yield f"{name}{key}", value["sd"]
            else:
                yield from leaves(value, f"{name}{key}.")

    return dict(leaves(json.loads(Path(SCORES).read_text(encoding="utf-8")), ""))


def _rows(files: dict[str, Diff]) -> list[list[str]]:
    changes = [(path, key, value) for path, diff in sorted(files.items()) for key, value in sorted(diff.items())]
    return [[path, key, show(value.get("old")), show(value.get("new"))] for path, key, value in changes]


def show(value: Any) -> str:
    """Text of a cell: numbers with four significant digits, empty for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")


def table(names: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Lines of a Markdown table, or the line `No change.` if there are no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}", *lines] if lines else ["No change."]


def _folded(title: str, names: list[str], moved: list[Moved]) -> list[str]:
    if not moved:
        return []
    return ["", f"<details><summary>{title}</summary>", "", *table(names, [one.cells() for one in moved]), "</details>"]


def _link(path: str) -> str:
    if "GITHUB_SHA" not in os.environ:
        return path
    return "/".join(os.environ[f"GITHUB_{name}"] for name in ("SERVER_URL", "REPOSITORY")) + (
        f"/blob/{os.environ['GITHUB_SHA']}/{path}"
    )


def _pictures(base: str) -> list[str]:
    return _run("git", "diff", "--name-only", "--diff-filter=d", base, "--", "*.png", "*.svg").splitlines()


def _dvc(what: str, base: str) -> dict[str, Diff]:
    found: dict[str, Diff] = json.loads(_run(sys.executable, "-m", "dvc", what, "diff", "--json", base) or "{}")
    return found


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
