"""Pictures of scores: confusion matrices (thesis, Tables 7 to 10) and measures per class (Figure 22)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lipnet.plots.figure import COLOURS

LABELS = {  # the measures that end at 1, in the order in which they are drawn
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "mcc": "MCC",
    "kappa": "kappa",
    "tpr": "TPR",
    "tnr": "TNR",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "average_precision": "average precision",
}
Matrix = NDArray[np.float64]


def confusion_matrices(matrices: Mapping[str, tuple[Matrix, Matrix]], classes: Sequence[str], title: str) -> Figure:
    """One confusion matrix a classifier: colour and large number are the share of the true class, small the mean count.

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


def class_measures(folds: pd.DataFrame, classes: Sequence[str], classifiers: Sequence[str], title: str) -> Figure:
    """Grouped bars: a panel a class, a group a measure, a bar a classifier; whiskers are the sd over folds.

    Args:
        folds: columns classifier, class, measure, value, a row a fold.
        classes: panels; "" is shown as "all classes".
        classifiers: bars, in order.
        title: above the picture.
    """
    figure = Figure(figsize=(2.6 * len(classes) + 0.9, 2.6), layout="constrained")
    axes = figure.subplots(1, len(classes), sharey=True, squeeze=False)[0]
    everyone = list(dict.fromkeys(folds["classifier"]))  # a classifier keeps its colour where others are left out
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
                color=COLOURS[everyone.index(classifier) % len(COLOURS)],
                error_kw={"linewidth": 0.8},
                label=classifier,
            )
        ax.set_xticks(range(len(shown)), [LABELS[measure] for measure in shown], rotation=40, ha="right")
        ax.set(title=label or "all classes", ylim=(min(0, ax.get_ylim()[0]), 1.05))  # MCC and kappa may be negative
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    figure.suptitle(title)
    return figure
