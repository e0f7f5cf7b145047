"""corrections.csv: labels are corrected by id; messages name the file and row of every fault."""

from pathlib import Path

import pytest

from lipnet.core.errors import InputError
from lipnet.sources.corrections import Correction, check_known, read_corrections

CLASSES = ["Full", "Empty"]


def _write(folder: Path, *rows: str, header: str = "id,label,note,reviewer") -> None:
    (folder / "corrections.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def test_no_file_means_no_corrections(tmp_path: Path) -> None:
    assert read_corrections(tmp_path, CLASSES) == {}


def test_corrections_are_read_and_further_columns_ignored(tmp_path: Path) -> None:
    _write(tmp_path, "7,Full,blurred,AB", "x,Empty,,")
    assert read_corrections(tmp_path, CLASSES) == {"7": Correction(2, "Full"), "x": Correction(3, "Empty")}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,Half,,", "row 3: label 'Half' of 'a' is not one of Full, Empty; write one of them"),
        ("a,,,", "row 3: label '' of 'a' is not one of Full, Empty"),
        ("7,Empty,,", "row 3: id '7' is in row 2 too; delete one of the two"),
        (",Empty,,", "row 3: the id is empty; write the particle's id or delete the row"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    _write(tmp_path, "7,Full,,", row)
    with pytest.raises(InputError, match=f"corrections.csv: {message}"):
        read_corrections(tmp_path, CLASSES)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    _write(tmp_path, "7,Full", header="id,class")
    with pytest.raises(InputError, match="column label is missing"):
        read_corrections(tmp_path, CLASSES)


def test_a_correction_of_an_unknown_particle_is_named(tmp_path: Path) -> None:
    check_known({"a": Correction(2, "Full")}, ["a", "b"], tmp_path)
    with pytest.raises(InputError, match=r"corrections\.csv: row 3: no particle 'c' was ingested; correct the id"):
        check_known({"a": Correction(2, "Full"), "c": Correction(3, "Full")}, ["a", "b"], tmp_path)


def test_blank_rows_and_blanks_around_cells_do_not_count_and_rows_keep_their_lines(tmp_path: Path) -> None:
    _write(
        tmp_path, "", '7 ,Full\u00a0,"two', 'lines",', ",,,", " x,\ufeffEmpty,,", "", header="id ,label,note,reviewer"
    )
    assert read_corrections(tmp_path, CLASSES) == {"7": Correction(3, "Full"), "x": Correction(6, "Empty")}


def test_accents_of_labels_and_ids_compare_in_one_form(tmp_path: Path) -> None:
    _write(tmp_path, "e\u0301,Gro\u0308\u00dfe,,")
    assert read_corrections(tmp_path, ["Gr\u00f6\u00dfe", "x"]) == {"\u00e9": Correction(2, "Gr\u00f6\u00dfe")}


def test_a_file_named_in_capitals_is_not_ignored(tmp_path: Path) -> None:
    (tmp_path / "Corrections.CSV").write_text("id,label\na,Full\n")
    assert read_corrections(tmp_path, CLASSES) == {"a": Correction(2, "Full")}
