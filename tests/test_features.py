"""Features: shapes and images with known measures."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ellipe
from skimage.measure import moments_central

from lipnet.errors import InputError
from lipnet.features import (
    FeatureSettings,
    central_moments,
    circularity,
    edge_density_profile,
    grey_histogram,
    measure_all,
    select_columns,
)
from lipnet.particles import Particle, ParticleStore, pack

SETTINGS = FeatureSettings(histogram_bins=32, edge_inside_px=12, edge_outside_px=4, edge_bins=16)
UNKNOWN = np.array([np.nan])


def _ellipse(height: int, width: int, radius_y: float, radius_x: float) -> Any:
    y, x = np.ogrid[:height, :width]
    return ((y - (height - 1) / 2) / radius_y) ** 2 + ((x - (width - 1) / 2) / radius_x) ** 2 <= 1


def _disc(side: int, radius: float) -> Any:
    return _ellipse(side, side, radius, radius)


def _store(image: Any, mask: Any) -> ParticleStore:
    return pack([Particle("a", "A", "g", image, mask)])


def _measure(image: Any, mask: Any, sizes_nm: Any = UNKNOWN) -> dict[str, float]:
    return dict(measure_all(_store(image, mask), sizes_nm, SETTINGS, range(1)).iloc[0])


def _noise(height: int, width: int) -> Any:
    return np.random.default_rng(0).integers(1, 256, (height, width)).astype(np.uint8)


@pytest.mark.parametrize(("centre_y", "centre_x"), [(40.5, 40.5), (40.3, 39.9), (40.1, 40.4), (39.75, 40.2)])
def test_circularity_of_a_disc_is_1(centre_y: float, centre_x: float) -> None:
    y, x = np.ogrid[:81, :81]
    assert circularity(np.hypot(y - centre_y, x - centre_x) <= 30) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(("radius_y", "radius_x"), [(60, 30), (30, 60), (25, 75)])
def test_circularity_of_an_ellipse(radius_y: float, radius_x: float) -> None:
    long, short = max(radius_y, radius_x), min(radius_y, radius_x)
    perimeter = 4 * long * ellipe(1 - (short / long) ** 2)
    expected = 4 * np.pi * (np.pi * long * short) / perimeter**2
    assert circularity(_ellipse(171, 171, radius_y, radius_x)) == pytest.approx(expected, rel=0.03)


def test_circularity_falls_as_an_ellipse_gets_longer() -> None:
    values = [circularity(_ellipse(171, 171, 20, radius)) for radius in (20, 30, 50, 80)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.6


def test_circularity_does_not_depend_on_the_edge_of_the_image() -> None:
    disc = _disc(61, 30)
    assert disc[0].any()
    assert circularity(disc) == circularity(np.pad(disc, 10))


def test_area_is_the_number_of_pixels_without_a_pixel_size() -> None:
    found = _measure(_noise(81, 81), _disc(81, 30))
    assert found["area_px2"] == _disc(81, 30).sum() == pytest.approx(np.pi * 30**2, rel=0.01)
    assert "area_nm2" not in found


def test_area_is_in_nm_with_a_pixel_size() -> None:
    found = _measure(_noise(81, 81), _ellipse(81, 81, 20, 35), np.array([1.5]))
    assert found["area_nm2"] == pytest.approx(np.pi * 20 * 35 * 1.5**2, rel=0.01)
    assert "area_px2" not in found


def test_one_unknown_pixel_size_makes_all_lengths_px() -> None:
    particles = [Particle("a", "A", "g", _noise(30, 30), _disc(30, radius)) for radius in (5, 10)]
    known = measure_all(pack(particles), np.array([2.0, 3.0]), SETTINGS, range(2))
    assert known["area_nm2"].tolist() == [4.0 * _disc(30, 5).sum(), 9.0 * _disc(30, 10).sum()]
    partly = measure_all(pack(particles), np.array([2.0, np.nan]), SETTINGS, range(2))
    assert partly["area_px2"].tolist() == [_disc(30, 5).sum(), _disc(30, 10).sum()]
    assert "area_nm2" not in partly


def test_moments_are_those_of_skimage_on_the_whole_masked_image() -> None:
    image, mask = _noise(90, 70), _ellipse(90, 70, 28, 17)
    found = _measure(image, mask)
    expected = moments_central(np.where(mask, image / 255, 0.0), order=3)
    for p, q in ((2, 0), (0, 2), (3, 0), (0, 3)):
        # The third moments of a symmetric shape nearly cancel: their own scale is that of the absolute third moment.
        scale = abs(expected[p, q]) + 1e3
        assert found[f"moment_mu{p}{q}"] == pytest.approx(expected[p, q], abs=1e-6 * scale)


def test_moments_of_two_weighted_points_are_known() -> None:
    image, mask = np.ones((9, 9)), np.zeros((9, 9), bool)
    mask[1, 4] = mask[7, 4] = True
    image[1, 4] = 0.5  # centre of mass at row 5: distances -4 and 2
    assert central_moments(image, mask) == pytest.approx(
        {"mu20": 0.5 * 16 + 4, "mu02": 0.0, "mu30": 0.5 * -64 + 8, "mu03": 0.0}, abs=1e-9
    )


@settings(max_examples=25)
@given(top=st.integers(0, 40), left=st.integers(0, 40))
def test_features_do_not_depend_on_the_place_of_the_particle(top: int, left: int) -> None:
    patch = _noise(31, 31)

    def at(row: int, column: int) -> dict[str, float]:
        image, mask = np.full((71, 71), 90, np.uint8), np.zeros((71, 71), bool)
        image[row : row + 31, column : column + 31] = patch
        mask[row : row + 31, column : column + 31] = _ellipse(31, 31, 8, 10)  # 5 px and more to its patch's edge
        return _measure(image, mask)

    assert at(top, left) == pytest.approx(at(20, 20), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("depth_px", [3, 5, 8])
def test_the_edge_profile_of_a_ring_peaks_at_its_depth(depth_px: float) -> None:
    radius = 30
    mask = _disc(91, radius)
    axis = np.arange(91) - 45.0
    image = np.exp(-((np.hypot(axis[:, None], axis[None, :]) - (radius - depth_px)) ** 2) / 2)
    profile = edge_density_profile(image, mask, SETTINGS)
    centres = np.linspace(-12, 4, 17)[:-1] + 0.5
    assert abs(centres[profile.argmax()] + depth_px) <= 1
    assert profile.max() > 0.8
    assert profile[-3:].max() < 0.1


def test_the_edge_profile_runs_from_inside_to_outside() -> None:
    mask = _disc(91, 30)
    profile = edge_density_profile(np.where(mask, 1.0, 0.25), mask, SETTINGS)
    assert profile[:12].tolist() == [1.0] * 12
    assert profile[12:].tolist() == [0.25] * 4


def test_the_edge_profile_is_the_distance_to_a_straight_outline() -> None:
    mask = np.zeros((60, 60), bool)
    mask[:30] = True
    image = np.repeat(np.arange(60.0)[:, None], 60, axis=1)
    # The outline runs between rows 29 and 30; columns near the sides are as near to the sides of the image.
    profile = edge_density_profile(image[:, 20:40], mask[:, 20:40], SETTINGS)
    assert profile[12:].tolist() == [30.0, 31.0, 32.0, 33.0]


def test_pixels_beside_the_outline_are_half_a_pixel_from_it() -> None:
    image, mask = np.full((60, 60), 9.0), np.zeros((60, 60), bool)
    mask[10:50, 10:50] = True
    for ring in range(20):
        image[10 + ring : 50 - ring, 10 + ring : 50 - ring] = ring
    halves = SETTINGS.model_copy(update={"edge_bins": 32})
    # From -2 to 1: ring 1 lies at -1.5, ring 0 at -0.5, the outside from 0.5 on; the half-pixel bins between hold no
    # pixel and repeat the one further inside.
    assert edge_density_profile(image, mask, halves)[20:26].tolist() == [2.0, 1.0, 1.0, 0.0, 0.0, 9.0]


def test_the_edge_profile_of_a_store_sees_the_rim_but_not_the_far_surrounding() -> None:
    mask = np.pad(np.ones((30, 30), bool), 30)
    image = np.where(mask, 255, 0).astype(np.uint8)
    image[~mask & np.pad(np.ones((40, 40), bool), 25)] = 51
    found = _measure(image, mask)
    assert [found[f"edge_density_profile_{number:02d}"] for number in (11, 12, 15)] == pytest.approx([1.0, 0.2, 0.2])


@pytest.mark.parametrize("side", [1, 2, 3, 5])
@pytest.mark.parametrize("margin", [0, 2])
def test_small_particles_have_finite_features(side: int, margin: int) -> None:
    mask = np.pad(np.ones((side, side), bool), margin)
    found = _measure(_noise(*mask.shape), mask)
    assert len(found) == 6 + 16 + 32
    assert np.isfinite(list(found.values())).all()


def test_bins_deeper_than_a_small_particle_repeat_its_centre() -> None:
    mask = np.pad(np.ones((3, 3), bool), 6)
    image = np.where(mask, 0.5, 0.0)
    image[7, 7] = 1.0  # the centre, 1.5 px deep: bin -2 to -1
    profile = edge_density_profile(image, mask, SETTINGS)
    assert profile[:11].tolist() == [1.0] * 11
    assert profile[11] == 0.5


def test_bins_beyond_the_image_repeat_the_outermost() -> None:
    mask = np.pad(np.ones((30, 30), bool), 1)
    image = np.where(mask, 1.0, 0.25)
    assert edge_density_profile(image, mask, SETTINGS)[12:].tolist() == [0.25] * 4


def test_a_black_particle_has_moments_of_zero() -> None:
    found = _measure(np.zeros((20, 20), np.uint8), _disc(20, 6))
    assert [found[f"moment_{name}"] for name in ("mu20", "mu02", "mu30", "mu03")] == [0.0] * 4


@pytest.mark.parametrize(("level", "expected"), [(0, 0), (7, 0), (8, 1), (100, 12), (128, 16), (255, 31)])
def test_one_grey_level_fills_one_bin(level: int, expected: int) -> None:
    histogram = grey_histogram(np.full((20, 20), level / 255), _disc(20, 6), 32)
    assert np.flatnonzero(histogram).tolist() == [expected]
    assert histogram[expected] == 1.0


def test_the_histogram_counts_shares_under_the_mask_alone() -> None:
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    image = np.full((4, 4), 0.9)
    image[0] = [0.1, 0.1, 0.1, 0.6]
    assert grey_histogram(image, mask, 2).tolist() == [0.75, 0.25]


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), bins=st.integers(2, 64))
def test_the_histogram_sums_to_1(seed: int, bins: int) -> None:
    image = np.random.default_rng(seed).random((20, 20))
    histogram = grey_histogram(image, _disc(20, 7), bins)
    assert histogram.shape == (bins,)
    assert histogram.sum() == pytest.approx(1, abs=1e-12)


def test_8_and_16_bit_stores_of_one_picture_have_the_same_features() -> None:
    image, mask = _noise(50, 40), _ellipse(50, 40, 18, 12)
    assert _measure(image, mask) == pytest.approx(_measure(image.astype(np.uint16) * 257, mask), rel=1e-9)


def test_columns_come_in_their_documented_order() -> None:
    columns = list(_measure(_noise(50, 40), _ellipse(50, 40, 18, 12)))
    moments = [f"moment_{name}" for name in ("mu20", "mu02", "mu30", "mu03")]
    profile = [f"edge_density_profile_{number:02d}" for number in range(16)]
    assert columns == [
        "area_px2",
        "circularity",
        *moments,
        *profile,
        *(f"histogram_{number:02d}" for number in range(32)),
    ]


TABLE = pd.DataFrame(columns=["id", "area_nm2", "area", "moment_mu20", "moment_mu02", "moments", "histogram_00"])


def test_a_feature_name_prefers_the_column_so_called() -> None:
    assert select_columns(TABLE, ["area"]) == ["area"]


def test_a_feature_name_stands_for_all_columns_that_begin_with_it() -> None:
    assert select_columns(TABLE, ["histogram", "moment"]) == ["histogram_00", "moment_mu20", "moment_mu02"]


@pytest.mark.parametrize("name", ["histo", "mu20", "Area", "area_", ""])
def test_a_feature_name_without_a_column_is_named_with_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match=rf"feature '{name}' is not in the feature table; known: area_nm2, area, "):
        select_columns(TABLE, ["moment", name])
