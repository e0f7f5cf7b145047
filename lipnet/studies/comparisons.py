"""Arms compared on the same folds, each with its test and its power; and the mean of such comparisons."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.evaluation.comparison import NO_SCATTER, corrected_t_test, holm, standard_error, t_test
from lipnet.studies.power import detectable

COLUMNS = ["arm", "reference", "difference", "low", "high", "p", "error", "detectable", "folds"]


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
        t-test), error (standard error), detectable (``power.detectable`` at the strictest level of Holm's correction),
        folds (number where both are defined), p_holm (Holm's correction over the rows).
    """
    part, wide = _of_measure(folds, measure), by_fold(folds, measure)
    rows = []
    for arm, reference in pairs.items():
        differences = (wide[arm] - wide[reference]).dropna().to_numpy()
        share = float(part["n_test"].sum() / part["n_train"].sum())
        test = corrected_t_test(differences, share, confidence)
        error = standard_error(differences, share)
        least = detectable(error, len(differences) - 1, (1 - confidence) / len(pairs))
        rows.append((arm, reference, *test, error, least, len(differences)))
    return _corrected(rows)


def averaged(tables: Sequence[pd.DataFrame], confidence: float) -> pd.DataFrame:
    """The mean of the same comparisons on several problems, each with the same weight.

    The problems are fixed: nothing is said of further ones. Each has other particles; that their errors are independent
    is assumed. The degrees of freedom are those of Welch (1947) and Satterthwaite (1946).

    Args:
        tables: results of ``compared``, one for each problem.
        confidence: level of the intervals; 1 - confidence is the level of the tests.

    Returns:
        As ``compared``, for the arms that all tables have; folds are those of all problems. Interval, p and what is
        detectable are NaN if the test of one problem is undefined.
    """
    arms = [arm for arm in tables[0]["arm"] if all(arm in set(table["arm"]) for table in tables)]
    rows = []
    for arm in arms:
        parts = pd.concat([table[table["arm"] == arm] for table in tables])
        difference, defined = parts["difference"].mean(skipna=False), parts["p"].notna()
        errors, freedoms = parts["error"].where(defined).to_numpy(), parts["folds"].to_numpy() - 1
        error, freedom = joint_error(errors, freedoms)
        least = detectable(error, freedom, (1 - confidence) / len(arms))
        test = t_test(difference, error, freedom, confidence)
        rows.append((arm, parts["reference"].iloc[0], *test, error, least, parts["folds"].sum()))
    return _corrected(rows)


def joint_error(errors: NDArray[np.float64], freedoms: NDArray[np.float64]) -> tuple[float, float]:
    """Standard error of the mean of independent numbers, and its degrees of freedom.

    Args:
        errors: standard error of each number, shape (K,).
        freedoms: its degrees of freedom, shape (K,).

    Returns:
        Standard error and degrees of freedom; both are NaN if an error is. If all errors are 0, the degrees of freedom
        are added.
    """
    squares = errors**2
    if squares.sum() <= NO_SCATTER**2:
        return 0.0, float(freedoms.sum())
    return float(np.sqrt(squares.sum())) / len(errors), float(squares.sum() ** 2 / (squares**2 / freedoms).sum())


def _corrected(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[2:8], np.float64))  # without rows too
    return table.assign(p_holm=holm(table["p"].to_numpy(dtype=np.float64)))


def _of_measure(folds: pd.DataFrame, measure: str) -> pd.DataFrame:
    return folds[(folds["class"] == "") & (folds["measure"] == measure)]
