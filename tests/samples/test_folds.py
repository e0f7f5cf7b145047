"""Folds: a stratified partition with whole groups; data that cannot be split raise an error with the reason."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from pydantic import ValidationError

from lipnet.core.errors import InputError
from lipnet.samples import folds
from lipnet.samples.folds import SplitSettings, assign, count_table, giant_group, inner, parts, too_few, unevenness

NAMES = ["Full", "Empty", "Uncertain", "Odd"]


def _assign(
    labels: Any, groups: Any = None, n_folds: int = 2, repeats: int = 1, protocol: str = "grouped", seed: int = 0
) -> NDArray[np.int64]:
    labels = np.asarray(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    chosen = SplitSettings(folds=n_folds, repeats=repeats, protocol=protocol)
    found = assign(labels, groups, NAMES[: labels.max() + 1], chosen, seed)
    assert found.shape == (repeats, len(labels))
    return found


def _refused(message: str) -> Any:
    return pytest.raises(InputError, match=f"^{re.escape(message)}$")


def _counts(labels: NDArray[np.int64], assignment: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([np.bincount(assignment[labels == label]) for label in np.unique(labels)])


labels_and_folds = st.integers(2, 5).flatmap(
    lambda folds: st.tuples(
        st.lists(st.integers(folds, 40), min_size=2, max_size=4)
        .map(lambda counts: np.repeat(np.arange(len(counts)), counts))
        .flatmap(lambda labels: st.permutations(labels.tolist()).map(np.array)),
        st.just(folds),
    )
)


@settings(max_examples=50)
@given(labels_and_folds, st.integers(0, 1000))
def test_shuffled_folds_have_their_share_of_every_class(case: tuple[NDArray[np.int64], int], seed: int) -> None:
    labels, n_folds = case
    for assignment in _assign(labels, n_folds=n_folds, repeats=2, protocol="shuffled", seed=seed):
        assert set(assignment) == set(range(n_folds))
        counts = _counts(labels, assignment)
        assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1


@settings(max_examples=30)
@given(labels_and_folds, st.integers(2, 4), st.integers(0, 1000))
def test_grouped_folds_keep_groups_whole(case: tuple[NDArray[np.int64], int], size: int, seed: int) -> None:
    labels, n_folds = case
    groups = np.random.default_rng(seed).permutation(np.arange(len(labels)) // size)
    try:
        found = _assign(labels, groups, n_folds, protocol="grouped", seed=seed)
    except InputError as error:  # a rare class in few groups
        assert "groups" in str(error)
        assume(False)
    assert set(found[0]) == set(range(n_folds))
    for group in np.unique(groups):
        assert len(set(found[0][groups == group])) == 1
    for label in np.unique(labels):
        assert set(found[0][labels == label]) == set(range(n_folds))


def test_grouped_folds_are_nearly_even() -> None:
    rng = np.random.default_rng(0)
    labels, groups = rng.choice(3, 1000, p=[0.8, 0.15, 0.05]), rng.integers(0, 100, 1000)
    found = _assign(labels, groups, n_folds=5)
    counts = _counts(labels, found[0])
    assert np.abs(counts / counts.mean(axis=1, keepdims=True) - 1).max() < 0.3
    one_draw_each = [unevenness(labels, _assign(labels, groups, 5, seed=seed)[0], 5) for seed in range(3)]
    by_chance = [unevenness(labels, rng.integers(0, 5, 100)[groups], 5) for _ in range(20)]
    assert max(one_draw_each) < min(by_chance)


def test_the_most_even_of_several_shuffles_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels, groups = rng.choice(3, 300, p=[0.8, 0.15, 0.05]), rng.integers(0, 30, 300)
    kept = []
    for candidates in (1, 3, 10, 30):  # more candidates include the first ones
        monkeypatch.setattr(folds, "CANDIDATES", candidates)
        kept.append(unevenness(labels, _assign(labels, groups, 5)[0], 5))
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < kept[0]


def test_groups_of_one_are_as_even_as_without_groups() -> None:
    labels = np.repeat([0, 1], [33, 12])
    assert_array_equal(_assign(labels, n_folds=5, protocol="grouped"), _assign(labels, n_folds=5, protocol="shuffled"))


@pytest.mark.parametrize("protocol", ["grouped", "shuffled"])
def test_repeats_and_seeds_differ_and_the_same_seed_repeats(protocol: str) -> None:
    labels, groups = np.tile([0, 1, 2], 40), np.arange(120) // 4
    one = _assign(labels, groups, 3, 3, protocol, seed=5)
    assert_array_equal(one, _assign(labels, groups, 3, 3, protocol, seed=5))
    assert len({repeat.tobytes() for repeat in one}) == 3
    assert not np.array_equal(one, _assign(labels, groups, 3, 3, protocol, seed=6))
    assert_array_equal(one[:1], _assign(labels, groups, 3, 1, protocol, seed=5))


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("shuffled", ["100101010011", "110000010111"]),
        ("grouped", ["110000110011", "001111001100"]),
    ],
)
def test_the_folds_of_a_seed_stay_what_they_were(protocol: str, expected: list[str]) -> None:
    # Published results depend on these draws. A change of the draws changes all these results.
    found = _assign(np.tile([0, 1, 1], 4), np.arange(12) // 2, 2, 2, protocol, seed=7)
    assert ["".join(map(str, repeat)) for repeat in found] == expected


def test_thesis_protocol_cuts_each_class_into_contiguous_blocks_in_table_order() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 0, 0])
    found = _assign(labels, np.zeros(9, int), n_folds=3, protocol="thesis")
    assert_array_equal(found, [[0, 0, 0, 1, 1, 2, 1, 2, 2]])
    assert_array_equal(found, _assign(labels, np.zeros(9, int), n_folds=3, protocol="thesis", seed=99))


@settings(max_examples=50)
@given(labels_and_folds)
def test_thesis_blocks_are_ordered_and_even(case: tuple[NDArray[np.int64], int]) -> None:
    labels, n_folds = case
    found = _assign(labels, n_folds=n_folds, protocol="thesis")[0]
    for label in np.unique(labels):
        blocks = found[labels == label]
        assert (np.diff(blocks) >= 0).all()
        assert np.bincount(blocks, minlength=n_folds).max() - np.bincount(blocks, minlength=n_folds).min() <= 1


def test_thesis_protocol_with_repeats_is_refused() -> None:
    with _refused("params.yaml: split.protocol 'thesis' draws nothing, so split.repeats must be 1"):
        _assign([0, 0, 1, 1], protocol="thesis", repeats=2)


@pytest.mark.parametrize("protocol", ["grouped", "shuffled", "thesis"])
def test_a_class_with_fewer_members_than_folds_is_named(protocol: str) -> None:
    with _refused(
        "class 'Empty' has 1 particles, fewer than the 2 folds; "
        "add at least 1 of it, write another class in its rows, or delete its rows; in both cases leave the class out "
        "of `classes`"
    ):
        _assign([0, 0, 0, 1], protocol=protocol)


def test_a_class_in_fewer_groups_than_folds_is_named_when_groups_matter() -> None:
    labels, groups = np.repeat([0, 1], 10), np.concatenate([np.arange(10), np.full(10, 3)])
    with _refused(
        "class 'Empty' lies in 1 groups, fewer than the 2 folds, so some fold would have none of it; "
        "use finer groups, add particles of it from at least 1 more, set split.protocol: shuffled, which ignores "
        "groups, or join it with another class"
    ):
        _assign(labels, groups)
    assert set(_assign(labels, groups, protocol="shuffled")[0][labels == 1]) == {0, 1}


def test_the_message_names_the_number_of_folds_that_all_classes_allow() -> None:
    labels = np.repeat([0, 1, 2], [9, 3, 4])
    with pytest.raises(
        InputError, match=r"class 'Empty' has 3 particles, .* add at least 2 of it, set split.folds to 3, "
    ):
        _assign(labels, n_folds=5, protocol="shuffled")
    groups = np.concatenate([np.arange(9), [0, 1, 2], [0, 0, 1, 1]])
    settings = SplitSettings(folds=4, repeats=1, protocol="grouped")
    faults = too_few(labels, groups, ["Full", "Empty", "Uncertain"], settings)
    assert list(faults) == ["Empty", "Uncertain"]
    assert "set split.folds to 2, " in faults["Empty"]
    assert "from at least 2 more, set split.folds to 2, set split.protocol: shuffled" in faults["Uncertain"]


def test_a_fold_without_a_class_is_refused() -> None:
    # Each class lies in two of three groups, so the fold with a single group misses a class.
    labels, groups = [0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 0, 2]
    with pytest.raises(InputError) as refusal:
        _assign(labels, groups)
    assert re.fullmatch(
        r"fold [01] of repeat 0 has no (Full|Empty|Uncertain): the groups are too coarse; "
        "lower split.folds, change the seed, or set split.protocol: shuffled",
        str(refusal.value),
    )


def test_a_fold_without_two_classes_names_both() -> None:
    # As above, with every class twice.
    labels, groups = np.repeat(np.arange(6), 2), np.array([0, 1, 0, 1, 1, 2, 1, 2, 0, 2, 0, 2])
    chosen = SplitSettings(folds=2, repeats=1, protocol="grouped")
    with pytest.raises(InputError, match=r"^fold \d of repeat 0 has no (A and no B|C and no D|E and no F): the groups"):
        assign(labels, groups, list("ABCDEF"), chosen, 0)


@pytest.mark.parametrize("fault", [{"folds": 1}, {"repeats": 0}, {"protocol": "random"}])
def test_impossible_settings_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SplitSettings.model_validate({"folds": 5, "repeats": 1, "protocol": "grouped", **fault})


def test_unevenness_is_0_for_equal_shares_and_known_otherwise() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1])
    assert unevenness(labels, np.array([0, 0, 1, 1, 0, 1]), 2) == 0
    # Class 0: 3 and 1 of 2 expected, 2 * (1/2)^2; class 1: 2 and 0 of 1 expected, 2 * 1^2.
    assert unevenness(labels, np.array([0, 0, 0, 1, 0, 0]), 2) == pytest.approx(2.5)


def test_count_table_counts_every_class_in_every_fold() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    table = count_table(labels, np.array([[0, 0, 1, 0, 1], [1, 1, 1, 0, 0]]), ["Full", "Empty"])
    assert list(table.columns) == ["repeat", "fold", "Full", "Empty", "total"]
    assert table.to_numpy().tolist() == [[0, 0, 2, 1, 3], [0, 1, 1, 1, 2], [1, 0, 0, 2, 2], [1, 1, 3, 0, 3]]


def test_giant_group_is_one_that_no_fold_should_hold() -> None:
    groups = np.array([0, 0, 0, 1, 2, 3, 4, 5, 6, 7])
    assert giant_group(groups, 5) == pytest.approx(0.3)
    assert giant_group(groups, 3) is None
    assert giant_group(np.repeat(np.arange(5), 2), 5) is None


# Rows 0, 4, 7, 9, 13 and 17 belong to the test fold.
INNER_TRAIN = np.setdiff1d(np.arange(18), [0, 4, 7, 9, 13, 17])
INNER_LABELS, INNER_GROUPS = np.tile([0, 1], 9), np.arange(18) // 3


def _inner(n_folds: int, seed: int = 0, **changes: NDArray[np.int64]) -> list[tuple[list[int], list[int]]]:
    chosen = {"train": INNER_TRAIN, "labels": INNER_LABELS, "groups": INNER_GROUPS, **changes}
    found = inner(chosen["train"], chosen["labels"], chosen["groups"], n_folds, seed)
    return [(rows.tolist(), held_out.tolist()) for rows, held_out in found]


@pytest.mark.parametrize("n_folds", [2, 3])
def test_inner_folds_hold_out_every_training_row_once_with_its_whole_group(n_folds: int) -> None:
    found = _inner(n_folds)
    assert len(found) == n_folds
    assert sorted(row for _, held_out in found for row in held_out) == INNER_TRAIN.tolist()
    for rows, held_out in found:
        assert sorted(rows + held_out) == INNER_TRAIN.tolist()
        assert not set(INNER_GROUPS[rows]) & set(INNER_GROUPS[held_out])
        assert set(INNER_LABELS[rows]) == set(INNER_LABELS[held_out]) == {0, 1}


def test_inner_folds_do_not_read_the_rows_of_the_test_fold() -> None:
    labels, groups = INNER_LABELS.copy(), INNER_GROUPS.copy()
    elsewhere = np.setdiff1d(np.arange(18), INNER_TRAIN)
    labels[elsewhere], groups[elsewhere] = 5, 99
    assert _inner(3, labels=labels, groups=groups) == _inner(3)


def test_inner_folds_of_a_seed_stay_what_they_were() -> None:
    assert [held_out for _, held_out in _inner(3, seed=4)] == [[12, 14, 15, 16], [1, 2, 3, 5], [6, 8, 10, 11]]
    assert len({str(_inner(3, seed)) for seed in range(8)}) > 1


def test_training_rows_of_a_single_group_are_split_by_rows() -> None:
    groups = np.where(np.isin(np.arange(18), INNER_TRAIN), 3, 8)
    found = _inner(5, groups=groups)  # five rows of the rarer class
    assert [set(INNER_LABELS[held_out]) for _, held_out in found] == [{0, 1}] * 5
    assert sorted(row for _, held_out in found for row in held_out) == INNER_TRAIN.tolist()


def test_a_class_with_fewer_rows_than_parts_is_absent_from_some_of_them_without_a_warning() -> None:
    labels = np.repeat([0, 1], [20, 2])
    found = parts(labels, np.arange(22), 5, 0, "s")
    assert sorted(int(labels[held_out].sum()) for _, held_out in found) == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(("rows", "expected"), [(6, 5), (4, 4), (2, 2)])
def test_there_are_no_more_parts_than_the_largest_class_has_rows(rows: int, expected: int) -> None:
    labels = np.arange(2 * rows) % 2
    found = parts(labels, np.arange(2 * rows), 5, 0, "s")
    assert len(found) == expected
    assert sorted(row for _, held_out in found for row in held_out) == list(range(2 * rows))


def test_classes_of_one_row_each_cannot_be_split_and_the_setting_is_named() -> None:
    with pytest.raises(InputError, match=r"^some\.setting: class 0, class 2 \(counted from 0, .* one training row"):
        parts(np.array([2, 0]), np.arange(2), 5, 0, "some.setting")


def test_two_groups_are_kept_apart() -> None:
    groups = np.arange(18) // 9
    for rows, held_out in _inner(2, groups=groups):
        assert len(set(groups[rows])) == len(set(groups[held_out])) == 1


def test_a_class_in_fewer_groups_than_inner_folds_is_refused() -> None:
    groups = np.where(INNER_LABELS == 1, INNER_GROUPS % 2, INNER_GROUPS)  # class 1 lies in two groups
    assert len(_inner(2, groups=groups)) == 2
    with _refused(
        "inner.folds: class 1 (counted from 0, as in `classes`) lies in 2 groups of the training rows of a fold, fewer "
        "than the 3 inner folds; lower inner.folds or use finer groups"
    ):
        _inner(3, groups=groups)
