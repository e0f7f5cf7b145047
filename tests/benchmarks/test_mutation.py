"""How the mutation benchmark counts."""

import json
from pathlib import Path

import pytest

from benchmarks.mutation import Tally, cells, exit_codes, tally


def test_what_no_test_reaches_has_survived_and_a_test_that_hangs_has_noticed() -> None:
    assert tally([1, 1, 3, 36, 0, 33, 1, 1]) == Tally(killed=5, timed_out=1, survived=2)
    assert cells("folds", Tally(5, 1, 2)) == ["folds", "8", "6", "1", "2", "75.0 %"]


@pytest.mark.parametrize("code", [None, 2, -9, 35])
def test_a_mutant_without_a_verdict_is_an_error(code: int | None) -> None:
    with pytest.raises(ValueError, match=f"without a verdict, exit codes .{code}"):
        tally([1, code])


def test_modules_that_are_copied_but_not_mutated_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "lipnet").mkdir()
    for name, codes in {"folds": {"a": 1, "b": 0}, "files": {}}.items():
        (tmp_path / f"lipnet/{name}.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    assert exit_codes(tmp_path) == {"folds": [1, 0]}
