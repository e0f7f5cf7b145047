"""Comparison of classifiers on the same folds: differences, intervals, ranks.

The tests are corrected for the training rows that folds share.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy import stats
from statsmodels.stats.multitest import multipletests

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.evaluation.measures import LOWER_IS_BETTER, OVERALL, PER_CLASS
from lipnet.evaluation.metrics import mean_sd

NO_SCATTER = 1e-12  # a standard error below it is rounding


class CompareSettings(Settings):
    """Section ``compare`` of params.yaml.

    Attributes:
        reference: classifier that all others are compared with.
        classifiers: names of the others; None: all that were evaluated.
        primary: measures that are tested.
        confidence: level of the intervals; 1 - confidence is the level of the tests.
        bootstrap: number of resamples; 0: no bootstrap.
    """

    reference: str
    classifiers: list[str] | None
    primary: list[str] = Field(min_length=1)
    confidence: float = Field(gt=0, lt=1)
    bootstrap: int = Field(ge=0)


class Difference(NamedTuple):
    """Mean of the differences over folds, its confidence interval, and the p-value of a zero difference.

    NaN where undefined.
    """

    mean: float
    low: float
    high: float
    p: float


def corrected_t_test(differences: NDArray[np.float64], test_share: float, confidence: float) -> Difference:
    """Corrected resampled t-test (Nadeau and Bengio 2003).

    Training sets of different folds overlap, so the usual variance s^2 / J of a mean over J folds is too small. The
    corrected variance is s^2 (1/J + n_test/n_train).

    Args:
        differences: first minus second classifier in each fold, shape (J,), all finite.
        test_share: n_test / n_train.
        confidence: level of the interval, e.g. 0.95.

    Returns:
        With fewer than two folds, interval and p are NaN. If all differences are equal, p is 1 if they are 0, and NaN
        otherwise.
    """
    n = len(differences)
    mean = float(differences.mean()) if n else np.nan
    return t_test(mean, standard_error(differences, test_share), n - 1, confidence)


def standard_error(differences: NDArray[np.float64], test_share: float) -> float:
    """The standard error of the corrected resampled t-test; NaN with fewer than two folds.

    The arguments are those of ``corrected_t_test``.
    """
    n = len(differences)
    return float(differences.std(ddof=1) * np.sqrt(1 / n + test_share)) if n > 1 else np.nan


def t_test(mean: float, error: float, freedom: float, confidence: float) -> Difference:
    """Student's t-test of a mean difference.

    Args:
        mean: the difference.
        error: its standard error.
        freedom: degrees of freedom of the error.
        confidence: level of the interval, e.g. 0.95.

    Returns:
        Interval and p are NaN if the error is. Without any scatter, p is 1 if the mean is 0, and NaN otherwise.
    """
    if not np.isfinite(error):
        return Difference(mean, np.nan, np.nan, np.nan)
    if error < NO_SCATTER:
        return Difference(mean, mean, mean, 1.0 if abs(mean) < NO_SCATTER else np.nan)
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, freedom))
    return Difference(mean, mean - half, mean + half, p)


def compare(folds: pd.DataFrame, settings: CompareSettings) -> pd.DataFrame:
    """Compare the classifiers of one problem with the reference, for each class and measure.

    Args:
        folds: ``metrics.fold_table`` of the classifiers, with a column ``classifier``.
        settings: classifiers, reference, primary measures and level of the intervals.

    Returns:
        One row for each class ("" for overall), measure and classifier, the reference first: mean and sd of the
        classifier, difference (classifier minus reference) with interval low .. high, p, p_holm (Holm's correction over
        the rows of all primary measures and classifiers; NaN in other rows), and folds (number of folds where both are
        defined). The difference of the reference itself is NaN.

    Raises:
        InputError: a classifier was not evaluated, a primary measure is unknown, or no primary measure is overall.
    """
    rows = []
    names = chosen(folds, settings)
    for (label, measure), part in folds.groupby(["class", "measure"], sort=False):
        wide, share = _by_fold(part)
        for name in names:
            both = wide.loc[wide[[name, settings.reference]].notna().all(axis=1)]
            differences = (both[name] - both[settings.reference]).to_numpy()
            if name == settings.reference:
                differences = differences[:0]
            mean, sd = mean_sd(wide[name].to_numpy())
            test = corrected_t_test(differences, share, settings.confidence)
            rows.append(
                {
                    "classifier": name,
                    "class": label,
                    "measure": measure,
                    "mean": mean,
                    "sd": sd,
                    "difference": test.mean,
                    "low": test.low,
                    "high": test.high,
                    "p": test.p,
                    "folds": len(both),
                }
            )
    table = pd.DataFrame(rows)
    of_primary = table["measure"].isin(settings.primary)
    table.insert(len(table.columns) - 1, "p_holm", holm(table["p"].where(of_primary).to_numpy()))
    return table


def rank(folds: pd.DataFrame, settings: CompareSettings) -> pd.DataFrame:
    """Rank the classifiers of one problem by each overall primary measure.

    The best classifier is known only after looking at the results. Every pair is therefore tested, with Holm's
    correction over all pairs and measures. A classifier that is undefined in some fold is ranked last, because the
    folds that its mean leaves out may be the hardest.

    Args:
        folds: as for ``compare``.
        settings: as for ``compare``.

    Returns:
        One row for each measure and classifier, the best mean first: measure, classifier, mean with interval low ..
        high (variance as in ``corrected_t_test``), folds (number where it is defined), of_folds (number of all folds),
        p_holm (against the best classifier; NaN for the best itself), joined (it is the best, or no difference from the
        best is shown).

    Raises:
        InputError: see ``compare``.
    """
    names = chosen(folds, settings)
    ranked = [measure for measure in settings.primary if measure in OVERALL]
    overall = folds[folds["class"] == ""]
    by_fold = {measure: _by_fold(overall[overall["measure"] == measure]) for measure in ranked}
    tests = {
        (measure, frozenset(pair)): corrected_t_test(
            (wide[pair[0]] - wide[pair[1]]).dropna().to_numpy(), share, settings.confidence
        ).p
        for measure, (wide, share) in by_fold.items()
        for pair in combinations(names, 2)
    }
    adjusted = dict(zip(tests, holm(np.array(list(tests.values()))), strict=True))
    rows = []
    for measure, (wide, share) in by_fold.items():
        order = _best_first(wide[names], measure)
        for name in order:
            values = wide[name].dropna().to_numpy()
            interval = corrected_t_test(values, share, settings.confidence)
            p_holm = adjusted.get((measure, frozenset((order[0], name))), np.nan)
            rows.append(
                {
                    "measure": measure,
                    "classifier": name,
                    "mean": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "folds": len(values),
                    "of_folds": len(wide),
                    "p_holm": p_holm,
                    "joined": not p_holm < 1 - settings.confidence,
                }
            )
    return pd.DataFrame(rows)


def chosen(folds: pd.DataFrame, settings: CompareSettings) -> list[str]:
    """Names of the classifiers to compare for one problem, the reference first.

    Raises:
        InputError: see ``compare``.
    """
    evaluated = list(dict.fromkeys(folds["classifier"]))
    others = evaluated if settings.classifiers is None else settings.classifiers
    names = list(dict.fromkeys([settings.reference, *others]))
    unknown = [name for name in names if name not in evaluated]
    if unknown:
        raise InputError(
            f"params.yaml: compare names the classifier '{unknown[0]}', but evaluated were: {', '.join(evaluated)}"
        )
    measures = dict.fromkeys([*OVERALL, *PER_CLASS])
    unknown = [name for name in settings.primary if name not in measures]
    if unknown:
        known = ", ".join(measures)
        raise InputError(f"params.yaml: compare.primary: no measure {', '.join(unknown)}; known: {known}")
    if not set(settings.primary) & set(OVERALL):
        raise InputError(f"params.yaml: compare.primary: classifiers are ranked by one of: {', '.join(OVERALL)}")
    return names


def _by_fold(part: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Values of one measure, one row for each fold and one column for each classifier; and n_test / n_train."""
    wide = part.pivot_table(index=["repeat", "fold"], columns="classifier", values="value", dropna=False)
    return wide, float(part["n_test"].sum() / part["n_train"].sum())


def _best_first(wide: pd.DataFrame, measure: str) -> list[str]:
    loss = wide.mean() * (1 if measure in LOWER_IS_BETTER else -1)
    keys = pd.DataFrame({"partly": wide.isna().any(), "loss": loss})
    return [str(name) for name in keys.sort_values(["partly", "loss"]).index]


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values after Holm's correction over the defined ones, same shape; NaN stays NaN."""
    adjusted = np.full(len(p_values), np.nan)
    defined = np.isfinite(p_values)
    if defined.any():
        adjusted[defined] = multipletests(p_values[defined], method="holm")[1]
    return adjusted
