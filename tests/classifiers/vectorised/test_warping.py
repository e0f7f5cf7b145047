"""Augmentation in JAX: NumPy's maps and images for the same numbers; draws in their ranges; plans as data."""

from itertools import permutations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.classifiers.vectorised import warping
from lipnet.samples import augment
from lipnet.samples.augment import AugmentSettings

ALL = ["rotation", "shift", "flip", "shear", "zoom"]
SIDE, N = 28, 64


def _settings(*transforms: str, **changes: Any) -> AugmentSettings:
    fields = {
        "transforms": list(transforms),
        "rotation_deg": 180,
        "shift_percent": 10,
        "shear_max": 0.2,
        "zoom_min": 0.8,
        "interpolation": "bilinear",
        "fill": "constant",
        "noise_sd": 0.0,
    }
    return AugmentSettings.model_validate(fields | changes)


class Recorded:
    """A generator of NumPy that keeps the numbers that it drew, one array of shape (n, 2) for each call."""

    def __init__(self, seed: int) -> None:
        self.rng, self.numbers = np.random.default_rng(seed), list[NDArray[np.float64]]()

    def __getattr__(self, method: str) -> Any:
        def draw(*args: Any, **kwargs: Any) -> NDArray[Any]:
            drawn = getattr(self.rng, method)(*args, **kwargs)
            self.numbers.append(np.stack([drawn, drawn], axis=1) if drawn.ndim == 1 else drawn)
            return drawn

        return draw


def _both_maps(settings: AugmentSettings, seed: int, slots: int = 5) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Maps of NumPy's code, and those of JAX's code from the same numbers."""
    rng: Any = Recorded(seed)
    expected = augment.draw_maps(N, SIDE, settings, rng)
    plan = warping.plan(settings, slots)
    numbers = np.zeros((len(plan.order), N, 2), np.float32)
    for slot, drawn in enumerate(rng.numbers):
        numbers[slot] = drawn
    return expected, np.asarray(_compose(numbers, SIDE, plan))


_compose = jax.jit(warping.compose, static_argnums=1)
_draw_numbers = jax.jit(warping.draw_numbers, static_argnums=1)
_draw_maps = jax.jit(warping.draw_maps, static_argnums=(1, 2))
_warp = jax.jit(warping.warp, static_argnums=(2, 3))


def _images(channels: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(9).random((N, SIDE, SIDE, channels), dtype=np.float32)


def _numpy_warp(images: NDArray[np.float32], maps: NDArray[np.float32], settings: AugmentSettings) -> Any:
    """As training does it: the same maps for every channel."""
    return np.stack([augment.warp(images[..., i], maps, settings) for i in range(images.shape[3])], axis=-1)


def test_maps_of_every_ordered_subset_equal_those_of_numpy_for_the_same_numbers() -> None:
    for length in range(6):
        for order in permutations(ALL, length):
            expected, found = _both_maps(_settings(*order), seed=length)
            assert found.dtype == np.float32
            assert_allclose(found, expected, rtol=0, atol=1e-5, err_msg=str(order))


def test_one_compiled_program_serves_all_ordered_subsets_and_ranges() -> None:
    compiled = jax.jit(warping.draw_maps, static_argnums=(1, 2))
    first = compiled(jax.random.key(0), N, SIDE, warping.plan(_settings(*ALL)))
    for settings in (_settings("zoom", "flip"), _settings(), _settings(*reversed(ALL), zoom_min=0.5)):
        assert not np.allclose(compiled(jax.random.key(0), N, SIDE, warping.plan(settings)), first)
    assert compiled._cache_size() == 1


def test_a_transform_that_is_named_twice_is_drawn_twice() -> None:
    settings = _settings("rotation", "zoom", "rotation", "shift", "shift", "flip")
    expected, found = _both_maps(settings, seed=1)
    assert_allclose(found, expected, rtol=0, atol=1e-5)
    drawn = _draw_numbers(jax.random.key(0), N, warping.plan(settings))
    assert drawn.shape == (6, N, 2)
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize("fill", ["constant", "nearest", "reflect"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("channels", [1, 2])
def test_images_equal_those_of_numpy_for_the_same_numbers(channels: int, interpolation: str, fill: str) -> None:
    settings = _settings(*ALL, shift_percent=90, interpolation=interpolation, fill=fill)
    images = _images(channels)
    expected_maps, found_maps = _both_maps(settings, seed=3)
    expected = _numpy_warp(images, expected_maps, settings)
    assert np.abs(expected - images).mean() > 0.1
    clear = _is_clear(expected_maps) if interpolation == "nearest" else np.ones((N, SIDE, SIDE), bool)
    assert clear.mean() > 0.999
    for maps in (expected_maps, found_maps):
        found = np.asarray(_warp(images, maps, interpolation, fill))
        assert found.dtype == np.float32
        assert_allclose(found[clear], expected[clear], rtol=0, atol=1e-5)


def _is_clear(maps: NDArray[np.float32]) -> NDArray[np.bool_]:
    """False where the source lies in the middle between two pixels: there, the last digit decides which is nearest."""
    points = np.stack([*np.meshgrid(np.arange(SIDE), np.arange(SIDE)), np.ones((SIDE, SIDE))])
    sources = np.einsum("nij,jyx->niyx", maps.reshape(-1, 2, 3).astype(float), points)
    return (np.abs(sources % 1 - 0.5) > 1e-4).all(axis=1)


def test_bytes_are_warped_like_grey_levels() -> None:
    settings = _settings(*ALL)
    pixels = (_images() * 255).astype(np.uint8)
    maps, _ = _both_maps(settings, seed=4)
    found = _warp(pixels, maps, "bilinear", "constant") / 255
    assert_allclose(found, _numpy_warp(pixels.astype(np.float32) / 255, maps, settings), rtol=0, atol=1e-5)


def test_no_transforms_are_the_identity() -> None:
    maps = _draw_maps(jax.random.key(0), N, SIDE, warping.plan(_settings()))
    assert_array_equal(maps, np.tile([1, 0, 0, 0, 1, 0], (N, 1)))
    assert_array_equal(_warp(_images(), maps, "bilinear", "constant"), _images())


def test_draws_have_the_ranges_and_moments_of_numpy() -> None:
    n = 20_000
    settings = _settings(*ALL, rotation_deg=30, shift_percent=7, shear_max=0.3, zoom_min=0.6)
    drawn = dict(zip(ALL, np.asarray(_draw_numbers(jax.random.key(5), n, warping.plan(settings))), strict=True))
    for name, most in (("rotation", 30), ("shift", 7)):
        values, counts = np.unique(drawn[name], return_counts=True)
        assert_array_equal(values, np.arange(-most, most + 1))  # whole numbers, both ends included
        assert_allclose(counts / counts.sum() * len(values), 1, atol=0.2)
    kinds, counts = np.unique(drawn["flip"], axis=0, return_counts=True)
    assert_array_equal(kinds, [[-1, -1], [-1, 1], [1, -1], [1, 1]])
    assert_allclose(counts / n, 0.25, atol=0.02)
    for name, low, high in (("shear", 0.0, 0.3), ("zoom", 0.6, 1.0)):
        found = drawn[name]
        assert low <= found.min() < low + 1e-3 and high - 1e-3 < found.max() <= high
        assert found.mean() == pytest.approx((low + high) / 2, abs=0.005)
        assert found.std() == pytest.approx((high - low) / np.sqrt(12), rel=0.02)
    columns = np.concatenate([drawn[name].T for name in ALL])
    assert np.abs(np.corrcoef(columns) - np.eye(10)).max() < 0.04


def test_maps_of_both_codes_have_the_same_moments() -> None:
    settings, n = _settings(*ALL), 20_000
    found = np.asarray(_draw_maps(jax.random.key(6), n, SIDE, warping.plan(settings)))
    expected = augment.draw_maps(n, SIDE, settings, np.random.default_rng(6))
    spread = expected.std(axis=0)
    assert_allclose(found.mean(axis=0), expected.mean(axis=0), atol=0.03 * spread.max())
    assert_allclose(found.std(axis=0), spread, rtol=0.03)


def test_maps_depend_on_the_key_alone_and_differ_between_images() -> None:
    plan = warping.plan(_settings(*ALL))
    first, again, other = (_draw_maps(jax.random.key(key), N, SIDE, plan) for key in (4, 4, 5))
    assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) == N


def test_networks_with_different_plans_are_augmented_together() -> None:
    settings = [_settings("zoom", "rotation"), _settings(), _settings(*ALL, rotation_deg=20)]
    plans = [warping.plan(each) for each in settings]
    keys, images = jax.random.split(jax.random.key(1), 3), _images()

    def augmented(key: jax.Array, plan: warping.Plan) -> jax.Array:
        return warping.warp(images, warping.draw_maps(key, N, SIDE, plan), "bilinear", "constant")

    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *plans)
    together = jax.jit(jax.vmap(augmented))(keys, stacked)
    for found, key, plan in zip(together, keys, plans, strict=True):
        assert_allclose(found, jax.jit(augmented)(key, plan), rtol=0, atol=1e-5)
