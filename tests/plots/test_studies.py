"""Pictures of studies: what each bar, line and dot stands for."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer

from lipnet.plots.figure import COLOURS
from lipnet.plots.studies import MOST_RANKED, effects, grouped_bars, ladder, ranking

CLASSES = ["X", "Y"]
VALUES = {("a", "X"): [0.2, 0.4], ("a", "Y"): [0.5, 0.7], ("b", "X"): [0.6, 0.6], ("b", "Y"): [0.9, 0.7]}


def _folds() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"arm": arm, "class": label, "measure": measure, "value": value + extra}
            for (arm, label), of_folds in VALUES.items()
            for value in of_folds
            for measure, extra in (("f1", 0.0), ("tpr", 0.05))
        ]
    )


def test_a_bar_an_arm_in_each_class() -> None:
    [ax] = grouped_bars(_folds(), CLASSES, "f1", "title", "F1").axes
    bars = [item for item in ax.containers if isinstance(item, BarContainer)]
    assert [bar.get_label() for bar in bars] == ["a", "b"]
    assert [[patch.get_height() for patch in bar] for bar in bars] == [
        pytest.approx([0.3, 0.6]),
        pytest.approx([0.6, 0.8]),
    ]
    assert [label.get_text() for label in ax.get_xticklabels()] == CLASSES
    assert ax.get_ylabel() == "F1"
    whiskers = bars[0].errorbar.lines[2][0].get_segments()
    assert whiskers[0][1][1] - whiskers[0][0][1] == pytest.approx(2 * np.std([0.2, 0.4], ddof=1))


def test_a_ladder_is_a_line_a_class_with_a_band() -> None:
    [ax] = ladder(_folds(), CLASSES, "tpr", "title", "TPR").axes
    assert [line.get_label() for line in ax.lines] == CLASSES
    assert ax.lines[0].get_ydata() == pytest.approx([0.35, 0.65])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]
    band = ax.collections[1].get_paths()[0].vertices[:, 1]  # class Y: 0.65 and 0.85, sd of the folds on either side
    assert band.max() == pytest.approx(0.85 + np.std([0.9, 0.7], ddof=1))


def test_a_ranking_has_the_best_on_top_and_a_dot_a_fold() -> None:
    overall = _folds().query("measure == 'f1' and `class` == 'X'").assign(**{"class": "", "measure": "mcc"})
    [ax] = ranking(overall, "mcc", False, "title", "MCC").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]  # upwards
    bars = [item for item in ax.containers if isinstance(item, ErrorbarContainer)]
    assert [bar.lines[0].get_xdata()[0] for bar in bars] == pytest.approx([0.3, 0.6])
    assert sorted(ax.lines[1].get_xdata()) == pytest.approx([0.2, 0.4])


def test_a_ranking_of_a_loss_has_the_lowest_on_top() -> None:
    overall = _folds().query("measure == 'f1' and `class` == 'X'").assign(**{"class": "", "measure": "log_loss"})
    [ax] = ranking(overall, "log_loss", True, "title", "log loss").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]


def test_a_long_ranking_shows_the_best_and_says_of_how_many() -> None:
    arms = [f"arm {number}" for number in range(MOST_RANKED + 5)]
    folds = pd.DataFrame(
        [
            {"arm": arm, "class": "", "measure": "mcc", "value": n / 100 + d}
            for n, arm in enumerate(arms)
            for d in (0, 0.01)
        ]
    )
    [ax] = ranking(folds, "mcc", False, "title", "MCC").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == arms[5:]
    assert ax.get_xlabel() == f"MCC, the best {MOST_RANKED} of {MOST_RANKED + 5}"


def test_effects_have_a_panel_for_each_kind_and_a_colour_where_they_are_shown() -> None:
    rows = [
        ("items", "x", 0.2, 0.1, 0.3, 0.01),
        ("items", "y", 0.0, -0.1, 0.1, 0.9),
        ("orders", "x before y", *[np.nan] * 4),
    ]
    table = pd.DataFrame(rows, columns=["kind", "term", "effect", "low", "high", "p_holm"])
    picture = effects(table, "title", "macro F1", 0.95)
    items, orders = picture.axes
    assert [ax.get_title(loc="left") for ax in (items, orders)] == ["items", "orders"]
    assert [label.get_text() for label in items.get_yticklabels()] == ["x", "y"]
    assert items.get_ylim() == (1.5, -0.5)  # the first on top
    _, of_x, point, of_y, _ = items.lines
    assert list(of_x.get_xdata()) == [0.1, 0.3] and list(point.get_xdata()) == [0.2]
    assert [to_hex(line.get_color()).upper() for line in (of_x, of_y)] == [COLOURS[0], COLOURS[6]]
    assert orders.get_xlabel() == "effect on macro F1"
    assert "95 % intervals" in picture.get_supxlabel()
