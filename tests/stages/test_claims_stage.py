"""The stage claims: it reads what studies wrote on all data sets."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lipnet.core import files
from stages import claims
from tests.stages.test_stages import make_params
from tests.studies.test_claims import BASE, NOISE, REPORTED, _claims, _study
from tests.studies.test_subsets import FIVE, _arms, _settings, _simulated
from tests.studies.test_verdicts import _study as settings_of_study


def _run(folder: Path, sets: dict[str, list[str]], study: dict[str, Any]) -> str:
    """The report of the stage on the results in a folder."""
    settings = _claims().model_dump() | {"sets": sets}
    (folder / "claims.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    (folder / "params.yaml").write_text(yaml.safe_dump({"studies": {"s": study}}))
    files.write_table(folder / "thesis.csv", REPORTED)
    names = {
        "claims": "claims.yaml",
        "settings": "params.yaml",
        "thesis": "thesis.csv",
        "table": "t.csv",
        "report": "r.md",
        "picture": "p.png",
    }
    paths = {"results": "results", "real": "real"} | names
    claims.main(make_params(), Namespace(**{key: folder / name for key, name in paths.items()}))
    return (folder / "r.md").read_text()


def test_the_report_says_what_ordered_subsets_show(tmp_path: Path) -> None:
    arms = _arms(FIVE, 60, 1)
    table = _simulated(arms, 0, {"rotation": 0.1, "shift before zoom": 0.1}).assign(problem="p")
    files.write_table(tmp_path / "results" / "s" / "per_fold.csv", table)
    row = settings_of_study(arms={}, subsets=_settings(FIVE), against="best").model_dump()
    report = _run(tmp_path, {"ours": ["p"]}, row)
    assert "### Things\n\nThe intervals (95 %, not corrected) cover the draw of the arms" in report
    assert "\n\np, 60 subsets, 3 folds:\n\n- rotation: helps" in report
    assert "- Does the order matter? Yes" in report


def test_the_claims_are_judged_on_the_results_of_both_folders(tmp_path: Path) -> None:
    arms = {"a": BASE, "b": BASE + 0.2 + NOISE}
    for folder, problem in (("results", "p"), ("real", "q")):
        files.write_table(tmp_path / folder / "s" / "per_fold.csv", _study(arms, problem).folds)
    report = _run(tmp_path, {"ours": ["p"], "theirs": ["q"], "later": ["r"]}, settings_of_study().model_dump())
    table = pd.read_csv(tmp_path / "t.csv")
    assert table[["set", "verdict"]].to_numpy().tolist() == [
        ["ours", "confirmed"],
        ["theirs", "confirmed"],
        ["later", "not run"],
    ]
    assert "B wins" in report
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
