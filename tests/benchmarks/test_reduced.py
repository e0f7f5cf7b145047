"""The committed hashes of the reduced run, and what it says of outputs that differ."""

from pathlib import Path

import pandas as pd
import yaml

from benchmarks import project
from benchmarks.measure import ROOT
from benchmarks.reduced import HASHES, KEY, SETTINGS, differing, outputs


def test_outputs_that_differ_or_are_missing_are_named(tmp_path: Path) -> None:
    stages = {"split@p": {"outs": [{"path": "a", "md5": "1"}, {"path": "b", "md5": "2"}]}, "compare": {}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    found = outputs(tmp_path)
    assert found.to_numpy().tolist() == [["split@p", "a", "1"], ["split@p", "b", "2"]]
    assert differing(found, found) == []
    assert differing(found, found.assign(md5=["1", "3"])) == ["split@p: b"]
    assert differing(found, found[:1]) == differing(found[:1], found) == ["split@p: b"]


def test_the_committed_hashes_name_every_output_of_the_graph() -> None:
    committed = pd.read_csv(HASHES)
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    expected = {
        (f"{name}@lamellarity" if "matrix" in stage else name, path.replace("${item.problem}", "lamellarity"))
        for name, stage in graph.items()
        if name != "share"  # no images are shared
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, [])
        for path in ([out] if isinstance(out, str) else out)
    }
    assert set(committed[KEY].itertuples(index=False, name=None)) == expected


def test_the_settings_exist_and_hold_the_libraries(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    project.edit(tmp_path, SETTINGS)
    assert yaml.safe_load((tmp_path / "params.yaml").read_text())["portable"] is True
