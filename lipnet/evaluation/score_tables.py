"""What the stage evaluate writes: tables of all measures of all classifiers, and a few numbers for metrics.json."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.evaluation import metrics
from lipnet.evaluation.measures import HEADLINE_OF_CLASS, LOWER_IS_BETTER, OVERALL
from lipnet.evaluation.predictions import Predictions

KEYS = ["problem", "classifier"]
NETWORK = "network"  # key of the network in metrics.json, whatever decision rule it uses
OF_NETWORK = ("macro_f1", "mcc", "log_loss", "average_precision")
OF_RAREST = {"rarest_recall": "tpr", "rarest_precision": "ppv"}
OF_BASELINE = ("macro_f1", "log_loss")
Tables = dict[str, pd.DataFrame]
Record = dict[str, Any]  # of a classifier: measure -> mean and sd; class -> measure -> mean and sd


def _not_network(name: str) -> str:
    if name == NETWORK:
        raise ValueError(f"metrics.json uses the name '{NETWORK}' already; rename this classifier")
    return name


class EvaluateSettings(Settings):
    """Section ``evaluate`` of params.yaml.

    Attributes:
        abstain_below: limits of ``metrics.abstention_table``.
        confidence: level of the Wilson intervals.
        headline: classifiers of the network in order of preference; metrics.json shows the first that was evaluated.
        baseline: classifier that metrics.json shows beside the network.
    """

    abstain_below: list[Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1)
    confidence: float = Field(gt=0, lt=1)
    headline: list[str] = Field(min_length=1)
    baseline: Annotated[str, AfterValidator(_not_network)]


def tables_of(problem: str, predictions: Mapping[str, Predictions], settings: EvaluateSettings) -> Tables:
    """The tables of one problem, with the columns problem and classifier before all others.

    Returns:
        folds (``metrics.fold_table``), summary (``summary_table``), classes (``metrics.class_table``), confusion
        (``metrics.pooled_confusion``) and abstention (``metrics.abstention_table``).
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    for classifier, item in predictions.items():
        folds = metrics.fold_table(item)
        found = {
            "folds": folds,
            "summary": summary_table(folds, item.classes),
            "classes": metrics.class_table(item, settings.confidence),
            "confusion": metrics.pooled_confusion(item),
            "abstention": metrics.abstention_table(item, settings.abstain_below),
        }
        for name, table in found.items():
            columns = [*KEYS, *table.columns]
            parts.setdefault(name, []).append(table.assign(problem=problem, classifier=classifier)[columns])
    return {name: pd.concat(tables) for name, tables in parts.items()}


def summary_table(folds: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """``metrics.summary`` of a classifier as a table.

    Columns: class ("" for overall), measure, mean, sd, folds (number of folds where the measure is defined).
    """
    record, n_folds = metrics.summary(folds, classes), len(folds[["repeat", "fold"]].drop_duplicates())
    cells = [("", measure, record[measure]) for measure in OVERALL]
    cells += [(label, measure, record[label][measure]) for label in classes for measure in HEADLINE_OF_CLASS]
    columns = ["class", "measure", "mean", "sd", "folds"]
    rows = [(label, measure, of["mean"], of["sd"], of.get("folds", n_folds)) for label, measure, of in cells]
    return pd.DataFrame(rows, columns=columns).astype({"mean": float, "sd": float})


def records_of(summary: pd.DataFrame) -> dict[str, Record]:
    """The records of ``metrics.summary`` from the table that the stage evaluate wrote: classifier -> record.

    Args:
        summary: ``summary_table`` of the classifiers of one problem, with a column ``classifier``.
    """
    records: dict[str, Record] = {}
    n_folds = summary["folds"].max()
    for row in summary.to_dict("records"):
        value = {key: row[key] if np.isfinite(row[key]) else None for key in ("mean", "sd")}
        record = records.setdefault(row["classifier"], {})
        place = record.setdefault(row["class"], {}) if row["class"] else record
        place[row["measure"]] = value if row["folds"] == n_folds else {**value, "folds": row["folds"]}
    return records


def headline(tables: Tables, settings: EvaluateSettings) -> dict[str, dict[str, float | None]]:
    """The record of one problem in metrics.json: at most eight numbers, rounded to 4 decimals, None where undefined.

    Each key ends in ``_up`` (higher is better) or ``_down`` (lower is better). The keys hold neither the name of the
    decision rule nor that of the rarest class, so that runs with other rules and data have the same keys.

    Args:
        tables: of ``tables_of``. Numbers of the rarest class come from counts that are pooled over folds; the others
            are means over folds.
        settings: name the classifiers.

    Raises:
        InputError: no classifier of ``headline``, or no ``baseline``, was evaluated.
    """
    evaluated = list(dict.fromkeys(tables["folds"]["classifier"]))
    network = first_of(settings.headline, evaluated, "headline")
    baseline = first_of([settings.baseline], evaluated, "baseline")
    summary = tables["summary"].groupby(["classifier", "class", "measure"])["mean"].first().to_dict()
    counts = tables["classes"][tables["classes"]["classifier"] == network].set_index(["class", "measure"])
    particles = counts["denominator"].xs("tpr", level="measure")
    rarest, ratios = particles[particles > 0].idxmin(), counts["value"].to_dict()
    return {
        NETWORK: {
            **{_directed(name): _rounded(summary[network, "", name]) for name in OF_NETWORK},
            **{_directed(key): _rounded(ratios[rarest, name]) for key, name in OF_RAREST.items()},
        },
        baseline: {_directed(name): _rounded(summary[baseline, "", name]) for name in OF_BASELINE},
    }


def first_of(names: Sequence[str], evaluated: Iterable[str], key: str) -> str:
    """The first of some classifiers that was evaluated.

    Raises:
        InputError: none was; the message starts with ``evaluate`` and the key of params.yaml.
    """
    known = list(evaluated)
    found = next((name for name in names if name in known), None)
    if found is None:
        raise InputError(
            f"params.yaml: evaluate.{key} names {', '.join(names)}, but evaluated were: {', '.join(known)}"
        )
    return found


def _directed(name: str) -> str:
    return f"{name}_{'down' if name in LOWER_IS_BETTER else 'up'}"


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
