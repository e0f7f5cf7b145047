"""The table of inner scores: what went in comes out, fold by fold, whatever the order of the rows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lipnet.core.errors import InputError
from lipnet.evaluation.inner_scores import of_fold, to_table
from lipnet.evaluation.posteriors import unsmooth
from lipnet.evaluation.predictions import FoldOutput

CLASSES = ["A", "B"]
LABELS = np.array([0, 1, 0, 1, 1, 0])
PARTS = {0: [4, 1], 1: [5, 2]}  # inner fold -> rows


def _table(outer: int = 0, seed: int = 0, smoothing: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    outputs = [
        FoldOutput(np.zeros(2, np.int64), rng.dirichlet([1, 1], 2), np.array([0.4, 0.6]), smoothing) for _ in PARTS
    ]
    parts = zip(outputs, PARTS.items(), strict=True)
    return pd.concat([to_table(outer, part, np.array(rows), LABELS, output, CLASSES) for output, (part, rows) in parts])


def test_scores_come_back_part_by_part_with_their_prior_and_labels() -> None:
    first, second = _table(seed=1), _table(seed=2)
    inner = of_fold([first.sample(frac=1, random_state=0), second], 0, CLASSES, 0.001)
    assert len(inner.parts) == 2
    assert_array_equal(inner.labels, LABELS[[1, 4, 2, 5]])  # by row within each part
    found = inner.parts[1][0]
    assert_allclose(found.prior, [0.4, 0.6])
    expected = first[(first["part"] == 1)].sort_values("row")[["p_A", "p_B"]]
    assert_allclose(found.probabilities, expected)


def test_label_smoothing_is_undone_with_the_floor_of_the_rules() -> None:
    table = _table(seed=1, smoothing=0.3)
    stated = table.sort_values(["part", "row"])[["p_A", "p_B"]].to_numpy()
    for floor in (0.001, 0.2):
        found = np.concatenate([part[0].probabilities for part in of_fold([table], 0, CLASSES, floor).parts])
        assert_allclose(found, unsmooth(stated, 0.3, floor))


def test_scores_of_other_folds_are_left_out() -> None:
    both = pd.concat([_table(0, 1), _table(1, 2)])
    found, expected = (of_fold([table], 1, CLASSES, 0.001).parts[0][0] for table in (both, _table(1, 2)))
    assert_array_equal(found.probabilities, expected.probabilities)


@pytest.mark.parametrize("tables", [[_table(1)], [_table(0), _table(0).iloc[1:]]], ids=["no such fold", "other rows"])
def test_scores_that_do_not_fit_are_refused(tables: list[pd.DataFrame]) -> None:
    with pytest.raises(InputError, match="inner scores of fold 0"):
        of_fold(tables, 0, CLASSES, 0.001)
