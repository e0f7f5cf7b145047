"""Features of shapes and images with known values."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import ellipe
from skimage.measure import moments_central

from lipnet.samples import features
from lipnet.samples.features import (
    MAX_SIGNAL_TO_NOISE,
    FeatureSettings,
    central_moments,
    diameter,
    distance_to_outline,
    edge_grid_px,
    grey_histogram,
    in_nanometres,
    maximum_width,
    measure_all,
    outline,
    perimeter,
    radial_density_profile,
    radial_grid_px,
    resample,
    with_given,
)
from lipnet.samples.particles import Particle, ParticleStore, pack
from lipnet.sources.artificial.drawing import shell_projection

SETTINGS = FeatureSettings(
    histogram_bins=32, edge_inside_px=12, edge_outside_px=4, edge_bins=16, radial_bins=32, radial_reach=1.25
)


def _ellipse(height: int, width: int, radius_y: float, radius_x: float) -> Any:
    y, x = np.ogrid[:height, :width]
    return ((y - (height - 1) / 2) / radius_y) ** 2 + ((x - (width - 1) / 2) / radius_x) ** 2 <= 1


def _disc(side: int, radius: float) -> Any:
    return _ellipse(side, side, radius, radius)


def _store(image: Any, mask: Any) -> ParticleStore:
    return pack([Particle("a", "A", "g", image, mask)])


def _measure(image: Any, mask: Any, size_nm: float = np.nan) -> dict[str, float]:
    return dict(in_nanometres(measure_all(_store(image, mask), SETTINGS), np.array([size_nm])).iloc[0])


def _circularity(mask: Any) -> float:
    return features.circularity(float(mask.sum()), perimeter(outline(mask)))


def _edge_band(image: Any, mask: Any, chosen: FeatureSettings) -> features.EdgeBand:
    return features.edge_band(image, distance_to_outline(mask), chosen)


def _edge_density_profile(image: Any, mask: Any, chosen: FeatureSettings) -> Any:
    return features.edge_density_profile(_edge_band(image, mask, chosen))


def _signal_to_noise(image: Any, mask: Any, chosen: FeatureSettings) -> float:
    return features.signal_to_noise(_edge_band(image, mask, chosen))


def _internal_segmentation_variance(image: Any, mask: Any, chosen: FeatureSettings) -> float:
    return features.internal_segmentation_variance(image, distance_to_outline(mask), chosen)


def _tilted(radius_y: float, radius_x: float, degrees: float, y: float = 0.0, x: float = 0.0) -> Any:
    """Mask of a rotated ellipse, (y, x) off the centre of a square image: pixels of which more than half is covered."""
    side, fine = int(2 * max(radius_y, radius_x)) + 9, 5
    rows, columns = ((np.arange(side * fine) + 0.5) / fine - side / 2 - offset for offset in (y, x))
    position = (columns[None, :] + 1j * rows[:, None]) * np.exp(-1j * np.deg2rad(degrees))
    covered = (position.real / radius_x) ** 2 + (position.imag / radius_y) ** 2 <= 1
    return covered.reshape(side, fine, side, fine).mean(axis=(1, 3)) > 0.5


def _distances(side: int) -> Any:
    axis = np.arange(side) - (side - 1) / 2
    return np.hypot(axis[:, None], axis[None, :])


def _noise(height: int, width: int) -> Any:
    return np.random.default_rng(0).integers(1, 256, (height, width)).astype(np.uint8)


def _check_ellipse(short: float, ratio: float, place: tuple[float, float, float], bounds: dict[str, float]) -> None:
    long = short * ratio
    exact = 4 * long * ellipe(1 - 1 / ratio**2)
    mask = _tilted(short, long, *place)
    assert mask.sum() == pytest.approx(np.pi * long * short, rel=bounds["area"])
    assert perimeter(outline(mask)) == pytest.approx(exact, rel=bounds["perimeter"])
    expected = 4 * np.pi * np.pi * long * short / exact**2
    assert _circularity(mask) == pytest.approx(expected, rel=bounds["circularity"])


# Angle in degrees, and offsets in pixels, of an ellipse.
PLACES = st.tuples(st.floats(0, 180), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))


@settings(max_examples=60)
@given(short=st.floats(30, 60), ratio=st.floats(1, 2), place=PLACES)
@example(short=30.0, ratio=1.3559, place=(0.0, -0.4621, 0.0))
@example(short=42.5, ratio=1.05, place=(45.0, 0.0, 0.0))
def test_area_perimeter_and_circularity_of_discs_and_ellipses_are_within_1_percent(
    short: float, ratio: float, place: tuple[float, float, float]
) -> None:
    _check_ellipse(short, ratio, place, {"area": 0.01, "perimeter": 0.01, "circularity": 0.01})


@settings(max_examples=60)
@given(short=st.floats(15, 30), ratio=st.floats(1, 2), place=PLACES)
@example(short=15.0, ratio=1.0, place=(0.0, 0.0, 0.5))
@example(short=16.4, ratio=1.064, place=(45.0, 0.0, 0.0))
def test_of_fewer_pixels_perimeter_and_circularity_are_within_1_percent(
    short: float, ratio: float, place: tuple[float, float, float]
) -> None:
    # The mask of a disc of radius 15, centred between two pixels, has 698 pixels; its exact area is 707 px2. The error
    # of rasterising alone is 1.3 %.
    _check_ellipse(short, ratio, place, {"area": 0.015, "perimeter": 0.01, "circularity": 0.01})


@settings(max_examples=60)
@given(short=st.floats(8, 15), ratio=st.floats(1, 2), place=PLACES)
@example(short=8.0, ratio=1.0, place=(45.0, 0.5, 0.5))
@example(short=9.0, ratio=1.093, place=(45.0, 0.0, 0.0))
def test_of_few_pixels_they_are_within_what_cutting_into_pixels_takes(
    short: float, ratio: float, place: tuple[float, float, float]
) -> None:
    # At a half axis of 8.5, rasterising alone changes the area by up to 4.8 %.
    _check_ellipse(short, ratio, place, {"area": 0.06, "perimeter": 0.025, "circularity": 0.025})


@settings(max_examples=30)
@given(radius=st.floats(15, 60), ratio=st.floats(1, 2), degrees=st.floats(0, 180))
def test_maximum_width_and_diameter_of_an_ellipse_are_its_long_axis(
    radius: float, ratio: float, degrees: float
) -> None:
    mask = _tilted(radius / ratio, radius, degrees)
    assert maximum_width(mask) == pytest.approx(2 * radius, abs=1)
    assert diameter(mask) == pytest.approx(2 * radius, rel=0.015)


@pytest.mark.parametrize("radius", [8, 10, 15])
def test_over_all_places_on_the_grid_the_perimeter_of_a_disc_is_exact(radius: float) -> None:
    # Smoothing shortens the outline by 0.9 to 1.6 %; the correction restores the length to a quarter of a percent.
    offsets = np.arange(-0.5, 0.5, 0.2)
    found = [perimeter(outline(_tilted(radius, radius, 0, y, x))) for y in offsets for x in offsets]
    assert np.mean(found) == pytest.approx(2 * np.pi * radius, rel=0.0025)


def test_maximum_width_of_a_rectangle_is_its_diagonal_and_its_diameter_is_not() -> None:
    mask = np.pad(np.ones((30, 40), bool), 3)
    assert maximum_width(mask) == pytest.approx(50, abs=1)  # each corner is cut by half a pixel in both directions
    assert diameter(mask) == pytest.approx(4 * 40 / np.sqrt(12), rel=0.01)


def test_a_hole_adds_to_the_perimeter() -> None:
    ring = _disc(91, 40) & ~_disc(91, 20)
    assert perimeter(outline(ring)) == pytest.approx(2 * np.pi * 60, rel=0.01)


@pytest.mark.parametrize("radius", [1.5, 2, 3, 4, 5, 6])
def test_a_small_disc_is_about_as_round_as_a_large_one(radius: float) -> None:
    assert _circularity(_tilted(radius, radius, 0)) == pytest.approx(1, abs=0.12)


def test_a_square_of_nine_pixels_is_no_rounder_than_a_disc() -> None:
    assert 0.7 < _circularity(np.ones((3, 3), bool)) < 1


def test_dust_has_an_outline() -> None:
    dust = np.zeros((60, 60), bool)
    dust[::6, ::6] = True
    assert len(outline(dust).curves) == dust.sum()
    assert perimeter(outline(dust)) == pytest.approx(dust.sum() * 2 * np.sqrt(2))  # a diamond around each


def test_circularity_falls_as_an_ellipse_gets_longer() -> None:
    values = [_circularity(_ellipse(171, 171, 20, radius)) for radius in (20, 30, 50, 80)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.6


def test_circularity_does_not_depend_on_the_edge_of_the_image() -> None:
    disc = _disc(61, 30)
    assert disc[0].any()
    # Sums of floats run in another order in a larger array.
    assert _circularity(disc) == pytest.approx(_circularity(np.pad(disc, 10)), rel=1e-12)


@pytest.mark.parametrize(("reach", "outside"), [(1.25, 4), (2.5, 1), (1.0, 0)])
@pytest.mark.parametrize("corner", [0, 45, 70])
def test_measures_of_a_store_are_those_of_the_whole_image(corner: int, reach: float, outside: float) -> None:
    chosen = SETTINGS.model_copy(update={"radial_reach": reach, "edge_outside_px": outside})
    image, mask = _noise(91, 91), np.zeros((91, 91), bool)
    mask[corner : corner + 21, corner : corner + 21] = _disc(21, 10)
    found = measure_all(_store(image, mask), chosen).iloc[0]
    grey = image / 255
    grid = radial_grid_px(float(mask.sum()), chosen)
    radial = resample(*radial_density_profile(grey, mask), grid)
    whole = found.filter(like="radial").to_numpy()
    near = grid <= 10  # rings cut by the border of the cropped image have other pixels
    np.testing.assert_allclose(whole[near], radial[near])
    if corner == 45:
        np.testing.assert_allclose(whole, radial)
    np.testing.assert_allclose(found.filter(like="edge"), _edge_density_profile(grey, mask, chosen))
    assert found["signal_to_noise"] == pytest.approx(_signal_to_noise(grey, mask, chosen))
    expected = _internal_segmentation_variance(grey, mask, chosen)
    assert found["internal_segmentation_variance"] == pytest.approx(expected)
    assert found["circularity"] == pytest.approx(_circularity(mask))
    assert found["maximum_width_px"] == pytest.approx(maximum_width(mask))
    assert found["diameter_px"] == found["length_px"] == pytest.approx(diameter(mask))


def test_area_is_the_number_of_pixels_without_a_pixel_size() -> None:
    found = _measure(_noise(81, 81), _disc(81, 30))
    assert found["area_px2"] == _disc(81, 30).sum() == pytest.approx(np.pi * 30**2, rel=0.01)
    assert "area_nm2" not in found


def test_area_is_in_nm_with_a_pixel_size() -> None:
    found = _measure(_noise(81, 81), _ellipse(81, 81, 20, 35), 1.5)
    assert found["area_nm2"] == pytest.approx(np.pi * 20 * 35 * 1.5**2, rel=0.01)
    assert "area_px2" not in found


def test_one_unknown_pixel_size_makes_all_lengths_px() -> None:
    particles = [Particle("a", "A", "g", _noise(30, 30), _disc(30, radius)) for radius in (5, 10)]
    measured = measure_all(pack(particles), SETTINGS)
    known = in_nanometres(measured, np.array([2.0, 3.0]))
    assert known["area_nm2"].tolist() == [4.0 * _disc(30, 5).sum(), 9.0 * _disc(30, 10).sum()]
    assert known["length_nm"].tolist() == (measured["diameter_px"] * [2.0, 3.0]).tolist()
    assert known["perimeter_nm"].tolist() == (measured["perimeter_px"] * [2.0, 3.0]).tolist()
    assert known["diameter_px"].tolist() == measured["diameter_px"].tolist()
    partly = in_nanometres(measured, np.array([2.0, np.nan]))
    assert partly["area_px2"].tolist() == [_disc(30, 5).sum(), _disc(30, 10).sum()]
    assert "area_nm2" not in partly


def test_given_features_come_first_and_replace_measured_ones_after_the_conversion_to_nm() -> None:
    measured = measure_all(_store(_noise(30, 30), _disc(30, 8)), SETTINGS)
    given_features = pd.DataFrame({"area_nm2": [7.0], "charge": [3.0]})
    joined = with_given(measured, given_features, np.array([2.0]))
    assert list(joined)[:3] == ["area_nm2", "charge", "perimeter_nm"]
    assert joined.columns.is_unique
    assert joined.loc[0, ["area_nm2", "charge"]].tolist() == [7.0, 3.0]
    assert joined.loc[0, "perimeter_nm"] == 2 * measured.loc[0, "perimeter_px"]
    in_px = with_given(measured, given_features, np.array([np.nan]))
    assert list(in_px)[:4] == ["area_nm2", "charge", "area_px2", "perimeter_px"]


def test_without_given_features_all_are_measured() -> None:
    measured = measure_all(_store(_noise(30, 30), _disc(30, 8)), SETTINGS)
    joined = with_given(measured, pd.DataFrame([{}]), np.array([2.0]))
    pd.testing.assert_frame_equal(joined, in_nanometres(measured, np.array([2.0])))


def test_moments_are_those_of_skimage_on_the_whole_masked_image() -> None:
    image, mask = _noise(90, 70), _ellipse(90, 70, 28, 17)
    found = _measure(image, mask)
    expected = moments_central(np.where(mask, image / 255, 0.0), order=3)
    for p, q in ((2, 0), (0, 2), (3, 0), (0, 3)):
        # Third moments of a symmetric shape nearly cancel, so the tolerance follows the absolute third moment.
        scale = abs(expected[p, q]) + 1e3
        assert found[f"moment_mu{p}{q}_px{p + q}"] == pytest.approx(expected[p, q], abs=1e-6 * scale)


def test_moments_of_two_weighted_points_are_known() -> None:
    image, mask = np.ones((9, 9)), np.zeros((9, 9), bool)
    mask[1, 4] = mask[7, 4] = True
    image[1, 4] = 0.5  # centre of mass at row 5: distances -4 and 2
    assert central_moments(image, mask) == pytest.approx(
        {"mu20_px2": 0.5 * 16 + 4, "mu02_px2": 0.0, "mu30_px3": 0.5 * -64 + 8, "mu03_px3": 0.0}, abs=1e-9
    )


@settings(max_examples=25)
@given(top=st.integers(0, 40), left=st.integers(0, 40))
def test_features_do_not_depend_on_the_place_of_the_particle(top: int, left: int) -> None:
    patch = _noise(31, 31)

    def at(row: int, column: int) -> dict[str, float]:
        image, mask = np.full((71, 71), 90, np.uint8), np.zeros((71, 71), bool)
        image[row : row + 31, column : column + 31] = patch
        mask[row : row + 31, column : column + 31] = _ellipse(31, 31, 7, 8)  # at least 7 px from the edge of the patch
        return _measure(image, mask)

    assert at(top, left) == pytest.approx(at(20, 20), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("depth_px", [3, 5, 8])
def test_the_edge_profile_of_a_ring_peaks_at_its_depth(depth_px: float) -> None:
    radius = 30
    mask = _disc(91, radius)
    axis = np.arange(91) - 45.0
    image = np.exp(-((np.hypot(axis[:, None], axis[None, :]) - (radius - depth_px)) ** 2) / 2)
    profile = _edge_density_profile(image, mask, SETTINGS)
    centres = np.linspace(-12, 4, 17)[:-1] + 0.5
    assert abs(centres[profile.argmax()] + depth_px) <= 1
    assert profile.max() > 0.8
    assert profile[-3:].max() < 0.1


def test_the_edge_profile_runs_from_inside_to_outside() -> None:
    mask = _disc(91, 30)
    profile = _edge_density_profile(np.where(mask, 1.0, 0.25), mask, SETTINGS)
    assert profile[:12].tolist() == [1.0] * 12
    assert profile[12:].tolist() == [0.25] * 4


def test_the_edge_profile_is_the_distance_to_a_straight_outline() -> None:
    mask = np.zeros((60, 60), bool)
    mask[:30] = True
    image = np.repeat(np.arange(60.0)[:, None], 60, axis=1)
    # The outline runs between rows 29 and 30. Inside the mask, the border of the image counts as outline too, so the
    # test compares only the bins outside.
    profile = _edge_density_profile(image[:, 20:40], mask[:, 20:40], SETTINGS)
    assert profile[12:].tolist() == [30.0, 31.0, 32.0, 33.0]


def test_pixels_beside_the_outline_are_half_a_pixel_from_it() -> None:
    image, mask = np.full((60, 60), 9.0), np.zeros((60, 60), bool)
    mask[10:50, 10:50] = True
    for ring in range(20):
        image[10 + ring : 50 - ring, 10 + ring : 50 - ring] = ring
    halves = SETTINGS.model_copy(update={"edge_bins": 32})
    # Bins from -2 to 1: ring 1 is at -1.5, ring 0 at -0.5, the outside starts at 0.5. The half-pixel bins between them
    # hold no pixel and repeat the next bin inside.
    assert _edge_density_profile(image, mask, halves)[20:26].tolist() == [2.0, 1.0, 1.0, 0.0, 0.0, 9.0]


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
    assert len(found) == 12 + 16 + 32 + 32
    assert np.isfinite(list(found.values())).all()


def test_bins_deeper_than_a_small_particle_repeat_its_centre() -> None:
    mask = np.pad(np.ones((3, 3), bool), 6)
    image = np.where(mask, 0.5, 0.0)
    image[7, 7] = 1.0  # the centre, 1.5 px deep: bin -2 to -1
    profile = _edge_density_profile(image, mask, SETTINGS)
    assert profile[:11].tolist() == [1.0] * 11
    assert profile[11] == 0.5


def test_bins_beyond_the_image_repeat_the_outermost() -> None:
    mask = np.pad(np.ones((30, 30), bool), 1)
    image = np.where(mask, 1.0, 0.25)
    assert _edge_density_profile(image, mask, SETTINGS)[12:].tolist() == [0.25] * 4


def test_a_black_particle_has_moments_of_zero() -> None:
    found = _measure(np.zeros((20, 20), np.uint8), _disc(20, 6))
    assert [found[f"moment_{name}"] for name in ("mu20_px2", "mu02_px2", "mu30_px3", "mu03_px3")] == [0.0] * 4


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


@pytest.mark.parametrize("value", [1 / 3, -2e-7 / 3, 123456.7891234567, 1e300 / 3])
def test_the_last_digits_of_a_feature_do_not_count(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: dict[str, float] = {}
    monkeypatch.setattr(features, "_measure_one", lambda *_: measured)
    tables = []
    for one in (value, np.nextafter(value, 1e308), np.nextafter(value, -1e308)):
        measured["area_px2"] = float(one)
        tables.append(measure_all([None], SETTINGS)["area_px2"].tolist())  # type: ignore[arg-type]
    assert tables[0] == tables[1] == tables[2]
    assert tables[0][0] == pytest.approx(value, rel=1e-11)


def test_features_have_twelve_digits() -> None:
    values = list(_measure(_noise(50, 40), _ellipse(50, 40, 18, 12)).values())
    assert [float(f"{value:.12g}") for value in values] == values


def test_columns_come_in_their_documented_order() -> None:
    columns = list(_measure(_noise(50, 40), _ellipse(50, 40, 18, 12)))
    assert columns == [
        *("area_px2", "perimeter_px", "circularity", "maximum_width_px", "diameter_px", "length_px"),
        *("moment_mu20_px2", "moment_mu02_px2", "moment_mu30_px3", "moment_mu03_px3"),
        *("signal_to_noise", "internal_segmentation_variance"),
        *(f"radial_density_profile_{number:02d}" for number in range(32)),
        *(f"edge_density_profile_{number:02d}" for number in range(16)),
        *(f"histogram_{number:02d}" for number in range(32)),
    ]


@pytest.mark.parametrize("radius", [12, 20.5, 30])
def test_the_radial_profile_of_a_ring_peaks_at_its_radius(radius: float) -> None:
    image = np.exp(-((_distances(101) - radius) ** 2) / 2)
    values, distances_px = radial_density_profile(image, _disc(101, 40))
    assert abs(distances_px[values.argmax()] - radius) <= 1
    assert values.max() > 0.85


@pytest.mark.parametrize("inner", [18.0, 26.3])
def test_the_radial_profile_of_a_shell_peaks_at_the_inner_radius_of_its_membrane(inner: float) -> None:
    image = shell_projection(_distances(91).astype(np.float32), inner + 2.5, inner).astype(np.float64)
    mask = _disc(91, inner + 2.5)
    values, distances_px = radial_density_profile(image, mask)
    assert abs(distances_px[values.argmax()] - inner) <= 1
    grid = radial_grid_px(float(mask.sum()), SETTINGS)
    assert abs(grid[resample(values, distances_px, grid).argmax()] - inner) <= 1 + grid[1] / 2
    edge = _edge_density_profile(image, mask, SETTINGS)
    assert abs(edge_grid_px(SETTINGS)[edge.argmax()] + 2.5) <= 1


def test_the_radial_profile_counts_from_the_centre_of_the_mask() -> None:
    image = np.hypot(*(np.indices((80, 60)) - np.array([30, 25])[:, None, None]))
    mask = np.zeros((80, 60), bool)
    mask[20:41, 15:36] = True
    values, distances_px = radial_density_profile(image, mask)
    np.testing.assert_allclose(values, distances_px, atol=1e-9)
    assert distances_px[0] == 0
    assert (np.diff(distances_px) > 0).all()


def test_the_radial_grid_lines_up_particles_of_all_sizes() -> None:
    for radius in (15, 45):
        grid = radial_grid_px(np.pi * radius**2, SETTINGS)
        assert grid.shape == (32,)
        assert (grid[0], grid[-1]) == (0, pytest.approx(1.25 * radius))


def test_the_edge_grid_holds_the_centres_of_the_bins() -> None:
    assert edge_grid_px(SETTINGS).tolist() == [step + 0.5 for step in range(-12, 4)]


def test_resampling_takes_any_order_averages_equal_distances_and_holds_the_ends() -> None:
    values, distances = np.array([4.0, 1.0, 2.0, 0.0]), np.array([3.0, 1.0, 3.0, 0.0])
    found = resample(values, distances, np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 9.0]))
    assert found.tolist() == [0.0, 0.0, 0.5, 1.0, 2.0, 3.0, 3.0]
    assert resample(np.array([7.0]), np.array([2.0]), np.array([0.0, 5.0])).tolist() == [7.0, 7.0]


def test_signal_to_noise_is_the_variance_across_over_the_variance_along() -> None:
    mask = _disc(121, 50)
    stripes = np.where(np.floor(distance_to_outline(mask)) % 2, 0.6, 0.4)  # variance across 0.01
    noise = np.random.default_rng(0).normal(0, 0.05, mask.shape)  # variance along 0.0025
    assert _signal_to_noise(stripes + noise, mask, SETTINGS) == pytest.approx(4, rel=0.1)
    assert _signal_to_noise(stripes + 2 * noise, mask, SETTINGS) == pytest.approx(1, rel=0.15)
    spokes = np.where(np.arange(121) % 2, 0.6, 0.4)[None, :] * np.ones((121, 1))  # no variance across
    assert _signal_to_noise(spokes, mask, SETTINGS) < 0.02


def test_signal_to_noise_does_not_depend_on_contrast_or_brightness() -> None:
    mask, image = _disc(61, 20), _noise(61, 61) / 255
    expected = _signal_to_noise(image, mask, SETTINGS)
    assert _signal_to_noise(0.2 + 0.5 * image, mask, SETTINGS) == pytest.approx(expected, rel=1e-9)


def test_signal_to_noise_of_a_flat_image_is_0_and_without_noise_it_is_capped() -> None:
    mask = _disc(61, 20)
    assert _signal_to_noise(np.full((61, 61), 0.3), mask, SETTINGS) == 0.0
    assert _signal_to_noise(np.where(mask, 1.0, 0.0), mask, SETTINGS) == MAX_SIGNAL_TO_NOISE


def test_internal_segmentation_variance_is_that_between_two_halves() -> None:
    mask = _disc(81, 30)
    image = np.full((81, 81), 0.2)
    image[:, 41:] = 0.8
    image[:, 40] = 0.2
    assert _internal_segmentation_variance(image, mask, SETTINGS) == pytest.approx(0.3**2, rel=0.02)
    assert _internal_segmentation_variance(np.full((81, 81), 0.2), mask, SETTINGS) == 0.0


def test_internal_segmentation_variance_leaves_the_membrane_out() -> None:
    mask, distances = _disc(81, 30), _distances(81)
    ring = np.where((distances > 26.5) & (distances < 30), 0.1, 0.9)
    assert _internal_segmentation_variance(ring, mask, SETTINGS) == 0.0
    assert _internal_segmentation_variance(_noise(9, 9) / 255, _disc(9, 3), SETTINGS) == 0.0  # no pixel is that deep


def test_the_interior_begins_below_the_rim_and_not_on_it() -> None:
    # The rings of a square are 0.5, 1.5, 2.5, 3.5 ... px deep. A rim of 3.5 px includes the fourth ring.
    image, mask = np.full((40, 40), 0.5), np.ones((40, 40), bool)
    image[3:37, 3:37], image[4:36, 4:36] = 0.9, 0.5
    chosen = SETTINGS.model_copy(update={"edge_outside_px": 3.5})
    assert _internal_segmentation_variance(image, mask, chosen) == 0
    found = measure_all(_store(np.rint(image * 255).astype(np.uint8), mask), chosen).iloc[0]
    assert found["internal_segmentation_variance"] == 0
    image[4, 4] = 0.9  # one of the 32 * 32 pixels below the rim
    share = 1 / 32**2
    expected = share * (1 - share) * 0.4**2
    assert _internal_segmentation_variance(image, mask, chosen) == pytest.approx(expected)


def test_signal_to_noise_of_a_small_particle_counts_only_distances_that_pixels_have() -> None:
    # Each row: grey 0.2, the particle with 0.8, 0.4 and 0.6, then 0.2. Corners are 0.9 px outside, in the bin of 0.5.
    image, mask = np.array([[0.2, 0.8, 0.4, 0.6, 0.2]]), np.array([[False, True, True, True, False]])
    image, mask = np.repeat(image, 9, axis=0), np.repeat(mask, 9, axis=0)
    mask[[0, -1]] = False
    narrow = SETTINGS.model_copy(update={"edge_inside_px": 2, "edge_outside_px": 1, "edge_bins": 3})
    rings = {-1.5: [0.4] * 5, -0.5: [0.8] * 7 + [0.6] * 7 + [0.4] * 2, 0.5: [0.2] * 18 + [0.8, 0.4, 0.6] * 2}
    across = np.var([np.mean(ring) for ring in rings.values()])
    along = np.mean([np.var(ring) for ring in rings.values()])
    for inside in (2, 8):  # bins deeper than the particle are empty
        chosen = narrow.model_copy(update={"edge_inside_px": inside, "edge_bins": inside + 1})
        assert _signal_to_noise(image, mask, chosen) == pytest.approx(across / along)


def test_a_quarter_turn_changes_nothing_but_the_order_of_the_moments() -> None:
    image, mask = _noise(60, 60), _ellipse(60, 60, 20, 13) | np.pad(np.ones((4, 20), bool), ((30, 26), (38, 2)))
    one, other = _measure(image, mask), _measure(np.rot90(image), np.rot90(mask))
    assert other["moment_mu20_px2"] == pytest.approx(one["moment_mu02_px2"])
    assert other["moment_mu30_px3"] == pytest.approx(-one["moment_mu03_px3"])
    for name in one:
        if "moment" not in name:
            assert other[name] == pytest.approx(one[name], rel=1e-6), name


@pytest.mark.parametrize("degrees", [17, 45, 73])
def test_a_turn_by_any_angle_hardly_changes_the_features(degrees: float) -> None:
    def shell(turn: float) -> dict[str, float]:
        mask = _tilted(22.3, 30.4, turn)
        axis = np.arange(len(mask)) - (len(mask) - 1) / 2
        position = (axis[None, :] + 1j * axis[:, None]) * np.exp(-1j * np.deg2rad(turn))
        distance = np.hypot(position.real / 30, position.imag / 22) * 26
        grey = 0.7 - 0.01 * shell_projection(distance.astype(np.float32), 26.0, 23.0)
        return _measure(np.rint(grey * 255).astype(np.uint8), mask)

    one, other = shell(0), shell(degrees)
    for name in one:
        if name.startswith(("area", "perimeter", "maximum_width", "diameter", "circularity")):
            assert other[name] == pytest.approx(one[name], rel=0.015), name
        elif "profile" in name:
            assert other[name] == pytest.approx(one[name], abs=0.02), name


def test_given_moments_add_up_over_a_turn() -> None:
    flat, turned = (central_moments(np.ones((69, 69)), _tilted(15, 30, degrees)) for degrees in (0, 30))
    assert turned["mu20_px2"] + turned["mu02_px2"] == pytest.approx(flat["mu20_px2"] + flat["mu02_px2"], rel=0.01)
    assert flat["mu02_px2"] == pytest.approx(np.pi * 15 * 30 * 30**2 / 4, rel=0.01)
