"""Exact duplicates: all pixels are compared, the first copy is reported, and copies share a group."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lipnet.sources.duplicates import find, fingerprint, join_groups

IMAGE = np.arange(12, dtype=np.uint8).reshape(3, 4)


def test_equal_images_have_equal_fingerprints_however_they_lie_in_memory() -> None:
    assert fingerprint(IMAGE) == fingerprint(np.asfortranarray(IMAGE)) == fingerprint(np.pad(IMAGE, 1)[1:-1, 1:-1])


def test_any_difference_changes_the_fingerprint() -> None:
    other = IMAGE.copy()
    other[2, 3] += 1
    images = [IMAGE, other, IMAGE.reshape(4, 3), IMAGE.reshape(2, 6), IMAGE.astype(np.uint16)]
    assert len({fingerprint(image) for image in images}) == len(images)


@given(hnp.arrays(np.uint8, (2, 3)), hnp.arrays(np.uint8, (2, 3)))
def test_fingerprints_agree_exactly_where_images_do(one: hnp.arrays, other: hnp.arrays) -> None:
    assert (fingerprint(one) == fingerprint(other)) == np.array_equal(one, other)


def test_a_duplicate_is_reported_against_the_first_with_the_conflict_of_classes() -> None:
    table = pd.DataFrame({"id": list("abcde"), "label": ["X", "Y", "X", "Y", "Y"]})
    found = find(table, pd.Series(["1", "2", "1", "1", "2"]))
    assert found.to_dict("records") == [
        {"id": "c", "first_id": "a", "conflict": False},
        {"id": "d", "first_id": "a", "conflict": True},
        {"id": "e", "first_id": "b", "conflict": False},
    ]


def test_no_duplicates_give_an_empty_table() -> None:
    found = find(pd.DataFrame({"id": ["a", "b"], "label": ["X", "X"]}), pd.Series(["1", "2"]))
    assert list(found.columns) == ["id", "first_id", "conflict"]
    assert found.empty


def test_groups_that_share_an_image_become_one_through_any_chain() -> None:
    groups = pd.Series(["m1", "m2", "m2", "m3", "m4", "m1"], name="group")
    fingerprints = pd.Series(["a", "a", "b", "b", "c", "d"])
    joined = join_groups(groups, fingerprints)
    assert joined.tolist() == ["m1", "m1", "m1", "m1", "m4", "m1"]
    assert joined.name == "group"


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), min_size=1, max_size=30))
def test_no_image_lies_in_two_groups_and_no_group_is_torn(pairs: list[tuple[int, int]]) -> None:
    groups = pd.Series([f"g{group}" for group, _ in pairs])
    fingerprints = pd.Series([f"d{image}" for _, image in pairs])
    joined = join_groups(groups, fingerprints)
    for key in (fingerprints, groups):
        assert all(len(set(names)) == 1 for _, names in joined.groupby(key))
    if fingerprints.is_unique:
        assert (joined == groups).all()


def test_nothing_is_joined_without_a_shared_image() -> None:
    groups = pd.Series(["m2", "m1", "m2"])
    assert join_groups(groups, pd.Series(["a", "b", "c"])).tolist() == ["m2", "m1", "m2"]
