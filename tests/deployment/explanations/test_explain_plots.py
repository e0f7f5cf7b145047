"""Pictures of explanations: contents, colours and scales of tiles, and rows of the heat map."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.testing import assert_array_equal

from lipnet.deployment.explanations.explain import Patches
from lipnet.deployment.explanations.explain_plots import GAP_PX, agreement_map, attention_maps, exciting_patches
from lipnet.plots.figure import save
from lipnet.plots.networks import TILE_PX

CROPS = np.arange(2 * 64, dtype=np.uint8).reshape(2, 8, 8)


def _attention() -> Figure:
    occlusions = np.zeros((2, 8, 8))
    occlusions[0, 3, 4], occlusions[0, 1, 1] = 0.5, -0.25
    return attention_maps(CROPS, ["one, Full", "$_$7"], {"occlusion": occlusions, "guided": CROPS / 2}, "a title")


def _patches() -> Figure:
    patches = np.zeros((2, 3, 4, 4))
    patches[1, 2] = 255
    patches[0, 0, 0] = np.nan
    reconstructions = np.zeros((2, 3, 4, 4))
    reconstructions[0, 1, 0, 0], reconstructions[1, 0, 3, 3] = -0.01, 50
    return exciting_patches(Patches(np.array([4, 31]), patches, reconstructions), "conv1_1: deconvnet")


def _table() -> pd.DataFrame:
    rows = [
        ("area", 0, 0.2, 0.5),
        ("area", 7, -0.6, 0.001),
        ("profile_00", 0, 0.9, 1e-9),
        ("profile_00", 7, 0.3, 0.04),
        ("profile_01", 0, 0.5, 0.01),
        ("profile_01", 7, 0.8, 1e-6),
        ("flat", 0, np.nan, np.nan),
        ("flat", 7, np.nan, np.nan),
    ]
    return pd.DataFrame(rows, columns=["feature", "unit", "spearman", "p_holm"])


def _agreement() -> Figure:
    return agreement_map(_table(), "lamellarity")


def _colour(ax: Axes, row: int, column: int) -> tuple[float, ...]:
    image = ax.images[0]
    return tuple(np.asarray(image.to_rgba(image.get_array()))[row, column, :3].round(2).tolist())


def test_each_particle_has_a_row_with_its_crop_and_maps() -> None:
    figure = _attention()
    assert figure.get_suptitle() == "a title"
    assert [ax.get_title() for ax in figure.axes] == [
        *("one, Full", "occlusion\n±0.5", "guided\n±32"),
        *("$_$7", "occlusion\n±0", "guided\n±64"),
    ]
    assert_array_equal(figure.axes[3].images[0].get_array(), CROPS[1])
    assert_array_equal(figure.axes[5].images[0].get_array(), CROPS[1] / 2)


def test_maps_are_white_at_zero_red_above_and_blue_below_up_to_the_largest() -> None:
    ax = _attention().axes[1]
    assert ax.images[0].get_clim() == (-0.5, 0.5)
    assert _colour(ax, 0, 0) == (1, 1, 1)
    red, blue = _colour(ax, 3, 4), _colour(ax, 1, 1)
    assert red[0] >= 0.5 and red[1:] == (0, 0)
    assert blue[2] == 1 and blue[0] < 0.1


def test_patches_are_shown_with_reconstructions_that_are_scaled_one_by_one() -> None:
    left, right = _patches().axes
    step = TILE_PX + GAP_PX
    zoom = TILE_PX // 4
    assert [label.get_text() for label in left.get_yticklabels()] == ["4", "31"]
    assert left.get_yticks().tolist() == [GAP_PX / 2 + step / 2, GAP_PX / 2 + 1.5 * step]
    assert _colour(left, step + GAP_PX, 2 * step + GAP_PX) == (1, 1, 1)
    assert _colour(left, GAP_PX + zoom, GAP_PX) == (0, 0, 0)
    assert _colour(left, GAP_PX, GAP_PX) == (1, 1, 1)  # outside the image
    assert _colour(right, GAP_PX, step + GAP_PX) == (0, 0, 0.3)  # the darkest blue, although the value is small
    assert _colour(right, 2 * step - 1, step - 1) == (0.5, 0, 0)
    assert _colour(right, GAP_PX, GAP_PX) == (1, 1, 1)


def test_numbered_features_are_shown_by_the_strongest_and_insignificant_pairs_are_grey() -> None:
    ax = _agreement().axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["profile_00", "area"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "7"]
    assert_array_equal(np.ma.filled(ax.images[0].get_array(), np.nan), [[0.9, 0.3], [np.nan, -0.6]])
    assert _colour(ax, 1, 0) == (0.6, 0.6, 0.6)
    assert ax.images[0].get_clim() == (-1, 1)


def test_everything_is_grey_if_nothing_is_significant() -> None:
    ax = agreement_map(_table().assign(p_holm=1.0), "lamellarity").axes[0]
    assert np.ma.getmaskarray(ax.images[0].get_array()).all()


@pytest.mark.parametrize("draw", [_attention, _patches, _agreement])
def test_pictures_are_saved_with_the_same_bytes(draw: Any, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        save(draw(), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
