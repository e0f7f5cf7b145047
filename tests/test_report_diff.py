"""make pr-report in a repository of its own: only what changed is shown, rounded, with links to pictures."""

import json
import subprocess
from pathlib import Path

import pytest

from lipnet import report_diff
from lipnet.errors import InputError

STAGE = "stages:\n  s:\n    cmd: 'true'\n    params: [seed, epochs]\n    metrics: [m.json: {cache: false}]\n"


def _git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    _git(tmp_path, "init", "-q")
    subprocess.run(["dvc", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(STAGE)
    (tmp_path / "params.yaml").write_text("seed: 1\nepochs: 3\n")
    (tmp_path / "m.json").write_text(json.dumps({"f1": 0.123456, "mcc": 0.5, "same": 0.25}))
    (tmp_path / "plots").mkdir()
    for name in ("kept.png", "old.png", "gone.png", "notes.csv"):
        (tmp_path / "plots" / name).write_text("x")
    _git(tmp_path, "add", "-A")
    _git(tmp_path, "commit", "-qm", "base")
    return tmp_path


def test_nothing_changed(repository: Path) -> None:
    text = report_diff.compare(repository, "HEAD")
    assert [line for line in text.splitlines() if line.startswith("No ")] == [
        "No metric changed.",
        "No parameter changed.",
        "No picture changed.",
    ]


def test_only_what_changed_is_shown(repository: Path) -> None:
    (repository / "m.json").write_text(json.dumps({"f1": 0.223456, "mcc": 0.5 + 1e-9, "same": 0.25}))
    (repository / "params.yaml").write_text("seed: 2\nepochs: 3\n")
    (repository / "plots/old.png").write_text("y")
    (repository / "plots/notes.csv").write_text("y")
    (repository / "plots/a new.png").write_text("y")
    (repository / "plots/gone.png").unlink()
    _git(repository, "add", "-A")
    text = report_diff.compare(repository, "HEAD")
    assert "| `m.json` | `f1` | 0.1235 | 0.2235 | +0.1 |" in text
    assert "| `params.yaml` | `seed` | `1` | `2` |" in text
    assert "- changed: [plots/old.png](plots/old.png)" in text
    assert "- new: [plots/a new.png](plots/a%20new.png)" in text
    assert "- gone: `plots/gone.png`" in text
    assert not any(word in text for word in ("mcc", "same", "epochs", "kept", "notes"))


def test_an_unknown_base_is_named(repository: Path) -> None:
    with pytest.raises(InputError, match="unknown revision; fetch it, or name another as BASE"):
        report_diff.compare(repository, "nope")
