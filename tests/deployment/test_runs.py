"""A run is read as its stages wrote it; a missing or damaged file is named, with its remedy."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.deployment.runs import LIBRARIES, read_run
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
