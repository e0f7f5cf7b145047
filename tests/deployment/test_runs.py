"""A run is read as its stages wrote it; a missing or damaged file is named, with its remedy."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.testing import assert_allclose, assert_array_equal

from lipnet.core import dvc_lock, files
from lipnet.core.errors import InputError
from lipnet.deployment.cards import card_of, to_markdown
from lipnet.deployment.rules import Rules
from lipnet.deployment.runs import LIBRARIES, changes_since_run, read_run
from tests.deployment.finished_run import CLASSES, MEASURES, PROBLEM, make_run, priors, write

SUMMARY = "problem,classifier,class,measure,mean,sd,folds"


def test_a_run_holds_the_outputs_of_its_stages(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path), PROBLEM)
    assert run.classes == CLASSES and run.counts["particles"] == len(run.table) == 8
    assert_allclose(run.training_priors, [[0.5, 0.5], [1 / 3, 2 / 3]])
    assert_allclose(run.natural_priors, [[3 / 4, 1 / 4], [3 / 4, 1 / 4]])
    assert run.metrics["svm"]["mcc"] == {"mean": MEASURES["mcc"], "sd": 0.01}
    assert run.metrics["svm"]["Clear"]["ppv"] == {"mean": None, "sd": None, "folds": 0}
    assert run.provenance.data_md5 == "abc" and set(run.provenance.versions) == set(LIBRARIES)


def test_folds_are_counted_over_all_repeats(tmp_path: Path) -> None:
    make_run(tmp_path)
    folds = "id,repeat0,repeat1\n" + "".join(f"p{n},{n % 2},{n // 6}\n" for n in range(8))
    write(tmp_path / f"data/folds/{PROBLEM}.csv", folds)
    more = pd.concat([priors(), priors().assign(repeat=1, prior_Dense=0.2, prior_Clear=0.8)])
    files.write_table(tmp_path / f"data/priors/{PROBLEM}/cnn.csv", more.iloc[::-1])  # the order of rows is not used
    run = read_run(tmp_path, PROBLEM)
    assert_allclose(run.natural_priors, [[3 / 4, 1 / 4], [3 / 4, 1 / 4], [0, 1], [1, 0]])
    assert_allclose(run.training_priors, [[0.5, 0.5], [1 / 3, 2 / 3], [0.2, 0.8], [0.2, 0.8]])


def test_training_priors_are_read_with_all_their_digits(tmp_path: Path) -> None:
    shares = np.random.default_rng(0).dirichlet([1, 1], 2)
    table = priors()
    table.loc[:1, ["prior_Dense", "prior_Clear"]] = shares
    files.write_table(make_run(tmp_path) / f"data/priors/{PROBLEM}/cnn.csv", table)
    assert_array_equal(read_run(tmp_path, PROBLEM).training_priors, shares)


def test_priors_of_other_folds_are_refused(tmp_path: Path) -> None:
    path = make_run(tmp_path) / f"data/priors/{PROBLEM}/cnn.csv"
    for table in (priors().iloc[1:], pd.concat([priors().iloc[:1], priors()]), priors().assign(repeat=1)):
        files.write_table(path, table)
        with pytest.raises(InputError, match=r"cnn\.csv: the priors of 'cnn' are not those of the folds of the run"):
            read_run(tmp_path, PROBLEM)
    files.write_table(path, priors().drop(columns="prior_Clear"))
    with pytest.raises(InputError, match=r"cnn\.csv: column prior_Clear is missing"):
        read_run(tmp_path, PROBLEM)


def test_the_revision_is_of_the_repository_and_marks_modified_files(tmp_path: Path) -> None:
    make_run(tmp_path)
    assert read_run(tmp_path, PROBLEM).provenance.git_revision is None
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
    revision = done.stdout.strip()
    assert read_run(tmp_path, PROBLEM).provenance.git_revision == revision
    (tmp_path / "params.yaml").write_text((tmp_path / "params.yaml").read_text() + "# changed\n")
    assert read_run(tmp_path, PROBLEM).provenance.git_revision == f"{revision}-dirty"


def test_without_a_lock_the_data_have_no_hash(tmp_path: Path) -> None:
    (make_run(tmp_path) / "dvc.lock").unlink()
    assert read_run(tmp_path, PROBLEM).provenance.data_md5 is None


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics/summary.csv", None, r"summary\.csv: no such file; run `dvc repro`"),
        ("metrics/summary.csv", "problem,classifier\n", r"summary\.csv: column class is missing; run `dvc repro`"),
        ("metrics/summary.csv", f"{SUMMARY}\nvesicles,cnn,,mcc,0.5,0.1,x\n", r"summary\.csv: damaged"),
        ("metrics/summary.csv", f"{SUMMARY}\nother,cnn,,mcc,0.5,0.1,2\n", r"summary\.csv: no metrics of 'vesicles'"),
        (f"metrics/ingest/{PROBLEM}/counts.json", None, r"counts\.json: no such file; run `dvc repro`"),
        (f"metrics/ingest/{PROBLEM}/counts.json", "{", r"counts\.json: damaged"),
        (f"metrics/ingest/{PROBLEM}/counts.json", "[]", r"counts\.json: expected a JSON object"),
        (f"metrics/ingest/{PROBLEM}/counts.json", "\udcff", r"counts\.json: damaged"),
        (f"data/folds/{PROBLEM}.csv", None, r"vesicles\.csv: no such file"),
        (f"data/priors/{PROBLEM}/cnn.csv", None, r"cnn\.csv: no such file"),
        (f"data/priors/{PROBLEM}/cnn.csv", "classifier,repeat\ncnn,x\n", r"cnn\.csv: damaged"),
        ("dvc.lock", "stages: 1", r"dvc\.lock: damaged"),
        ("params.yaml", None, r"params\.yaml: no such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, file: str, content: str | None, message: str) -> None:
    make_run(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        read_run(tmp_path, PROBLEM)


def test_an_unknown_problem_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vesicle"):
        read_run(make_run(tmp_path), "vesicle")


CODE = "lipnet/classifiers/svm.py"
PICTURES = "lipnet/plots/figure.py"
RECIPE = "data/recipe/train_svm.json"
PARTICLES = f"data/particles/{PROBLEM}.csv"


def record(root: Path, deps: list[str], outs: list[str], *params: str) -> dict[str, Any]:
    """What dvc.lock says of a stage that ran just now."""
    settings = yaml.safe_load((root / "params.yaml").read_text())
    of = {name: [{"path": path, "md5": dvc_lock.md5_of(root / path)} for path in paths] for name, paths in
          (("deps", deps), ("outs", outs))}  # fmt: skip
    return {**of, "params": {"params.yaml": {key: settings[key] for key in params}}}


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A run with its dvc.lock, after all stages ran."""
    root = make_run(tmp_path)
    for path in (CODE, PICTURES):
        write(root / path, "A = 1\n")
    files.write_json(root / RECIPE, {})
    metrics = "metrics/summary.csv"
    stages = {
        "check": record(root, [], [RECIPE], *yaml.safe_load((root / "params.yaml").read_text())),
        f"ingest@{PROBLEM}": record(root, [PICTURES], [PARTICLES], "source", "seed"),
        f"train_svm@{PROBLEM}": record(root, [PARTICLES, CODE, RECIPE], [], "train_svm", "seed"),
        "train_svm@other": {**record(root, [], []), "outs": [{"path": "data/other", "md5": "0"}]},
        "evaluate": record(root, [PICTURES], [metrics], "problems", "model"),
    }
    write(root / "dvc.lock", yaml.safe_dump({"stages": stages}))
    return root


def set_param(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text())
    change(params)
    write(root / "params.yaml", yaml.safe_dump(params))


def test_a_run_is_up_to_date_after_changes_that_do_not_concern_it(recorded: Path) -> None:
    write(recorded / PICTURES, "A = 2\n")  # trains nothing
    write(recorded / CODE.replace("svm.py", "__pycache__/svm.pyc"), "compiled")
    set_param(recorded, lambda params: params["problems"].append("other"))
    set_param(recorded, lambda params: params["compare"].update(confidence=0.9))
    set_param(recorded, lambda params: params["recipes"].update(mine={"train_svm.cost": 3.0}))
    assert changes_since_run(recorded, PROBLEM) == []
    assert read_run(recorded, PROBLEM).changed == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda root: set_param(root, lambda p: p["train_svm"].update(cost=9.0)), "params.yaml: train_svm.cost"),
        (lambda root: set_param(root, lambda p: p.update(model="other")), "params.yaml: model"),
        (
            lambda root: set_param(root, lambda p: p.update(recipe="mine", recipes={"mine": {"train_svm.cost": 3.0}})),
            "params.yaml: what the recipe changes in train_svm",
        ),
        (lambda root: write(root / CODE, "A = 2\n"), CODE),
        (lambda root: (root / CODE).unlink(), CODE),
        (lambda root: write(root / PARTICLES, (root / PARTICLES).read_text().replace("p7", "q7")), PARTICLES),
    ],
)
def test_a_run_that_is_out_of_date_is_refused_and_what_changed_is_named(
    recorded: Path, change: Callable[[Path], Any], name: str
) -> None:
    change(recorded)
    with pytest.raises(InputError, match="out of date; changed since then: ") as error:
        read_run(recorded, PROBLEM)
    assert f"changed since then: {name}. Run `dvc repro`, or use --stale" in str(error.value)
    run = read_run(recorded, PROBLEM, stale=True)
    assert run.changed == [name]
    card = card_of(run, [], Rules(recommended="svm", reason="", views=False, rules={}, left_out={}))
    assert card["changed_since_run"] == [name]
    assert f"**Out of date.** Changed since the models were trained: {name}." in to_markdown(card)


def test_a_change_of_images_that_the_problem_shares_is_named(recorded: Path) -> None:
    write(recorded / "data/raw/cells/particles.csv", "id\n")
    set_param(recorded, lambda params: params["source"].update(of={PROBLEM: {"images_of": "cells"}}))
    lock = yaml.safe_load((recorded / "dvc.lock").read_text())
    lock["stages"]["share@cells"] = record(recorded, ["data/raw/cells"], [], "source")
    lock["stages"][f"ingest@{PROBLEM}"]["params"] = {}
    write(recorded / "dvc.lock", yaml.safe_dump(lock))
    assert changes_since_run(recorded, PROBLEM) == []
    write(recorded / "data/raw/cells/particles.csv", "id\n1\n")
    assert changes_since_run(recorded, PROBLEM) == ["data/raw/cells"]


def test_a_run_that_is_out_of_date_has_the_settings_that_it_was_run_with(recorded: Path) -> None:
    set_param(recorded, lambda params: params["train_svm"].update(cost=9.0))
    set_param(recorded, lambda params: params.update(model="other", recipe="mine", recipes={"mine": {}}))
    run = read_run(recorded, PROBLEM, stale=True)
    assert (run.params["train_svm"]["cost"], run.params["model"], run.params["recipe"]) == (1.0, "tiny", "plain")
