"""Studies on real sets run in a copy with their settings, and share the trials of this project."""

from pathlib import Path

import pytest
import yaml

from benchmarks import real_studies
from benchmarks.measure import ROOT
from lipnet.core.settings import parse
from lipnet.sources.settings import SourceSettings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for this project, so that nothing is written into it."""
    monkeypatch.setattr(real_studies, "ROOT", tmp_path / "here")
    (tmp_path / "here" / "studies").mkdir(parents=True)
    settings = (ROOT / "studies" / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "here" / "studies" / "params.yaml").write_text(settings, encoding="utf-8")
    return tmp_path / "here"


def test_the_copy_reads_the_real_problems_and_remembers_trials_here(tmp_path: Path, here: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    real_studies.prepare(copy, tmp_path / "data", {"svm": ["liposomes"], "networks": ["em_vesicles", "liposomes"]})
    params, own = (yaml.safe_load((copy / name).read_text()) for name in ("params.yaml", "studies/params.yaml"))
    assert params["problems"] == ["liposomes", "em_vesicles"]
    assert own["studies"]["svm"]["problems"] == ["liposomes"]
    assert own["studies"]["networks"]["problems"] == ["em_vesicles", "liposomes"]
    assert own["run"] == ["svm", "networks"]  # also a study that this project itself does not run
    assert own["problems"] is None and not own["scales"][own["scale"]]["problems"]
    assert (params["source"]["kind"], params["source"]["folder"]) == ("table", str(tmp_path / "data"))
    assert parse(SourceSettings, params["source"], "source")
    (copy / "data" / "trials" / "x").write_text("kept")
    assert (here / "data" / "trials" / "x").read_text() == "kept"


def test_every_real_problem_gets_its_source_and_classes(tmp_path: Path, here: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    problems = [
        name
        for names in yaml.safe_load((ROOT / "studies" / "params.yaml").read_text())["real"].values()
        for name in names
    ]
    assert set(problems) == set(real_studies.PROBLEMS)
    real_studies.prepare(copy, tmp_path, {"input_modes": sorted(set(problems))})
    params = yaml.safe_load((copy / "params.yaml").read_text())
    assert set(params["problems"]) <= set(params["classes"])
    assert params["source"]["of"] == {"liposome_fields": {"kind": "micrographs"}}


def test_a_folder_without_a_set_is_named(tmp_path: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "em_vesicles").mkdir()
    with pytest.raises(SystemExit):
        real_studies.main([str(tmp_path), "--studies", "svm"])
    assert f"{tmp_path / 'liposomes'}: no such folder" in capsys.readouterr().err


def test_the_results_are_copied(tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("em_vesicles", "liposomes"):
        (tmp_path / "data" / name).mkdir(parents=True)
    ran = []

    def repro(copy: Path, *options: str) -> None:
        ran.append(options[-1])
        if "@" in options[-1]:
            results = copy / "studies" / "results" / options[-1].split("@")[1]
            results.mkdir(parents=True, exist_ok=True)
            (results / "report.md").write_text("real")

    monkeypatch.setattr(real_studies.project, "repro", repro)
    (here / "studies" / "real" / "svm").mkdir(parents=True)
    (here / "studies" / "real" / "svm" / "old.png").touch()
    real_studies.main([str(tmp_path / "data"), "--studies", "svm", "networks"])
    assert ran == ["ingest", "studies/dvc.yaml:study@svm", "studies/dvc.yaml:study@networks"]
    assert (here / "studies" / "real" / "svm" / "report.md").read_text() == "real"
    assert not (here / "studies" / "real" / "svm" / "old.png").exists()
