"""The table of file kinds in data/raw/README.md is what happens when a file of every kind is written and read."""

from pathlib import Path

import pytest

from tests.sources.formats.file_kinds import KINDS, README, WRONG, Kind, outcome, with_table


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.suffix} {kind.colours[0]} {kind.bits[0]}")
def test_what_is_read_has_the_values_that_were_written(tmp_path: Path, kind: Kind) -> None:
    for way in kind.ways():
        assert WRONG not in outcome(kind, way, tmp_path), way


def test_the_table_in_the_readme_is_that_of_today() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run python -m tests.sources.formats.file_kinds"
