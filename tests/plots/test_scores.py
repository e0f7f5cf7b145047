"""Pictures of scores: what stands in each cell and each bar."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from lipnet.plots.figure import COLOURS, save
from lipnet.plots.scores import (
    LABELS,
    class_measures,
    confusion_matrices,
    precision_recall_curves,
    reliability_diagrams,
)

COUNTS = np.array([[90.0, 10.0], [1.5, 0.5]])
SHARES = np.array([[0.9, 0.1], [0.75, 0.25]])
CLASSES = ["Full", "Empty"]


def _folds() -> pd.DataFrame:
    values = {
        ("cnn", "", "mcc"): [0.5, 0.7],
        ("svm", "", "mcc"): [0.4, 0.4],
        ("cnn", "Empty", "tpr"): [0.2, 0.4],
        ("svm", "Empty", "tpr"): [np.nan, np.nan],
        ("cnn", "Empty", "f1"): [0.1, np.nan],
        ("svm", "Empty", "f1"): [0.8, 0.6],
    }
    return pd.DataFrame(
        [
            {"classifier": classifier, "class": label, "measure": measure, "value": value}
            for (classifier, label, measure), of_folds in values.items()
            for value in of_folds
        ]
    )


def _measures() -> Figure:
    return class_measures(_folds(), ["", "Empty"], ["cnn", "svm"], "encapsulation")


def _matrices() -> Figure:
    return confusion_matrices({"cnn": (COUNTS, SHARES), "svm": (COUNTS.T, SHARES.T)}, CLASSES, "encapsulation")


def _bars(figure: Figure, panel: int) -> list[BarContainer]:
    return [item for item in figure.axes[panel].containers if isinstance(item, BarContainer)]


def test_confusion_matrices_show_share_and_count_of_every_cell() -> None:
    figure = _matrices()
    assert [ax.get_title() for ax in figure.axes] == ["cnn", "svm"]
    first, second = figure.axes
    found = {text.get_position(): text.get_text() for text in first.texts}
    assert found == {(0, 0): "0.90\n(90.0)", (1, 0): "0.10\n(10.0)", (0, 1): "0.75\n(1.5)", (1, 1): "0.25\n(0.5)"}
    assert_allclose(first.images[0].get_array(), SHARES)
    assert_allclose(second.images[0].get_array(), SHARES.T)
    assert [label.get_text() for label in first.get_xticklabels()] == CLASSES
    assert [label.get_text() for label in first.get_yticklabels()] == CLASSES
    assert (first.get_ylabel(), first.get_xlabel()) == ("true", "predicted")


def test_text_is_white_on_dark_cells_only() -> None:
    colours = {text.get_text()[:4]: text.get_color() for text in _matrices().axes[0].texts}
    assert colours == {"0.90": "white", "0.75": "white", "0.25": "black", "0.10": "black"}


def test_a_panel_shows_the_measures_that_its_class_has() -> None:
    figure = _measures()
    assert [ax.get_title() for ax in figure.axes] == ["all classes", "Empty"]
    ticks = [[label.get_text() for label in ax.get_xticklabels()] for ax in figure.axes]
    order = list(LABELS)
    assert ticks == [[LABELS["mcc"]], [LABELS[name] for name in sorted(["tpr", "f1"], key=order.index)]]
    assert [[len(bars) for bars in _bars(figure, panel)] for panel in (0, 1)] == [[1, 1], [2, 2]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cnn", "svm"]


def test_bars_are_means_over_folds_and_whiskers_their_sd() -> None:
    figure = _measures()
    heights = [[bar.get_height() for bar in bars] for bars in _bars(figure, 1)]
    assert_allclose(heights, [[0.3, 0.1], [np.nan, 0.7]])
    whisker = _bars(figure, 0)[0].errorbar.lines[2][0].get_segments()[0]
    assert_allclose(whisker[:, 1], 0.6 + np.array([-1, 1]) * np.std([0.5, 0.7], ddof=1))


def test_bars_of_one_measure_stand_side_by_side_around_the_tick() -> None:
    cnn, svm = (bars[0] for bars in _bars(_measures(), 0))
    assert cnn.get_x() + cnn.get_width() == pytest.approx(svm.get_x())
    assert svm.get_x() == pytest.approx(0)


def test_a_classifier_keeps_its_colour_where_others_are_left_out() -> None:
    figure = class_measures(_folds(), [""], ["svm"], "encapsulation")
    assert _bars(figure, 0)[0][0].get_facecolor() == to_rgba(COLOURS[1])


def _reliability() -> Figure:
    bins = np.zeros((3, 2, 10))
    bins[:, 0, 2], bins[:, 0, 9], bins[:, 1, 5] = (4, 1.0, 3), (10, 9.5, 9), (1, 0.5, 0)
    return reliability_diagrams({"cnn": bins, "svm": bins[:, ::-1]}, CLASSES, "encapsulation")


def _curves() -> Figure:
    falling = (np.array([1.0, 0.5, 0.0]), np.array([0.1, 0.6, 1.0]))
    curves = {"cnn": [falling, falling], "svm": [falling, (np.empty(0), np.empty(0))]}
    points = {"cnn": [(0.5, 0.6), (1.0, 0.1)], "svm": [(0.0, np.nan), (np.nan, np.nan)]}
    return precision_recall_curves(curves, points, CLASSES, "encapsulation")


def test_a_reliability_diagram_shows_the_observed_share_where_there_are_particles() -> None:
    first, second = _reliability().axes
    assert (first.get_title(), second.get_title()) == tuple(CLASSES)
    cnn, svm, diagonal = first.lines
    assert_allclose(cnn.get_xydata(), [[0.25, 0.75], [0.95, 0.9]])
    assert_allclose(svm.get_xydata(), [[0.5, 0]])
    assert_allclose(diagonal.get_xydata(), [[0, 0], [1, 1]])
    few, many = first.collections[0].get_sizes()
    assert few < many
    assert first.get_xlabel() == second.get_xlabel() == "stated probability"


def test_precision_recall_has_a_line_a_classifier_and_a_dot_at_its_decisions() -> None:
    figure = _curves()
    first, second = figure.axes
    curve, dot = first.lines[:2]
    assert_allclose(curve.get_xydata(), [[1, 0.1], [0.5, 0.6], [0, 1]])
    assert_allclose(dot.get_xydata(), [[0.5, 0.6]])
    assert_allclose(second.lines[1].get_xydata(), [[1, 0.1]])
    assert curve.get_color() == dot.get_color() == COLOURS[0]
    assert (first.get_xlabel(), first.get_ylabel()) == ("recall", "precision")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cnn", "svm"]


def test_more_classifiers_than_colours_take_turns() -> None:
    names = [f"rule{number}" for number in range(len(COLOURS) + 1)]
    folds = pd.concat([_folds().assign(classifier=name) for name in names])
    bars = _bars(class_measures(folds, ["Empty"], names, "encapsulation"), 0)
    assert bars[0][0].get_facecolor() == bars[-1][0].get_facecolor()


@pytest.mark.parametrize("draw", [_measures, _matrices, _reliability, _curves])
def test_pictures_with_undefined_measures_are_saved_with_the_same_bytes(draw: object, tmp_path: Path) -> None:
    assert callable(draw)
    for name in ("one.png", "two.png"):
        save(draw(), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_undefined_shares_do_not_crash(tmp_path: Path) -> None:
    shares = np.array([[1.0, 0.0], [np.nan, np.nan]])
    figure = confusion_matrices({"cnn": (COUNTS, shares)}, CLASSES, "encapsulation")
    assert "nan\n(1.5)" in {text.get_text() for text in figure.axes[0].texts}
    save(figure, tmp_path / "picture.png")
