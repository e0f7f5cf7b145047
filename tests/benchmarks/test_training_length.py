"""The benchmark of the length of training looks at training rows only, keeps groups whole, and shows what it found."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import training_length
from lipnet.samples.tables import Particles

N = 900
LABELS = np.where(np.arange(N) % 40 == 0, 2, np.arange(N) % 2)
DATA = Particles("p", pd.DataFrame({"id": np.arange(N)}), ["A", "B", "C"], LABELS, np.arange(N) // 3)
TRAIN = np.arange(0, 600)


@pytest.mark.parametrize("parts", [training_length.small_parts, training_length.whole_parts])
def test_rows_to_train_and_to_judge_on_are_training_rows_of_other_groups(parts) -> None:  # type: ignore[no-untyped-def]
    found = parts(TRAIN, DATA)
    assert len(found) >= 2
    for fitting, judged in found:
        assert sorted([*fitting, *judged]) == TRAIN.tolist()
        assert not set(DATA.groups[fitting]) & set(DATA.groups[judged])
        assert set(LABELS[fitting]) == {0, 1, 2}


def test_small_parts_are_small_and_whole_parts_leave_the_smaller_part_to_judge_on() -> None:
    small, whole = training_length.small_parts(TRAIN, DATA)[0], training_length.whole_parts(TRAIN, DATA)[0]
    assert len(small[0]) == pytest.approx(training_length.SMALL, abs=10)
    assert len(whole[0]) == pytest.approx(480, abs=10)


def test_the_tables_hold_means_over_draws_and_blanks_where_a_run_was_shorter() -> None:
    rows = [
        ("p", "small", 0, 216, 0.5),
        ("p", "small", 1, 216, 0.7),
        ("q", "whole", 0, 216, 0.4),
        ("q", "whole", 0, 900, 0.3),
    ]
    curves = pd.DataFrame(rows, columns=["problem", "rows", "draw", "steps", "macro_f1"]).assign(n=300)
    for column in training_length.MEASURES:
        curves[column] = curves["macro_f1"]
    text = "\n".join(training_length.text(curves))
    assert "| set | rows to train on | runs | 216 steps | 900 steps |" in text
    assert "| p | 300 | 2 | 0.600 |  |" in text and "| q | 300 | 1 | 0.400 | 0.300 |" in text
