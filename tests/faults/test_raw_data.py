"""Raw data under DVC as data/raw/README.md advises: pushed, cloned, pulled, reproduced, tried elsewhere, and linked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
STAGES = ("check", "ingest", "split")
RAW = "data/raw/mine"
N = 8
OUTPUTS = ("data/particles/mine.csv", "data/particles/mine.npz", "data/folds/mine.csv")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"LIPNET_WORKERS": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "test", f"GIT_{role}_EMAIL": "test@example.invalid"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def succeed(folder: Path, *words: str) -> str:
    done = run(folder, *words)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def commit(folder: Path) -> None:
    succeed(folder, "git", "add", "-A")
    succeed(folder, "git", "commit", "--quiet", "-m", "a change")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first stages of the project with a table of its user, after ``dvc add`` and ``dvc repro``, committed."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("lipnet", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".dvc").mkdir()
    for name in (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(ROOT / name, folder / name)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {name: stages[name] for name in STAGES}}))
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params |= {"problems": ["mine"], "classes": {"mine": ["A", "B"]}, "split": params["split"] | {"folds": 2}}
    params["source"] |= {"kind": "table"}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True))
    raw = folder / RAW
    raw.mkdir(parents=True)
    for number in range(N):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 24)).astype(np.uint8)
        Image.fromarray(pixels).save(raw / f"{number}.png")
    rows = [f"{number},{number}.png,{'AB'[number % 2]}" for number in range(N)]
    (raw / "particles.csv").write_text("\n".join(["id,image,class", *rows]) + "\n")
    succeed(folder, "git", "init", "--quiet")
    succeed(folder, "dvc", "add", RAW)
    succeed(folder, "dvc", "repro")
    commit(folder)
    return folder


@pytest.fixture(scope="module")
def clone(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of a colleague: cloned with git, and its data pulled from a folder."""
    succeed(project, "dvc", "remote", "add", "--default", "store", str(tmp_path_factory.mktemp("store")))
    commit(project)
    succeed(project, "dvc", "push")
    folder = tmp_path_factory.mktemp("colleague") / "clone"
    succeed(project, "git", "clone", "--quiet", str(project), str(folder))
    succeed(folder, "dvc", "pull")
    return folder


def test_git_tracks_the_pointer_to_the_raw_data_and_not_the_data(project: Path) -> None:
    tracked = succeed(project, "git", "ls-files", "data").split()
    assert f"{RAW}.dvc" in tracked
    assert not [name for name in tracked if name.startswith((f"{RAW}/", "data/particles"))]


def test_a_clone_pulls_the_raw_data_and_the_results_and_runs_nothing(project: Path, clone: Path) -> None:
    for path in (project / RAW).iterdir():
        assert (clone / RAW / path.name).read_bytes() == path.read_bytes()
    assert "Running stage" not in succeed(clone, "dvc", "repro")


def test_a_clone_reproduces_every_output_from_the_raw_data(project: Path, clone: Path) -> None:
    for name in OUTPUTS:
        (clone / name).unlink()
    assert "Running stage 'ingest@mine'" in succeed(clone, "dvc", "repro", "--force")
    for name in OUTPUTS:
        assert (clone / name).read_bytes() == (project / name).read_bytes()
    assert succeed(clone, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize("link", ["copy", "symlink"])
def test_an_experiment_in_another_folder_finds_the_raw_data_also_as_links(clone: Path, link: str) -> None:
    succeed(clone, "dvc", "config", "--local", "cache.type", link)
    succeed(clone, "dvc", "checkout", "--relink", f"{RAW}.dvc")
    assert (clone / RAW / "0.png").is_symlink() == (link == "symlink")
    output = succeed(clone, "dvc", "exp", "run", "--temp", "-S", f"features.radial_bins={len(link) + 20}")
    assert f"mine: {N} particles (A 4, B 4)" in output
    succeed(clone, "dvc", "repro", "--force", "--single-item", "ingest")
    assert "\n".join((clone / "metrics/ingest/mine/rejected.csv").read_text().splitlines()[1:]) == ""


def test_links_into_a_cache_elsewhere_are_refused_with_commands_that_cure_it(clone: Path, tmp_path: Path) -> None:
    succeed(clone, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    succeed(clone, "dvc", "config", "--local", "cache.type", "symlink")
    shutil.copytree(clone / ".dvc/cache", tmp_path / "cache")
    succeed(clone, "dvc", "checkout", "--relink", f"{RAW}.dvc")
    done = run(clone, "dvc", "repro", "--force", "--single-item", "ingest")
    assert done.returncode != 0
    assert "8 of 8 rows rejected" in done.stderr
    assert "`dvc config cache.type reflink,copy` and `dvc checkout --relink FOLDER.dvc`" in done.stderr
    succeed(clone, "dvc", "config", "--local", "cache.type", "reflink,copy")
    succeed(clone, "dvc", "checkout", "--relink", f"{RAW}.dvc")
    assert f"mine: {N} particles" in succeed(clone, "dvc", "repro", "--force", "--single-item", "ingest")
