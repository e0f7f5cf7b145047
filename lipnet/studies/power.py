"""Power: the difference that a comparison over folds would have shown."""

from functools import cache

import numpy as np
from scipy import optimize, stats

from lipnet.evaluation.comparison import NO_SCATTER

POWER = 0.8  # the usual share of experiments that show a difference


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
