"""Balancing: how often each training row is used; test rows have no influence."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.samples.balance import (
    BalanceSettings,
    Images,
    TrainingSet,
    balance,
    epoch_rows,
    from_arrays,
    sampled_prior,
    to_arrays,
)

LABELS = np.repeat([0, 1, 2], [40, 20, 10])
TEST = np.arange(0, len(LABELS), 5)  # every fifth: 8, 4, 2
TRAIN = np.setdiff1d(np.arange(len(LABELS)), TEST)  # 32, 16, 8


def _members(label: int) -> NDArray[np.int64]:
    return np.flatnonzero(np.equal(LABELS, label))


def _images() -> Images:
    """Training rows hold 0 .. 100, test rows 255."""
    rng = np.random.default_rng(1)
    images = {size: rng.integers(0, 101, (len(LABELS), size, size), dtype=np.uint8) for size in (4, 6)}
    for crops in images.values():
        crops[TEST] = 255
    return images


def _never(label: int, n: int) -> Images:
    raise AssertionError("no artificial example is needed")


def _balance(method: str, seed: int = 0, train: NDArray[np.int64] = TRAIN, **changes: Any) -> TrainingSet:
    chosen = BalanceSettings(method=method, drop_fraction=0.2, smote_neighbours=5)
    maker = changes.pop("make_artificial", _never)
    return balance(train, LABELS, changes.pop("images", _images()), chosen, np.random.default_rng(seed), maker)


def _same(one: TrainingSet, other: TrainingSet) -> bool:
    return (
        np.array_equal(one.rows, other.rows)
        and one.synthetic.keys() == other.synthetic.keys()
        and all(np.array_equal(one.synthetic[size], other.synthetic[size]) for size in one.synthetic)
        and np.array_equal(one.synthetic_labels, other.synthetic_labels)
        and np.array_equal(one.class_weights, other.class_weights)
        and one.drop_fraction == other.drop_fraction
    )


def test_none_keeps_the_training_rows_as_they_are() -> None:
    training_set = _balance("none")
    assert_array_equal(training_set.rows, TRAIN)
    assert_array_equal(training_set.class_counts(LABELS), [32, 16, 8])
    assert_array_equal(training_set.class_weights, [1, 1, 1])
    assert training_set.drop_fraction == 0
    assert {size: crops.shape for size, crops in training_set.synthetic.items()} == {4: (0, 4, 4), 6: (0, 6, 6)}


@settings(max_examples=50)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=5), st.integers(0, 99))
def test_oversampling_equalises_counts_with_training_rows_spread_evenly(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), np.array(counts) + 1)
    train = np.flatnonzero(np.diff(labels, append=len(counts)) == 0)  # all but the last of each class
    chosen = BalanceSettings(method="oversample", drop_fraction=0.2, smote_neighbours=5)
    training_set = balance(train, labels, {}, chosen, np.random.default_rng(seed), _never)
    assert_array_equal(training_set.class_counts(labels), [max(counts)] * len(counts))
    assert set(training_set.rows) == set(train)
    for label in range(len(counts)):
        _, times = np.unique(training_set.rows[labels[training_set.rows] == label], return_counts=True)
        assert times.max() - times.min() <= 1


def test_undersampling_drops_a_fifth_of_the_majority_and_another_fifth_every_epoch() -> None:
    training_set = _balance("undersample")
    assert_array_equal(training_set.rows, TRAIN)
    rng = np.random.default_rng(0)
    dropped = []
    for _ in range(40):
        rows = epoch_rows(training_set, LABELS, rng)
        assert len(np.unique(rows)) == len(rows)
        missing = np.setdiff1d(TRAIN, rows)
        assert len(missing) == 6  # 20 % of 32, rounded
        assert (LABELS[missing] == 0).all()
        dropped.append(tuple(missing))
    assert len(set(dropped)) > 35
    assert set(np.concatenate(dropped)) == set(TRAIN[LABELS[TRAIN] == 0])


def test_smote_equalises_counts_with_examples_between_training_rows_of_the_class() -> None:
    images = _images()
    for label in (1, 2):  # the value of a corner pixel is the class
        for crops in images.values():
            crops[np.intersect1d(TRAIN, _members(label)), 0, 0] = 30 * label
    training_set = _balance("smote", images=images)
    assert_array_equal(training_set.rows, TRAIN)
    assert_array_equal(np.bincount(training_set.synthetic_labels), [0, 16, 24])
    assert_array_equal(training_set.class_counts(LABELS), [32, 32, 32])
    for size, crops in training_set.synthetic.items():
        assert crops.shape == (40, size, size)
        assert crops.dtype == np.uint8
        assert crops.max() <= 100
        assert_array_equal(crops[:, 0, 0], 30 * training_set.synthetic_labels)
        known = {image.tobytes() for image in images[size]}
        assert not {image.tobytes() for image in crops} & known


def test_smote_takes_fewer_neighbours_where_a_class_is_small_and_refuses_a_single_row() -> None:
    rare = np.flatnonzero(LABELS == 2)
    for kept in (2, 1):
        train = np.setdiff1d(TRAIN, np.intersect1d(TRAIN, rare)[kept:])
        if kept == 2:
            assert_array_equal(_balance("smote", train=train).class_counts(LABELS), [32, 32, 32])
        else:
            message = "balance.method 'smote' needs two training rows of every class; use 'oversample' instead"
            with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
                _balance("smote", train=train)


def test_artificial_examples_fill_up_every_class_to_the_largest() -> None:
    asked = []

    def make(label: int, n: int) -> Images:
        asked.append((label, n))
        return {size: np.full((n, size, size), 10 * label, np.uint8) for size in (4, 6)}

    training_set = _balance("artificial", make_artificial=make)
    assert asked == [(1, 16), (2, 24)]
    assert_array_equal(training_set.class_counts(LABELS), [32, 32, 32])
    for crops in training_set.synthetic.values():
        assert_array_equal(crops.mean(axis=(1, 2)), 10 * training_set.synthetic_labels)


def test_a_class_without_training_rows_can_be_artificial_and_cannot_be_interpolated() -> None:
    asked = []

    def make(label: int, n: int) -> Images:
        asked.append((label, n))
        return {size: np.zeros((n, size, size), np.uint8) for size in (4, 6)}

    train = TRAIN[LABELS[TRAIN] < 2]
    assert_array_equal(_balance("artificial", train=train, make_artificial=make).class_counts(LABELS), [32, 32, 32])
    assert asked == [(1, 16), (2, 32)]
    with pytest.raises(InputError, match="two training rows of every class"):
        _balance("smote", train=train)


def test_artificial_only_shows_no_training_row() -> None:
    asked = []

    def make(label: int, n: int) -> Images:
        asked.append((label, n))
        return {size: np.full((n, size, size), label, np.uint8) for size in (4, 6)}

    training_set = _balance("artificial_only", make_artificial=make)
    assert len(training_set.rows) == 0
    counts = training_set.class_counts(LABELS)
    assert (counts == np.bincount(LABELS[TRAIN]).max()).all()
    assert asked == [(label, counts[0]) for label in range(len(counts))]


def test_artificial_with_even_classes_asks_for_nothing() -> None:
    train = np.concatenate([_members(label)[:5] for label in range(3)])
    training_set = _balance("artificial", train=train)
    assert len(training_set.synthetic_labels) == 0
    assert training_set.synthetic[4].shape == (0, 4, 4)


def test_class_weights_are_inverse_to_frequency_with_mean_1_over_the_rows() -> None:
    training_set = _balance("class_weights")
    assert_array_equal(training_set.rows, TRAIN)
    assert_allclose(training_set.class_weights * [32, 16, 8], 56 / 3)
    assert training_set.class_weights[LABELS[TRAIN]].mean() == pytest.approx(1)


@pytest.mark.parametrize("method", ["none", "oversample", "undersample", "smote", "class_weights"])
def test_test_rows_have_no_influence(method: str) -> None:
    images = _images()
    for crops in images.values():
        crops[TEST] = 7
    assert _same(_balance(method), _balance(method, images=images))


@pytest.mark.parametrize("method", ["oversample", "smote"])
def test_draws_depend_on_the_seed(method: str) -> None:
    train = np.setdiff1d(TRAIN, [41])  # 15 of class 1, so that some repeat
    assert _same(_balance(method, 1, train), _balance(method, 1, train))
    assert not _same(_balance(method, 1, train), _balance(method, 2, train))


@pytest.mark.parametrize("method", ["none", "oversample", "smote", "class_weights"])
def test_an_epoch_shows_every_example_in_a_new_order(method: str) -> None:
    training_set, rng = _balance(method), np.random.default_rng(0)
    everything = [*training_set.rows, *(len(LABELS) + np.arange(len(training_set.synthetic_labels)))]
    one, other = (epoch_rows(training_set, LABELS, rng) for _ in range(2))
    assert_array_equal(np.sort(one), np.sort(everything))
    assert_array_equal(np.sort(other), np.sort(everything))
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, everything)


def test_training_sets_survive_an_npz_file(tmp_path: Any) -> None:
    methods = ["smote", "undersample", "class_weights", "oversample"] + ["none"] * 8  # more than ten folds
    training_sets = [_balance(method) for method in methods]
    np.savez(tmp_path / "sets.npz", **to_arrays(training_sets))
    with np.load(tmp_path / "sets.npz") as arrays:
        found = from_arrays(dict(arrays))
    assert len(found) == len(methods)
    assert all(map(_same, found, training_sets))


OF_FIFTY = np.array([0] * 40 + [1] * 7 + [2] * 3)
NONE = np.empty(0, np.int64)


@pytest.mark.parametrize(
    ("training_set", "expected"),
    [
        (TrainingSet(np.arange(50), {}, NONE, np.ones(3), 0.0), [40, 7, 3]),
        (TrainingSet(np.arange(50), {}, NONE, np.ones(3), 0.2), [32, 7, 3]),
        (TrainingSet(np.arange(50), {}, np.repeat([1, 2], [33, 37]), np.ones(3), 0.0), [40, 40, 40]),
        (TrainingSet(np.tile(np.arange(40, 50), 2), {}, NONE, np.ones(3), 0.0), [0, 14, 6]),
    ],
    ids=["none", "undersample", "artificial", "a class without rows"],
)
def test_the_sampled_prior_is_the_share_of_each_class_in_an_epoch(training_set: Any, expected: list[int]) -> None:
    shown = epoch_rows(training_set, OF_FIFTY, np.random.default_rng(0))
    counted = np.bincount(np.concatenate([OF_FIFTY, training_set.synthetic_labels])[shown], minlength=3)
    assert_array_equal(counted, expected)
    assert_allclose(sampled_prior(training_set, OF_FIFTY), counted / counted.sum())


def test_class_weights_that_undo_the_imbalance_give_a_balanced_prior() -> None:
    weights = 50 / (3 * np.array([40, 7, 3]))
    assert_allclose(sampled_prior(TrainingSet(np.arange(50), {}, NONE, weights, 0.0), OF_FIFTY), np.full(3, 1 / 3))


def test_draws_of_a_seed_stay_what_they_were() -> None:
    train = np.array([0, 1, 2, 3, 4, 40, 41, 42, 60, 61])
    assert _balance("oversample", train=train).rows.tolist() == [0, 1, 2, 3, 4, 40, 41, 42, 41, 42, 60, 61, 60, 61, 60]
    undersampled = _balance("undersample", train=train)
    assert epoch_rows(undersampled, LABELS, np.random.default_rng(3)).tolist() == [61, 42, 0, 2, 1, 40, 60, 41, 3]
    assert _balance("smote", train=train).synthetic[4][:, 0].tolist() == [
        [44, 63, 26, 88],
        [250, 249, 248, 248],
        [61, 130, 103, 99],
        [194, 216, 207, 206],
        [147, 185, 170, 168],
    ]


@pytest.mark.parametrize("drop", [0.1, 0.5])
def test_with_repeats_the_share_of_what_is_shown_is_dropped(drop: float) -> None:
    # 21 rows of class 1, the largest here; half of 21 is rounded to an even number, as Python rounds.
    training_set = TrainingSet(np.array([*range(10), *[45] * 21]), {}, NONE, np.ones(3), drop)
    shown = epoch_rows(training_set, OF_FIFTY, np.random.default_rng(0))
    n_left = 21 - round(21 * drop)
    assert np.bincount(OF_FIFTY[shown]).tolist() == [10, n_left]
    assert_allclose(sampled_prior(training_set, OF_FIFTY), np.array([10, n_left, 0]) / (10 + n_left))
