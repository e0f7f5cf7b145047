"""A training that ended too early is told from one that had settled, whatever the noise of its loss."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from lipnet.classifiers.history import early_end, still_falls

EPOCHS = np.arange(30)
NOISE = np.random.default_rng(0).normal(0, 0.01, 30)


def _losses(epochs_to_settle: float) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.exp(-EPOCHS / epochs_to_settle) + NOISE


@pytest.mark.parametrize(("epochs_to_settle", "expected"), [(2, False), (6, False), (20, True), (60, True)])
def test_a_loss_that_has_settled_is_told_from_one_that_still_falls(epochs_to_settle: float, expected: bool) -> None:
    assert still_falls(_losses(epochs_to_settle)) is expected


def test_noise_alone_and_a_rising_loss_are_no_fall() -> None:
    assert not still_falls(NOISE)
    assert not still_falls(1 - _losses(20))


def test_a_fall_that_is_small_against_its_noise_does_not_count() -> None:
    noisy = 1 - 0.01 * EPOCHS + np.where(EPOCHS % 2, 0.2, -0.2)
    assert not still_falls(noisy)
    assert still_falls(1 - 0.01 * EPOCHS)


@pytest.mark.parametrize(("n", "expected"), [(1, False), (3, False), (4, True)])
def test_a_few_epochs_say_nothing(n: int, expected: bool) -> None:
    assert still_falls(1 - 0.1 * np.arange(n)) is expected


def _history(*folds: NDArray[np.float64], phase: str = "training") -> pd.DataFrame:
    parts = [
        pd.DataFrame({"fold": fold, "phase": phase, "epoch": np.arange(len(losses)) + 1, "loss": losses})
        for fold, losses in enumerate(folds)
    ]
    return pd.concat(parts)


def test_the_sentence_counts_the_folds_and_comes_only_if_most_of_them_fell() -> None:
    short, settled = _losses(40), _losses(2)
    assert early_end(_history(short, short, settled)) == (
        "The training loss of the network was still falling at the end in 2 of 3 folds: a longer training may give "
        "better results (train_cnn.epochs in params.yaml)."
    )
    assert early_end(_history(short, settled)) is None


def test_the_epochs_of_a_choice_by_early_stopping_do_not_count() -> None:
    settled = _history(_losses(2))
    assert early_end(pd.concat([_history(_losses(40), phase="choosing"), settled])) is None


def test_rows_in_any_order_give_the_same_answer() -> None:
    history = _history(_losses(40))
    assert early_end(history.sample(frac=1, random_state=0)) == early_end(history)
