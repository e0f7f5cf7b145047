"""The tables and metrics.json of the stage evaluate: every measure of every classifier of every problem."""

from collections.abc import Mapping
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from lipnet.core.settings import Settings
from lipnet.evaluation import metrics
from lipnet.evaluation.predictions import Predictions

KEYS = ["problem", "classifier"]
Tables = dict[str, pd.DataFrame]


class EvaluateSettings(Settings):
    """Section ``evaluate`` of params.yaml.

    Attributes:
        abstain_below: limits of ``metrics.abstention_table``.
        confidence: level of the Wilson intervals.
    """

    abstain_below: list[Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1)
    confidence: float = Field(gt=0, lt=1)


def tables_of(problem: str, predictions: Mapping[str, Predictions], settings: EvaluateSettings) -> Tables:
    """The tables of one problem, with the columns problem and classifier before all others.

    Returns:
        folds (``metrics.fold_table``), classes (``metrics.class_table``), confusion (``metrics.pooled_confusion``) and
        abstention (``metrics.abstention_table``).
    """
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in ("folds", "classes", "confusion", "abstention")}
    for classifier, item in predictions.items():
        found = {
            "folds": metrics.fold_table(item),
            "classes": metrics.class_table(item, settings.confidence),
            "confusion": metrics.pooled_confusion(item),
            "abstention": metrics.abstention_table(item, settings.abstain_below),
        }
        for name, table in found.items():
            columns = [*KEYS, *table.columns]
            parts[name].append(table.assign(problem=problem, classifier=classifier)[columns])
    return {name: pd.concat(tables) for name, tables in parts.items()}


def summaries_of(folds: pd.DataFrame, predictions: Mapping[str, Predictions]) -> dict[str, Any]:
    """The record of one problem in metrics.json: classifier -> ``metrics.summary``.

    Args:
        folds: of ``tables_of``.
        predictions: of the same classifiers.
    """
    return {
        name: metrics.summary(folds[folds["classifier"] == name], item.classes) for name, item in predictions.items()
    }
