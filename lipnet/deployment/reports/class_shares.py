"""How well a run recovers the class shares of samples: the section of the report on what a sample consists of."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from lipnet.deployment.reports import charts
from lipnet.deployment.reports.charts import Chart, Key
from lipnet.deployment.reports.tables import cell
from lipnet.evaluation.proportions.protocol import NATURAL, UNIFORM, summarise

KINDS = {UNIFORM: "any shares", NATURAL: "near the training shares"}


class Section(NamedTuple):
    """Content of the section.

    Attributes:
        classifier: of the charts.
        size: particles of a sample.
        table: errors of counts and of corrected shares, a row for each classifier and kind of shares.
        keys: legend of the charts.
        charts: by class.
    """

    classifier: str
    size: int
    table: dict[str, Any]
    keys: list[Key]
    charts: dict[str, Chart]


def section(samples: pd.DataFrame | None, classes: Sequence[str], recommended: str) -> Section | None:
    """The section for the middle size of the samples; None if there are none.

    Args:
        samples: of ``Evidence.shares``.
        classes: the K class names.
        recommended: the classifier of the charts, or else the first.
    """
    if samples is None or samples.empty:
        return None
    sizes = sorted(samples["size"].unique().tolist())
    size = sizes[len(sizes) // 2]
    of_size = samples[samples["size"] == size]
    names = list(dict.fromkeys(of_size["classifier"]))
    shown = recommended if recommended in names else names[0]
    own = of_size[of_size["classifier"] == shown]
    return Section(
        shown,
        size,
        _table(summarise(of_size), shown),
        charts.keys_of(charts.ESTIMATES),
        {label: charts.class_shares(own[own["class"] == label], label) for label in classes},
    )


def _table(summary: pd.DataFrame, shown: str) -> dict[str, Any]:
    of_all = summary[summary["class"] == "all"]
    numbers = ("error_counted", "error_corrected", "coverage", "width")
    return {
        "name": "Errors of class shares",
        "caption": "Mean over classes and samples. Lower errors are better.",
        "columns": [
            "classifier",
            "samples",
            "error, counted",
            "error, corrected",
            "intervals that hold",
            "their width",
        ],
        "texts": 2,
        "rows": [
            {
                "cells": [
                    cell(row["classifier"], row["classifier"]),
                    cell(KINDS[row["shares"]], row["shares"]),
                    *(cell(_number(name, row[name]), row[name]) for name in numbers),
                ],
                "best": row["classifier"] == shown,
            }
            for _, row in of_all.iterrows()
        ],
    }


def _number(name: str, value: float) -> str:
    return f"{value:.0%}" if name == "coverage" else f"{value:.3f}"
