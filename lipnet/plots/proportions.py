"""Estimated against true class shares of samples, counted beside corrected."""

import pandas as pd
from matplotlib.figure import Figure

from lipnet.plots.figure import COLOURS, styled

KINDS = {"counted": ("predicted classes counted", COLOURS[1]), "corrected": ("corrected", COLOURS[0])}


@styled
def shares_picture(samples: pd.DataFrame, title: str) -> Figure:
    """Panels are classes; each dot is a sample, at its true share (x) and its estimated share (y).

    On the diagonal, an estimate is right. Lines are the intervals of the corrected estimates.

    Args:
        samples: of ``protocol.run_task``, of one classifier.
        title: above the picture.
    """
    classes, size = list(dict.fromkeys(samples["class"])), _middle(samples["size"])
    figure = Figure(figsize=(2.4 * len(classes) + 1.2, 2.9), layout="constrained")
    axes = figure.subplots(1, len(classes), sharey=True, squeeze=False)[0]
    for ax, label in zip(axes, classes, strict=True):
        part = samples[(samples["class"] == label) & (samples["size"] == size)]
        ax.vlines(part["true"], part["low"], part["high"], color=COLOURS[0], linewidth=0.5, alpha=0.35)
        for name, (words, colour) in KINDS.items():
            ax.plot(part["true"], part[name], "o", color=colour, markersize=2.5, label=words)
        ax.plot([0, 1], [0, 1], ":", color="black", linewidth=0.8)
        ax.set(title=label, xlabel="true share", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axes[0].set_ylabel("estimated share")
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    figure.suptitle(f"{title}: class shares of samples of {size} particles")
    return figure


def _middle(sizes: pd.Series) -> int:
    known = sorted(set(sizes))
    return int(known[len(known) // 2])
