"""Studies choose by their own ``portable`` whether the numerical libraries are held to the kernels of AVX2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lipnet.studies import kernels
from tests.test_graph import ROOT


@pytest.mark.parametrize(
    ("of_pipeline", "of_studies", "held"),
    [
        ("true", "portable: false", False),
        ("true", "portable: true", True),
        ("false", "portable: true", True),
        ("true", "portable: [", True),
        ("true", None, True),
        ("false", None, False),
    ],
)
def test_a_study_is_held_if_its_own_settings_say_so(
    tmp_path: Path, of_pipeline: str, of_studies: str | None, held: bool
) -> None:
    (tmp_path / "params.yaml").write_text(f"portable: {of_pipeline}")
    (tmp_path / "studies").mkdir()
    if of_studies:
        (tmp_path / "studies" / "params.yaml").write_text(of_studies)
    code = "import stages.study, os; from lipnet.core.portable import is_held; print(is_held())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(held), done.stderr


def test_numpy_is_loaded_after_the_choice() -> None:
    text = (ROOT / "stages" / "study.py").read_text()
    before = text[: text.index("kernels.choose()")]
    code = f"{before}\nimport sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_parameters_say_what_the_studies_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("portable: true\nseed: 3")
    assert kernels.read(Path("params.yaml")) == {"portable": True, "seed": 3}
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "params.yaml").write_text("portable: false")
    assert kernels.read(Path("params.yaml")) == {"portable": False, "seed": 3}
