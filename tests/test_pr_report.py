"""The report of a pull request: an answer, at most ten tested rows, and what differs between two commits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.two_runs import BASE, NOISE, results, write

SCRIPT = Path(__file__).parents[1] / ".ci" / "pr_report.py"
PROBLEMS = ("encapsulation", "lamellarity")
BETTER = {("encapsulation", "cnn", "macro_f1"): BASE + 0.05 + NOISE}


def _git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two commits that differ in one measure, in parameters and in two pictures."""
    folder = tmp_path_factory.mktemp("a project")
    write(folder, results("base", {}, PROBLEMS, seed=1))
    for name in ("kept.png", "gone.png", "changed.png"):
        (folder / name).write_bytes(name.encode())
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--message", "base")
    _git(folder, "tag", "base")
    networks = {f"mine{number}": {"size_px": number} for number in range(40)}
    write(folder, results("here", BETTER, PROBLEMS, seed=2, networks=networks))
    (folder / "changed.png").write_bytes(b"other")
    (folder / "gone.png").unlink()
    _git(folder, "add", "--all")
    _git(folder, "commit", "--message", "change")
    return folder


def _report(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, cwd=folder, env={**kept, **environment}, capture_output=True, text=True, check=False)


def test_the_first_line_is_the_answer_and_the_table_has_at_most_ten_rows(folder: Path) -> None:
    done = _report(folder, "base")
    assert done.returncode == 0, done.stderr
    first, rest = done.stdout.split("\n", 1)
    assert first.startswith(
        "**this branch is better than base: encapsulation, macro F1 of cnn +0.050 (95% interval +0.0"
    )
    rows = [line for line in rest.split("###")[0].splitlines() if line.startswith("|")][2:]
    assert len(rows) == 10
    assert rows[0].startswith("| ▲ | encapsulation | cnn | macro F1 | 0.800 ± 0.016 | 0.850 ± 0.016 | +0.050 |")
    assert rows[0].endswith("| better |") and all(row.endswith("| unchanged |") for row in rows[1:])
    assert "Changes that exceed their standard deviation over folds: 1 of 1." in rest


def test_only_what_differs_is_listed_and_long_lists_are_folded(folder: Path) -> None:
    report = _report(folder, "base").stdout
    assert "| params.yaml | seed | 1 | 2 |" in report
    assert "- [changed.png](changed.png)" in report
    for unchanged in ("| model |", "kept.png", "gone.png"):
        assert unchanged not in report
    shown, folded = report.split("<details><summary>")
    assert folded.count("| params.yaml |") > 20 and shown.split("### Parameters")[1].count("| params.yaml |") == 25
    assert (
        "more parameters</summary>\n\n| file | parameter | base | this branch |\n|---|---|---|---|\n| params" in folded
    )


def test_against_itself_nothing_changed(folder: Path) -> None:
    report = _report(folder, "HEAD").stdout
    assert report.startswith("**this branch and HEAD have the same scores in every fold.**\n")
    assert report.count("No change.") == 2 and "exceed" not in report and "<details>" not in report


def test_pictures_are_linked_to_the_commit_on_the_server(folder: Path) -> None:
    place = {"GITHUB_SERVER_URL": "https://example.invalid", "GITHUB_REPOSITORY": "a/b", "GITHUB_SHA": "123"}
    assert "(https://example.invalid/a/b/blob/123/changed.png)" in _report(folder, "base", **place).stdout


def test_an_unknown_base_is_an_error_that_names_it(folder: Path) -> None:
    done = _report(folder, "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert "usage: " in _report(folder).stderr
