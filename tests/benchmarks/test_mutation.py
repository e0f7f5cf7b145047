"""Counts of the mutation benchmark."""

import json
from pathlib import Path

import pytest

from benchmarks.mutation import Tally, cells, exit_codes, tally


def test_a_mutant_that_no_test_reaches_survives_and_a_timeout_kills() -> None:
    assert tally([1, 1, 3, 36, 0, 33, 1, 1]) == Tally(killed=5, timed_out=1, survived=2)
    assert cells("folds", Tally(5, 1, 2)) == ["folds", "8", "6", "1", "2", "75.0 %"]


@pytest.mark.parametrize("code", [None, 2, -9, 35])
def test_a_mutant_without_a_result_is_an_error(code: int | None) -> None:
    with pytest.raises(ValueError, match=f"without a result, exit codes .{code}"):
        tally([1, code])


def test_modules_that_are_copied_but_not_mutated_do_not_count(tmp_path: Path) -> None:
    for name, codes in {"samples/folds": {"a": 1, "b": 0}, "core/files": {}, "evaluation/folds": {"a": 3}}.items():
        path = tmp_path / f"lipnet/{name}.py.meta"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"exit_code_by_key": codes}))
    assert exit_codes(tmp_path) == {"evaluation.folds": [3], "samples.folds": [1, 0]}
