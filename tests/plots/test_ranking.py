"""Picture of the ranking: places, intervals, what the bar joins, and when no difference is shown."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from lipnet.plots.figure import COLOURS, save
from lipnet.plots.ranking import ranking

COLUMNS = ["measure", "classifier", "mean", "low", "high", "folds", "of_folds", "p_holm", "joined"]
RANKS = pd.DataFrame(
    [
        ("mcc", "cnn", 0.9, 0.8, 1.0, 5, 5, np.nan, True),
        ("mcc", "forest", 0.7, 0.6, 0.8, 5, 5, 0.01, False),
        ("mcc", "svm", 0.6, 0.2, 1.0, 3, 5, 0.3, True),
        ("log_loss", "svm", 0.1, 0.0, 0.2, 5, 5, np.nan, True),
        ("log_loss", "cnn", 0.2, np.nan, np.nan, 1, 5, np.nan, True),
    ],
    columns=COLUMNS,
)


def _draw() -> Figure:
    return ranking(RANKS, "encapsulation", 0.95)


def _bar(ax: Axes) -> list[float]:
    (bar,) = (line for line in ax.lines if line.get_color() == "black")
    return list(np.asarray(bar.get_ydata(), dtype=float))


def test_the_best_is_on_top_with_its_interval_and_every_panel_has_its_own_order() -> None:
    first, second = _draw().axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["cnn", "forest", "svm (3 of 5 folds)"]
    assert [label.get_text() for label in second.get_yticklabels()] == ["svm", "cnn (1 of 5 folds)"]
    assert first.get_ylim() == second.get_ylim() == (2.5, -0.5)  # place 0 on top
    interval, mean = first.lines[:2]
    assert_allclose(interval.get_xydata(), [[0.8, 0], [1.0, 0]])
    assert_allclose(mean.get_xydata(), [[0.9, 0]])
    assert (first.get_xlabel(), second.get_xlabel()) == ("MCC", "log_loss, lower is better")


def test_the_bar_joins_those_not_shown_to_differ_and_the_others_are_grey() -> None:
    first, second = _draw().axes
    assert (_bar(first), _bar(second)) == ([0, 2], [0, 1])
    assert [line.get_color() for line in first.lines[1:6:2]] == [COLOURS[0], COLOURS[6], COLOURS[0]]


def test_a_panel_says_when_no_difference_is_shown() -> None:
    figure = _draw()
    assert [ax.get_title() for ax in figure.axes] == ["", "no difference shown against the best"]
    assert "black bar: no difference shown against the best" in figure.get_supxlabel()
    assert "95 % intervals" in figure.get_supxlabel()
    assert figure.get_suptitle() == "encapsulation"


def test_one_classifier_is_not_said_to_equal_any_other() -> None:
    (ax,) = ranking(RANKS[:1], "encapsulation", 0.95).axes
    assert ax.get_title() == "one classifier only"


@pytest.mark.parametrize("of_classifiers", [2, 12])
def test_pictures_are_saved_with_the_same_bytes_and_stay_small(of_classifiers: int, tmp_path: Path) -> None:
    many = pd.DataFrame(
        [
            (measure, f"classifier{number}", 0.9 - number / 20, 0.1, 1.0, 5, 5, np.nan, number < 3)
            for measure in ("mcc", "macro_f1", "average_precision")
            for number in range(of_classifiers)
        ],
        columns=COLUMNS,
    )
    for name in ("one.png", "two.png"):
        save(ranking(many, "encapsulation", 0.95), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one.png").stat().st_size < 150_000
