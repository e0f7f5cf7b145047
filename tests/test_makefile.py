"""`make repro LOCK=requirements-gpu.lock` trains on a GPU if one is found, and says what it does."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCK = "requirements-gpu.lock"
PARAMS = (ROOT / "params.yaml").read_text().replace("\n  engine: vectorised", "\n  engine: processes ")
DVC = 'echo "backend: $KERAS_BACKEND"; grep "^  engine:" params.yaml\n'


def _command(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}")
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the Makefile and the settings, with all packages installed, and a command dvc that shows both."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", LOCK, "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    _command(tmp_path / ".venv" / "bin" / "dvc", DVC)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "thesis_table.py").touch()  # `make studies` ends with it
    for name in (LOCK, "requirements.lock"):
        (tmp_path / ".venv" / f"{name}.installed").touch()
    return tmp_path


def _make(project: Path, *arguments: str, smi: str = "exit 9", **variables: str) -> str:
    """Output of make on a machine whose nvidia-smi does this."""
    _command(project / "elsewhere" / "nvidia-smi", smi)
    inherited = {name: value for name, value in os.environ.items() if name not in {"KERAS_BACKEND", "MAKEFLAGS"}}
    environment = inherited | {"PATH": f"{project / 'elsewhere'}:{os.environ['PATH']}"} | variables
    command = ["make", *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def _engine(output: str) -> str:
    [line] = [line for line in output.splitlines() if line.startswith("  engine:")]
    return line.split()[1]


@pytest.mark.parametrize("target", ["repro", "studies"])
def test_with_a_gpu_all_folds_are_trained_on_it_by_jax_and_params_yaml_says_so(project: Path, target: str) -> None:
    output = _make(project, target, f"LOCK={LOCK}", smi="echo GPU 0")
    assert "backend: jax\n" in output and _engine(output) == "vectorised"
    assert "A GPU was found" in output and "export KERAS_BACKEND=jax" in output
    after = (project / "params.yaml").read_text()
    assert after == PARAMS.replace("\n  engine: processes ", "\n  engine: vectorised") != PARAMS


def test_a_setting_that_the_user_changes_back_stays(project: Path) -> None:
    _make(project, "repro", f"LOCK={LOCK}", smi="echo GPU 0")
    (project / "params.yaml").write_text(PARAMS)
    output = _make(project, "repro", f"LOCK={LOCK}", smi="echo GPU 0")
    assert "backend: jax\n" in output and _engine(output) == "processes"
    assert "A GPU was found" not in output


@pytest.mark.parametrize("smi", ["echo Failed to initialize NVML; exit 9", "exit 127"])
def test_without_a_gpu_it_says_so_and_trains_as_always(project: Path, smi: str) -> None:
    output = _make(project, "repro", f"LOCK={LOCK}", smi=smi)
    assert "no GPU" in output and "backend: \n" in output and _engine(output) == "processes"
    assert (project / "params.yaml").read_text() == PARAMS


def test_the_packages_for_processors_never_look_for_a_gpu_nor_does_who_asks_for_another_backend(project: Path) -> None:
    found = {"smi": "touch asked; echo GPU 0"}
    assert "backend: \n" in _make(project, "repro", **found)
    assert not (project / "asked").exists()
    output = _make(project, "repro", f"LOCK={LOCK}", KERAS_BACKEND="tensorflow", **found)
    assert "backend: tensorflow\n" in output and _engine(output) == "processes"
    _make(project, "--dry-run", "test", f"LOCK={LOCK}", **found)
    assert (project / "params.yaml").read_text() == PARAMS


def test_the_lock_for_a_gpu_holds_jax_and_tensorflow_on_one_cuda_stack_and_is_else_the_other_lock() -> None:
    locks = [
        {line.split(" ")[0] for line in (ROOT / name).read_text().splitlines() if "==" in line}
        for name in ("requirements.lock", LOCK)
    ]
    only_gpu = locks[1] - locks[0]
    names = {line.split("==")[0] for line in only_gpu}
    assert {"jax[cuda12]", "tensorflow[and-cuda]", "jax-cuda12-plugin[with-cuda]", "nvidia-cudnn-cu12"} <= names
    assert not any("cu13" in name or "cuda13" in name for name in names)
    assert {line.replace("[cuda12]", "").replace("[and-cuda]", "") for line in only_gpu} >= locks[0] - locks[1]
