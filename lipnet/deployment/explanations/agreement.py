"""Agreement of the units of a network with hand-crafted particle features (thesis, section 10)."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from lipnet.evaluation.comparison import holm

Floats = NDArray[np.floating[Any]]


def agreement(units: Floats, features: pd.DataFrame) -> pd.DataFrame:
    """Correlate the units of a network with hand-crafted features, to show which features the network measures.

    Args:
        units: activations, shape (n, units), such as those of ``explain.embedding``; n >= 3.
        features: n rows, one column per feature.

    Returns:
        One row per pair: feature; unit; spearman, the rank correlation; p_holm, the two-sided p-value by Student's t
        after Holm's correction over all pairs. The p-value assumes independent particles, but particles of one
        micrograph are slightly correlated. Both are NaN if the unit or the feature is constant, or if the feature has
        missing values.
    """
    n = len(units)
    rho = _standardised(features.to_numpy(np.float64)).T @ _standardised(units.astype(np.float64)) / n
    rho = np.clip(rho, -1, 1).ravel()  # rounding errors exceed 1
    with np.errstate(divide="ignore"):  # a correlation of 1 divides by 0; its p-value is 0
        t = np.abs(rho) * np.sqrt((n - 2) / (1 - rho**2))
    pairs = pd.MultiIndex.from_product([features.columns, range(units.shape[1])], names=["feature", "unit"])
    table = pd.DataFrame({"spearman": rho, "p_holm": holm(2 * stats.t.sf(t, n - 2))}, index=pairs)
    return table.reset_index()


def _standardised(values: Floats) -> Floats:
    ranks = stats.rankdata(values, axis=0, nan_policy="propagate")
    centred = ranks - ranks.mean(axis=0)
    deviation = centred.std(axis=0)
    return centred / np.where(deviation > 0, deviation, np.nan)


def strongest(table: pd.DataFrame, of: Literal["feature", "unit"]) -> pd.DataFrame:
    """For each feature or unit, the pair of ``agreement`` with the largest absolute correlation, strongest first."""
    ordered = table.dropna().sort_values("spearman", key=np.abs, ascending=False, kind="stable")
    return ordered.drop_duplicates(of).reset_index(drop=True)
