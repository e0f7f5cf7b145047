"""Measures of a classifier from its predictions (thesis, sections 4.6 and 4.7).

A ratio 0/0 is undefined: NaN here, null in JSON, empty in CSV; it is never reported as 0 or 1. This module computes the
measures itself, because scikit-learn and statsmodels take a second to import; tests/evaluation/test_metrics.py compares
the results with those of both libraries.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.evaluation.measures import HEADLINE_OF_CLASS, OVERALL
from lipnet.evaluation.predictions import Predictions

N_BINS = 10  # of equal width, for calibration

Counts = NDArray[np.int64] | NDArray[np.float64]


def confusion_matrix(true: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Counts of shape (K, K): rows are true classes, columns predicted classes."""
    return np.bincount(true * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def _ratio(numerator: Any, denominator: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(denominator) == 0, np.nan, np.asarray(numerator) / np.asarray(denominator))


def class_ratios(confusion: Counts) -> dict[str, tuple[Counts, Counts]]:
    """Numerator and denominator of TPR, TNR, PPV, NPV and F1 of each class, each of shape (K,) (section 4.6)."""
    tp = np.diag(confusion)
    fn, fp = confusion.sum(axis=1) - tp, confusion.sum(axis=0) - tp
    tn = confusion.sum() - tp - fn - fp
    return {
        "tpr": (tp, tp + fn),
        "tnr": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
    }


def matthews(confusion: Counts) -> float:
    """Matthews correlation coefficient for K classes (Gorodkin 2004); NaN if one class has all rows or columns."""
    c = confusion.astype(np.float64)
    total, true, predicted = c.sum(), c.sum(axis=1), c.sum(axis=0)
    spread = (total**2 - (predicted**2).sum()) * (total**2 - (true**2).sum())
    return float(_ratio(np.trace(c) * total - true @ predicted, np.sqrt(spread)))


def cohen_kappa(confusion: Counts) -> float:
    """Cohen's kappa: agreement beyond chance; NaN if the expected chance agreement is 1."""
    c = confusion.astype(np.float64)
    chance = c.sum(axis=1) @ c.sum(axis=0) / c.sum() ** 2
    return float(_ratio(np.trace(c) / c.sum() - chance, 1 - chance))


def log_loss(true: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Multi-class logarithmic loss, natural logarithm (section 4.7); probabilities are clipped at 1e-7."""
    return float(-np.log(np.clip(probabilities[np.arange(len(true)), true], 1e-7, 1.0)).mean())


def brier(true: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Brier score: squared error of the probabilities, summed over classes (Brier 1950).

    It is 0 for certain and correct predictions, and 2 for certain and wrong ones.
    """
    truth = np.eye(probabilities.shape[1])[true]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def calibration_bins(true: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Predicted probability and observed frequency of each class, in ten bins of equal width.

    Returns:
        Shape (3, K, N_BINS): number of particles in a bin, sum of their probabilities for the class, and number of
        particles of the class among them.
    """
    # A bin includes its lower end; the last bin includes both ends.
    bins = np.minimum((probabilities * N_BINS).astype(np.int64), N_BINS - 1)
    of_classes = [
        [np.bincount(bins[:, label], weights, N_BINS) for weights in (None, probabilities[:, label], true == label)]
        for label in range(probabilities.shape[1])
    ]
    return np.array(of_classes, np.float64).transpose(1, 0, 2)


def calibration_errors(true: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected calibration error of each class, shape (K,); their mean is the class-wise ECE (Kull et al. 2019).

    It is the distance between predicted probability and observed share in a bin, averaged over particles. Chance alone
    makes it larger than 0, and more so with fewer particles.
    """
    _, stated, observed = calibration_bins(true, probabilities)
    return np.abs(stated - observed).sum(axis=1) / len(true)


def average_precisions(true: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average precision of each class against the rest, shape (K,); NaN for a class that is absent.

    It is the mean of the precision at each particle of the class, in the order of their probabilities, without
    interpolation.
    """
    curves = [_recall_and_precision(true == label, stated) for label, stated in enumerate(probabilities.T)]
    return np.array([-(np.diff(r) * p[:-1]).sum() if len(r) else np.nan for r, p in curves])


def _recall_and_precision(
    truth: NDArray[np.bool_], stated: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision at every threshold on a probability, in order of falling recall; the last recall is 0.

    Empty if the class is absent.
    """
    if not truth.any():
        return np.empty(0), np.empty(0)
    falling = np.argsort(-stated, kind="stable")
    named = np.flatnonzero(np.append(np.diff(stated[falling]), 1)) + 1  # equal probabilities share a threshold
    found = np.cumsum(truth[falling])[named - 1]
    return np.append((found / found[-1])[::-1], 0.0), np.append((found / named)[::-1], 1.0)


def score(
    true: NDArray[np.int64], predicted: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    """All measures of one set of predictions.

    Args:
        true: class indices, shape (n,).
        predicted: class indices, shape (n,).
        probabilities: shape (n, K).

    Returns:
        The overall measures by name, and the per-class measures by name, each of shape (K,).
    """
    confusion = confusion_matrix(true, predicted, probabilities.shape[1])
    per_class = {name: _ratio(*ratio) for name, ratio in class_ratios(confusion).items()}
    per_class["average_precision"] = average_precisions(true, probabilities)
    per_class["ece"] = calibration_errors(true, probabilities)
    overall = {
        "accuracy": float(_ratio(np.trace(confusion), confusion.sum())),
        "balanced_accuracy": float(per_class["tpr"].mean()),
        "macro_f1": float(per_class["f1"].mean()),
        "mcc": matthews(confusion),
        "kappa": cohen_kappa(confusion),
        "log_loss": log_loss(true, probabilities),
        "brier": brier(true, probabilities),
        "ece": float(per_class["ece"].mean()),
        "average_precision": float(per_class["average_precision"].mean()),
    }
    return overall, per_class


def fold_table(predictions: Predictions) -> pd.DataFrame:
    """Every measure in every fold, in long format.

    Columns: repeat, fold, n_train, n_test, class ("" for overall), measure, value.
    """
    rows: list[dict[str, Any]] = []
    for repeat in np.unique(predictions.repeat):
        in_repeat = predictions.repeat == repeat
        for fold in np.unique(predictions.fold[in_repeat]):
            test = in_repeat & (predictions.fold == fold)
            key = {
                "repeat": int(repeat),
                "fold": int(fold),
                "n_train": int(in_repeat.sum() - test.sum()),
                "n_test": int(test.sum()),
            }
            rows += _score_rows(predictions, test, key)
    return pd.DataFrame(rows)


def _score_rows(predictions: Predictions, test: NDArray[np.bool_], key: dict[str, Any]) -> list[dict[str, Any]]:
    overall, per_class = score(predictions.true[test], predictions.predicted[test], predictions.probabilities[test])
    rows = [{**key, "class": "", "measure": name, "value": value} for name, value in overall.items()]
    for name, values in per_class.items():
        rows += [
            {**key, "class": label, "measure": name, "value": float(value)}
            for label, value in zip(predictions.classes, values, strict=True)
        ]
    return rows


def class_table(predictions: Predictions, confidence: float) -> pd.DataFrame:
    """Ratios of each class from counts pooled over the folds, with Wilson intervals; suitable for rare classes.

    With repeats, counts are averaged over them, because a particle with five predictions is still one particle. The
    intervals assume independent particles; they are too narrow if particles of one group are correlated.

    Columns: class, measure (tpr, tnr, ppv, npv), numerator, denominator, value, low, high.
    """
    n_repeats = len(np.unique(predictions.repeat))
    confusion = confusion_matrix(predictions.true, predictions.predicted, len(predictions.classes)) / n_repeats
    rows = []
    for measure, (numerators, denominators) in class_ratios(confusion).items():
        if measure == "f1":  # not a share of independent trials, so no Wilson interval
            continue
        for label, k, n in zip(predictions.classes, numerators, denominators, strict=True):
            low, high = wilson(k, n, confidence) if n else (np.nan, np.nan)
            rows.append(
                {
                    "class": label,
                    "measure": measure,
                    "numerator": float(k),
                    "denominator": float(n),
                    "value": float(_ratio(k, n)),
                    "low": low,
                    "high": high,
                }
            )
    return pd.DataFrame(rows)


def wilson(k: float, n: float, confidence: float) -> tuple[float, float]:
    """Interval for a share of which k of n independent trials are an estimate (Wilson 1927); n > 0."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, shrunk = k / n, 1 + z**2 / n
    middle = (share + z**2 / (2 * n)) / shrunk
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / shrunk
    return max(middle - half, 0.0), min(middle + half, 1.0)  # rounding errors may leave [0, 1]


def abstention_table(predictions: Predictions, limits: Sequence[float]) -> pd.DataFrame:
    """Coverage and accuracy if particles with an uncertain prediction get no class (Chow 1970).

    A prediction is uncertain if the probability of the predicted class is below a limit. Counts are pooled over folds
    and averaged over repeats, as in ``class_table``.

    Columns, one row for each limit: abstain_below, kept (particles), coverage (kept share), accuracy (of the kept).
    """
    n_repeats = len(np.unique(predictions.repeat))
    confidence = predictions.probabilities[np.arange(len(predictions.predicted)), predictions.predicted]
    right = predictions.predicted == predictions.true
    rows = []
    for limit in limits:
        kept = confidence >= limit
        rows.append(
            {
                "abstain_below": limit,
                "kept": kept.sum() / n_repeats,
                "coverage": kept.mean(),
                "accuracy": float(_ratio((kept & right).sum(), kept.sum())),
            }
        )
    return pd.DataFrame(rows)


def precision_recall(predictions: Predictions) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Recall and precision of each class against the rest at every threshold on its probability, folds pooled.

    Returns:
        K pairs of arrays of equal length, in order of falling recall; empty for an absent class.
    """
    curves = []
    for label in range(len(predictions.classes)):
        recall, precision = _recall_and_precision(predictions.true == label, predictions.probabilities[:, label])
        turns = np.diff(recall) != 0  # at constant recall, the first and last point suffice
        drawn = np.append(turns, True) | np.append(True, turns) if len(recall) else np.empty(0, bool)
        curves.append((recall[drawn], precision[drawn]))
    return curves


def operating_points(predictions: Predictions) -> list[tuple[float, float]]:
    """Recall and precision of the predicted classes, folds pooled, K pairs; NaN where undefined."""
    ratios = class_ratios(confusion_matrix(predictions.true, predictions.predicted, len(predictions.classes)))
    recall, precision = _ratio(*ratios["tpr"]), _ratio(*ratios["ppv"])
    return list(zip(recall.tolist(), precision.tolist(), strict=True))


def pairs(predictions: Predictions) -> pd.DataFrame:
    """Names of the true and the predicted class, one row for each prediction: actual, predicted."""
    names = np.array(predictions.classes)
    return pd.DataFrame({"actual": names[predictions.true], "predicted": names[predictions.predicted]})


def pooled_confusion(predictions: Predictions) -> pd.DataFrame:
    """Confusion counts over all folds and repeats, one row for each pair of classes: actual, predicted, count."""
    counts = confusion_matrix(predictions.true, predictions.predicted, len(predictions.classes))
    named = pd.DataFrame(counts, index=predictions.classes, columns=predictions.classes)
    return named.rename_axis("actual").melt(var_name="predicted", value_name="count", ignore_index=False).reset_index()


def mean_confusion(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean over folds of the confusion matrix as counts and normalised by true class, each of shape (K, K)."""
    n_classes = len(predictions.classes)
    keys = np.unique(np.stack([predictions.repeat, predictions.fold]), axis=1).T
    counts = []
    for repeat, fold in keys:
        test = (predictions.repeat == repeat) & (predictions.fold == fold)
        counts.append(confusion_matrix(predictions.true[test], predictions.predicted[test], n_classes))
    normalised = [_ratio(matrix, matrix.sum(axis=1, keepdims=True)) for matrix in counts]
    return np.mean(counts, axis=0), np.mean(normalised, axis=0)


def mean_sd(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over the folds where a measure is defined.

    The mean is NaN without a defined fold; the standard deviation is NaN with fewer than two.
    """
    defined = values[np.isfinite(values)]
    mean = float(defined.mean()) if len(defined) else np.nan
    return mean, float(defined.std(ddof=1)) if len(defined) > 1 else np.nan


def spread(values: NDArray[np.float64]) -> dict[str, float | None]:
    """``mean_sd`` for reports: rounded to 6 decimals, None where undefined.

    If the measure is undefined in some folds, the key ``folds`` gives the number of defined folds.
    """
    names = ("mean", "sd")
    record = {name: round(x, 6) if np.isfinite(x) else None for name, x in zip(names, mean_sd(values), strict=True)}
    defined = int(np.isfinite(values).sum())
    return record if defined == len(values) else {**record, "folds": defined}


def summary(folds: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    """The record of a classifier: mean and sd of overall measures, then of a few measures for each class."""
    values = {key: part["value"].to_numpy(dtype=np.float64) for key, part in folds.groupby(["class", "measure"])}
    record: dict[str, Any] = {measure: spread(values["", measure]) for measure in OVERALL}
    for label in classes:
        record[label] = {measure: spread(values[label, measure]) for measure in HEADLINE_OF_CLASS}
    return record
