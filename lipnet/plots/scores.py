"""Pictures of scores: confusion matrices (thesis, Tables 7 to 10), measures of each class (Figure 22), calibration."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lipnet.evaluation import metrics
from lipnet.evaluation.measures import MEASURES
from lipnet.evaluation.predictions import Predictions
from lipnet.plots.figure import COLOURS, styled

LABELS = {  # measures that are drawn on an axis that ends at 1, in their order
    name: measure.words for name, measure in MEASURES.items() if not measure.lower_is_better
}
Matrix = NDArray[np.float64]


def pictures_of(problem: str, predictions: Mapping[str, Predictions], folds: pd.DataFrame) -> dict[str, Figure]:
    """The pictures of the stage evaluate for one problem: confusion, classes, reliability and precision_recall.

    Args:
        problem: its name.
        predictions: by classifier.
        folds: of the same classifiers, ``metrics.fold_table`` with a column classifier.
    """
    classes = next(iter(predictions.values())).classes
    matrices = {name: metrics.mean_confusion(item) for name, item in predictions.items()}
    bins = {name: metrics.calibration_bins(item.true, item.probabilities) for name, item in predictions.items()}
    curves = {name: metrics.precision_recall(item) for name, item in predictions.items()}
    points = {name: metrics.operating_points(item) for name, item in predictions.items()}
    return {
        "confusion": confusion_matrices(matrices, classes, problem),
        "classes": class_measures(folds, classes, list(predictions), f"{problem}: mean and sd over folds"),
        "reliability": reliability_diagrams(bins, classes, problem),
        "precision_recall": precision_recall_curves(curves, points, classes, problem),
    }


@styled
def confusion_matrices(matrices: Mapping[str, tuple[Matrix, Matrix]], classes: Sequence[str], title: str) -> Figure:
    """One confusion matrix for each classifier: share of the true class (colour and first number), and mean count.

    Args:
        matrices: classifier -> (mean counts, mean shares), each of shape (K, K).
        classes: the K names.
        title: above the picture.
    """
    figure = Figure(figsize=(2.9 * len(matrices), 2.9))
    axes = figure.subplots(1, len(matrices), squeeze=False)[0]
    for ax, (classifier, (counts, shares)) in zip(axes, matrices.items(), strict=True):
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.ndindex(shares.shape):
            colour = "white" if shares[i, j] > 0.6 else "black"
            ax.text(
                j, i, f"{shares[i, j]:.2f}\n({counts[i, j]:.1f})", ha="center", va="center", color=colour, fontsize=7
            )
        ax.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
        ax.set_yticks(range(len(classes)), classes if ax is axes[0] else [""] * len(classes))
        ax.set(title=classifier, xlabel="predicted")
    axes[0].set_ylabel("true")
    figure.suptitle(f"{title}: share of the true class (mean count), mean over test folds", y=1.04)
    return figure


@styled
def class_measures(folds: pd.DataFrame, classes: Sequence[str], classifiers: Sequence[str], title: str) -> Figure:
    """Grouped bars: panels are classes, groups are measures, bars are classifiers; whiskers are the sd over folds.

    Args:
        folds: columns classifier, class, measure, value, one row for each fold.
        classes: panels; "" is shown as "all classes".
        classifiers: bars, in order.
        title: above the picture.
    """
    figure = Figure(figsize=(2.6 * len(classes) + 0.9, 2.6), layout="constrained")
    axes = figure.subplots(1, len(classes), sharey=True, squeeze=False)[0]
    everyone = list(dict.fromkeys(folds["classifier"]))  # a classifier has the same colour if others are left out
    width = 0.8 / len(classifiers)
    for ax, label in zip(axes, classes, strict=True):
        part = folds[folds["class"] == label]
        shown = [measure for measure in LABELS if measure in set(part["measure"])]
        for number, classifier in enumerate(classifiers):
            values = [part.loc[(part["classifier"] == classifier) & (part["measure"] == m), "value"] for m in shown]
            ax.bar(
                np.arange(len(shown)) + (number - (len(classifiers) - 1) / 2) * width,
                [value.mean() for value in values],
                width,
                yerr=[value.std() for value in values],
                color=_colour(everyone.index(classifier)),
                error_kw={"linewidth": 0.8},
                label=classifier,
            )
        ax.set_xticks(range(len(shown)), [LABELS[measure] for measure in shown], rotation=40, ha="right")
        ax.set(title=label or "all classes", ylim=(min(0, ax.get_ylim()[0]), 1.05))  # MCC and kappa may be negative
    _finish(figure, title)
    return figure


@styled
def reliability_diagrams(bins: Mapping[str, NDArray[np.float64]], classes: Sequence[str], title: str) -> Figure:
    """Observed share (y) against predicted probability (x): panels are classes, lines are classifiers.

    On the diagonal, probabilities are calibrated; below it, they are too high. The area of a dot grows with the
    logarithm of its number of particles.

    Args:
        bins: classifier -> ``metrics.calibration_bins``, shape (3, K, n_bins).
        classes: the K names.
        title: above the picture.
    """
    figure, axes = _panels(classes)
    for number, (classifier, of_classes) in enumerate(bins.items()):
        for label, ax in enumerate(axes):
            counts, stated, observed = of_classes[:, label, of_classes[0, label] > 0]
            ax.plot(stated / counts, observed / counts, color=_colour(number), linewidth=1, label=classifier)
            ax.scatter(stated / counts, observed / counts, 4 * np.log2(1 + counts), color=_colour(number), linewidths=0)
    for ax in axes:
        ax.plot([0, 1], [0, 1], ":", color="black", linewidth=0.8)
        ax.set(xlabel="stated probability")
    axes[0].set_ylabel("observed share")
    _finish(figure, f"{title}: stated probabilities against what is observed, folds pooled")
    return figure


@styled
def precision_recall_curves(
    curves: Mapping[str, Sequence[tuple[Matrix, Matrix]]],
    points: Mapping[str, Sequence[tuple[float, float]]],
    classes: Sequence[str],
    title: str,
) -> Figure:
    """Precision (y) against recall (x): panels are classes, lines are classifiers, dots are the predicted classes.

    Args:
        curves: classifier -> recall and precision of each class, K pairs of arrays.
        points: classifier -> recall and precision of its predicted classes, K pairs; NaN is not drawn.
        classes: the K names.
        title: above the picture.
    """
    figure, axes = _panels(classes)
    for number, (classifier, of_classes) in enumerate(curves.items()):
        for ax, curve, point in zip(axes, of_classes, points[classifier], strict=True):
            ax.plot(*curve, color=_colour(number), linewidth=1, label=classifier)
            ax.plot(*point, "o", color=_colour(number), markeredgecolor="black", markeredgewidth=0.6, markersize=5)
    for ax in axes:
        ax.set(xlabel="recall")
    axes[0].set_ylabel("precision")
    _finish(figure, f"{title}: precision against recall, dots are the decisions, folds pooled")
    return figure


def _panels(classes: Sequence[str]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(2.4 * len(classes) + 1.2, 2.7), layout="constrained")
    axes = list(figure.subplots(1, len(classes), sharey=True, squeeze=False)[0])
    for ax, label in zip(axes, classes, strict=True):
        ax.set(title=label, xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    return figure, axes


def _finish(figure: Figure, title: str) -> None:
    figure.legend(*figure.axes[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    figure.suptitle(title)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
