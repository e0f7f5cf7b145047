"""Numbers and tables in reports: means with standard deviations, and Markdown tables."""

from collections.abc import Sequence

import numpy as np

UNDEFINED = "undefined"


def mean_with_sd(mean: float | None, sd: float | None) -> str:
    """``0.812 ± 0.031``; ``0.812`` if the standard deviation is undefined (None or NaN); "undefined" without a mean."""
    if mean is None or not np.isfinite(mean):
        return UNDEFINED
    return f"{mean:.3f}" if sd is None or not np.isfinite(sd) else f"{mean:.3f} ± {sd:.3f}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [_row(header), "|" + "---|" * len(header), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def nanometres(low: float, high: float) -> str:
    """A range of lengths: ``1.8 to 2.3 nm``, or ``2 nm`` if both ends are the same."""
    return f"{low:.3g} nm" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g} nm"
