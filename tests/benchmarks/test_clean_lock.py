"""dvc.lock keeps stages of problems that are no longer used; clean_lock removes them and changes no other line."""

import shutil
from pathlib import Path

import yaml

from benchmarks import project
from benchmarks.clean_lock import clean

ROOT = Path(__file__).parents[2]


def make(folder: Path, problems: list[str]) -> Path:
    for name in ("dvc.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(yaml.safe_dump({"problems": problems}))
    return folder


def test_the_cells_of_the_graph_are_its_stages_with_their_problems(tmp_path: Path) -> None:
    cells = project.cells(make(tmp_path, ["one", "two"]))
    assert {"check", "ingest@one", "ingest@two", "compare"} <= cells
    assert "ingest" not in cells and "compare@one" not in cells


def test_stages_of_a_problem_that_is_gone_are_removed_and_no_other_line_changes(tmp_path: Path) -> None:
    folder = make(tmp_path, ["encapsulation"])
    before = (folder / "dvc.lock").read_text(encoding="utf-8")
    removed = clean(folder)
    assert "ingest@lamellarity" in removed and all(name.endswith("@lamellarity") for name in removed)
    after = (folder / "dvc.lock").read_text(encoding="utf-8")
    kept, skip = [], False
    for line in before.splitlines():
        if line.startswith("  ") and line[2] != " ":
            skip = line.strip().rstrip(":") in removed
        if not skip:
            kept.append(line)
    assert after.splitlines() == kept
    assert list(project.read_lock(folder / "dvc.lock"))  # still a lock file


def test_a_lock_without_such_stages_keeps_its_bytes(tmp_path: Path) -> None:
    folder = make(tmp_path, ["lamellarity", "encapsulation"])
    assert clean(folder) == []
    assert (folder / "dvc.lock").read_bytes() == (ROOT / "dvc.lock").read_bytes()
