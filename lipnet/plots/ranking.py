"""Classifiers in order of their means, with intervals, similar to a critical-difference diagram (Demsar 2006)."""

import pandas as pd
from matplotlib.figure import Figure

from lipnet.evaluation.comparison_report import ranked_name
from lipnet.evaluation.measures import LOWER_IS_BETTER
from lipnet.plots.figure import COLOURS, styled
from lipnet.plots.scores import LABELS

NOT_SHOWN = "no difference shown against the best"


@styled
def ranking(ranks: pd.DataFrame, title: str, confidence: float) -> Figure:
    """One panel for each measure, the best mean on top.

    A bar joins the best classifier and all classifiers without a shown difference from it; the others are grey.
    Intervals are those of single means. Overlapping intervals do not show that two classifiers are equal, because
    differences are tested fold by fold.

    Args:
        ranks: of ``comparison.rank``.
        title: above the picture.
        confidence: level of the intervals.
    """
    panels = ranks.groupby("measure", sort=False)
    rows = int(panels.size().max())
    figure = Figure(figsize=(3.4 * len(panels), 0.2 * rows + 1.2), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, gridspec_kw={"wspace": 0.04})[0]
    for ax, (measure, part) in zip(axes, panels, strict=True):
        for place, (_, row) in enumerate(part.iterrows()):
            colour = COLOURS[0] if row["joined"] else COLOURS[6]
            ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.2)
            ax.plot(row["mean"], place, "o", color=colour, markersize=5)
        joined = [place for place, is_joined in enumerate(part["joined"]) if is_joined]
        across = ax.get_yaxis_transform()  # x in widths of the panel
        ax.plot(
            [1.03] * len(joined),
            joined,
            "-o",
            color="black",
            linewidth=2,
            markersize=4,
            transform=across,
            clip_on=False,
        )
        ax.set_yticks(range(len(part)), [ranked_name(row) for _, row in part.iterrows()])
        ax.set(ylim=(rows - 0.5, -0.5))
        ax.set_title(_heading(part), fontsize=8)
        better = ", lower is better" if measure in LOWER_IS_BETTER else ""
        ax.set_xlabel(f"{LABELS.get(str(measure), measure)}{better}")
    lines = f"lines: {round(confidence * 100)} % intervals of single means, corrected for overlapping training sets"
    figure.suptitle(title)
    figure.supxlabel(f"{lines}; black bar: {NOT_SHOWN} (pairs, Holm)", fontsize=7)
    return figure


def _heading(ranks: pd.DataFrame) -> str:
    if len(ranks) == 1:
        return "one classifier only"
    return NOT_SHOWN if ranks["joined"].all() else ""
