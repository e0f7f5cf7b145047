"""Augmentation: ranges of each transformation, their composition, and agreement with reference implementations."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage

from lipnet.samples.augment import AugmentSettings, draw_maps, warp

ALL = ["rotation", "shift", "flip", "shear", "zoom"]
SIZE = 20


def _policy(*transforms: str, **changes: Any) -> AugmentSettings:
    return AugmentSettings.model_validate(
        {
            "transforms": list(transforms),
            "rotation_deg": 30,
            "shift_percent": 10,
            "shear_max": 0.2,
            "zoom_min": 0.8,
            "interpolation": "bilinear",
            "fill": "constant",
            "noise_sd": 0.0,
            **changes,
        }
    )


def _draw(n: int, *transforms: str, seed: int = 0, size_px: int = SIZE, **changes: Any) -> NDArray[np.float64]:
    maps = draw_maps(n, size_px, _policy(*transforms, **changes), np.random.default_rng(seed))
    assert maps.shape == (n, 6)
    assert maps.dtype == np.float32
    return maps.astype(np.float64)


def _images(n: int, size_px: int = SIZE) -> NDArray[np.float32]:
    return np.random.default_rng(9).random((n, size_px, size_px), dtype=np.float32)


def _source(maps: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    matrices = maps.reshape(-1, 2, 3)
    return np.einsum("nij,nj->ni", matrices[:, :, :2], points) + matrices[:, :, 2]


def _is_fixed(maps: NDArray[np.float64], point: float) -> bool:
    points = np.full((len(maps), 2), point)
    return np.allclose(_source(maps, points), points, atol=1e-4)


def test_no_transforms_are_the_identity() -> None:
    maps = _draw(3)
    assert_array_equal(maps, np.tile([1, 0, 0, 0, 1, 0], (3, 1)))
    images = _images(3)
    assert_array_equal(warp(images, maps.astype(np.float32), _policy()), images)


@pytest.mark.parametrize("size_px", [19, 20])
def test_rotations_are_whole_degrees_in_the_range_about_the_centre(size_px: int) -> None:
    maps = _draw(2000, "rotation", size_px=size_px)
    degrees = np.rad2deg(np.arctan2(maps[:, 3], maps[:, 0]))
    assert_allclose(degrees, degrees.round(), atol=1e-3)
    assert set(degrees.round()) == set(range(-30, 31))
    assert_allclose(maps[:, 0], maps[:, 4])
    assert_allclose(maps[:, 1], -maps[:, 3])
    assert_allclose(np.hypot(maps[:, 0], maps[:, 1]), 1, atol=1e-6)
    assert _is_fixed(maps, (size_px - 1) / 2)


def test_shifts_are_whole_per_cent_of_the_side_in_both_directions() -> None:
    maps = _draw(2000, "shift", size_px=50)
    assert_array_equal(maps[:, [0, 1, 3, 4]], np.tile([1, 0, 0, 1], (2000, 1)))
    percent = maps[:, [2, 5]] / 50 * 100
    assert_allclose(percent, percent.round(), atol=1e-4)
    for axis in (0, 1):
        assert set(percent[:, axis].round()) == set(range(-10, 11))
    assert abs(np.corrcoef(percent.T)[0, 1]) < 0.1


def test_each_of_the_four_flips_is_drawn_a_quarter_of_the_time() -> None:
    maps = _draw(4000, "flip")
    assert _is_fixed(maps, (SIZE - 1) / 2)
    assert_array_equal(maps[:, [1, 3]], 0)
    kinds, counts = np.unique(maps[:, [0, 4]], axis=0, return_counts=True)
    assert_array_equal(kinds, [[-1, -1], [-1, 1], [1, -1], [1, 1]])
    assert_allclose(counts / 4000, 0.25, atol=0.03)


def test_flip_reverses_the_image() -> None:
    images = _images(30)
    maps = _draw(30, "flip")
    warped = warp(images, maps.astype(np.float32), _policy())
    for image, (a, _, _, _, e, _), out in zip(images, maps, warped, strict=True):
        assert_array_equal(out, image[:: int(e), :: int(a)])


def test_shear_moves_along_x_only_and_stays_in_its_range() -> None:
    maps = _draw(1000, "shear")
    assert_array_equal(maps[:, [0, 3, 4]], np.tile([1, 0, 1], (1000, 1)))
    assert 0 <= maps[:, 1].min() < 0.01
    assert 0.19 < maps[:, 1].max() <= 0.2
    assert _is_fixed(maps, (SIZE - 1) / 2)


def test_zoom_magnifies_both_axes_alike_and_stays_in_its_range() -> None:
    maps = _draw(1000, "zoom")
    assert_array_equal(maps[:, [1, 3]], 0)
    assert_array_equal(maps[:, 0], maps[:, 4])
    assert 0.8 <= maps[:, 0].min() < 0.81
    assert 0.99 < maps[:, 0].max() <= 1
    assert _is_fixed(maps, (SIZE - 1) / 2)


def test_a_rotation_of_90_degrees_is_rot90() -> None:
    images = _images(1)
    by_hand = np.array([[0, -1, SIZE - 1, 1, 0, 0]], np.float32)
    assert_array_equal(warp(images, by_hand, _policy())[0], np.rot90(images[0]))
    drawn = _draw(2000, "rotation", rotation_deg=180)
    quarter = drawn[np.argmin(np.abs(drawn - by_hand).sum(axis=1))][None].astype(np.float32)
    assert_allclose(quarter, by_hand, atol=1e-4)


@settings(max_examples=40)
@given(st.permutations(ALL), st.integers(0, 1000))
def test_a_point_goes_through_the_composed_map_as_through_one_map_after_another(order: list[str], seed: int) -> None:
    composed = _draw(8, *order, seed=seed)
    rng = np.random.default_rng(seed)
    single = [draw_maps(8, SIZE, _policy(name), rng).astype(np.float64) for name in order]
    points = np.random.default_rng(seed).uniform(0, SIZE, (8, 2))
    source = points
    for maps in reversed(single):  # from the output back to the source
        source = _source(maps, source)
    assert_allclose(_source(composed, points), source, atol=1e-3)


@settings(max_examples=40)
@given(st.permutations(ALL), st.integers(0, 1000), st.integers(8, 64))
def test_composed_maps_are_the_product_of_matrices(order: list[str], seed: int, size_px: int) -> None:
    found = _draw(8, *order, seed=seed, size_px=size_px)
    rng = np.random.default_rng(seed)
    product = np.tile(np.eye(3), (8, 1, 1))
    for name in order:
        product = product @ _matrices(name, 8, rng)
    half = (size_px - 1) / 2
    to_pixels = np.array([[size_px, 0, half], [0, size_px, half], [0, 0, 1]])
    expected = to_pixels @ product @ np.linalg.inv(to_pixels)
    assert_allclose(found, expected[:, :2].reshape(8, 6), atol=1e-5)


def _matrices(name: str, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random matrices of one transformation of section 5.5 of the thesis, in the ranges of ``_policy``."""
    maps = np.tile(np.eye(3), (n, 1, 1))
    if name == "rotation":
        for matrix, angle in zip(maps, np.deg2rad(rng.integers(-30, 31, n)), strict=True):
            matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    elif name == "shift":
        maps[:, :2, 2] = rng.integers(-10, 11, (n, 2)) / 100
    elif name == "flip":
        maps[:, [0, 1], [0, 1]] = rng.choice([-1.0, 1.0], (n, 2))
    elif name == "shear":
        maps[:, 0, 1] = rng.uniform(0, 0.2, n)
    else:
        maps[:, [0, 1], [0, 1]] = rng.uniform(0.8, 1.0, (n, 1))
    return maps


@pytest.mark.parametrize("order", list(permutations(["shift", "flip"])))
def test_the_first_transform_is_applied_to_the_image_first(order: tuple[str, str]) -> None:
    size_px = 100  # one per cent is one pixel, so warping copies whole pixels
    images, rng = _images(20, size_px), np.random.default_rng(3)
    first, second = (draw_maps(20, size_px, _policy(name), rng) for name in order)
    composed = _draw(20, *order, seed=3, size_px=size_px).astype(np.float32)
    found = warp(images, composed, _policy())
    assert_allclose(found, warp(warp(images, first, _policy()), second, _policy()), atol=1e-4)
    assert np.abs(found - warp(warp(images, second, _policy()), first, _policy())).max() > 0.1


def test_order_changes_the_maps_drawn_from_one_seed() -> None:
    rng = np.random.default_rng(0)
    shift, flip = draw_maps(40, SIZE, _policy("shift"), rng), draw_maps(40, SIZE, _policy("flip"), rng)
    corner = np.zeros((40, 2))
    one = _source(_draw(40, "shift", "flip"), corner)
    assert_allclose(one, _source(shift, _source(flip, corner)), atol=1e-4)
    assert np.abs(one - _source(flip, _source(shift, corner))).max() > 0.5


def test_maps_depend_on_the_seed_alone() -> None:
    assert_array_equal(_draw(5, *ALL, seed=4), _draw(5, *ALL, seed=4))
    assert not np.array_equal(_draw(5, *ALL, seed=4), _draw(5, *ALL, seed=5))
    assert len(np.unique(_draw(50, *ALL), axis=0)) == 50


@pytest.mark.parametrize(
    ("fill", "expected"), [("constant", [0, 0, 1, 2]), ("nearest", [1, 1, 1, 2]), ("reflect", [2, 1, 1, 2])]
)
def test_fill_decides_what_lies_outside(fill: str, expected: list[float]) -> None:
    image = np.tile(np.array([1, 2, 3, 4], np.float32), (1, 4, 1))
    two_right = np.array([[1, 0, -2, 0, 1, 0]], np.float32)
    assert_allclose(warp(image, two_right, _policy(fill=fill))[0, 0], expected)


@pytest.mark.parametrize(("interpolation", "expected"), [("bilinear", 1.4), ("nearest", 1.0)])
def test_interpolation_between_two_pixels(interpolation: str, expected: float) -> None:
    image = np.tile(np.array([1, 2, 3, 4], np.float32), (1, 4, 1))
    maps = np.array([[1, 0, 0.4, 0, 1, 0]], np.float32)
    assert warp(image, maps, _policy(interpolation=interpolation))[0, 0, 0] == pytest.approx(expected)


@pytest.mark.parametrize("fill", ["constant", "nearest", "reflect"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_warp_agrees_with_keras_and_scipy(fill: str, interpolation: str) -> None:
    import keras

    policy = _policy(*ALL, rotation_deg=180, shift_percent=90, interpolation=interpolation, fill=fill)
    images = _images(60, 15)
    maps = draw_maps(60, 15, policy, np.random.default_rng(1))
    found = warp(images, maps, policy)
    assert np.abs(found - images).mean() > 0.1
    assert_allclose(found, [_scipy(*each, policy) for each in zip(images, maps, strict=True)], atol=1e-4)
    projective = np.concatenate([maps, np.zeros((60, 2), np.float32)], axis=1)
    keras_warped = keras.ops.image.affine_transform(
        images[..., None], projective, interpolation, fill, data_format="channels_last"
    )
    assert_allclose(keras.ops.convert_to_numpy(keras_warped)[..., 0], found, atol=1e-4)


def _scipy(image: NDArray[np.float32], map_: NDArray[np.float32], policy: AugmentSettings) -> NDArray[np.float32]:
    a, b, c, d, e, f = map_
    order = {"bilinear": 1, "nearest": 0}[policy.interpolation]
    # The fill "constant" of Keras interpolates with the border; SciPy calls this "grid-constant".
    mode = {"nearest": "nearest", "constant": "grid-constant", "reflect": "reflect"}[policy.fill]
    warped: NDArray[np.float32] = ndimage.affine_transform(image, [[e, d], [b, a]], [f, c], order=order, mode=mode)
    return warped


@pytest.mark.parametrize(
    "fault",
    [{"transforms": ["twist"]}, {"rotation_deg": 181}, {"shift_percent": 101}, {"shear_max": 1.0}, {"zoom_min": 0.0}],
)
def test_impossible_policies_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _policy(**fault)
