"""Two classifiers on the same folds: differences, intervals, and a test that knows that folds share training rows."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy import stats
from statsmodels.stats.multitest import multipletests

from lipnet.errors import InputError
from lipnet.metrics import LOWER_IS_BETTER, OVERALL, PER_CLASS, mean_sd
from lipnet.settings import Settings


class CompareSettings(Settings):
    """Section ``compare`` of params.yaml."""

    first: str
    second: str
    primary: list[str] = Field(min_length=1)
    confidence: float = Field(gt=0, lt=1)


class Difference(NamedTuple):
    """Mean of the fold-wise differences, its confidence interval, and the p-value of no difference; NaN: undefined."""

    mean: float
    low: float
    high: float
    p: float


def corrected_t_test(differences: NDArray[np.float64], test_share: float, confidence: float) -> Difference:
    """Corrected resampled t-test (Nadeau and Bengio 2003).

    Training sets of different folds overlap, so the plain variance s^2 / J of a mean over J folds is too small; here it
    is s^2 (1/J + n_test/n_train).

    Args:
        differences: first minus second classifier in each fold, shape (J,), all finite.
        test_share: n_test / n_train.
        confidence: level of the interval, e.g. 0.95.

    Returns:
        NaN for interval and p with fewer than two folds. All differences equal: p is 1 at zero and otherwise undefined.
    """
    n = len(differences)
    mean = float(differences.mean()) if n else np.nan
    if n < 2:
        return Difference(mean, np.nan, np.nan, np.nan)
    error = float(differences.std(ddof=1) * np.sqrt(1 / n + test_share))
    if error < 1e-12:
        return Difference(mean, mean, mean, 1.0 if abs(mean) < 1e-12 else np.nan)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    return Difference(mean, mean - half, mean + half, p)


def compare(folds: pd.DataFrame, settings: CompareSettings) -> pd.DataFrame:
    """Set two classifiers of one problem against each other, per class and measure.

    Args:
        folds: ``metrics.fold_table`` of both classifiers, with a column ``classifier``.
        settings: which two, and the level of the intervals.

    Returns:
        A row per class ("" for overall) and measure: mean and sd of each classifier, difference (first minus second)
        with interval low .. high, p, p_holm (Holm's correction over the rows of the primary measures; NaN elsewhere),
        and the number of folds where both are defined.

    Raises:
        InputError: one of the two classifiers, was not evaluated, or a primary measure is unknown.
    """
    for name in (settings.first, settings.second):
        if name not in set(folds["classifier"]):
            known = ", ".join(sorted(set(folds["classifier"])))
            raise InputError(f"params.yaml: compare names the classifier '{name}', but evaluated were: {known}")
    measures = dict.fromkeys([*OVERALL, *PER_CLASS])
    unknown = [name for name in settings.primary if name not in measures]
    if unknown:
        known = ", ".join(measures)
        raise InputError(f"params.yaml: compare.primary: no measure {', '.join(unknown)}; known: {known}")
    rows = []
    for (label, measure), part in folds.groupby(["class", "measure"], sort=False):
        wide = part.pivot_table(index=["repeat", "fold"], columns="classifier", values="value", dropna=False)
        first, second = wide[settings.first].to_numpy(), wide[settings.second].to_numpy()
        both = np.isfinite(first) & np.isfinite(second)
        share = float(part["n_test"].sum() / part["n_train"].sum())
        test = corrected_t_test(first[both] - second[both], share, settings.confidence)
        rows.append(
            {
                "class": label,
                "measure": measure,
                **dict(zip(("first_mean", "first_sd"), mean_sd(first), strict=True)),
                **dict(zip(("second_mean", "second_sd"), mean_sd(second), strict=True)),
                "difference": test.mean,
                "low": test.low,
                "high": test.high,
                "p": test.p,
                "folds": int(both.sum()),
            }
        )
    table = pd.DataFrame(rows)
    of_primary = table["measure"].isin(settings.primary)
    table.insert(len(table.columns) - 1, "p_holm", holm(table["p"].where(of_primary).to_numpy()))
    return table


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values after Holm's correction over those that are defined, same shape."""
    adjusted = np.full(len(p_values), np.nan)
    defined = np.isfinite(p_values)
    if defined.any():
        adjusted[defined] = multipletests(p_values[defined], method="holm")[1]
    return adjusted


def verdict(row: pd.Series, settings: CompareSettings) -> str:
    """One row of ``compare`` in words, after Holm's correction; only primary measures are judged."""
    if row["measure"] not in settings.primary:
        return ""
    if not np.isfinite(row["p_holm"]):
        return "undefined"
    if row["p_holm"] >= 1 - settings.confidence:
        return "no difference shown"
    higher = settings.first if row["difference"] > 0 else settings.second
    return f"{higher} higher"


def to_markdown(table: pd.DataFrame, problem: str, settings: CompareSettings) -> str:
    """The comparison of one problem as a Markdown table."""
    percent = round(settings.confidence * 100)
    lines = [
        f"## {problem}",
        "",
        f"| class | measure | {settings.first} | {settings.second} | difference [{percent} % interval] "
        "| folds | p | p (Holm) | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for _, row in table.iterrows():
        first, second = (
            f"{_number(row[f'{name}_mean'])} ± {_number(row[f'{name}_sd'])}" for name in ("first", "second")
        )
        interval = f"{_number(row['difference'], '+')} [{_number(row['low'], '+')}, {_number(row['high'], '+')}]"
        cells = [
            row["class"] or "all",
            f"{row['measure']} (lower is better)" if row["measure"] in LOWER_IS_BETTER else row["measure"],
            first,
            second,
            interval,
            str(row["folds"]),
            _number(row["p"]),
            _number(row["p_holm"]) if row["measure"] in settings.primary else "",
            verdict(row, settings),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}" if np.isfinite(value) else "undefined"
