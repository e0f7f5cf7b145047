"""The stage claims: it reads what studies wrote on all data sets."""

from argparse import Namespace
from pathlib import Path

import pandas as pd
import yaml

from lipnet.core import files
from stages import claims
from tests.stages.test_stages import make_params
from tests.studies.test_claims import BASE, NOISE, REPORTED, _claims, _study
from tests.studies.test_verdicts import _study as settings_of_study


def test_the_claims_are_judged_on_the_results_of_both_folders(tmp_path: Path) -> None:
    arms = {"a": BASE, "b": BASE + 0.2 + NOISE}
    for folder, problem in (("results", "p"), ("real", "q")):
        files.write_table(tmp_path / folder / "s" / "per_fold.csv", _study(arms, problem).folds)
    settings = _claims().model_dump() | {"sets": {"ours": ["p"], "theirs": ["q"], "later": ["r"]}}
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"studies": {"s": settings_of_study().model_dump()}}))
    files.write_table(tmp_path / "thesis.csv", REPORTED)
    paths = {name: tmp_path / name for name in ("results", "real")}
    names = {
        "claims": "claims.yaml",
        "settings": "params.yaml",
        "thesis": "thesis.csv",
        "table": "t.csv",
        "report": "r.md",
    }
    claims.main(make_params(), Namespace(**paths, **{key: tmp_path / name for key, name in names.items()}))
    table = pd.read_csv(tmp_path / "t.csv")
    assert table[["set", "verdict"]].to_numpy().tolist() == [
        ["ours", "confirmed"],
        ["theirs", "confirmed"],
        ["later", "not run"],
    ]
    assert "B wins" in (tmp_path / "r.md").read_text()
