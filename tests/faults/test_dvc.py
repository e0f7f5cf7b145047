"""DVC with a small graph of one real stage: damaged files, interruption, parallel runs, clocks, unusual paths."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
CLASSES = ["Größe", "Ü b"]
FOLDS, COUNTS, TABLE = "data/folds/mine.csv", "metrics/folds/mine.csv", "data/particles/mine.csv"
NOWHERE = "/proc/nonexistent"


def dvc(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Without a home folder and a locale. With PYTHONUTF8=0 as well, DVC itself fails in folders with such names.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    plain = {"PATH": path, "HOME": NOWHERE, "LC_ALL": "C"}
    return subprocess.run(
        ["dvc", *words], cwd=folder, env={**plain, **environment}, capture_output=True, encoding="utf-8", check=False
    )


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that ran once, with two stages: split, and a stage that copies the folds."""
    folder = tmp_path_factory.mktemp("ä b")
    for name in ("lipnet", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
    (folder / ".dvc/config").write_text((folder / ".dvc/config").read_text() + "    no_scm = true\n")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params |= {"figures": 0, "problems": ["mine"], "classes": {"mine": CLASSES}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    split = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["split"]
    reader = (
        "import stages; from lipnet.core.command import run; "  # stages, for portable: true
        "run(None, None, ['folds', 'copy'], lambda p, a: a.copy.write_bytes(a.folds.read_bytes() + b'#'))"
    )
    again = {
        "cmd": f'python -c "{reader}" --folds {FOLDS} --copy copy.csv',
        "deps": [FOLDS],
        "params": ["figures"],
        "outs": ["copy.csv"],
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"split": split, "again": again}}))
    (folder / TABLE).parent.mkdir(parents=True)
    rows = range(40)
    table = {"id": [f"é {row}" for row in rows], "label": [CLASSES[row % 2] for row in rows]}
    pd.DataFrame(table | {"group": [f"g{row // 2}" for row in rows]}).to_csv(folder / TABLE, index=False)
    done = dvc(folder, "repro")
    assert ran(done) == ["split@mine", "again"]
    assert "Größe" in (folder / COUNTS).read_text(encoding="utf-8")
    assert not done.stderr.strip()
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "ä b", symlinks=True))


def _object(project: Path, name: str) -> Path:
    stages = yaml.safe_load((project / "dvc.lock").read_text())["stages"].values()
    md5 = next(out["md5"] for stage in stages for out in stage["outs"] if out["path"] == name)
    return project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def _change(project: Path, **values: object) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    (project / "params.yaml").write_text(yaml.safe_dump(params | values, allow_unicode=True), encoding="utf-8")


def test_a_damaged_object_in_the_cache_is_refused_and_the_remedy_in_the_message_works(project: Path) -> None:
    cached, folds = _object(project, FOLDS), project / FOLDS
    good = folds.read_bytes()
    cached.chmod(0o644)
    cached.write_bytes(good[:-20] + b"x" * 20)
    cached.chmod(0o444)
    folds.unlink()
    _change(project, figures=1)  # now the second stage reads the file that DVC restores from the cache
    done = dvc(project, "repro")
    assert done.returncode != 0
    assert f"{FOLDS}: not what its stage wrote" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "copy.csv").exists()
    folds.unlink()
    cached.unlink()
    assert ran(dvc(project, "repro")) == ["split@mine", "again"]
    assert folds.read_bytes() == good
    assert (project / "copy.csv").read_bytes() == good + b"#"


def test_a_truncated_output_is_found_and_restored(project: Path) -> None:
    good = (project / FOLDS).read_bytes()
    (project / FOLDS).write_bytes(good[:100])
    assert dvc(project, "repro").returncode == 0
    assert (project / FOLDS).read_bytes() == good


def test_a_stage_interrupted_between_two_outputs_runs_again(project: Path) -> None:
    good = {name: (project / name).read_bytes() for name in (FOLDS, COUNTS)}
    _change(project, seed=99)
    shutil.rmtree(project / "metrics")
    (project / "metrics").write_text("in the way of the second output")
    assert dvc(project, "repro", "--force", "split@mine").returncode != 0
    (project / "metrics").unlink()
    assert ran(dvc(project, "repro")) == ["split@mine", "again"]
    assert (project / FOLDS).read_bytes() != good[FOLDS]
    assert (project / COUNTS).exists()


def test_of_two_parallel_runs_each_ends_with_a_message_or_the_same_results(project: Path) -> None:
    _change(project, seed=7)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    runs = [
        subprocess.Popen(
            ["dvc", "repro"], cwd=project, env={"PATH": path, "HOME": NOWHERE}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    outputs = [run.communicate() for run in runs]
    for run, (_, errors) in zip(runs, outputs, strict=True):
        assert run.returncode == 0 or "is busy" in errors or "lock" in errors
        assert "Traceback" not in errors
    assert ran(dvc(project, "repro")) == [] or any(run.returncode for run in runs)
    assert (project / "copy.csv").read_bytes() == (project / FOLDS).read_bytes() + b"#"


def test_a_change_is_found_with_any_modification_time(project: Path) -> None:
    for when in (time.time() + 10**8, 10**9):
        table = project / TABLE
        table.write_text(table.read_text(encoding="utf-8").replace("é 1,", f"é{int(when)},"), encoding="utf-8")
        os.utime(table, (when, when))
        assert ran(dvc(project, "repro"))[:1] == ["split@mine"]
        _ = table.write_text(table.read_text(encoding="utf-8").replace(f"é{int(when)},", "é 1,"), encoding="utf-8")
        os.utime(table, (when, when))
        dvc(project, "repro")
