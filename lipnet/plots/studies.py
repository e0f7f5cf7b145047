"""Pictures of studies, in the forms of the thesis: grouped bars (Figures 18 to 21), ladders (Figure 17), rankings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lipnet.evaluation.measures import LOWER_IS_BETTER, words
from lipnet.plots.figure import COLOURS, styled
from lipnet.plots.scores import class_measures

MOST_RANKED = 30  # arms of a ranking that are drawn


def picture(kind: str, folds: pd.DataFrame, classes: Sequence[str], judged: str, of_class: str, title: str) -> Figure:
    """The figure of a study for one problem.

    Args:
        kind: bars (``grouped_bars``), ladder, ranking or measures (``scores.class_measures``).
        folds: columns arm, class, measure, value, one row for each fold; arms in order.
        classes: names of the classes.
        judged: measure of a ranking.
        of_class: measure of bars and ladders.
        title: above the picture.
    """
    if kind == "ranking":
        return ranking(folds, judged, judged in LOWER_IS_BETTER, title, words(judged))
    if kind == "measures":
        of_arms = folds.rename(columns={"arm": "classifier"})
        return class_measures(of_arms, classes, list(dict.fromkeys(folds["arm"])), title)
    draw = ladder if kind == "ladder" else grouped_bars
    return draw(folds, classes, of_class, title, words(of_class))


@styled
def grouped_bars(folds: pd.DataFrame, classes: Sequence[str], measure: str, title: str, axis: str) -> Figure:
    """Grouped bars: groups are classes, bars are arms; whiskers are the sd over folds.

    Args:
        folds: columns arm, class, measure, value, one row for each fold; arms in order.
        classes: names of the groups.
        measure: measure that is drawn.
        title: above the picture.
        axis: name of the measure.
    """
    arms = list(dict.fromkeys(folds["arm"]))
    figure = Figure(figsize=(max(5.0, 0.24 * len(arms) * len(classes) + 2.4), 2.8), layout="constrained")
    ax, width = figure.subplots(), 0.8 / len(arms)
    for number, arm in enumerate(arms):
        means, sds = _by_class(folds[folds["arm"] == arm], classes, measure)
        places = np.arange(len(classes)) + (number - (len(arms) - 1) / 2) * width
        hatch = "//" if number >= len(COLOURS) else None
        colour, whiskers = COLOURS[number % len(COLOURS)], {"linewidth": 0.8}
        ax.bar(places, means, width, yerr=sds, color=colour, hatch=hatch, error_kw=whiskers, label=arm)
    ax.set_xticks(range(len(classes)), classes)
    ax.set(ylabel=axis, ylim=(0, 1.05))
    figure.legend(*ax.get_legend_handles_labels(), frameon=False, loc="outside right center")
    figure.suptitle(title)
    return figure


@styled
def ladder(folds: pd.DataFrame, classes: Sequence[str], measure: str, title: str, axis: str) -> Figure:
    """One line for each class over the arms in their order; the band is one sd over folds on either side.

    The arguments are those of ``grouped_bars``.
    """
    arms = list(dict.fromkeys(folds["arm"]))
    figure = Figure(figsize=(0.8 * len(arms) + 2.4, 2.8), layout="constrained")
    ax, steps = figure.subplots(), np.arange(len(arms))
    found = [_by_class(folds[folds["arm"] == arm], classes, measure) for arm in arms]
    for number, label in enumerate(classes):
        means, sds = (np.array([arm[which][number] for arm in found]) for which in range(2))
        colour, marker = COLOURS[number % len(COLOURS)], "osD^vP*"[number % 7]
        ax.plot(steps, means, marker=marker, color=colour, label=label)
        ax.fill_between(steps, means - sds, means + sds, color=colour, alpha=0.15, linewidth=0)
    ax.set_xticks(steps, arms)
    ax.set(ylabel=axis, ylim=(0, 1.05))
    figure.legend(*ax.get_legend_handles_labels(), frameon=False, loc="outside right center")
    figure.suptitle(title)
    return figure


@styled
def ranking(folds: pd.DataFrame, measure: str, lower_is_better: bool, title: str, axis: str) -> Figure:
    """Arms in order of an overall measure, the best on top, at most ``MOST_RANKED``; dots are folds, bars mean ± sd."""
    part = folds[(folds["class"] == "") & (folds["measure"] == measure)]
    means = part.groupby("arm")["value"].mean().sort_values(ascending=lower_is_better, kind="stable")
    shown = list(means.index[:MOST_RANKED])[::-1]
    figure = Figure(figsize=(6.0, 0.19 * len(shown) + 1.0), layout="constrained")
    ax = figure.subplots()
    for place, arm in enumerate(shown):
        values = part.loc[part["arm"] == arm, "value"]
        ax.errorbar(values.mean(), place, xerr=values.std(), fmt="o", color=COLOURS[0], markersize=4, linewidth=1)
        ax.plot(values, np.full(len(values), place), ".", color=COLOURS[6], markersize=3, zorder=1)
    ax.set_yticks(range(len(shown)), shown)
    ax.set(xlabel=axis if len(shown) == len(means) else f"{axis}, the best {len(shown)} of {len(means)}")
    figure.suptitle(title)
    return figure


@styled
def effects(table: pd.DataFrame, title: str, axis: str, confidence: float) -> Figure:
    """Effects in ordered subsets, each with its interval: one panel for each kind, in the order of the table.

    Args:
        table: columns kind, term, effect, low, high, p_holm. Effects with p_holm below 1 - confidence are blue, others
            grey. An undefined interval is not drawn.
        title: above the picture.
        axis: name of the measure.
        confidence: level of the intervals.
    """
    kinds = table.groupby("kind", sort=False)
    heights = [len(part) + 0.5 for _, part in kinds]
    figure = Figure(figsize=(5.0, 0.17 * sum(heights) + 0.35 * len(heights) + 0.8), layout="constrained")
    axes = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (kind, part) in zip(axes, kinds, strict=True):
        ax.axvline(0, color="black", linewidth=0.8)
        for place, (_, row) in enumerate(part.iterrows()):
            colour = COLOURS[0] if row["p_holm"] < 1 - confidence else COLOURS[6]
            ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.2)
            ax.plot(row["effect"], place, "o", color=colour, markersize=4)
        ax.set_yticks(range(len(part)), part["term"])
        ax.set(ylim=(len(part) - 0.5, -0.5))
        ax.set_title(kind, fontsize=8, loc="left")
    axes[-1].set_xlabel(f"effect on {axis}")
    figure.suptitle(title)
    note = f"lines: {100 * confidence:.0f} % intervals, not corrected; blue: shown after Holm's correction"
    figure.supxlabel(note, fontsize=7)
    return figure


def _by_class(folds: pd.DataFrame, classes: Sequence[str], measure: str) -> tuple[list[float], list[float]]:
    values = [folds.loc[(folds["class"] == label) & (folds["measure"] == measure), "value"] for label in classes]
    return [float(value.mean()) for value in values], [float(value.std()) for value in values]
