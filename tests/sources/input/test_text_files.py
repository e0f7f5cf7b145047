"""Records of CSV files begin at the line that an editor shows; blank ones are left out; other encodings are named."""

import csv
from pathlib import Path

import pytest

from lipnet.core.errors import InputError
from lipnet.sources.input.text_files import read_text, records


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_record_has_the_line_where_it_begins_after_any_line_ends_within_quotes(end: str) -> None:
    text = end.join(["", "a,b", "", '1,"two', "", 'lines"', ",", " ,\u00a0", '2,"x"', "3,y", "", ""])
    assert list(records(text)) == [
        (2, ["a", "b"]),
        (4, ["1", f"two{end}{end}lines"]),
        (9, ["2", "x"]),
        (10, ["3", "y"]),
    ]


def test_lines_end_at_line_ends_only() -> None:
    assert list(records("a,b\x0bc\n1,2\u2028x\x85\n2,3\n")) == [
        (1, ["a", "b\x0bc"]),
        (2, ["1", "2\u2028x"]),
        (3, ["2", "3"]),
    ]


def test_cells_may_be_quoted_with_blanks_on_both_sides() -> None:
    assert list(records('"a" , "b, c " ,d\n')) == [(1, ["a", "b, c", "d"])]
    assert list(records('5" x,"say ""hi"""\n')) == [(1, ['5" x', 'say "hi"'])]


@pytest.mark.parametrize("text", ['a\n1\n"b\n2\n', '"', 'a,"b', 'a\n"1""\n'])
def test_a_quotation_mark_that_is_not_closed_is_an_error(text: str) -> None:
    with pytest.raises(csv.Error, match=r"line \d: a quotation mark is not closed"):
        list(records(text))


@pytest.mark.parametrize("text", ["a,b\n1,2", "a,b\n1,2\n", 'a,"b"\n1,"2"'])
def test_the_last_line_needs_no_line_end(text: str) -> None:
    assert list(records(text)) == [(1, ["a", "b"]), (2, ["1", "2"])]


@pytest.mark.parametrize("text", ["", "\n\n", " , ,\n", "\u00a0\n\ufeff"])
def test_nothing_but_blanks_is_no_record(text: str) -> None:
    assert list(records(text)) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_with_and_without_its_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_text("id,image\n", encoding=encoding)
    with pytest.raises(InputError, match=r"a\.csv: not a CSV table in UTF-8 \(it is UTF-16, or .*save it as UTF-8"):
        read_text(tmp_path / "a.csv", "a CSV table")


def test_an_older_encoding_is_named_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Größe", encoding="latin-1")
    with pytest.raises(InputError, match=r"not JSON in UTF-8 \(.*0xf6.*\); save it as UTF-8"):
        read_text(tmp_path / "a.csv", "JSON")
    assert read_text(tmp_path / "a.csv", "JSON", errors="replace") == "Gr\ufffd\ufffde"


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file; put it there"):
        read_text(tmp_path / "a.csv", "a CSV table")
    with pytest.raises(InputError, match=r"not a CSV table in UTF-8"):
        read_text(tmp_path, "a CSV table")
