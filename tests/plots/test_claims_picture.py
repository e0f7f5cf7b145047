"""The picture of claims: a row for each comparison, a panel for each data set, colours of verdicts."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from lipnet.plots.claims import COLOURS_OF_VERDICTS, claims_picture
from lipnet.plots.figure import save

VERDICTS = ("confirmed", "contradicted", "not confirmed", "open question")
ROWS = (
    pd.DataFrame(
        [
            ("B wins", "", "one", 0.2, 0.1, 0.3, 0.25, "confirmed"),
            ("C loses", "c", "one", 0.0, -0.1, 0.1, np.nan, "not confirmed"),
            ("C loses", "d", "two", 0.3, 0.2, 0.4, np.nan, "contradicted"),
        ],
        columns=["claim", "arms", "panel", "difference", "low", "high", "thesis", "verdict"],
    )
    .assign(measure=["macro_f1", "mcc", "mcc"])
    .astype({"panel": pd.CategoricalDtype(["two", "one", "empty"])})
)


def test_rows_are_comparisons_and_panels_are_data_sets() -> None:
    figure = claims_picture(ROWS, VERDICTS, 0.05, 0.95)
    assert [ax.get_title() for ax in figure.axes] == ["two", "one", "empty"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["B wins", "C loses (c)", "C loses (d)"]
    dots = {
        ax.get_title(): [
            (*line.get_xydata()[0], to_hex(line.get_color()).upper()) for line in ax.lines if line.get_marker() == "o"
        ]
        for ax in figure.axes
    }
    assert dots == {
        "two": [(0.3, 2, COLOURS_OF_VERDICTS[1])],
        "one": [(0.2, 0, COLOURS_OF_VERDICTS[0]), (0.0, 1, COLOURS_OF_VERDICTS[2])],
        "empty": [],
    }


def test_lines_are_intervals_and_a_cross_is_the_thesis() -> None:
    ax = claims_picture(ROWS, VERDICTS, 0.05, 0.95).axes[1]
    drawn = [line.get_xdata() for line in ax.lines]
    assert any(list(line) == [0.1, 0.3] for line in drawn)
    crosses = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "x"]
    assert [cross for cross in crosses if np.isfinite(cross)] == [0.25]


def test_the_legend_names_measures_interval_and_margin() -> None:
    [legend] = claims_picture(ROWS, VERDICTS, 0.05, 0.95).legends
    assert legend.get_title().get_text() == "difference of macro F1 or MCC, 95 % interval; grey: within 0.05"
    assert [text.get_text() for text in legend.get_texts()] == [*VERDICTS, "the thesis, on its own data"]


def test_nothing_to_draw_is_an_empty_picture(tmp_path: Path) -> None:
    save(claims_picture(ROWS[:0], VERDICTS, 0.05, 0.95), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").exists()
