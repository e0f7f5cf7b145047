"""The augmentation of ``lipnet.samples.augment`` in JAX: maps are drawn and applied on the device, inside a step.

Transforms, ranges, order, interpolation and fill are those of NumPy's code. Only the random numbers differ. All
functions are pure, for ``jax.jit`` and ``jax.vmap``. A map consists of six numbers, as in ``augment``.
"""

from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp

from lipnet.samples.augment import AugmentSettings, Transform

TRANSFORMS: tuple[Transform, ...] = get_args(Transform)
NONE = len(TRANSFORMS)  # the number of the transform that changes nothing
Maps = jax.Array


class Plan(NamedTuple):
    """An ordered subset of the transforms and their ranges, as arrays: another plan is not another program.

    Attributes:
        order: shape (slots,), int32; positions in ``TRANSFORMS``, the first is applied first; ``NONE`` fills the rest.
        rotation_deg: as in ``AugmentSettings``, shape (), float32; so are the next three.
    """

    order: jax.Array
    rotation_deg: jax.Array
    shift_percent: jax.Array
    shear_max: jax.Array
    zoom_min: jax.Array


def plan(settings: AugmentSettings, slots: int = len(TRANSFORMS)) -> Plan:
    """The transforms of these settings; plans of equal ``slots`` can be stacked, however many transforms they have.

    Args:
        settings: transforms and ranges.
        slots: places for transforms; raised to the number of transforms, which may name one more than once.
    """
    order = [TRANSFORMS.index(name) for name in settings.transforms]
    order += [NONE] * (slots - len(order))
    ranges = (settings.rotation_deg, settings.shift_percent, settings.shear_max, settings.zoom_min)
    return Plan(jnp.array(order, jnp.int32), *(jnp.float32(value) for value in ranges))


def draw_maps(key: jax.Array, n: int, size_px: int, plan: Plan) -> Maps:
    """Draw one random affine map per image, as ``augment.draw_maps``; returns shape (n, 6), float32.

    The numbers of a slot do not depend on the transforms in other slots.
    """
    return compose(draw_numbers(key, n, plan), size_px, plan)


def draw_numbers(key: jax.Array, n: int, plan: Plan) -> jax.Array:
    """The random numbers of every slot, image and axis, shape (slots, n, 2).

    Rotation: degrees; shift: per cent of the side along x and y; flip: -1 or 1 along x and y; shear: its coefficient;
    zoom: its factor. Transforms with one number use that of the first axis.
    """
    share = jax.random.uniform(key, (len(plan.order), n, 2))
    kinds = {
        "rotation": _whole(share, plan.rotation_deg),
        "shift": _whole(share, plan.shift_percent),
        "flip": jnp.where(share < 0.5, -1.0, 1.0),
        "shear": share * plan.shear_max,
        "zoom": plan.zoom_min + share * (1.0 - plan.zoom_min),
    }
    return _of_slots(jnp.stack([*(kinds[name] for name in TRANSFORMS), share]), plan)


def _whole(share: jax.Array, most: jax.Array) -> jax.Array:
    """Whole numbers from -most to most, equally often, from shares in [0, 1)."""
    return jnp.floor(share * (2 * most + 1)) - most


def _of_slots(kinds: jax.Array, plan: Plan) -> jax.Array:
    """The kind that each slot uses; shape (kinds, slots, ...) becomes (slots, ...)."""
    return kinds[plan.order, jnp.arange(len(plan.order))]


def compose(numbers: jax.Array, size_px: int, plan: Plan) -> Maps:
    """Maps, shape (n, 6), float32, from the numbers of ``draw_numbers``; elementwise, so in full precision on a GPU."""
    maps = _of_slots(_maps_of_kinds(numbers), plan)
    total = maps[0]
    for slot in range(1, len(maps)):
        # Maps go from output to source, so the last transformation of the image acts first on an output pixel.
        total = _product(total, maps[slot])
    return _in_pixels(total, size_px)


def _maps_of_kinds(numbers: jax.Array) -> jax.Array:
    """Shape (kinds, slots, 6, n); origin at the centre of the image, lengths in units of its side."""
    first, second = numbers[..., 0], numbers[..., 1]
    zero, one = jnp.zeros_like(first), jnp.ones_like(first)
    cos, sin = jnp.cos(jnp.deg2rad(first)), jnp.sin(jnp.deg2rad(first))
    kinds = {
        "rotation": [cos, -sin, zero, sin, cos, zero],
        "shift": [one, zero, first / 100, zero, one, second / 100],
        "flip": [first, zero, zero, zero, second, zero],
        "shear": [one, first, zero, zero, one, zero],
        "zoom": [first, zero, zero, zero, first, zero],
    }
    nothing = [one, zero, zero, zero, one, zero]
    return jnp.stack([jnp.stack(rows, axis=1) for rows in (*(kinds[name] for name in TRANSFORMS), nothing)])


def _product(second: jax.Array, first: jax.Array) -> jax.Array:
    """Product of the matrices (a b c; d e f; 0 0 1), shape (6, n); ``first`` acts on a point before ``second``."""
    a, b, c, d, e, f = second
    p, q, r, s, t, u = first
    return jnp.stack([a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f])


def _in_pixels(maps: jax.Array, size_px: int) -> Maps:
    a, b, c, d, e, f = maps
    m = (size_px - 1) / 2
    return jnp.stack([a, b, size_px * c + m * (1 - a - b), d, e, size_px * f + m * (1 - d - e)], axis=1)


def warp(images: jax.Array, maps: Maps, interpolation: str, fill: str) -> jax.Array:
    """Apply affine maps, as ``augment.warp``; every channel of an image gets the same map.

    Args:
        images: shape (n, size_px, size_px, n_channels). They may be bytes: the grey levels of the result have the same
            scale, and a quarter of the memory is read.
        maps: shape (n, 6), from ``draw_maps``.
        interpolation: ``bilinear`` or ``nearest``; like ``fill`` a part of the program.
        fill: ``constant`` (0), ``nearest`` or ``reflect``.

    Returns:
        Shape of ``images``, float32.
    """
    size_px = images.shape[1]
    x, y = (_sources(maps[:, part], size_px, interpolation, fill) for part in (slice(0, 3), slice(3, 6)))
    # A border of zeros, as in NumPy's code: one before the first pixel; up to two are read after the last one.
    padded = jnp.pad(images, ((0, 0), (1, 2), (1, 2), (0, 0)))
    column, row = jnp.floor(x), jnp.floor(y)
    at = (row.astype(jnp.int32) + 1, column.astype(jnp.int32) + 1)
    return jax.vmap(_interpolated)(padded, at, (x - column)[..., None], (y - row)[..., None])


def _sources(rows: jax.Array, size_px: int, interpolation: str, fill: str) -> jax.Array:
    """One coordinate of the source of every output pixel, shape (n, size_px, size_px), moved inside the image."""
    by_x, by_y, offset = (rows[:, i, None, None] for i in range(3))
    along = jnp.arange(size_px, dtype=jnp.float32)
    sources = by_x * along + (by_y * along[:, None] + offset)
    if interpolation == "nearest":  # whole coordinates switch interpolation off
        sources = jnp.floor(sources + 0.5)
    if fill == "reflect":  # d c b a | a b c d | d c b a: repeats every two images
        sources = size_px - jnp.abs((sources + 0.5) % (2 * size_px) - size_px) - 0.5
    border = int(fill == "constant")  # of zeros
    return jnp.clip(sources, -border, size_px - 1 + border)


def _interpolated(image: jax.Array, at: tuple[jax.Array, jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
    """Pixels of one padded image between the four neighbours of every source; x and y are shares in [0, 1)."""

    def pixel(below: int, right: int) -> Any:
        found = image.at[at[0] + below, at[1] + right].get(mode="promise_in_bounds")
        return found.astype(jnp.float32)

    upper, lower = (_between(pixel(below, 0), pixel(below, 1), x) for below in (0, 1))
    return _between(upper, lower, y)


def _between(first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
    return first + (second - first) * share
