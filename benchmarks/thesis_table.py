"""Put the tables of studies/claims.md into docs/thesis.md, between its marks.

    python -m benchmarks.thesis_table

`make studies` runs it last.
"""

from benchmarks.measure import ROOT

DOCUMENT, REPORT = ROOT / "docs" / "thesis.md", ROOT / "studies" / "claims.md"
START, END = "<!-- from studies/claims.md -->\n", "<!-- end -->\n"


def main() -> None:
    """Write the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(inserted(text, REPORT.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def inserted(text: str, report: str) -> str:
    """The text with the report between its marks.

    Raises:
        ValueError: the text does not have one pair of marks.
    """
    if (text.count(START), text.count(END)) != (1, 1) or text.index(START) > text.index(END):
        raise ValueError(f"{DOCUMENT.name}: needs one line {START.strip()} and one line {END.strip()} after it")
    before, rest = text.split(START)
    return f"{before}{START}\n{report}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    main()
