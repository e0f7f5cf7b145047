"""The opening of the report: where the run comes from, a summary in sentences and numbers, and limits."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lipnet.deployment.cards import limits_of, mean_and_sd
from lipnet.deployment.runs import PipelineRun
from lipnet.evaluation.predictions import Predictions
from lipnet.sources.settings import source_of

FEW = 50  # a class with fewer particles is listed among the limits
LEADING = "macro_f1"  # the best classifier has the largest mean of this measure


def best_of(summary: Mapping[str, Any]) -> str:
    """The classifier with the best mean of ``LEADING``."""
    return max(summary, key=lambda name: _mean(summary[name][LEADING]))


def origin_of(run: PipelineRun) -> dict[str, Any]:
    """What the header, the notices and the footer of the page say about the run."""
    origin = run.provenance
    return {
        "problem": run.problem,
        "classes": run.classes,
        "data_md5": origin.data_md5 or "unknown",
        "revision": origin.git_revision or "unknown",
        "versions": ", ".join(f"{name} {number}" for name, number in origin.versions.items()),
        "changed": run.changed,
        "artificial": source_of(run.params, run.problem).kind == "artificial",
    }


def summary_of(run: PipelineRun, predictions: Predictions, summary: Mapping[str, Any], n_errors: int) -> dict[str, Any]:
    """Sentences, numbers and limits.

    Args:
        run: the finished run.
        predictions: of the best classifier.
        summary: classifier -> ``metrics.summary``.
        n_errors: number of likely label errors.
    """
    best = best_of(summary)
    n_folds = len(np.unique(predictions.fold))
    n_repeats = len(np.unique(predictions.repeat))
    n_particles, n_groups = f"{len(run.table):,}", f"{run.counts['groups']:,}"
    times = f"{n_folds} folds" + (f", repeated {n_repeats} times" if n_repeats > 1 else "")
    leading = summary[best][LEADING]
    sentences = [
        f"{n_particles} particles in {n_groups} groups were sorted into {len(run.classes)} classes "
        f"({', '.join(run.classes)}) by {len(summary)} classifiers and decision rules. Each particle was classified by "
        f"models that were not trained on it: cross-validation over {times}.",
        f"The best classifier by macro F1 is {best} with {mean_and_sd(leading)} (mean and standard deviation over "
        "folds).",
        *_second(summary, best),
    ]
    number, _, spread = mean_and_sd(leading).partition(" ")
    return {
        "summary": sentences,
        "numbers": [
            ("particles", n_particles, f"in {n_groups} groups"),
            ("classes", len(run.classes), ""),
            ("folds", n_folds, f"x {n_repeats}" if n_repeats > 1 else ""),
            (f"macro F1 of {best}", number, spread),
            ("likely label errors", n_errors, f"{n_errors / len(run.table):.1%} of all"),
        ],
        "limits": _limits(run),
    }


def _mean(measure: Mapping[str, float | None]) -> float:
    return -np.inf if measure["mean"] is None else measure["mean"]


def _second(summary: Mapping[str, Any], best: str) -> list[str]:
    """A sentence on the second best classifier, if there is one and the spread of the best is defined."""
    leading = summary[best][LEADING]
    others = [name for name in summary if name != best and _mean(summary[name][LEADING]) > -np.inf]
    if not others or leading["sd"] is None:
        return []
    second = max(others, key=lambda name: _mean(summary[name][LEADING]))
    gap = _mean(leading) - _mean(summary[second][LEADING])
    word = "at most" if gap <= leading["sd"] else "more than"
    behind = f"it is {gap:.3f} behind, {word} one standard deviation over folds" if gap else "its mean is the same"
    return [f"The second best is {second} with {mean_and_sd(summary[second][LEADING])}; {behind}."]


def _limits(run: PipelineRun) -> list[str]:
    few = [name for name, of_class in run.counts["classes"].items() if of_class["particles"] < FEW]
    noise = (
        f"Fewer than {FEW} particles are of class {', '.join(few)}: measures of single folds are mostly chance there."
    )
    return [
        "A difference smaller than the standard deviation is not evidence of a difference; the section Differences has "
        "tests and intervals.",
        "The best classifier was selected on the same folds that measure it, so its measures are slightly too good.",
        *([noise] if few else []),
        *limits_of(run),
    ]
