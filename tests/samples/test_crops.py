"""Crops: each mode shows the right pixels, and constant scale keeps differences in size."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lipnet.core.errors import InputError
from lipnet.samples.crops import MODES, CropSettings, Mode, crop_all, cut, of_size, to_arrays, to_size
from lipnet.samples.particles import Particle, ParticleStore, pack


def _settings(**changes: Any) -> CropSettings:
    return CropSettings(**{"mode": "surrounding", "scale": "fit", "field_px": 64, "sizes_px": [16], **changes})


def _store(*pictures: tuple[Any, Any]) -> ParticleStore:
    return pack([Particle(str(index), "A", "g", image, mask) for index, (image, mask) in enumerate(pictures)])


def _disc(side_px: int, radius_px: float) -> Any:
    axis = np.arange(side_px) - (side_px - 1) / 2
    return np.hypot(axis[:, None], axis[None, :]) <= radius_px


def _span(crop: Any) -> tuple[int, int]:
    rows, columns = np.flatnonzero(crop.any(axis=1)), np.flatnonzero(crop.any(axis=0))
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


IMAGE = np.arange(1, 57, dtype=np.uint8).reshape(7, 8)
MASK = np.zeros((7, 8), bool)
MASK[2, 3] = MASK[3, 2] = MASK[4, 5] = True


def test_surrounding_shows_all() -> None:
    np.testing.assert_array_equal(cut(IMAGE, MASK, "surrounding"), IMAGE)


def test_cropped_shows_the_bounding_box() -> None:
    np.testing.assert_array_equal(cut(IMAGE, MASK, "cropped"), IMAGE[2:5, 2:6])


def test_masked_shows_the_bounding_box_and_zero_outside_the_mask() -> None:
    expected = [[0, 20, 0, 0], [27, 0, 0, 0], [0, 0, 0, 38]]
    assert cut(IMAGE, MASK, "masked").tolist() == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cutting_keeps_the_type(mode: Mode, dtype: type) -> None:
    assert cut(IMAGE.astype(dtype), MASK, mode).dtype == dtype


@pytest.mark.parametrize("scale", ["fit", "constant"])
def test_an_image_of_the_wanted_size_is_kept_exactly(scale: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16)).astype(np.uint8)
    options = _settings(scale=scale, field_px=16)
    crops = crop_all(_store((image, np.ones((16, 16), bool))), options, ["a"])
    np.testing.assert_array_equal(crops[16][0], image)


def test_masked_crops_are_zero_outside_the_mask_also_after_resizing() -> None:
    mask = np.zeros((60, 60), bool)
    mask[10:50, 10:50] = True
    mask[10:30, 10:30] = False
    image = np.full((60, 60), 200, np.uint8)
    crop = crop_all(_store((image, mask)), _settings(mode="masked"), ["a"])[16][0]
    assert crop[:7, :7].max() == 0
    assert crop[9:, :].min() == crop[:, 9:].min() == 200


def test_fit_stretches_to_the_square() -> None:
    image = np.zeros((10, 40), np.uint8)
    image[:, 20:] = 255
    crop = crop_all(_store((image, np.ones((10, 40), bool))), _settings(), ["a"])[16][0]
    assert crop[:, :7].max() == 0
    assert crop[:, 9:].min() == 255


def test_reduction_is_anti_aliased() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_all(_store((stripes, np.ones((64, 64), bool))), _settings(), ["a"])[16][0]
    assert np.abs(crop[:, 1:-1] - 127.5).max() < 12


@given(level=st.integers(0, 255), height=st.integers(1, 50), width=st.integers(1, 50), size=st.integers(1, 32))
def test_a_constant_image_stays_constant(level: int, height: int, width: int, size: int) -> None:
    grey = np.full((height, width), level / 255, np.float32)
    assert np.unique(to_size(grey, size, _settings())).tolist() == [level]


def test_constant_scale_keeps_relative_size() -> None:
    small, large = ((np.full((side, side), 255, np.uint8), _disc(side, side / 2)) for side in (16, 32))
    options = _settings(mode="masked", scale="constant", field_px=64, sizes_px=[32])
    crops = crop_all(_store(small, large), options, ["a", "b"])[32]
    assert _span(crops[0]) == (8, 8)
    assert _span(crops[1]) == (16, 16)
    assert crops[1].sum() / crops[0].sum() == pytest.approx(4, rel=0.05)


def test_constant_scale_keeps_the_shape_and_centres_it_on_black() -> None:
    options = _settings(scale="constant", field_px=64, sizes_px=[32])
    crop = to_size(np.ones((16, 48), np.float32), 32, options)
    assert (crop[12:20, 4:28] == 255).all()
    assert (crop > 0).sum() == 8 * 24


def test_constant_scale_magnifies_too() -> None:
    crop = to_size(np.ones((4, 8), np.float32), 32, _settings(scale="constant", field_px=16))
    assert _span(crop) == (8, 16)


def test_constant_scale_accepts_a_particle_as_large_as_the_field() -> None:
    crop = to_size(np.ones((64, 1), np.float32), 16, _settings(scale="constant"))
    assert _span(crop) == (16, 1)


def test_constant_scale_refuses_a_larger_particle_and_names_it() -> None:
    pictures = [(np.ones((side, 20), np.uint8), np.ones((side, 20), bool)) for side in (64, 65)]
    with pytest.raises(
        InputError, match=r"particle 'big': 65 px across, but crop\.field_px is 64; raise crop\.field_px"
    ):
        crop_all(_store(*pictures), _settings(scale="constant"), ["small", "big"])


@pytest.mark.parametrize("scale", ["fit", "constant"])
@pytest.mark.parametrize("mode", MODES)
def test_8_and_16_bit_stores_of_one_picture_give_the_same_crops(mode: Mode, scale: str) -> None:
    image = np.random.default_rng(1).integers(0, 256, (45, 37)).astype(np.uint8)
    mask = _disc(45, 15)[:, 4:41]
    options = _settings(mode=mode, scale=scale, sizes_px=[16, 28])
    narrow = crop_all(_store((image, mask)), options, ["a"])
    wide = crop_all(_store((image.astype(np.uint16) * 257, mask)), options, ["a"])
    for size in (16, 28):
        assert narrow[size].std() > 5
        assert np.abs(narrow[size].astype(int) - wide[size]).max() <= 1


def test_every_particle_is_cropped_at_every_size_and_in_its_place() -> None:
    pictures = [(np.full((20, 30), level, np.uint8), np.ones((20, 30), bool)) for level in (10, 20, 30)]
    crops = crop_all(_store(*pictures), _settings(sizes_px=[8, 12]), ["a", "b", "c"])
    assert {size: images.shape for size, images in crops.items()} == {8: (3, 8, 8), 12: (3, 12, 12)}
    for images in crops.values():
        assert images.dtype == np.uint8
        assert images[:, 3, 3].tolist() == [10, 20, 30]


def test_crops_of_a_size_are_found_again() -> None:
    crops = {28: np.ones((1, 28, 28), np.uint8), 32: np.zeros((1, 32, 32), np.uint8)}
    arrays = to_arrays(crops)
    assert list(arrays) == ["px28", "px32"]
    assert of_size(arrays, 32) is crops[32]


def test_a_size_that_was_not_made_is_named_with_the_cure() -> None:
    arrays = to_arrays({28: np.ones((1, 28, 28), np.uint8), 32: np.zeros((1, 32, 32), np.uint8)})
    with pytest.raises(InputError, match=r"crops of 48 px but crop\.sizes_px has 28, 32; add 48 there"):
        of_size(arrays, 48)


@pytest.mark.parametrize("change", [{"mode": "whole"}, {"scale": "zoom"}, {"field_px": 0}, {"sizes_px": []}])
def test_impossible_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        _settings(**change)
