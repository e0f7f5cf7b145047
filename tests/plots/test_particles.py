"""Grids of grey images: places, titles, and what white is."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import DTypeLike

from lipnet.plots.figure import save
from lipnet.plots.particles import grid

IMAGES = [[np.full((4, 5), 10 * row + column, np.uint8) for column in range(3 - row)] for row in range(2)]


def test_images_stand_in_their_rows_and_columns() -> None:
    figure = grid(IMAGES, ["Full", "Empty"], ["a", "b", "c"])
    assert len(figure.axes) == 6
    shown = [ax.images[0].get_array()[0, 0] if ax.images else None for ax in figure.axes]
    assert shown == [0, 1, 2, 10, 11, None]
    assert_array_equal(figure.axes[3].images[0].get_array(), IMAGES[1][0])


def test_titles_stand_beside_the_first_column_and_above_the_first_row() -> None:
    figure = grid(IMAGES, ["Full", "Empty"], ["a", "b", "c"])
    assert [ax.get_ylabel() for ax in figure.axes] == ["Full", "", "", "Empty", "", ""]
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c", "", "", ""]
    assert {ax.get_title() for ax in grid(IMAGES, ["Full", "Empty"], []).axes} == {""}


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)])
def test_grey_levels_are_not_stretched(dtype: DTypeLike, white: float) -> None:
    figure = grid([[np.full((4, 4), 1, dtype)]], ["Full"], [])
    assert figure.axes[0].images[0].get_clim() == (0, white)


def test_the_same_grid_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        save(grid(IMAGES, ["Full", "Empty"], ["a"]), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
