"""Learning curves: which lines are drawn, and from which numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.testing import assert_allclose

from lipnet.plots.figure import COLOURS, save
from lipnet.plots.learning import learning_curves


def _history(n_folds: int, early: bool) -> pd.DataFrame:
    rows = []
    for fold in range(n_folds):
        for phase in ("choosing", "training") if early else ("training",):
            for epoch in (1, 2, 3):
                watched = 2.0 / epoch if phase == "choosing" else np.nan
                rows.append((fold, phase, epoch, fold + 1.0 / epoch, 0.2 * epoch, watched))
    return pd.DataFrame(rows, columns=["fold", "phase", "epoch", "loss", "accuracy", "validation_loss"])


def _lines(ax: Axes) -> list[tuple[str, str, object]]:
    return [(str(line.get_label()), str(line.get_linestyle()), line.get_color()) for line in ax.lines]


def test_a_line_a_fold_for_loss_and_accuracy() -> None:
    figure = learning_curves(_history(3, early=False), "lamellarity, lipnet4")
    loss, accuracy = figure.axes
    assert _lines(loss) == [(f"fold {fold}", "-", COLOURS[fold]) for fold in range(3)]
    assert len(accuracy.lines) == 3
    assert_allclose(loss.lines[1].get_xydata(), [[1, 2], [2, 1.5], [3, 1 + 1 / 3]])
    assert_allclose(accuracy.lines[1].get_xydata(), [[1, 0.2], [2, 0.4], [3, 0.6]])
    assert figure.get_suptitle() == "lamellarity, lipnet4"
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "training loss")


def test_the_choice_of_epochs_is_drawn_dashed_from_the_validation_loss() -> None:
    loss, accuracy = learning_curves(_history(2, early=True), "title").axes
    assert _lines(loss) == [
        ("fold 0, validation", "--", COLOURS[0]),
        ("fold 0", "-", COLOURS[0]),
        ("fold 1, validation", "--", COLOURS[1]),
        ("fold 1", "-", COLOURS[1]),
    ]
    assert_allclose(loss.lines[0].get_ydata(), [2, 1, 2 / 3])
    assert len(accuracy.lines) == 2


def test_more_folds_than_colours_start_again() -> None:
    loss, _ = learning_curves(_history(9, early=False), "title").axes
    assert loss.lines[7].get_color() == COLOURS[0]


def test_the_same_history_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        save(learning_curves(_history(2, early=True), "title"), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
