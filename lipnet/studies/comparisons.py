"""Arms compared on the same folds, each with its test and its power."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lipnet.evaluation.comparison import corrected_t_test, holm
from lipnet.studies.power import detectable


def by_fold(folds: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Values of an overall measure: one row for each fold and one column for each arm, NaN where it is undefined.

    Args:
        folds: as for ``compared``.
        measure: the measure.
    """
    part = _of_measure(folds, measure)
    return part.pivot_table(index=["repeat", "fold"], columns="arm", values="value", dropna=False)


def compared(folds: pd.DataFrame, pairs: Mapping[str, str], measure: str, confidence: float) -> pd.DataFrame:
    """Arms of one problem against their references.

    Args:
        folds: columns arm, repeat, fold, n_train, n_test, class ("" for overall), measure, value.
        pairs: arm -> its reference; both have folds.
        measure: an overall measure.
        confidence: level of the intervals; 1 - confidence is the level of the tests.

    Returns:
        One row for each pair: arm, reference, difference (arm minus reference), low, high, p (corrected resampled
        t-test), detectable (``power.detectable`` at the strictest level of Holm's correction), folds (number where both
        are defined), p_holm (Holm's correction over the rows).
    """
    part, wide = _of_measure(folds, measure), by_fold(folds, measure)
    rows = []
    for arm, reference in pairs.items():
        differences = (wide[arm] - wide[reference]).dropna().to_numpy()
        share = float(part["n_test"].sum() / part["n_train"].sum())
        test = corrected_t_test(differences, share, confidence)
        least = detectable(differences, share, (1 - confidence) / len(pairs))
        rows.append((arm, reference, *test, least, len(differences)))
    columns = ["arm", "reference", "difference", "low", "high", "p", "detectable", "folds"]
    table = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:7], np.float64))  # without rows too
    return table.assign(p_holm=holm(table["p"].to_numpy(dtype=np.float64)))


def _of_measure(folds: pd.DataFrame, measure: str) -> pd.DataFrame:
    return folds[(folds["class"] == "") & (folds["measure"] == measure)]
