"""Markdown report of a pull request: whether it is better than a base revision, and what else differs.

    python .ci/pr_report.py BASE        (make pr-report BASE=origin/main)

The first sentence is the answer. The table has at most ten rows, each tested on the same folds
(``lipnet.deployment.compare_runs``).
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from lipnet.core.errors import InputError
from lipnet.deployment.compare_runs import RunComparison, compare, params_to_markdown, to_markdown
from lipnet.deployment.revisions import Revision, find_revision, read_results

HERE = "this branch"
MOST = 25  # maximum number of lines of a list; further lines are in a folded list


def main() -> None:
    """Print the report; exit code 1 with a message if the base is unknown."""
    if len(sys.argv) != 2:
        sys.exit("usage: python .ci/pr_report.py BASE, a revision, e.g. origin/main")
    base = sys.argv[1]
    try:
        found = find_revision(base, Path())
        comparison = compare(read_results(found), read_results(Revision(HERE, Path())))
    except InputError as error:
        sys.exit(str(error))
    print("\n".join(report(comparison, _pictures(found.commit or base))))


def report(comparison: RunComparison, pictures: Sequence[str]) -> Iterator[str]:
    """The lines of the report.

    Args:
        comparison: of the base with this branch.
        pictures: paths of the pictures that changed.
    """
    yield from to_markdown(comparison)
    heading, params = params_to_markdown(comparison)
    yield from ["", "### Parameters", "", *(heading if params else ["No change."]), *params[:MOST]]
    yield from _folded(f"{len(params) - MOST} more parameters", heading, params[MOST:])
    links = [f"- [{path}]({_link(path)})" for path in pictures]
    yield from ["", "### Pictures", "", *(links[:MOST] or ["No change."])]
    yield from _folded(f"{len(links) - MOST} more pictures", [], links[MOST:])


def _folded(title: str, heading: Sequence[str], lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    return ["", f"<details><summary>{title}</summary>", "", *heading, *lines, "", "</details>"]


def _link(path: str) -> str:
    if "GITHUB_SHA" not in os.environ:
        return path
    return "/".join(os.environ[f"GITHUB_{name}"] for name in ("SERVER_URL", "REPOSITORY")) + (
        f"/blob/{os.environ['GITHUB_SHA']}/{path}"
    )


def _pictures(base: str) -> list[str]:
    command = ["git", "diff", "--name-only", "--diff-filter=d", base, "--", "*.png", "*.svg"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.splitlines()


if __name__ == "__main__":
    main()
