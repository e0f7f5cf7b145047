"""The table of the benchmark of class shares: one line a classifier, both kinds of samples in a cell."""

import pandas as pd

from benchmarks.proportions import HEADER, _row
from lipnet.evaluation.proportions.protocol import ESTIMATORS


def test_a_line_pairs_any_shares_with_shares_near_the_training_ones() -> None:
    rows = pd.DataFrame(
        {
            "problem": "lamellarity",
            "classifier": "svm",
            "shares": ["natural"] * 3 + ["uniform"] * 3,
            "class": ["all", "a", "b"] * 2,
            "coverage": [0.9, 0.95, 0.85, 0.8, 0.7, 0.9],
            "width": [0.2] * 3 + [0.5] * 3,
            **{f"error_{name}": [0.02] * 3 + [0.1] * 3 for name in ESTIMATORS},
        }
    )
    rows["error_corrected"] = [0.01] * 3 + [0.04] * 3
    row = dict(zip(HEADER, _row(rows), strict=True))
    assert row["counted"] == "0.100 / 0.020" and row["corrected (default)"] == "0.040 / 0.010"
    assert row["default to counted"] == "0.40 / 0.50"
    assert row["coverage"] == "0.80 / 0.90" and row["least covered"] == "0.70 a / 0.85 b"
