"""A run is read as its stages wrote it, and what is missing or damaged is named with its cure."""

import subprocess
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

from lipnet.core.errors import InputError
from lipnet.deployment.runs import LIBRARIES, read_run
from tests.deployment.finished_run import CLASSES, MEASURES, PROBLEM, make_run, write


def test_a_run_holds_what_its_stages_wrote(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path), PROBLEM)
    assert run.classes == CLASSES and run.counts["particles"] == len(run.table) == 8
    assert_allclose(run.training_priors, [[0.5, 0.5], [1 / 3, 2 / 3]])
    assert_allclose(run.natural_priors, [[3 / 4, 1 / 4], [3 / 4, 1 / 4]])
    assert run.metrics["svm"]["mcc"] == {"mean": MEASURES["mcc"], "sd": 0.01}
    assert run.provenance.data_md5 == "abc" and set(run.provenance.versions) == set(LIBRARIES)


def test_folds_of_all_repeats_are_counted_on(tmp_path: Path) -> None:
    make_run(tmp_path)
    folds = "id,repeat0,repeat1\n" + "".join(f"p{n},{n % 2},{n // 6}\n" for n in range(8))
    write(tmp_path / f"data/folds/{PROBLEM}.csv", folds)
    priors = read_run(tmp_path, PROBLEM).natural_priors
    assert_allclose(priors, [[3 / 4, 1 / 4], [3 / 4, 1 / 4], [0, 1], [1, 0]])


def test_the_revision_is_that_of_the_repository_and_says_if_files_differ(tmp_path: Path) -> None:
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
        ("metrics/metrics.json", None, r"metrics\.json: no such file; run `dvc repro`"),
        ("metrics/metrics.json", "{", r"metrics\.json: damaged"),
        ("metrics/metrics.json", "[]", r"metrics\.json: expected a JSON object"),
        ("metrics/metrics.json", "{}", r"metrics\.json: holds nothing of 'vesicles'"),
        (f"metrics/ingest/{PROBLEM}/counts.json", "\udcff", r"counts\.json: damaged"),
        (f"data/folds/{PROBLEM}.csv", None, r"vesicles\.csv: no such file"),
        (f"data/training_sets/{PROBLEM}.npz", "no archive", r"vesicles\.npz: damaged"),
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
