"""How well class shares are recovered: samples of known shares, drawn from out-of-fold predictions.

The artificial-prevalence protocol (Forman 2008): draw class shares, then a sample of these shares from the rows of one
fold, and estimate them with a correction that was learnt on the other folds of the same repeat. Rows are drawn with
replacement; copies of a particle stay in one group, so that the bootstrap does not take them for independent particles.

The errors in some folds say by how much intervals must be widened to hold in others, as in conformal prediction (Vovk
et al. 2005, with folds in place of single examples).
"""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from lipnet.core.seeds import generator
from lipnet.core.settings import Name, Settings
from lipnet.evaluation.predictions import Predictions
from lipnet.evaluation.proportions import estimators
from lipnet.evaluation.proportions.corrections import Correction, fit
from lipnet.evaluation.proportions.intervals import estimate

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

UNIFORM, NATURAL = "uniform", "natural"
FACTOR = (0.5, 2.0)  # natural: each share is that of the data times a factor between these
ESTIMATORS = ("counted", "adjusted", "probabilistic", "likeliest", "corrected")
DEFAULT = ESTIMATORS[-1]


class ProportionSettings(Settings):
    """Section ``proportions`` of params.yaml.

    Attributes:
        sizes: particles of a sample.
        samples: samples of each fold, size and kind of shares.
        replicates: resamples of an interval.
        confidence: level of the intervals.
        headline: classifiers; the first that the run has, or else any, is in the tracked numbers and in the picture.
    """

    sizes: list[Annotated[int, Field(ge=1, le=100_000)]] = Field(min_length=1)
    samples: int = Field(ge=1)
    replicates: int = Field(ge=20)
    confidence: float = Field(gt=0, lt=1)
    headline: list[Name] = Field(min_length=1)


class Task(NamedTuple):
    """One fold of one classifier.

    Attributes:
        classifier: its name.
        predictions: of the classifier.
        groups: of ``bootstrap.groups_of``, shape (n_rows,).
        repeat: of the cross-validation.
        fold: the fold from which samples are drawn.
        settings: of the protocol.
        seed: of the run.
    """

    classifier: str
    predictions: Predictions
    groups: Labels
    repeat: int
    fold: int
    settings: ProportionSettings
    seed: int


def tasks_of(
    classifier: str, predictions: Predictions, groups: Labels, settings: ProportionSettings, seed: int
) -> list[Task]:
    """The tasks of a classifier; none for a fold that lacks a class, or where the others do."""
    found = []
    for repeat, fold in sorted(set(zip(predictions.repeat.tolist(), predictions.fold.tolist(), strict=True))):
        own = predictions.repeat == repeat
        here = own & (predictions.fold == fold)
        if all(_present(predictions, rows).all() for rows in (here, own & ~here)):
            found.append(Task(classifier, predictions, groups, repeat, fold, settings, seed))
    return found


def run_task(task: Task) -> pd.DataFrame:
    """Draw and estimate the samples of one fold.

    Returns:
        One row for each sample and class: classifier, repeat, fold, shares (UNIFORM or NATURAL), size, sample, class,
        true, one column for each of ``ESTIMATORS``, low and high.
    """
    predictions, settings = task.predictions, task.settings
    own = predictions.repeat == task.repeat
    here = own & (predictions.fold == task.fold)
    rng = generator(f"class shares {task.classifier}", task.seed, task.repeat, task.fold)
    correction = fit(predictions, task.groups, own & ~here, settings.replicates, rng)
    rows_of_class = [np.flatnonzero(here & (predictions.true == k)) for k in range(len(predictions.classes))]
    natural = correction.confusion.sum(axis=1) / correction.confusion.sum()
    parts = []
    for kind in (UNIFORM, NATURAL):
        for size in settings.sizes:
            for sample in range(settings.samples):
                true = draw_shares(kind, natural, rng)
                rows = np.concatenate(
                    [rng.choice(of, n) for of, n in zip(rows_of_class, rng.multinomial(size, true), strict=True)]
                )
                found = _estimates(task, rows, correction, rng)
                parts.append(
                    pd.DataFrame(
                        {
                            "shares": kind,
                            "size": size,
                            "sample": sample,
                            "class": predictions.classes,
                            "true": true,
                            **found,
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True).assign(classifier=task.classifier, repeat=task.repeat, fold=task.fold)


def draw_shares(kind: str, natural: Floats, rng: np.random.Generator) -> Floats:
    """Class shares of a sample: uniform on the simplex, or around the natural ones, shape (K,), sum 1."""
    drawn = rng.dirichlet(np.ones(len(natural))) if kind == UNIFORM else natural * rng.uniform(*FACTOR, len(natural))
    return np.asarray(drawn / drawn.sum())


def _estimates(task: Task, rows: Labels, correction: Correction, rng: np.random.Generator) -> dict[str, Floats]:
    probabilities, predicted = task.predictions.probabilities[rows], task.predictions.predicted[rows]
    found = estimate(probabilities[None], predicted, task.groups[rows], correction, task.settings.confidence, rng)
    return {
        "counted": found.counted,
        "adjusted": estimators.adjusted_count(found.counted, correction.rates),
        "probabilistic": estimators.probabilistic_adjusted_count(probabilities, correction.mean_scores),
        "likeliest": found.likeliest,
        "corrected": found.corrected,
        "low": found.low,
        "high": found.high,
    }


def widening_of(samples: pd.DataFrame, confidence: float) -> Floats:
    """Factor of each class, 1 or more, by which intervals must be widened to contain the true share.

    Half of the misses that ``confidence`` allows are left, because a few folds do not show all that can happen.

    Args:
        samples: rows of ``run_task`` of one classifier, intervals not widened.
        confidence: level of the intervals.

    Returns:
        Shape (K,), in the order of the classes.
    """
    half = np.where(
        samples["true"] > samples["corrected"],
        samples["high"] - samples["corrected"],
        samples["corrected"] - samples["low"],
    )
    missed = (samples["true"] - samples["corrected"]).abs()
    needed = np.divide(missed, half, out=np.ones(len(samples)), where=half > 0)
    by_class = pd.Series(needed, samples.index).groupby(samples["class"], sort=False)
    return np.maximum(by_class.quantile((1 + confidence) / 2).to_numpy(), 1.0)


def widened(samples: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """The same samples with intervals that are widened by what the other folds of the repeat need.

    Args:
        samples: rows of ``run_task`` of one classifier.
        confidence: level of the intervals.
    """
    parts = []
    for (repeat, fold), own in samples.groupby(["repeat", "fold"], sort=False):
        others = samples[(samples["repeat"] == repeat) & (samples["fold"] != fold)]
        n_classes = own["class"].nunique()
        factor = np.tile(widening_of(others, confidence) if len(others) else np.ones(n_classes), len(own) // n_classes)
        low = own["corrected"] - factor * (own["corrected"] - own["low"])
        high = own["corrected"] + factor * (own["high"] - own["corrected"])
        parts.append(own.assign(low=low.clip(lower=0), high=high.clip(upper=1)))
    return pd.concat(parts)


def summarise(samples: pd.DataFrame) -> pd.DataFrame:
    """Errors and intervals of all samples of a problem.

    Returns:
        One row for each classifier, kind of shares, size and class, and one with the class ``all`` for their mean:
        classifier, shares, size, class, n_samples, error_<estimator> (mean absolute error of the share), relative_error
        (of ``DEFAULT``, relative to the true share), coverage (share of the samples whose interval contains the true
        share) and width (mean width of the intervals).
    """
    errors = {f"error_{name}": (samples[name] - samples["true"]).abs() for name in ESTIMATORS}
    inside = (samples["low"] <= samples["true"]) & (samples["true"] <= samples["high"])
    keys = ["classifier", "shares", "size"]
    table = samples[[*keys, "class"]].assign(
        **errors,
        relative_error=errors[f"error_{DEFAULT}"] / samples["true"],
        coverage=inside.astype(float),
        width=samples["high"] - samples["low"],
    )
    of_class = _means(table, [*keys, "class"])
    n_classes = samples["class"].nunique()
    of_all = _means(table.drop(columns="class"), keys).assign(**{"class": "all"})
    of_all["n_samples"] //= n_classes
    columns = [*keys, "class", "n_samples", *errors, "relative_error", "coverage", "width"]
    return pd.concat([of_all, of_class])[columns].sort_values(keys, kind="stable").round(6).reset_index(drop=True)


def headline(summary: pd.DataFrame, classifier: str) -> dict[str, float]:
    """The numbers that are tracked for a classifier, means over sizes and both kinds of shares."""
    own = summary[(summary["classifier"] == classifier) & (summary["class"] == "all")]
    return {
        "proportion_error": round(float(own[f"error_{DEFAULT}"].mean()), 6),
        "proportion_coverage": round(float(own["coverage"].mean()), 6),
    }


def _means(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    grouped: Any = table.groupby(list(keys), sort=False)
    return pd.concat([grouped.mean(numeric_only=True), grouped.size().rename("n_samples")], axis=1).reset_index()


def _present(predictions: Predictions, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.bincount(predictions.true[rows], minlength=len(predictions.classes)) > 0
