"""Pages: sentences with code and units, names that may break, and the comparison of two runs in a browser."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lipnet.core import files
from lipnet.deployment.compare_runs import compare, to_html
from lipnet.deployment.reports.page import name, prose
from tests.deployment.reports.looks import check
from tests.deployment.two_runs import BASE, NOISE, results

NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run `dvc repro` now", "run <code>dvc repro</code> now"),
        ("`a` and `<b>`", "<code>a</code> and <code>&lt;b&gt;</code>"),
        ("1.8 to 2.3 nm", f"1.8 to 2.3{NBSP}nm"),
        ("8nm, 28 px", f"8{NBSP}nm, 28{NBSP}px"),
        ("95% interval", f"95{NBSP}% interval"),
        ("3 pxs", "3 pxs"),
        ("<script>", "&lt;script&gt;"),
    ],
)
def test_sentences_show_code_and_keep_numbers_and_units_together(text: str, shown: str) -> None:
    assert prose(text) == shown


def test_names_are_escaped_and_may_break_where_words_end() -> None:
    assert name("plots/cnn_<b>.png") == "plots/<wbr>cnn_<wbr>&lt;b&gt;.<wbr>png"


@pytest.fixture
def comparison(tmp_path: Path) -> Path:
    """The page of two runs with long names, a better and a worse measure, other settings and pictures."""
    up, down = BASE + 0.05 + NOISE, BASE - 0.05 + NOISE
    values = {("one", "cnn", "macro_f1"): up, ("one", "cnn", "mcc"): down, ("two", "cnn", "mcc"): np.full(5, np.nan)}
    first = results("a" * 40, {}, ("one", "two"))
    here = results("experiment/blue-owl", values, ("one", "two"), model="lipnet1", balance={"method": "none" * 30})
    stream = io.BytesIO()
    Image.new("L", (900, 300)).save(stream, "PNG")
    pictures = {"plots/evaluation/a_picture_with_a_long_name.png": stream.getvalue()}
    page = to_html(compare(first, here), (pictures, {**pictures, "b.png": stream.getvalue()}))
    files.write_text(tmp_path / "page.html", page)
    return tmp_path / "page.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_comparison_of_two_runs_is_readable_at_every_width_and_in_both_colour_schemes(
    browser: Any, comparison: Path, width: int, scheme: str
) -> None:
    tab = check(browser, comparison, width, scheme)
    assert tab.locator("#summary table").count() == 2
    assert tab.locator("td.better").all_inner_texts() == ["▲ better"]
    assert tab.locator("td.worse").all_inner_texts() == ["▼ worse"]
    assert "−0.050" in tab.locator("#summary").inner_text()
