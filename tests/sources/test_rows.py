"""Code that all sources share: schemas, classes, and the summary of rejected rows."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from lipnet.sources.rows import (
    ROWS_PER_TASK,
    OptionalPadding,
    OptionalText,
    Rejected,
    Row,
    RowFault,
    Text,
    check_class,
    checked,
    in_tasks,
    inside,
    reasons,
    summarise,
)


class _Example(Row):
    name: Text
    padding: OptionalPadding = None
    note: OptionalText = None
    pairs: Annotated[list[tuple[float, float]], Field(min_length=1)] = Field(default=[(0.0, 0.0)])


def test_numbers_become_names_and_empty_cells_count_as_missing() -> None:
    row = checked(_Example, {"name": 17, "padding": "", "note": "", "other": "ignored"})
    assert (row.name, row.padding, row.note) == ("17", None, None)


@pytest.mark.parametrize(
    ("values", "column", "message"),
    [
        ({}, "name", "name is missing"),
        ({"name": ""}, "name", "name is '': String should have at least 1 character"),
        ({"name": "a", "padding": "x"}, "padding", "padding is 'x': Input should be a valid integer"),
        ({"name": "a", "pairs": [[1, 2], [3, "x"]]}, "pairs", r"pairs\[1\]\[1\] is 'x': Input should be a"),
        ({"name": "a", "pairs": [[1, float("nan")]]}, "pairs", r"pairs\[0\]\[1\] is nan: Input should be"),
        ({"name": "a" + 100 * "\n"}, "name", r"name is '.{0,40} \.\.\.: String should match pattern"),
    ],
)
def test_a_fault_names_the_column_the_place_and_the_value(values: dict[str, object], column: str, message: str) -> None:
    with pytest.raises(RowFault, match=message) as caught:
        checked(_Example, values)
    assert caught.value.column == column


def test_a_class_must_be_known() -> None:
    assert check_class("Full", ("Full", "Empty"), "kind") == "Full"
    with pytest.raises(RowFault, match="kind 'full' is not one of Full, Empty; correct the row") as caught:
        check_class("full", ("Full", "Empty"), "kind")
    assert caught.value.column == "kind"


@pytest.mark.parametrize("name", ["a/../../x", "..", "/x", "a/../..", ""])
def test_a_path_may_not_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(RowFault, match="leaves the data folder"):
        inside(tmp_path, name, "image")


def test_a_path_inside_the_folder_is_joined_to_it(tmp_path: Path) -> None:
    assert inside(tmp_path, "a/../b.png", "image") == tmp_path / "b.png"


def test_tasks_hold_every_row_once_and_in_order() -> None:
    rows = list(range(2 * ROWS_PER_TASK + 3))
    tasks = in_tasks(rows)
    assert [len(task) for task in tasks] == [ROWS_PER_TASK, ROWS_PER_TASK, 3]
    assert [row for task in tasks for row in task] == rows
    assert in_tasks([]) == []


def _rejected(row: int, file: str, reason: str) -> Rejected:
    return Rejected(row, f"p{row}", file, "image", reason)


def test_the_summary_ranks_reasons_and_names_the_first_row_of_each() -> None:
    rejected = [
        _rejected(5, "m/x.png", "x.png: no such file"),
        _rejected(7, "zz.png", "zz.png: the mask is empty"),
        _rejected(9, "m/y.png", "y.png: no such file"),
    ]
    assert reasons(rejected) == [("...: no such file", 2), ("zz.png: the mask is empty", 1)]
    assert summarise(rejected).splitlines() == [
        "  2 x ...: no such file (first: row 5, image m/x.png)",
        "  1 x ...: the mask is empty (first: row 7, image zz.png)",
    ]


def test_the_summary_stops_at_its_limit() -> None:
    rejected = [_rejected(row, "x.png", f"reason {row}") for row in range(2, 12)]
    assert len(summarise(rejected).splitlines()) == 5
    assert len(summarise(rejected, limit=3).splitlines()) == 3
    assert len(reasons(rejected)) == 10


def test_a_short_name_is_not_torn_out_of_the_words_of_a_reason() -> None:
    assert reasons([Rejected(2, "a", "", "image", "a mask is absent")]) == [("a mask is absent", 1)]
