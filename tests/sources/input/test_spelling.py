"""Names that look the same have one spelling; files that nobody wrote are known by their names."""

from pathlib import PurePath

import pytest

from lipnet.sources.input.spelling import advice_on_number, file_key, is_clutter, tidy, tidy_record

SEEN = "m 1"


@pytest.mark.parametrize(
    "blank", [" ", "\t", "\r\n", "\u00a0", "\u202f", "\u3000", "\ufeff", "\u200b", "\u2060", "\u00ad"]
)
@pytest.mark.parametrize("form", ["{}m 1", "m 1{}", "{0}{0}m 1{0}{0}"])
def test_blanks_and_invisible_characters_at_the_ends_do_not_count(form: str, blank: str) -> None:
    assert tidy(form.format(blank)) == SEEN
    assert tidy(form.format(blank).replace("m", "\u00b5")) == "\u00b5 1"


@pytest.mark.parametrize("mark", ["\u200c", "\u200d", "\u200e", "\u202a", "\u2066", "\u180e", "\u2028"])
def test_marks_that_mean_something_within_a_word_go_at_its_ends_only(mark: str) -> None:
    assert tidy(f"{mark}a{mark}b{mark}") == f"a{mark}b"


@pytest.mark.parametrize("text", ["m\u00a01", "m\u20071", "m\u202f1", "\ufeffm\u200b \u00ad1\u00a0"])
def test_blanks_of_any_width_are_one_and_characters_without_width_are_none(text: str) -> None:
    assert tidy(text) == SEEN


def test_accents_have_one_form() -> None:
    assert tidy("Gro\u0308\u00dfe") == tidy("Gr\u00f6\u00dfe") == "Gr\u00f6\u00dfe"
    assert tidy("\u212b") == "\u00c5"  # the sign for angstrom is the letter


def test_what_differs_to_the_eye_stays_different() -> None:
    assert len({tidy(text) for text in ("x2", "x\u00b2", "X2", "x 2", "x  2", "\u03bc2", "x-2", "x\u20132")}) == 8


def test_only_texts_of_a_record_are_tidied() -> None:
    assert tidy_record({"Id": " 7\u00a0", "Area": 1.5, "Group": None, "Histogram": [1]}) == {
        "Id": "7",
        "Area": 1.5,
        "Group": None,
        "Histogram": [1],
    }


def test_the_key_of_a_file_ignores_the_case_of_the_suffix_only() -> None:
    assert file_key("Cafe\u0301\u202f1.TIF") == file_key("Caf\u00e9 1.tif")
    assert file_key("A.png") != file_key("a.png")
    assert file_key("v1.A") == file_key("v1.a") != file_key("V1.a")


@pytest.mark.parametrize(
    "name",
    ["._a.png", ".DS_Store", ".ipynb_checkpoints/a-checkpoint.png", "__MACOSX/a.png", "x/Thumbs.db", "x/@eaDir/a.png"],
)
def test_what_systems_add_to_folders_is_clutter(name: str) -> None:
    assert is_clutter(PurePath(name))


@pytest.mark.parametrize("name", ["a.png", "x/a.b.png", "_a.png", "thumbs/a.png", "MACOSX/a.png"])
def test_what_people_write_is_not(name: str) -> None:
    assert not is_clutter(PurePath(name))


@pytest.mark.parametrize("number", ["1,5", "-0,25", "1.234,5", "3,2e-4", ",5"])
def test_a_decimal_comma_is_named(number: str) -> None:
    assert advice_on_number(number) == "; write a decimal point, not a comma"


@pytest.mark.parametrize("text", ["1.5", "1,2,3", "a,5", "", None, 1.5, ",", "1, 5 nm"])
def test_other_values_get_no_such_advice(text: object) -> None:
    assert advice_on_number(text) == ""
