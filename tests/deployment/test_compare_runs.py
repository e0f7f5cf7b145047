"""Two runs side by side: the verdict in one sentence, rows with tests on the same folds, and where runs are found."""

import hashlib
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.testing import assert_allclose

from lipnet.core.errors import InputError
from lipnet.deployment.compare_runs import (
    ARTIFICIAL,
    MOST_ROWS,
    RunComparison,
    compare,
    params_to_markdown,
    to_html,
    to_markdown,
    to_text,
)
from lipnet.deployment.reports.page import prose
from lipnet.deployment.revisions import Revision, RunResults, find_revision, read_results
from lipnet.evaluation.comparison import corrected_t_test
from tests.deployment.two_runs import BASE, NOISE, results, write

F1, LOSS = ("one", "cnn", "macro_f1"), ("one", "cnn", "log_loss")
FIRST = results("main", {})


def compared(values: dict[tuple[str, str, str], Any], **changes: Any) -> RunComparison:
    return compare(FIRST, results("here", values, **changes))


def test_a_difference_that_all_folds_show_is_better_with_its_interval() -> None:
    found = compared({F1: BASE + 0.05 + NOISE})
    expected = corrected_t_test(0.05 + NOISE, 20 / 80, 0.95)
    interval = f"{expected.low:+.3f} to {expected.high:+.3f}"
    assert found.verdict == f"here is better than main: one, macro F1 of cnn +0.050 (95% interval {interval})."
    row = found.rows[0]
    assert (row.verdict, row.classifier, row.measure) == ("better", "cnn", "macro_f1")
    assert_allclose(row.test, expected)
    assert_allclose(row.p_holm, expected.p)  # Holm's correction counts the one row that changed
    assert row.cells()[0] == "▲" and row.cells()[4:6] == ["0.800 ± 0.016", "0.850 ± 0.016"]
    assert "Changes that exceed their standard deviation over folds: 1 of 1." in found.notes


def test_a_higher_log_loss_is_worse() -> None:
    found = compared({LOSS: BASE + 0.05 + NOISE})
    assert found.verdict.startswith("here is worse than main: one, log loss of cnn +0.050 (")
    assert found.rows[2].cells()[0] == "▼"


def test_better_and_worse_are_both_named_and_further_rows_of_a_problem_counted() -> None:
    up = BASE + 0.05 + NOISE
    found = compared({F1: up, ("one", "cnn", "mcc"): up, LOSS: up})
    assert re.match(r"here is better in one, macro F1 .*; and 1 more below; worse in one, log loss", found.verdict)


def test_noise_is_no_difference_and_the_report_says_that_nothing_exceeds_its_spread() -> None:
    found = compared({F1: BASE + NOISE[[1, 0, 2, 4, 3]]})
    assert found.verdict.startswith("No difference shown between main and here; the largest change, measured in")
    assert "one, macro F1 of cnn " in found.verdict and "95% interval" in found.verdict
    assert found.rows[0].verdict == "no difference shown"
    assert "No change of a mean exceeds its standard deviation over folds." in found.notes


def test_holms_correction_is_over_all_rows_that_changed() -> None:
    changed = BASE + 0.004 + 3 * NOISE
    alone = compared({F1: changed}).rows[0].p_holm
    two = compared({F1: changed, LOSS: BASE + 10 * NOISE[::-1]}).rows[0].p_holm
    assert_allclose(two, 2 * alone)


def test_the_same_run_twice_has_the_same_scores() -> None:
    found = compared({F1: BASE + 1e-13})  # rounding
    assert found.verdict == "here and main have the same scores in every fold."
    assert {row.verdict for row in found.rows} == {"unchanged"} and found.notes == [] and found.params == []
    assert "No parameter differs." in to_text(found)


@pytest.mark.parametrize("how", ["hash", "keys", "lock"])
def test_other_folds_are_not_tested_and_the_report_says_so(how: str) -> None:
    here = results("here", {F1: BASE + 0.05 + NOISE})
    if how == "hash":
        here.md5["data/folds/one.csv"] = "other"
    elif how == "lock":
        here.md5.clear()
    else:
        here = replace(here, folds=here.folds[here.folds["fold"] < 4])
    found = compare(FIRST, here)
    assert found.verdict == "here and main cannot be tested against each other."
    assert found.notes[1].startswith("one was not tested: ")
    assert {row.verdict for row in found.rows} == {"not tested"}
    assert found.rows[0].cells()[6] == "+0.050" or how == "keys"
    assert [row.interval() for row in found.rows] == [""] * 5


def test_undefined_folds_are_left_out_and_a_measure_without_any_is_not_tested() -> None:
    partly, never = np.where(np.arange(5) == 0, np.nan, BASE + 0.05 + NOISE), np.full(5, np.nan)
    found = compared({F1: partly, ("one", "cnn", "mcc"): never})
    assert_allclose(found.rows[0].test, corrected_t_test((0.05 + NOISE)[1:], 20 / 80, 0.95))
    assert found.rows[0].cells()[-1] == "better (undefined folds left out: 1)"
    assert found.rows[1].verdict == "not tested" and found.rows[1].cells()[5] == "undefined"


def test_the_network_is_the_first_rule_of_each_run_and_old_runs_take_the_settings_of_new_ones() -> None:
    here = results("here", {})
    here = replace(here, folds=here.folds.replace({"classifier": {"cnn": "best"}}))
    assert compare(FIRST, here).rows[0].classifier == "cnn → best"
    old = results("old", {}, evaluate={"abstain_below": [0.5], "confidence": 0.95})
    assert compare(FIRST, old).rows[0].classifier == "cnn"
    with pytest.raises(InputError, match="evaluate"):
        compare(old, old)
    with pytest.raises(InputError, match=r"evaluate\.baseline names svm, but evaluated were: best"):
        compare(FIRST, replace(here, folds=here.folds[here.folds["classifier"] == "best"]))


@pytest.mark.parametrize(("n", "n_rows"), [(1, 5), (2, 10), (3, 9), (12, 10)])
def test_there_are_at_most_ten_rows(n: int, n_rows: int) -> None:
    problems = tuple(f"p{number}" for number in range(n))
    found = compare(results("main", {}, problems), results("here", {}, problems))
    assert len(found.rows) == n_rows <= MOST_ROWS
    assert ("Not shown: p10, p11." in found.notes) == (n == 12)


def test_other_particles_other_problems_and_artificial_data_are_noted() -> None:
    here = results("here", {}, ("one", "two"), source={"kind": "artificial"})
    here.md5["data/particles/one.npz"] = "other"
    notes = compare(FIRST, here).notes
    assert notes[0].startswith("data/particles/one.npz differs: the particles may not be the same")
    assert notes[1:] == ["Only here has results of two.", ARTIFICIAL]
    apart = compare(results("main", {}, ("three",)), here)
    assert apart.rows == [] and apart.verdict == "here and main cannot be tested against each other."
    assert "|" not in "".join(to_markdown(apart)) and "interval" not in to_text(apart)


def test_parameters_that_differ_are_listed_with_dotted_keys() -> None:
    found = compared({}, model="lipnet1", balance={"method": "a|b"})
    heading, rows = params_to_markdown(found)
    assert heading[0] == "| file | parameter | main | here |"
    assert "| params.yaml | model | lipnet4 | lipnet1 |" in rows
    assert "| params.yaml | balance.method | oversample | a\\|b |" in rows
    assert "params.yaml: balance.smote_neighbours: 5 → (none)" in to_text(found)


def test_every_line_of_the_markdown_table_has_the_same_number_of_cells() -> None:
    lines = [line for line in to_markdown(compared({F1: BASE + 0.05 + NOISE})) if line.startswith("|")]
    assert len(lines) == 2 + 5 and {line.count("|") for line in lines} == {11}
    assert "| main | here | change | 95% interval |" in lines[0]


def test_the_page_holds_both_pictures_and_escapes_names() -> None:
    found = replace(compared({F1: BASE + 0.05 + NOISE}), names=("<b>main", "here"))
    page = to_html(found, ({"plots/a.png": b"1"}, {"plots/a.png": b"2", "plots/b.png": b"3"}))
    assert page.count("data:image/png;base64,") == 3 and "No such picture." in page
    assert "&lt;b&gt;main" in page and "<b>main" not in page and prose(found.verdict) in page
    assert not re.search(r"""(src|href)=["']?(https?:|//)""", page) and "<script" not in page


def _git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits of a run, the first tagged v1, in a subfolder; the second is an experiment too."""
    folder = tmp_path / "repository" / "a project"
    folder.mkdir(parents=True)
    _git(folder.parent, "init", "--quiet")
    for run, word in ((FIRST, b"one"), (results("b", {F1: BASE + 0.05 + NOISE}), b"two")):
        write(folder, run)
        (folder / "plots/evaluation").mkdir(parents=True, exist_ok=True)
        (folder / "plots/evaluation/a.png").write_bytes(word)
        (folder / "plots/evaluation/a.txt").write_bytes(word)
        _git(folder, "add", "--all")
        _git(folder, "commit", "--quiet", "--message", "results")
    _git(folder, "tag", "v1", "HEAD~1")
    _git(folder, "update-ref", "refs/exps/ab/cdef/blue-owl", "HEAD")
    return folder


def test_runs_are_folders_revisions_and_experiments(repository: Path) -> None:
    found = {name: find_revision(name, repository) for name in ("v1", "HEAD", "blue-owl", str(repository))}
    assert [one.pictures() for one in found.values()] == [
        {"plots/evaluation/a.png": word} for word in (b"one", b"two", b"two", b"two")
    ]
    assert found["blue-owl"].commit == found["HEAD"].commit and found[str(repository)].commit is None
    comparison = compare(read_results(found["v1"]), read_results(found["blue-owl"]))
    assert comparison.verdict.startswith("blue-owl is better than v1: one, macro F1 of cnn +0.050")
    same = compare(read_results(found["HEAD"]), read_results(found[str(repository)]))
    assert {row.verdict for row in same.rows} == {"unchanged"}


def test_a_name_that_means_nothing_or_two_experiments_is_refused(repository: Path, tmp_path: Path) -> None:
    _git(repository, "update-ref", "refs/exps/ab/ffff/blue-owl", "HEAD~1")
    for name, message in {"blue-owl": "several experiments have this name", "--all": "no such folder, git"}.items():
        with pytest.raises(InputError, match=rf"{name}: {message}"):
            find_revision(name, repository)
    with pytest.raises(InputError, match="no such folder, git revision or experiment"):
        find_revision("HEAD", tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics/per_fold.csv", None, r"metrics/per_fold\.csv: no such file; run `dvc repro` there"),
        ("metrics/per_fold.csv", "problem,value\none,x\n", "its results are damaged"),
        ("metrics/per_fold.csv", "problem,value\none,1\n", r"per_fold\.csv: column classifier is missing"),
        ("dvc.lock", "stages: {a: 1}", "its results are damaged"),
        ("params.yaml", "a: [", "its results are damaged"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, file: str, content: str | None, message: str) -> None:
    write(tmp_path, FIRST)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=f"^mine: .*{message}"):
        read_results(Revision("mine", tmp_path))


def test_a_run_without_a_lock_has_no_hashes(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    (tmp_path / "dvc.lock").unlink()
    read: RunResults = read_results(Revision("mine", tmp_path))
    assert read.md5 == {} and read.folds.equals(FIRST.folds)


def test_a_run_whose_settings_or_training_modules_changed_after_it_is_out_of_date(tmp_path: Path) -> None:
    write(tmp_path, results("mine", {}))
    module = tmp_path / "lipnet/training.py"
    module.parent.mkdir()
    module.write_text("one = 1\n")
    lock = yaml.safe_load((tmp_path / "dvc.lock").read_text())
    centred = yaml.safe_load((tmp_path / "params.yaml").read_text())["train_cnn"]
    lock["stages"]["train_cnn@one"] = {
        "deps": [{"path": "lipnet/training.py", "md5": hashlib.md5(b"one = 1\n").hexdigest()}],
        "params": {"params.yaml": {"train_cnn": centred}},
    }
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert read_results(Revision("mine", tmp_path)).stale == []

    lock["stages"]["train_cnn@one"]["params"]["params.yaml"]["train_cnn"]["mid_grey"] = 0.4
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    module.write_text("one = 2\n")
    stale = read_results(Revision("mine", tmp_path))
    assert stale.stale == ["params.yaml: train_cnn.mid_grey", "lipnet/training.py"]
    said = compare(results("base", {}), stale).verdict
    assert said.startswith(
        "mine is out of date: its scores are of before the change of params.yaml: train_cnn.mid_grey"
    )
