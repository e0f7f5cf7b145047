"""Numbers of studies as text."""

import numpy as np

from lipnet.evaluation.formatting import UNDEFINED


def interval(difference: float, low: float, high: float, digits: int = 3) -> str:
    """``+0.031 [+0.020, +0.042]``; the difference alone if the interval is undefined."""
    # Rounding first and adding 0 avoids -0.000.
    middle, left, right = (f"{round(float(value), digits) + 0:+.{digits}f}" for value in (difference, low, high))
    return f"{middle} [{left}, {right}]" if np.isfinite(low) else middle


def decimals(value: float, digits: int = 3) -> str:
    """The number with so many decimals, or "undefined"."""
    return f"{value:.{digits}f}" if np.isfinite(value) else UNDEFINED
