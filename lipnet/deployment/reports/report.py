"""The report of a run: one self-contained HTML page, and the table of likely label errors for the expert.

All tables and pictures are computed from the out-of-fold predictions, so the page always agrees with the run.
"""

from typing import Any

import numpy as np
import pandas as pd

from lipnet.classifiers.history import early_end
from lipnet.core.settings import pick
from lipnet.deployment.recommendation import recommend
from lipnet.deployment.reports import (
    charts,
    class_shares,
    label_errors,
    names,
    occlusion_maps,
    opening,
    suspects,
    tables,
)
from lipnet.deployment.reports.page import render
from lipnet.deployment.reports.verdicts import compared
from lipnet.deployment.runs import Evidence, PipelineRun
from lipnet.evaluation import metrics
from lipnet.evaluation.predictions import Predictions


def make_report(run: PipelineRun, evidence: Evidence, maps: bool = True) -> tuple[str, pd.DataFrame]:
    """Make the page, and the table of likely label errors, most suspect first.

    The table has the columns ``suspects.ERROR_COLUMNS``. Column label holds the present label. So the table changes
    nothing if it is saved unchanged as corrections.csv. Earlier corrections follow the suspects, so that they are kept
    if the table replaces corrections.csv.

    Args:
        run: the finished run.
        evidence: its predictions, images and masks.
        maps: draw occlusion maps, which starts TensorFlow.

    Raises:
        InputError: no classifier predicts at natural class shares, predictions and particles are of different runs, or
            settings are damaged.
    """
    predictions = evidence.predictions
    folds = pd.concat([metrics.fold_table(item).assign(classifier=name) for name, item in predictions.items()])
    summary = {name: metrics.summary(folds[folds["classifier"] == name], run.classes) for name in predictions}
    best = opening.best_of(summary)
    errors = suspects.errors_of(run, predictions)
    row_of = {name: row for row, name in enumerate(run.table["id"])}
    recommended = recommend(run, folds)
    mistakes, uncertain = suspects.galleries(predictions[best], evidence, row_of)
    content = {
        **opening.origin_of(run),
        **opening.summary_of(run, predictions[best], summary, len(errors)),
        "recommended": recommended.reason,
        "meanings": names.meanings(run, predictions),
        "measures": tables.of_classifiers(summary, best),
        "class_measures": tables.of_classes(run.classes, summary, best),
        "counts": tables.of_counts(run),
        "comparison": compared(run, predictions, folds),
        "matrices": [tables.matrix(name, item) for name, item in predictions.items()],
        **_charts(run, evidence, folds),
        "shares": class_shares.section(evidence.shares, run.classes, recommended.classifier),
        "maps": occlusion_maps.maps_of(run, evidence) if maps else occlusion_maps.without(occlusion_maps.LEFT_OUT),
        "least": occlusion_maps.LEAST,
        "mistakes": mistakes,
        "uncertain": uncertain,
        "best": best,
        "errors": suspects.shown(errors, evidence, row_of),
        "n_likely": len(errors),
        "n_particles": len(run.table),
        "voters": _voters(label_errors.voters(predictions)),
    }
    return render("report.html.j2", content), suspects.with_earlier(errors, evidence.corrected)


def _voters(voters: list[str]) -> str:
    return voters[0] if len(voters) == 1 else f"the mean of {names.listed(voters)}"


def _charts(run: PipelineRun, evidence: Evidence, folds: pd.DataFrame) -> dict[str, Any]:
    predictions, confidence = evidence.predictions, pick(run.params, "evaluate", "confidence")
    curves = {name: metrics.precision_recall(item) for name, item in predictions.items()}
    points = {name: metrics.class_table(item, confidence) for name, item in predictions.items()}
    bins = {name: metrics.calibration_bins(item.true, item.probabilities) for name, item in predictions.items()}
    shares = _shares(next(iter(predictions.values())))
    return {
        "keys": charts.keys_of(list(predictions)),
        "level": f"{confidence:.0%}",
        "precision_recall": {
            label: charts.precision_recall(
                {name: of_classes[number] for name, of_classes in curves.items()},
                {name: _point(table, label) for name, table in points.items()},
                float(shares[number]),
                label,
            )
            for number, label in enumerate(run.classes)
        },
        "points": tables.of_points(run.classes, points),
        "measures_of_class": {label: charts.class_measures(folds, list(predictions), label) for label in run.classes},
        "reliability": {
            label: charts.reliability({name: of_bins[:, number] for name, of_bins in bins.items()}, label)
            for number, label in enumerate(run.classes)
        },
        "fewest": charts.FEWEST,
        "learning": charts.learning(evidence.history),
        "early_end": early_end(evidence.history),
    }


def _point(table: pd.DataFrame, label: str) -> charts.Point:
    own = table[table["class"] == label].set_index("measure")[["value", "low", "high"]].to_dict("index")
    recall, precision = ((own[name]["value"], own[name]["low"], own[name]["high"]) for name in ("tpr", "ppv"))
    return charts.Point(recall, precision)


def _shares(predictions: Predictions) -> Any:
    return np.bincount(predictions.true, minlength=len(predictions.classes)) / len(predictions.true)
