"""The report of a pull request: the changes between two commits of a small repository, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SCRIPT = Path(__file__).parents[1] / ".ci" / "pr_report.py"


def _git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def _write(folder: Path, f1: float, seed: int, recall: float | None) -> None:
    recall_of_full = {"mean": recall, "sd": 0.1}
    cnn = {
        "macro_f1": {"mean": f1, "sd": 0.05},
        "mcc": {"mean": 0.5, "sd": 0.01},
        "Full": {"tpr": recall_of_full},
    }
    (folder / "metrics" / "metrics.json").write_text(json.dumps({"encapsulation": {"cnn": cnn}}))
    (folder / "metrics" / "counts.json").write_text(json.dumps({"particles": seed * 100}))
    (folder / "params.yaml").write_text(f"seed: {seed}\nmodel: lipnet4\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two commits that differ in one score, one parameter, one count and two pictures."""
    folder = tmp_path_factory.mktemp("a project")
    (folder / "metrics").mkdir()
    _write(folder, 0.8, 1, 0.5)
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"metrics": ["metrics/metrics.json", "metrics/counts.json"]}))
    for name in ("kept.png", "gone.png", "changed.png"):
        (folder / name).write_bytes(name.encode())
    _git(folder, "init", "--quiet", "--initial-branch=main")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=folder, check=True)
    _git(folder, "add", "--all")
    _git(folder, "commit", "--message", "base")
    _git(folder, "tag", "base")
    _write(folder, 0.85, 2, None)
    (folder / "changed.png").write_bytes(b"other")
    (folder / "gone.png").unlink()
    _git(folder, "add", "--all")
    _git(folder, "commit", "--message", "change")
    return folder


def _report(folder: Path, base: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    command = [sys.executable, str(SCRIPT), base]
    return subprocess.run(command, cwd=folder, env={**kept, **environment}, capture_output=True, text=True, check=False)


def test_only_changes_are_reported(folder: Path) -> None:
    done = _report(folder, "base")
    assert done.returncode == 0, done.stderr
    assert "| encapsulation | cnn | macro_f1 | 0.8 | 0.85 | +0.0500 | +1.0 |" in done.stdout
    assert "| params.yaml | seed | 1 | 2 |" in done.stdout
    assert "| metrics/counts.json | particles | 100 | 200 |" in done.stdout
    assert "- [changed.png](changed.png)" in done.stdout
    for unchanged in ("mcc", "model", "kept.png", "gone.png"):
        assert unchanged not in done.stdout


def test_measures_of_a_class_are_in_a_folded_table_and_undefined_values_are_empty(folder: Path) -> None:
    whole, folded = _report(folder, "base").stdout.split("<details><summary>by class</summary>")
    assert "Full" not in whole
    assert "| encapsulation | cnn | Full tpr | 0.5 |  |  |  |" in folded


def test_against_itself_nothing_changed(folder: Path) -> None:
    report = _report(folder, "HEAD").stdout
    assert report.count("No change.") == 3
    assert "|" not in report


def test_pictures_are_linked_to_the_commit_on_the_server(folder: Path) -> None:
    place = {"GITHUB_SERVER_URL": "https://example.invalid", "GITHUB_REPOSITORY": "a/b", "GITHUB_SHA": "123"}
    assert "(https://example.invalid/a/b/blob/123/changed.png)" in _report(folder, "base", **place).stdout


def test_an_unknown_base_is_an_error_that_names_it(folder: Path) -> None:
    done = _report(folder, "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
