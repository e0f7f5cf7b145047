"""The packed store: particles are returned unchanged; 8-bit images are widened only beside 16-bit ones."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lipnet.core.errors import InputError
from lipnet.samples.particles import (
    Particle,
    ParticleStore,
    bounding_box,
    describe,
    from_arrays,
    inscribed_ellipse,
    pack,
    to_arrays,
)

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)


def _particle(image: Any, mask: Any = None, **changes: Any) -> Particle:
    mask = np.ones(image.shape, bool) if mask is None else mask
    return Particle(**{"id": "p", "label": "A", "group": "g", "image": image, "mask": mask, **changes})


@st.composite
def _particles(draw: st.DrawFn, types: tuple[type, ...] = (np.uint8, np.uint16)) -> list[Particle]:
    dtype = draw(st.sampled_from(types))
    shapes = draw(st.lists(SHAPES, min_size=1, max_size=5))
    return [_particle(draw(hnp.arrays(dtype, shape)), draw(hnp.arrays(bool, shape))) for shape in shapes]


@settings(max_examples=50)
@given(_particles())
def test_packing_and_storing_keeps_every_pixel(particles: list[Particle]) -> None:
    store = from_arrays(to_arrays(pack(particles)), "store.npz")
    assert len(store) == len(particles)
    assert store.masks.dtype == bool
    for index, particle in enumerate(particles):
        assert store.image(index).dtype == particle.image.dtype
        np.testing.assert_array_equal(store.image(index), particle.image)
        np.testing.assert_array_equal(store.mask(index), particle.mask)


@settings(max_examples=30)
@given(_particles((np.uint8,)), _particles((np.uint16,)))
def test_8_bit_beside_16_bit_is_widened_to_the_same_meaning(narrow: list[Particle], wide: list[Particle]) -> None:
    store = pack(narrow + wide)
    assert store.white == 65535
    for index, particle in enumerate(narrow):
        assert np.allclose(store.image(index) / 65535, particle.image / 255, atol=1e-12)
    for index, particle in enumerate(wide, start=len(narrow)):
        np.testing.assert_array_equal(store.image(index), particle.image)


def test_white_of_8_bit_is_255() -> None:
    assert pack([_particle(np.zeros((2, 3), np.uint8))]).white == 255


def test_masks_take_one_bit_a_pixel() -> None:
    arrays = to_arrays(pack([_particle(np.zeros((5, 5), np.uint8))]))
    assert arrays["masks"].nbytes == 4


@pytest.mark.parametrize("missing", ["pixels", "masks", "shapes_px"])
def test_a_store_without_one_of_its_arrays_is_refused(missing: str) -> None:
    arrays = to_arrays(pack([_particle(np.zeros((4, 5), np.uint8))]))
    del arrays[missing]
    with pytest.raises(InputError, match=rf"store\.npz: not a particle store .*{missing}.*; delete it and run"):
        from_arrays(arrays, "store.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"pixels": np.zeros(19, np.uint8)},
        {"shapes_px": np.array([[4, 6]])},
        {"masks": np.zeros(2, np.uint8)},
        {"masks": np.zeros(4, np.uint8)},
    ],
    ids=["too few pixels", "larger shape", "too few mask bits", "too many mask bits"],
)
def test_a_store_whose_arrays_disagree_is_refused(change: dict[str, Any]) -> None:
    arrays = to_arrays(pack([_particle(np.zeros((4, 5), np.uint8))]))
    with pytest.raises(InputError, match=r"store\.npz: .* disagree; delete it and run `dvc repro`"):
        from_arrays({**arrays, **change}, "store.npz")


@pytest.mark.parametrize("change", [{"masks": np.zeros(3)}, {"shapes_px": np.array([4, 5])}])
def test_a_store_with_arrays_of_another_kind_is_refused(change: dict[str, Any]) -> None:
    arrays = to_arrays(pack([_particle(np.zeros((4, 5), np.uint8))]))
    with pytest.raises(InputError, match=r"store\.npz: not a particle store"):
        from_arrays({**arrays, **change}, "store.npz")


def test_images_are_views_of_the_store() -> None:
    store = pack([_particle(np.full((2, 2), level, np.uint8)) for level in (1, 2)])
    assert np.shares_memory(store.image(1), store.pixels)
    assert np.shares_memory(store.mask(1), store.masks)


def test_bounding_box_is_the_smallest() -> None:
    mask = np.zeros((9, 8), bool)
    mask[2, 5] = mask[6, 1] = True
    assert bounding_box(mask) == (slice(2, 7), slice(1, 6))


def test_bounding_box_of_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        bounding_box(np.zeros((3, 3), bool))


@given(hnp.arrays(bool, SHAPES).filter(lambda mask: mask.any()))
def test_bounding_box_holds_all_of_the_mask_and_touches_it_on_four_sides(mask: Any) -> None:
    inside = mask[bounding_box(mask)]
    assert inside.sum() == mask.sum()
    assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_describe_tells_the_box_and_all_else_in_order() -> None:
    mask = np.zeros((10, 12), bool)
    mask[3:7, 2:9] = True
    first = _particle(np.zeros((10, 12), np.uint8), mask, id="b", padding_px=2, pixel_size_nm=1.5, mask_estimated=True)
    second = _particle(np.zeros((4, 5), np.uint8), id="a", label="B", group="h")
    table = describe([first, second])
    assert table.iloc[0].to_dict() == {
        "id": "b",
        "label": "A",
        "group": "g",
        "height_px": 4,
        "width_px": 7,
        "padding_px": 2,
        "pixel_size_nm": 1.5,
        "mask_estimated": 1,
        "cut_by_edge": 0,
    }
    assert table.loc[1, ["id", "label", "group", "height_px", "width_px"]].tolist() == ["a", "B", "h", 4, 5]
    assert np.isnan(table.loc[1, "pixel_size_nm"])


def test_an_empty_store_has_no_particles() -> None:
    empty = ParticleStore(np.empty(0, np.uint8), np.empty(0, bool), np.empty((0, 2), np.int64))
    assert len(from_arrays(to_arrays(empty), "store.npz")) == 0


@given(height=st.integers(1, 30), padding=st.integers(0, 9), data=st.data())
def test_the_ellipse_touches_all_sides_of_the_box_left_by_the_padding(height: int, padding: int, data: Any) -> None:
    width = data.draw(st.integers((height + 1) // 2, 2 * height))  # the tips of longer ellipses lie between pixels
    mask = inscribed_ellipse((height + 2 * padding, width + 2 * padding), padding)
    assert mask.shape == (height + 2 * padding, width + 2 * padding)
    assert bounding_box(mask) == (slice(padding, height + padding), slice(padding, width + padding))
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])


def test_the_ellipse_of_an_elongated_box_reaches_its_ends() -> None:
    assert bounding_box(inscribed_ellipse((2, 40), 0)) == (slice(0, 2), slice(0, 40))


@pytest.mark.parametrize("shape_px", [(1, 1), (1, 40), (2, 40), (41, 2), (3, 100)])
def test_the_ellipse_is_never_empty(shape_px: tuple[int, int]) -> None:
    assert inscribed_ellipse(shape_px, 0).sum() >= 0.5 * shape_px[0] * shape_px[1]


def test_the_ellipse_has_the_area_of_an_ellipse() -> None:
    assert inscribed_ellipse((100, 60), 10).sum() == pytest.approx(np.pi * 40 * 20, rel=0.01)
