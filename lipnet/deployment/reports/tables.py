"""Tables of the report: measures of all classifiers and of each class, particles of each class, confusion matrices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lipnet.deployment.cards import NONE_OF_CLASS, mean_and_sd
from lipnet.deployment.runs import PipelineRun
from lipnet.evaluation import measures, metrics
from lipnet.evaluation.formatting import UNDEFINED
from lipnet.evaluation.predictions import Predictions

SPREAD = "Mean ± standard deviation over folds. Click a heading to sort by it."


def of_classifiers(summary: Mapping[str, Any], best: str) -> dict[str, Any]:
    """Measures of all classes together, a row for each classifier.

    Args:
        summary: classifier -> ``metrics.summary``.
        best: name of the classifier whose row is marked.
    """
    keys = measures.HEADLINE_OVERALL
    lower = ", ".join(measures.plain_words(key) for key in keys if key in measures.LOWER_IS_BETTER).capitalize()
    return {
        "name": "Measures of all classifiers",
        "caption": f"{SPREAD} {lower}: lower is better. All others: higher is better.",
        "columns": ["classifier", *map(measures.plain_words, keys)],
        "texts": 1,
        "rows": [
            {"cells": [cell(name), *(_number(scores[key]) for key in keys)], "best": name == best}
            for name, scores in summary.items()
        ],
    }


def of_classes(classes: Sequence[str], summary: Mapping[str, Any], best: str) -> dict[str, Any]:
    """Measures of single classes, a row for each classifier and class; arguments as for ``of_classifiers``."""
    keys = measures.HEADLINE_OF_CLASS
    return {
        "name": "Measures of each class",
        "caption": f"{SPREAD} Undefined: the classifier never predicted the class.",
        "columns": ["classifier", "class", *map(measures.plain_words, keys)],
        "texts": 2,
        "rows": [
            {"cells": [cell(name), cell(label), *(_number(scores[label][key]) for key in keys)], "best": name == best}
            for name, scores in summary.items()
            for label in classes
        ],
    }


def of_counts(run: PipelineRun) -> dict[str, Any]:
    """Particles and groups of each class."""
    keys = ("particles", "groups")
    counts = {name: run.counts["classes"].get(name, NONE_OF_CLASS) for name in run.classes}
    return {
        "name": "Particles of each class",
        "caption": "Particles that were used. All particles of a group are in the same fold, so no group is used for "
        "training and for testing of the same model.",
        "columns": ["class", *keys],
        "texts": 1,
        "rows": [
            {"cells": [cell(name), *(cell(f"{of_class[key]:,}", of_class[key]) for key in keys)], "best": False}
            for name, of_class in counts.items()
        ],
    }


def matrix(name: str, predictions: Predictions) -> dict[str, Any]:
    """Confusion matrix of a classifier: mean shares and mean counts over folds."""
    counts, shares = metrics.mean_confusion(predictions)
    return {
        "name": name,
        "rows": [
            {"name": label, "cells": [_shaded(*pair) for pair in zip(counts[row], shares[row], strict=True)]}
            for row, label in enumerate(predictions.classes)
        ],
    }


def of_points(classes: Sequence[str], points: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Recall and precision of what each classifier predicts, with intervals and counts.

    Args:
        classes: their names.
        points: classifier -> ``metrics.class_table``.
    """
    return [
        {"class": label, "classifier": name, "ratios": [_ratio(table, label, measure) for measure in ("tpr", "ppv")]}
        for label in classes
        for name, table in points.items()
    ]


def _ratio(table: pd.DataFrame, label: str, measure: str) -> dict[str, str]:
    row = table[(table["class"] == label) & (table["measure"] == measure)].iloc[0]
    if not np.isfinite(row["value"]):
        return {"value": UNDEFINED, "interval": "", "counts": ""}
    return {
        "value": f"{row['value']:.2f}",
        "interval": f"{row['low']:.2f} to {row['high']:.2f}",
        "counts": f"{row['numerator']:g} of {row['denominator']:g}",
    }


def cell(text: str, value: Any = None, small: str = "") -> dict[str, Any]:
    """A cell of a table, with the value to sort by, and a second text in small type."""
    return {"text": text, "value": text if value is None else value, "small": small}


def _number(measure: Mapping[str, float | None]) -> dict[str, Any]:
    mean, _, spread = mean_and_sd(measure).partition(" ")
    return cell(mean, "" if measure["mean"] is None else measure["mean"], spread)


def _shaded(count: float, share: float) -> dict[str, Any]:
    known = np.isfinite(share)
    return {
        "share": f"{share:.2f}" if known else "-",
        "count": f"{count:.1f}",
        "shade": round(10 * share) if known else 0,
    }
