"""Power: the difference that a comparison over folds would have shown."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

POWER = 0.8  # the usual share of experiments that show a difference
NO_SCATTER = 1e-12  # a standard error below it is rounding


def standard_error(differences: NDArray[np.float64], test_share: float) -> float:
    """The standard error of a mean difference over folds, as in ``comparison.corrected_t_test``.

    Args:
        differences: first minus second arm in each fold, shape (J,), all finite.
        test_share: n_test / n_train.

    Returns:
        NaN with fewer than two folds.
    """
    n = len(differences)
    return float(differences.std(ddof=1) * np.sqrt(1 / n + test_share)) if n > 1 else np.nan


def detectable(error: float, freedom: float, level: float) -> float:
    """The smallest true difference that four of five such experiments would show.

    Args:
        error: the standard error of the difference.
        freedom: degrees of freedom of its t-test. Of the corrected resampled t-test they are the number of folds less
            one, those of all repeats (Bouckaert and Frank 2004).
        level: of the test, after its correction for further tests, e.g. 0.05 / 4.

    Returns:
        NaN if the error is undefined or 0.
    """
    return error * in_standard_errors(freedom, level) if error > NO_SCATTER else np.nan


@cache
def in_standard_errors(freedom: float, level: float) -> float:
    """The smallest detectable true difference, in standard errors: where the two-sided t-test has the power ``POWER``.

    statsmodels' ``solve_power`` gives wrong values for few folds and low levels.

    Args:
        freedom: degrees of freedom.
        level: of the test.
    """
    limit = float(stats.t.isf(level / 2, freedom))
    # Above the limit by 0, half of the experiments show it; its double suffices for four of five.
    return float(optimize.brentq(lambda true: stats.nct.sf(limit, freedom, true) - POWER, 0, 4 * limit + 4))
