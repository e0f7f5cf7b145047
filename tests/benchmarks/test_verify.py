"""verify finds the first stage that differs, and distinguishes a stale dvc.lock from a run that is not reproducible."""

from copy import deepcopy
from typing import Any

import pytest

from benchmarks.verify import first_difference

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
