"""docs/thesis.md holds the tables that the stage claims wrote."""

import pytest

from benchmarks.thesis_table import DOCUMENT, END, REPORT, START, inserted


def test_the_report_replaces_what_is_between_the_marks() -> None:
    text = f"before\n{START}old\n{END}after\n"
    assert inserted(text, "| new |\n") == f"before\n{START}\n| new |\n\n{END}after\n"
    assert inserted(inserted(text, "x\n"), "| new |\n") == inserted(text, "| new |\n")


@pytest.mark.parametrize("text", ["", START, END, END + START, START + END + START + END])
def test_a_text_without_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"thesis\.md: needs one line"):
        inserted(text, "x")


def test_the_document_is_up_to_date() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert inserted(text, REPORT.read_text(encoding="utf-8")) == text
