"""Pictures of networks: what each tile shows, what white is, which channels are drawn, and the loss at known places."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.plots.figure import save
from lipnet.plots.networks import (
    TILE_PX,
    activation_maps,
    kernel_maps,
    log_loss_curve,
    mosaic,
    most_active,
    strongest_channel,
)

CROP = np.arange(64, dtype=np.uint8).reshape(8, 8)


def _kernels() -> dict[str, NDArray[np.float32]]:
    first = np.linspace(-0.5, 0.3, 9 * 2, dtype=np.float32).reshape(3, 3, 1, 2)
    second = np.zeros((3, 3, 2, 3), np.float32)
    second[:, :, 0] = 0.1
    second[0, 0, 1] = [2, -4, 0]
    return {"conv1_1": first, "conv1_2": second}


def _kernel_maps() -> Figure:
    dead = {"conv1_1": np.array([False, False]), "conv1_2": np.array([False, False, True])}
    return kernel_maps(_kernels(), dead, "lamellarity, lipnet2")


def _activations() -> dict[str, NDArray[np.float32]]:
    values = np.zeros((8, 8, 4), np.float32)
    values[2, 3] = [0.5, 9, 0, 3]
    return {"conv1_1": values, "conv2_1": np.zeros((4, 4, 2), np.float32)}


def _activation_maps(channels: int = 2) -> Figure:
    return activation_maps(CROP, _activations(), channels, "particle $_$7")


def _mosaics(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.images and ax.get_label() != "<colorbar>"]


def _colour(ax: Axes, row: int, column: int) -> tuple[float, ...]:
    """Red, green, blue of a pixel of the picture, in [0, 1]."""
    image = ax.images[0]
    return tuple(np.asarray(image.to_rgba(image.get_array()))[row, column, :3].round(2).tolist())


def test_kernels_are_white_at_zero_red_above_and_blue_below() -> None:
    ax = _mosaics(_kernel_maps())[1]
    gap, zoom = 6, TILE_PX // 3
    tile = 3 * zoom + gap
    first, second, third = (_colour(ax, gap, gap + number * tile) for number in range(3))
    assert third == (1, 1, 1)
    assert first[0] == 1 and first[1] < 0.1 and first[2] < 0.1  # half of the largest weight: bright red
    assert second == (0, 0, 0.3)  # the largest weight, below 0: darkest blue
    assert _colour(ax, gap + zoom, gap) == (1, 1, 1)
    assert _colour(ax, 0, 0) == (0.6, 0.6, 0.6)


def test_colours_of_kernels_span_the_largest_weight_of_each_convolution_both_ways() -> None:
    assert [ax.images[0].get_clim() for ax in _mosaics(_kernel_maps())] == [(-0.5, 0.5), (-4, 4)]


def test_kernel_titles_name_the_channel_and_count_dead_filters() -> None:
    figure = _kernel_maps()
    assert [ax.get_title(loc="left") for ax in _mosaics(figure)] == [
        "conv1_1: 2 filters, 0 dead",
        "conv1_2, input channel 1 of 0 to 1: 3 filters, 1 dead",
    ]
    assert figure.get_suptitle() == "lamellarity, lipnet2"


def test_the_channel_drawn_has_the_largest_sum_of_absolute_weights() -> None:
    kernel = np.zeros((3, 3, 3, 2))
    kernel[0, 0, 0] = [5, -4]
    kernel[1, :, 1] = [-2, -2]
    kernel[:, :, 2, 0] = 1
    assert strongest_channel(kernel) == 1  # 9, 12, 9


def test_the_channels_drawn_are_those_with_the_largest_sums_in_their_order() -> None:
    values = _activations()["conv1_1"]
    assert [most_active(values, channels).tolist() for channels in (1, 2, 3, 9)] == [
        [1],
        [1, 3],
        [0, 1, 3],
        [0, 1, 2, 3],
    ]


def test_activation_maps_show_the_input_and_the_channels_of_every_convolution() -> None:
    figure = _activation_maps()
    beside, first, second = _mosaics(figure)
    assert_array_equal(beside.images[0].get_array(), CROP)
    assert beside.images[0].get_clim() == (0, 255)
    assert figure.get_suptitle() == "particle $_$7"  # an id, not a formula
    assert [ax.get_title() for ax in (beside, first, second)] == [
        "input, 8 px",
        "conv1_1: 2 most active of 4 channels, 8 px",
        "conv2_1: 2 most active of 2 channels, 4 px",
    ]
    zoom = TILE_PX // 8
    row, column = 1 + 2 * zoom, 1 + 3 * zoom
    assert first.images[0].get_clim() == (0, 9)
    assert _colour(first, row, column) == (1, 1, 1)
    assert _colour(first, row, column + 8 * zoom + 1) == pytest.approx((1 / 3,) * 3, abs=0.01)
    assert _colour(second, 1, 1) == (0, 0, 0)


def test_mosaics_are_filled_row_by_row_with_gaps_around() -> None:
    tiles = np.stack([np.full((TILE_PX, TILE_PX), value, float) for value in (1, 2, 3)])
    found = mosaic(tiles, 2, gap_px=2)
    assert found.shape == (2 * TILE_PX + 6, 2 * TILE_PX + 6)
    step = TILE_PX + 2
    for number, (row, column) in enumerate([(0, 0), (0, 1), (1, 0)], start=1):
        top, left = 2 + row * step, 2 + column * step
        assert_array_equal(found[top : top + TILE_PX, left : left + TILE_PX], number)
    assert np.isfinite(found).sum() == 3 * TILE_PX**2


def test_small_tiles_are_magnified_and_none_is_reduced() -> None:
    tile = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    found = mosaic(tile, 1, gap_px=1)
    zoom = TILE_PX // 2
    assert_array_equal(found[1:-1, 1:-1], np.kron(tile[0], np.ones((zoom, zoom))))
    assert mosaic(np.zeros((1, 100, 100)), 1, gap_px=1).shape == (102, 102)


def test_log_loss_is_that_of_the_examples_of_the_thesis() -> None:
    ax = log_loss_curve().axes[0]
    curve, *points = ax.lines
    probability, loss = curve.get_data()
    assert_allclose(np.exp(-np.asarray(loss)), probability)
    assert (probability[-1], loss[-1]) == (1, 0)
    assert max(loss) == pytest.approx(8)
    assert_allclose([point.get_ydata()[0] for point in points], [0.1054, 0.6931, 2.3026], atol=5e-5)
    assert [text.get_text() for text in ax.texts] == ["0.105 at p = 0.9", "0.693 at p = 0.5", "2.303 at p = 0.1"]


@pytest.mark.parametrize("draw", [_kernel_maps, _activation_maps, log_loss_curve])
def test_pictures_are_saved_with_the_same_bytes(draw: Any, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        save(draw(), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
