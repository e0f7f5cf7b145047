"""Histograms of oriented gradients: known directions fall in their bins, and contrast does not count."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from lipnet.classifiers.hog import HogSettings, hog_features
from lipnet.core.errors import InputError

SIZE = 32


def _ramp(degrees: float) -> NDArray[np.uint8]:
    """Grey that rises in one direction, from the columns' axis towards the rows'."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    angle = np.deg2rad(degrees)
    return np.rint(128 + 4 * (np.cos(angle) * columns + np.sin(angle) * rows)).astype(np.uint8)


def _by_orientation(crop: NDArray[np.uint8], settings: HogSettings) -> NDArray[np.float64]:
    return hog_features(crop[None], settings).reshape(-1, settings.orientations).sum(axis=0)


@pytest.mark.parametrize(("upright", "expected"), [(True, 0), (False, 4)])
def test_an_edge_falls_in_the_bin_of_its_gradient_and_in_no_other(upright: bool, expected: int) -> None:
    crop = np.zeros((SIZE, SIZE), np.uint8)
    crop[:, SIZE // 2 :] = 200
    found = _by_orientation(crop if upright else crop.T, HogSettings())
    assert found[expected] > 0
    assert_allclose(np.delete(found, expected), 0)


@pytest.mark.parametrize("number", range(9))
def test_a_ramp_falls_in_the_bin_of_its_direction(number: int) -> None:
    assert _by_orientation(_ramp(20 * number + 10), HogSettings()).argmax() == number


def test_contrast_does_not_count() -> None:
    crop = np.random.default_rng(0).integers(0, 100, (1, SIZE, SIZE), dtype=np.uint8)
    assert_allclose(hog_features(2 * crop, HogSettings()), hog_features(crop, HogSettings()), atol=1e-4)


def test_a_flat_crop_has_no_direction() -> None:
    assert not hog_features(np.full((1, SIZE, SIZE), 90, np.uint8), HogSettings()).any()


@pytest.mark.parametrize(
    ("settings", "n_features"),
    [
        (HogSettings(), 3 * 3 * 2 * 2 * 9),
        (HogSettings(orientations=6, pixels_per_cell=10, cells_per_block=1), 3 * 3 * 6),
    ],
)
def test_each_crop_is_described_alone(settings: HogSettings, n_features: int) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8)
    found = hog_features(crops, settings)
    assert found.shape == (3, n_features)
    assert found.dtype == np.float64
    assert_allclose(hog_features(crops[1:2], settings)[0], found[1])


def test_crops_smaller_than_a_block_are_refused() -> None:
    with pytest.raises(InputError, match="crops of 8 px are smaller than a block of 16 px"):
        hog_features(np.zeros((2, 8, 8), np.uint8), HogSettings())
