"""Files: reading returns exactly the written content, and messages name damaged files and the cure."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipnet.core.errors import InputError
from lipnet.core.files import (
    read_arrays,
    read_blocks,
    read_table,
    write_arrays,
    write_blocks,
    write_bytes,
    write_json,
    write_table,
    write_text,
)

AWKWARD = [
    "NA",
    "1",
    "1.0",
    "None",
    "nan",
    "null",
    "True",
    "",
    " ",
    " a ",
    "Größe",
    "中文",
    "a,b",
    'say "x"',
    "two\nlines",
]
NAMES = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8),
)
ROWS = st.lists(
    st.tuples(NAMES, NAMES, st.integers(-(2**62), 2**62), st.floats(allow_infinity=False)), min_size=1, max_size=8
)


@settings(max_examples=60)
@given(rows=ROWS)
def test_tables_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]]) -> None:
    table = pd.DataFrame(rows, columns=["id", "label", "count", "value"])
    path = tmp_path_factory.getbasetemp() / "table.csv"
    write_table(path, table)
    found = read_table(path)
    assert list(found.columns) == list(table.columns)
    assert found["id"].tolist() == table["id"].tolist()
    assert found["label"].tolist() == table["label"].tolist()
    assert found["count"].tolist() == table["count"].tolist()
    np.testing.assert_array_equal(found["value"].to_numpy(float), table["value"].to_numpy(float))


@pytest.mark.parametrize("column", ["id", "label", "group", "predicted", "problem", "classifier", "class", "actual"])
def test_names_stay_text(tmp_path: Path, column: str) -> None:
    write_table(tmp_path / "t.csv", pd.DataFrame({column: AWKWARD, "x": range(len(AWKWARD))}))
    found = read_table(tmp_path / "t.csv")
    assert found[column].tolist() == AWKWARD
    assert found["x"].dtype == np.int64


def test_unknown_numbers_come_back_as_nan(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", pd.DataFrame({"id": ["a", "b"], "pixel_size_nm": [math.nan, 0.1 + 0.2]}))
    found = read_table(tmp_path / "t.csv")["pixel_size_nm"]
    assert math.isnan(found[0])
    assert found[1] == 0.1 + 0.2


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", pd.DataFrame({"id": [], "area_px2": []}))
    found = read_table(tmp_path / "t.csv")
    assert (list(found.columns), len(found)) == (["id", "area_px2"], 0)


def test_tables_are_utf_8_with_unix_line_ends_and_no_index(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", pd.DataFrame({"id": ["ä", "b"], "n": [1, 2]}))
    assert (tmp_path / "t.csv").read_bytes() == "id,n\nä,1\nb,2\n".encode()


def test_a_missing_table_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.csv: no such file; run `dvc repro`"):
        read_table(tmp_path / "t.csv")


def test_an_empty_table_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    with pytest.raises(InputError, match=r"t\.csv: empty file; delete it and run `dvc repro`"):
        read_table(tmp_path / "t.csv")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(content=JSON)
def test_json_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "content.json"
    write_json(path, content)
    assert json.loads(path.read_text()) == content


def test_json_is_indented_and_ends_with_a_line_end(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"a": 1})
    assert (tmp_path / "m.json").read_bytes() == b'{\n  "a": 1\n}\n'


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_refuses_nan_and_leaves_the_old_file(tmp_path: Path, value: float) -> None:
    write_json(tmp_path / "m.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "m.json", {"a": value})
    assert (tmp_path / "m.json").read_text() == "1\n"


def test_writing_makes_folders_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["c.bin"]


def test_a_failed_write_keeps_the_old_file_and_no_leftover(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", {"x": np.arange(3)})

    class Unwritable:
        def __array__(self, *_: object, **__: object) -> None:
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_arrays(tmp_path / "a.npz", {"x": Unwritable()})
    assert read_arrays(tmp_path / "a.npz")["x"].tolist() == [0, 1, 2]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


def test_text_keeps_unix_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "t.md", "a\nß\n")
    assert (tmp_path / "t.md").read_bytes() == b"a\n\xc3\x9f\n"


def test_arrays_come_back_with_type_and_shape(tmp_path: Path) -> None:
    arrays = {
        "px28": np.arange(12, dtype=np.uint8).reshape(3, 4),
        "x": np.array([0.1, np.nan]),
        "none": np.empty((0, 2)),
    }
    write_arrays(tmp_path / "a.npz", arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_the_bytes_of_an_array_file_depend_on_the_arrays_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arrays(tmp_path / "a.npz", {"x": np.arange(3)})
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_arrays(tmp_path / "b.npz", {"x": np.arange(3)})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_missing_arrays_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.npz: no such file; run `dvc repro`"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text", "npy"])
def test_damaged_arrays_say_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": np.arange(100)})
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    np.save(tmp_path / "one.npy", np.arange(3))
    damaged = {
        "truncated": whole[:middle],
        "flipped": flipped,
        "empty": b"",
        "text": b"id,label\n",
        "npy": (tmp_path / "one.npy").read_bytes(),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(InputError, match=r"a\.npz: damaged .*; delete it and run `dvc repro`"):
        read_arrays(path)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    with (tmp_path / "a.npz").open("wb") as stream:
        np.savez(stream, allow_pickle=True, x=np.array([Trap()], dtype=object))
    with pytest.raises(InputError, match=r"a\.npz: damaged"):
        read_arrays(tmp_path / "a.npz")
    assert not (tmp_path / "sprung").exists()


BLOCKS = [{"pixels": np.arange(5, dtype=np.uint8), "shapes_px": np.array([[1, 5]])}, {"pixels": np.empty(0, np.uint16)}]


def test_blocks_come_back_in_order_with_their_names(tmp_path: Path) -> None:
    write_blocks(tmp_path / "a.npz", iter(BLOCKS))
    found = list(read_blocks(tmp_path / "a.npz"))
    assert [list(block) for block in found] == [list(block) for block in BLOCKS]
    for block, expected in zip(found, BLOCKS, strict=True):
        for name, array in expected.items():
            assert block[name].dtype == array.dtype
            np.testing.assert_array_equal(block[name], array)


def test_many_blocks_keep_their_order(tmp_path: Path) -> None:
    write_blocks(tmp_path / "a.npz", ({"n": np.array(number)} for number in range(1234)))
    assert [int(block["n"]) for block in read_blocks(tmp_path / "a.npz")] == list(range(1234))


def test_the_bytes_of_blocks_depend_on_the_arrays_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_blocks(tmp_path / "a.npz", BLOCKS)
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 0, 0, 0, 2, 138, 0))
    write_blocks(tmp_path / "b.npz", BLOCKS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_blocks_hold_no_pickled_objects(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        write_blocks(tmp_path / "a.npz", [{"x": np.array([{}], dtype=object)}])
    assert list(tmp_path.iterdir()) == []


def test_a_failure_between_blocks_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> Iterator[dict[str, Any]]:
        yield BLOCKS[0]
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        write_blocks(tmp_path / "a.npz", failing())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0.5, 0.98])
def test_truncated_blocks_say_what_to_do(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "a.npz"
    write_blocks(path, [{"x": np.arange(1000)}, {"x": np.arange(1000)}])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputError, match=r"a\.npz: damaged .*; delete it and run `dvc repro`"):
        list(read_blocks(path))


def test_a_flipped_bit_in_a_block_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_blocks(path, [{"x": np.zeros(1000)}])
    whole = bytearray(path.read_bytes())
    whole[4000] ^= 1
    path.write_bytes(whole)
    with pytest.raises(InputError, match="damaged"):
        list(read_blocks(path))


def test_what_a_killed_process_left_half_written_is_deleted_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    names = ["a[1].csv", f"a[1].csv.{ended.pid}.part", f"a[1].csv.{os.getppid()}.part", f"a1.csv.{ended.pid}.part"]
    for name in names:
        (tmp_path / name).touch()
    write_text(tmp_path / "a[1].csv", "x\n")
    assert {path.name for path in tmp_path.iterdir()} == {names[0], names[2], names[3]}
