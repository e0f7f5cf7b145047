"""Buckets: the smallest side that contains a particle, central crops, and batches of one side."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lipnet.samples.buckets import batches, cut, least_sides, spans, together


def _lit(*places: tuple[int, int], side: int = 64) -> np.ndarray:
    fields = np.zeros((len(places), side, side), np.uint8)
    for field, place in zip(fields, places, strict=True):
        field[place] = 1
    return fields


@pytest.mark.parametrize(
    ("place", "span"),
    [((31, 31), 2), ((32, 32), 2), ((30, 32), 4), ((32, 33), 4), ((31, 8), 48), ((0, 31), 64), ((31, 63), 64)],
)
def test_a_span_is_the_least_middle_cut_that_holds_what_is_lit(place: tuple[int, int], span: int) -> None:
    fields = _lit(place)
    assert spans(fields).tolist() == [span]
    assert cut(fields, span).any() and not cut(fields, span - 2).any()
    assert spans(np.stack([fields * 0, fields], axis=3)).tolist() == [span]  # any channel


def test_the_least_side_holds_the_particle_and_black_takes_the_first() -> None:
    fields = np.concatenate([_lit((24, 24), (23, 24), (8, 8), (0, 0)), np.zeros((1, 64, 64), np.uint8)])
    assert least_sides(fields, [16, 48, 64]).tolist() == [16, 48, 48, 64, 16]


def test_a_cut_keeps_the_middle() -> None:
    field = np.arange(36).reshape(1, 6, 6).astype(np.uint8)
    assert_array_equal(cut(field, 2)[0], [[14, 15], [20, 21]])
    assert_array_equal(cut(field, 6), field)
    assert cut(np.zeros((3, 6, 6, 2), np.uint8), 4).shape == (3, 4, 4, 2)


def test_batches_hold_one_side_each_and_every_example_once_and_are_drawn() -> None:
    sides = np.random.default_rng(0).choice([16, 32, 48], 200)
    found = batches(sides, 8, np.random.default_rng(1))
    assert_array_equal(np.sort(np.concatenate(found)), np.arange(200))
    assert all(len(np.unique(sides[part])) == 1 for part in found)
    assert sum(len(part) < 8 for part in found) <= 3
    in_order = [int(sides[part[0]]) for part in found]
    assert in_order != sorted(in_order)
    again, other = (batches(sides, 8, np.random.default_rng(seed)) for seed in (1, 2))
    assert [part.tolist() for part in again] == [part.tolist() for part in found]
    assert [part.tolist() for part in other] != [part.tolist() for part in found]


def test_what_goes_through_at_once_is_cut_to_what_it_needs_and_stays_below_the_limit() -> None:
    fields = _lit(*[(31, 31), (0, 0), (20, 31)] * 10)
    parts = list(together(fields, 4 * 64**2))
    assert_array_equal(np.sort(np.concatenate([rows for rows, _ in parts])), np.arange(30))
    assert {side for _, side in parts} == {16, 32, 64}
    for rows, side in parts:
        assert len(rows) * side**2 <= 4 * 64**2
        assert (spans(fields[rows]) <= side).all()
