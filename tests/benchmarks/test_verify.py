"""verify finds the first stage that differs, and distinguishes a stale dvc.lock from a run that is not reproducible."""

from copy import deepcopy
from typing import Any

import pytest

from benchmarks import project, verify
from benchmarks.measure import ROOT
from benchmarks.other_processor import Difference
from benchmarks.verify import SAME_ANYWHERE, beyond, first_difference, guarantee, limits
from lipnet.classifiers.precision import Processor
from lipnet.core.settings import read_params

ORDER = ["ingest", "crop", "compare"]
LOCK: dict[str, Any] = {
    "compare": {"deps": [{"path": "c", "md5": "3"}], "outs": [{"path": "d", "md5": "4"}]},
    "crop@a": {"deps": [{"path": "b", "md5": "2"}], "params": {"params.yaml": {"seed": 1}}, "outs": []},
    "ingest@a": {
        "deps": [{"path": "x.py", "md5": "0"}],
        "outs": [{"path": "b", "md5": "2"}, {"path": "e", "md5": "5"}],
    },
}


def _changed(stage: str, kind: str, value: Any) -> dict[str, Any]:
    lock = deepcopy(LOCK)
    lock[stage][kind] = value
    return lock


def test_equal_locks_do_not_differ() -> None:
    assert first_difference(LOCK, deepcopy(LOCK), ORDER) is None


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            _changed("ingest@a", "outs", [{"path": "b", "md5": "9"}, {"path": "e", "md5": "5"}]),
            "ingest@a is the first stage whose outputs differ from dvc.lock: b",
        ),
        (
            _changed("ingest@a", "outs", [{"path": "b", "md5": "2"}, {"path": "f", "md5": "5"}]),
            "ingest@a is the first stage whose outputs differ from dvc.lock: e, f",
        ),
        (_changed("compare", "outs", []), "compare is the first stage whose outputs differ from dvc.lock: d"),
        (_changed("ingest@a", "deps", [{"path": "x.py", "md5": "1"}]), "ingest@a had other inputs (x.py)"),
        (_changed("crop@a", "params", {"params.yaml": {"seed": 2}}), "crop@a had other inputs (params.yaml)"),
        ({name: stage for name, stage in LOCK.items() if name != "crop@a"}, "crop@a is not in the run"),
        ({**LOCK, "crop@b": LOCK["crop@a"]}, "crop@b is not in dvc.lock"),
    ],
)
def test_the_first_difference_is_named(found: dict[str, Any], message: str) -> None:
    assert str(first_difference(LOCK, found, ORDER)).startswith(message)


def test_of_two_differences_the_first_in_order_is_named() -> None:
    found = _changed("compare", "outs", [])
    found["ingest@a"]["outs"] = []
    assert str(first_difference(LOCK, found, ORDER)).startswith("ingest@a")


def test_outputs_that_may_differ_are_passed_over_with_what_follows_from_them_and_the_others_are_not() -> None:
    found = deepcopy(LOCK)
    found["ingest@a"]["outs"][0]["md5"] = found["crop@a"]["deps"][0]["md5"] = "9"
    found["compare"]["outs"][0]["md5"] = "9"
    assert first_difference(LOCK, found, ORDER, same=["e"]) is None
    assert str(first_difference(LOCK, found, ORDER, same=["d", "e"])).startswith("compare is the first stage whose out")
    found["crop@a"]["deps"].append({"path": "other", "md5": "1"})
    assert str(first_difference(LOCK, found, ORDER, same=["e"])).startswith("crop@a had other inputs (other)")


def test_a_folder_of_files_that_may_differ_may_differ_too() -> None:
    one, other = (
        {"a": {"outs": [{"path": "x/y", "md5": md5}]}, "b": {"deps": [{"path": "x", "md5": md5}]}} for md5 in "12"
    )
    assert first_difference(one, other, ["a", "b"], same=[]) is None


def test_outputs_that_never_differ_are_outputs_of_the_graph() -> None:
    paths = (ROOT / "dvc.yaml").read_text()
    assert all(f"- {pattern.split('*')[0]}" in paths or f"{pattern}" in paths for pattern in SAME_ANYWHERE)


@pytest.fixture
def avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "processor", lambda: Processor("any", frozenset({"avx2", "fma"})))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)


PARAMS = read_params(ROOT / "params.yaml")


@pytest.mark.usefixtures("avx2")
def test_the_project_promises_the_same_bytes_on_any_processor_with_avx2() -> None:
    assert limits(PARAMS) == []
    assert guarantee([]).endswith("whatever x86-64 processor with AVX2 made dvc.lock (portable: true)")


@pytest.mark.usefixtures("avx2")
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("portable", False, "portable: false"),
        ("model", "resnet18", "batch normalisation"),
        ("train_cnn.regularisation.batch_norm", True, "batch normalisation"),
        ("train_cnn.loss.kind", "focal", "train_cnn.loss.kind is not cross_entropy"),
    ],
)
def test_settings_that_depend_on_the_processor_limit_the_promise(name: str, value: Any, reason: str) -> None:
    params = deepcopy(PARAMS)
    project.change(params, {name: value})
    assert limits(params) == [reason]
    assert guarantee([reason]) == f"expecting the same bytes from the same machine only ({reason})"


@pytest.mark.usefixtures("avx2")
def test_other_machines_limit_the_promise(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(verify, "processor", lambda: Processor("old", frozenset({"avx"})))
    monkeypatch.setattr(verify, "GPU_DRIVER", tmp_path)
    monkeypatch.setattr(verify, "find_spec", lambda _: object())
    assert limits(PARAMS) == ["KERAS_BACKEND=jax", "this processor has no AVX2", "a GPU may train"]


def test_means_that_moved_too_far_are_named() -> None:
    near, far = Difference("cnn", "p, mcc", 0.02, 0.03), Difference("svm", "p, macro_f1", 0.02, 0.01)
    assert beyond([near, far]) == ["svm, p, macro_f1: moved by 0.0200, standard deviation 0.0100"]
