"""A whole study on a tiny problem: its outputs, its resume after a kill, and what bad settings are told."""

import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmarks import pack_trials
from lipnet.classifiers import registry
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.studies import arms
from stages import balance, crop, decide, ingest, score_inner, split, study, train_svm
from tests.stages.test_stages import ROOT, make_params, run

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
STUDY = {
    "title": "Two networks and an SVM",
    "thesis": "section 9",
    "problems": ["lamellarity"],
    "settings": {"crop.mode": "cropped"},
    "against": "cnn",
    "judged": "macro_f1",
    "shown": ["macro_f1", "dead_filters"],
    "of_class": "f1",
    "figure": "bars",
    "confusion": True,
    "arms": {"cnn": {}, "no augmentation": {"augment.transforms": []}, "svm": {"classifier": "svm"}},
}
THESIS = "study,problem,arm,actual,predicted,quantity,value,source\ns,lamellarity,cnn,Uncertain,,f1,0.2169,Figure 18\n"
TRIALS = 6  # three arms, two folds


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the particles of a tiny problem, params of the pipeline and one study."""
    folder = tmp_path_factory.mktemp("studies")
    params = make_params()
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    names = ["table", "rejected", "duplicates", "counts", "pictures", "folder"]
    store, table = folder / "particles" / "lamellarity.npz", folder / "particles" / "lamellarity.csv"
    paths = {name: folder / "ingest" / name for name in names} | {"store": store, "table": table}
    ingest.main(params, Namespace(problem="lamellarity", **paths))
    (folder / "thesis.csv").write_text(THESIS)
    write(folder, STUDY)
    return folder


def write(folder: Path, settings: dict[str, Any], **changes: Any) -> None:
    own = {
        "portable": False,
        "scale": "small",
        "problems": None,
        "of_problems": {},
        "scales": {"small": {"settings": {"train_cnn.batch_size": 16}, "subsets": 2}},
        "studies": {"s": settings},
    }
    (folder / "studies.yaml").write_text(yaml.safe_dump(own | changes, sort_keys=False))


def arguments(folder: Path, memory: str, results: str) -> dict[str, Path]:
    names = {"settings": "studies.yaml", "thesis": "thesis.csv", "particles": "particles", "pack": "studies/trials.zip"}
    return {name: folder / path for name, path in {**names, "trials": memory, "results": results}.items()}


def run_here(folder: Path, results: str) -> Path:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    study.main(params, Namespace(study="s", **arguments(folder, "memory", results)))
    return folder / results


def start(folder: Path, memory: str, results: str) -> subprocess.Popen[str]:
    words = [word for name, path in arguments(folder, memory, results).items() for word in (f"--{name}", str(path))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LIPNET_WORKERS": "1"}
    command = [sys.executable, "-m", "stages.study", "s", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, start_new_session=True)


def kept(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npz")}


def test_a_study_killed_half_way_trains_nothing_twice_and_ends_the_same(project: Path) -> None:
    with start(project, "killed", "after_kill") as process:
        while len(kept(project / "killed")) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    before = kept(project / "killed")
    assert 2 <= len(before) < TRIALS
    assert not (project / "after_kill").exists()
    with start(project, "killed", "after_kill") as process:
        assert process.wait() == 0
    after = kept(project / "killed")
    assert len(after) == TRIALS
    assert {name: after[name] for name in before} == before
    with start(project, "whole", "uninterrupted") as process:
        assert process.wait() == 0
    assert set(kept(project / "whole")) == set(after)
    for name in ("metrics.json", "per_fold.csv", "report.md", "lamellarity.png"):
        assert (project / "after_kill" / name).read_bytes() == (project / "uninterrupted" / name).read_bytes()


def test_the_outputs_of_a_study(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPNET_WORKERS", "1")
    results = run_here(project, "results")
    summary = json.loads((results / "metrics.json").read_text())
    assert list(summary["lamellarity"]) == list(STUDY["arms"])
    assert set(summary["lamellarity"]["svm"]["macro_f1"]) == {"mean", "sd"}
    assert summary["lamellarity"]["cnn"]["dead_filters"]["mean"] >= 0
    folds = files.read_table(results / "per_fold.csv")
    assert set(folds["fold"]) == {0, 1}
    dead = folds[folds["measure"] == "dead_filters"]
    assert dead.groupby("arm")["value"].count().to_dict() == {
        "cnn": 2,
        "no augmentation": 2,
        "svm": 0,
    }  # it has no filters
    named = pd.read_csv(results / "trials.csv", dtype=str)
    assert {f"{key}.npz" for key in named["key"]} == set(kept(project / "memory"))
    assert named["arm"].tolist() == [arm for arm in STUDY["arms"] for _ in range(2)]
    assert named["classifier"].tolist() == ["cnn"] * 4 + ["svm"] * 2
    assert set(named["training"]) == {"0"} and set(named["repeat"]) == {"0"} and set(named["fold"]) == {"0", "1"}
    report = (results / "report.md").read_text()
    assert report.startswith("# Two networks and an SVM\n\nThesis: section 9. Scale `small`")
    assert "(0.22)" in report and "- svm against cnn: " in report
    assert {path.name for path in results.glob("*.png")} == {"lamellarity.png", "lamellarity_confusion.png"}


def test_another_machine_that_has_the_pack_trains_nothing_and_writes_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPNET_WORKERS", "1")
    arms_of_svms = {name: {"classifier": name} for name in ("svm", "size_only")}
    write(project, STUDY | {"arms": arms_of_svms, "against": "svm", "shown": ["macro_f1"]})
    params = yaml.safe_load((project / "params.yaml").read_text())
    try:
        here = arguments(project, "data/trials", "studies/results/s")
        study.main(params, Namespace(study="s", **here))
        assert pack_trials.pack(project).startswith("studies/trials.zip: 4 trials of 1 studies")
        monkeypatch.setattr(registry, "train", lambda _: pytest.fail("trained"))
        there = arguments(project, "elsewhere", "again")
        study.main(params, Namespace(study="s", **there))
    finally:
        write(project, STUDY)
    names = {path.name for path in here["results"].iterdir()}
    assert names == {path.name for path in there["results"].iterdir()} > {"trials.csv", "report.md"}
    for name in names:
        assert (here["results"] / name).read_bytes() == (there["results"] / name).read_bytes()


def test_a_study_of_ordered_subsets_writes_their_effects(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of features of support vector machines, so that nothing slow is trained."""
    monkeypatch.setenv("LIPNET_WORKERS", "1")
    subsets = {"key": "train_svm.features.svm", "items": ["area_nm2", "circularity"]}
    settings = {"classifier": "svm"}
    changes = {"arms": {}, "subsets": subsets, "settings": settings, "against": "best", "figure": "ranking"}
    write(project, STUDY | changes | {"confusion": False}, scales={"small": {"settings": {}, "subsets": None}})
    try:
        results = run_here(project, "of_subsets")
    finally:
        write(project, STUDY)
    table = pd.read_csv(results / "effects.csv")
    assert list(table.columns[:4]) == ["problem", "kind", "term", "effect"]
    assert table["term"].tolist() == subsets["items"] and set(table["problem"]) == {"lamellarity"}
    assert "| area_nm2 | " in (results / "report.md").read_text()
    assert {path.name for path in results.glob("*.png")} == {"lamellarity.png", "lamellarity_effects.png"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"arms": {"cnn": {}, "b": {"crop.mode": "round"}}},
            r"studies\.s, arm 'b': params\.yaml: crop\.mode = 'round'",
        ),
        ({"arms": {"cnn": {}, "b": {"seed": 3}}}, "arms 'cnn' and 'b' test on different rows"),
        ({"arms": {"cnn": {}, "b": {"networks.lipnet1.size_px": 9}}}, "arms 'cnn' and 'b' train the very same"),
        ({"problems": ["other"]}, "name other in `problems` of params.yaml and run `dvc repro ingest`"),
        ({"arms": {"cnn": {}, "b": {"crop.mod": "masked"}}}, "'mod' is missing in crop; did you mean 'mode'"),
        (
            {"arms": {"cnn": {}, "b": {"classifier": "svn"}}},
            "no classifier 'svn'; there are: cnn, .*svm",
        ),
        ({"figur": "bars"}, "unknown key 'studies.s.figur'; did you mean 'figure'"),
        ({"against": "nobody"}, "lamellarity has no arm 'nobody'"),
        ({"judged": "f2"}, r"studies\.s\.judged"),
    ],
)
def test_a_mistake_in_a_study_is_named_before_anything_is_trained(
    project: Path, changes: dict[str, Any], message: str
) -> None:
    write(project, STUDY | changes)
    try:
        with pytest.raises(InputError, match=message):
            run_here(project, "never")
    finally:
        write(project, STUDY)
    assert not (project / "never").exists()


def test_problems_must_be_a_list(project: Path) -> None:
    write(project, STUDY, problems="lamellarity")
    try:
        with pytest.raises(InputError, match="problems = 'lamellarity'"):
            run_here(project, "never")
    finally:
        write(project, STUDY)


def test_an_arm_chooses_as_the_pipeline_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of support vector machines, so that nothing slow is trained."""
    monkeypatch.setenv("LIPNET_WORKERS", "1")
    names = ["size_only", "svm", "of_svm"]
    params = make_params(
        inner__folds=2,
        inner__classifiers=["svm", "size_only"],
        decide__rules={"of_svm": {"of": ["svm"], "shift": 0.5, "calibrated": True}},
        decide__choices={"chosen": {"of": names, "by": "log_loss"}},
    )
    for stage in (ingest, crop, split, balance, train_svm, score_inner, decide):
        run(stage, tmp_path, params)
    expected = files.read_table(tmp_path / "decisions" / "chosen.csv")
    (tmp_path / "lamellarity.csv").write_bytes((tmp_path / "table").read_bytes())
    (tmp_path / "lamellarity.npz").write_bytes((tmp_path / "store").read_bytes())
    problem = arms.read_problem(params, "lamellarity", tmp_path)
    of_arms = arms.arm_folds(params, "s", "chosen", {"classifier": "chosen"}, problem)
    found = [registry.train(task) for one in of_arms for task in one.tasks]
    table = arms.trial_table(of_arms, [f"key {number}" for number in range(len(found))])
    # In each of two folds, itself and two inner folds train two SVMs; of_svm reads that of svm.
    assert table["training"].tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert table["classifier"].tolist() == ["size_only", "svm"] * 6
    assert table["fold"].tolist() == [0] * 6 + [1] * 6
    assert table["key"].tolist() == [f"key {number}" for number in range(12)]
    [(_, predictions, _)] = arms.results_of(of_arms, found)
    assert predictions["chosen"].ids.tolist() == expected["id"].astype(str).tolist()
    named = np.array(predictions["chosen"].classes)[predictions["chosen"].predicted]
    assert named.tolist() == expected["predicted"].tolist()
    # What the pipeline writes in between has six digits.
    probabilities = expected[[column for column in expected.columns if column.startswith("p_")]].to_numpy()
    np.testing.assert_allclose(predictions["chosen"].probabilities, probabilities, atol=1e-4)
