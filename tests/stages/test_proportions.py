"""The stage that measures class shares: its tables, records and pictures, and folds that lack a class."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lipnet.core import files
from lipnet.evaluation.proportions import records
from stages import proportions
from tests.stages.test_stages import make_params

N = 200
PATHS = ("predictions", "decisions", "particles", "corrections", "metrics", "table", "pictures")
SMALL = {"sizes": [20], "samples": 2, "replicates": 20, "confidence": 0.9, "headline": ["absent", "b"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Predictions of two classifiers; problem rare has its second class in one fold only."""
    monkeypatch.setenv("LIPNET_WORKERS", "1")
    for problem in ("common", "rare"):
        fold = np.arange(N) % 4
        true = np.arange(N) // 4 % 2 if problem == "common" else (fold == 0).astype(int)
        for number, name in enumerate(("predictions/{}/a", "decisions/{}/b")):
            score = np.random.default_rng(number).normal(2.0 * true - 1, 1.0)
            p = (1 / (1 + np.exp(-2 * score))).round(6)
            rows = {"id": [f"p{i}" for i in range(N)], "repeat": 0, "fold": fold, "label": np.array(["X", "Y"])[true]}
            rows |= {"predicted": np.where(p > 0.5, "Y", "X"), "p_X": 1 - p, "p_Y": p}
            files.write_table(tmp_path / f"{name.format(problem)}.csv", pd.DataFrame(rows))
        groups = pd.DataFrame({"id": [f"p{i}" for i in range(N)], "group": np.arange(N) // 10})
        files.write_table(tmp_path / f"particles/{problem}.csv", groups)
    return tmp_path


def _run(folder: Path, *problems: str) -> None:
    proportions.main(
        make_params(problems=list(problems)) | {"proportions": SMALL},
        Namespace(**{name: folder / name for name in PATHS}),
    )


def test_every_problem_gets_errors_corrections_and_a_picture(folder: Path) -> None:
    _run(folder, "common")
    table = files.read_table(folder / "table")
    assert set(table["classifier"]) == {"a", "b"} and set(table["class"]) == {"all", "X", "Y"}
    assert set(table["shares"]) == {"uniform", "natural"} and (table["n_samples"] == 4 * 2).all()
    found = records.read(folder / "corrections/common.json")
    assert list(found) == ["a", "b"] and (found["a"].correction.widening >= 1).all()
    assert len(files.read_table(folder / "corrections/common.csv")) == 2 * 4 * 2 * 2 * 2
    assert set(json.loads((folder / "metrics").read_text())["common"]) == {"proportion_error", "proportion_coverage"}
    assert (folder / "pictures/common.png").is_file()


def test_a_problem_whose_folds_lack_a_class_still_gets_its_corrections(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(folder, "rare")
    assert "rare: no two folds have all classes" in capsys.readouterr().out
    assert list(records.read(folder / "corrections/rare.json")) == ["a", "b"]
    assert json.loads((folder / "metrics").read_text()) == {}
    assert not (folder / "pictures/rare.png").exists()


def test_the_same_seed_gives_the_same_files(folder: Path) -> None:
    written = []
    for _ in range(2):
        _run(folder, "common")
        written.append([path.read_bytes() for path in sorted((folder / "corrections").iterdir())])
    assert written[0] == written[1]
