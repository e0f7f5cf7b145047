"""Pictures without matplotlib: outlines that contain exactly the mask, colours, legend, contact sheet."""

import numpy as np
import pytest
from matplotlib.path import Path as Curve
from scipy import ndimage

from lipnet.plots.annotated import CELL_PX, GAP_PX, PER_ROW, Piece, Shown, contact_sheet, micrograph, outlines
from lipnet.plots.colours import COLOURS, rgb
from lipnet.samples.particles import Mask


def filled(pieces: list[Piece], shape: tuple[int, int]) -> np.ndarray:
    """Number of pieces that contain the centre of each pixel, holes not counted."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    count = np.zeros(shape, int)
    for around, *holes in pieces:
        count += Curve(around).contains_points(centres).reshape(shape)
        for hole in holes:
            count -= Curve(hole).contains_points(centres).reshape(shape)
    return count


def _ring_with_an_island() -> Mask:
    mask = np.zeros((13, 15), bool)
    mask[1:12, 1:12] = True
    mask[3:10, 3:10] = False
    mask[5:8, 5:8] = True
    mask[6, 6] = False
    mask[0, 14] = True
    return mask


@pytest.mark.parametrize("smoothing", [0.01, 0.5, 1, 2, 3])
def test_outlines_contain_exactly_the_centres_of_the_pixels_of_a_mask(smoothing: float) -> None:
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(size=(30, 25))
        mask = ndimage.gaussian_filter(noise, smoothing) > 0
        pieces = outlines(mask)
        assert (filled(pieces, (30, 25)) == mask).all()
        assert len(pieces) == ndimage.label(mask)[1]
        assert all((ring[0] == ring[-1]).all() for piece in pieces for ring in piece)


def test_holes_belong_to_the_piece_around_them() -> None:
    mask = _ring_with_an_island()
    assert sorted(len(piece) for piece in outlines(mask)) == [1, 2, 2]
    assert (filled(outlines(mask), (13, 15)) == mask).all()


def test_outlines_have_a_corner_only_where_they_turn() -> None:
    [[ring]] = outlines(np.ones((20, 30), bool))
    assert len(ring) <= 10 and ring.min() == 0 and ring.max(axis=0).tolist() == [30, 20]


def test_outlines_of_a_micrograph_have_the_colours_of_the_classes_and_the_legend_is_below() -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:30, 10:30] = True
    grey = np.full((60, 80), 128, np.uint8)
    picture = np.array(micrograph(grey, [(outlines(mask), 1)], ["Full 0", "Empty 1"]))
    assert picture.shape[1] == 4 * 80 and picture.shape[0] > 4 * 60
    assert picture[4 * 20, 4 * 10].tolist() == list(rgb(1))
    assert picture[4 * 20, 4 * 20].tolist() == [128] * 3
    below = {tuple(pixel) for pixel in picture[4 * 60 :].reshape(-1, 3).tolist()}
    assert {rgb(0), rgb(1)} <= below


def test_a_long_legend_gets_several_lines_and_16_bits_become_8() -> None:
    grey = np.full((60, 80), 65535, np.uint16)
    one, many = (micrograph(grey, [], [f"A long name of a class {n}" for n in range(count)]) for count in (1, 9))
    assert many.height > one.height + 50 and one.getpixel((5, 5)) == (255, 255, 255)


def test_a_contact_sheet_has_a_cell_for_each_particle() -> None:
    mask = np.zeros((20, 10), bool)
    mask[5:15, 2:8] = True
    shown = [
        Shown(np.full((20, 10), 99, np.uint8), mask, n % 3, [f"particle with a long name {n}", "Full 0.9"])
        for n in range(12)
    ]
    picture = contact_sheet(shown)
    across = CELL_PX + GAP_PX
    assert picture.width == PER_ROW * across + GAP_PX and picture.height > 2 * across
    assert picture.getpixel((GAP_PX + 3 * across + 2, GAP_PX + 2)) == (99, 99, 99)
    colours = {colour for _, colour in picture.getcolors(10**6) or []}
    assert {rgb(0), rgb(1), rgb(2)} <= colours


def test_colours_repeat_after_the_last() -> None:
    assert rgb(0) == (0, 114, 178) == rgb(len(COLOURS))
