"""Claims as differences with their intervals: one row for each comparison, one panel for each data set."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lipnet.evaluation.measures import words
from lipnet.plots.figure import COLOURS, styled

COLOURS_OF_VERDICTS = (COLOURS[2], COLOURS[1], COLOURS[6], COLOURS[0])


@styled
def claims_picture(rows: pd.DataFrame, verdicts: Sequence[str], margin: float, confidence: float) -> Figure:
    """Differences between arms with their intervals, coloured by verdict.

    The grey band is the margin within which arms count as equal. A cross is the difference in the thesis.

    Args:
        rows: columns claim, arms, panel (categorical), measure, difference, low, high, thesis, verdict; in order.
        verdicts: in the order of ``COLOURS_OF_VERDICTS``.
        margin: in units of the measure.
        confidence: level of the intervals.
    """
    lines = list(dict.fromkeys(zip(rows["claim"], rows["arms"], strict=True)))
    panels = list(rows["panel"].cat.categories)
    figure = Figure(figsize=(1.5 * len(panels) + 4.2, 0.22 * len(lines) + 1.4), layout="constrained")
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for ax, panel in zip(axes, panels, strict=True):
        ax.axvspan(-margin, margin, color="0.93")
        ax.axvline(0, color="0.6", linewidth=0.8)
        for _, row in rows[rows["panel"] == panel].iterrows():
            place = lines.index((row["claim"], row["arms"]))
            _draw(ax, row, place, COLOURS_OF_VERDICTS[list(verdicts).index(row["verdict"])])
        for border in _borders(lines):
            ax.axhline(border, color="0.85", linewidth=0.6)
        ax.set_title(panel, fontsize=8)
    labels = [f"{claim} ({arms})" if arms else claim for claim, arms in lines]
    axes[0].set_yticks(range(len(lines)), labels)
    axes[0].set_ylim(max(len(lines), 1) - 0.5, -0.5)  # without lines too
    colours = dict(zip(verdicts, COLOURS_OF_VERDICTS, strict=True))
    handles = [Line2D([], [], marker="o", color=colour, label=verdict) for verdict, colour in colours.items()]
    handles.append(Line2D([], [], marker="x", color="black", linestyle="", label="the thesis, on its own data"))
    measures = " or ".join(words(measure) for measure in dict.fromkeys(rows["measure"]))
    title = f"difference of {measures}, {round(confidence * 100)} % interval; grey: within {margin:g}"
    figure.legend(handles=handles, title=title, frameon=False, loc="outside lower center", ncols=len(handles))
    return figure


def _draw(ax: Axes, row: pd.Series, place: int, colour: str) -> None:
    ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.4)
    ax.plot(row["difference"], place, "o", color=colour, markersize=4)
    ax.plot(row["thesis"], place, "x", color="black", markersize=4)


def _borders(lines: Sequence[tuple[str, str]]) -> list[float]:
    """Places between two claims."""
    return [place - 0.5 for place in range(1, len(lines)) if lines[place][0] != lines[place - 1][0]]
