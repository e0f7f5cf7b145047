"""Charts of the report: one small picture for each class, in the colours of a light and of a dark page.

A page shows the same charts side by side or below each other, so they are legible on a telephone too. All charts share
the colours and symbols of ``keys_of``, which the page explains once.
"""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lipnet.deployment.reports.page import data_uri
from lipnet.evaluation.formatting import UNDEFINED
from lipnet.evaluation.measures import plain_words
from lipnet.plots.colours import COLOURS
from lipnet.plots.figure import STYLE

SYMBOLS = ("o", "s", "^", "D", "v", "P", "X", "p")  # one more than the colours, so pairs repeat late
SIDES_IN = (3.1, 2.7)
INK = {"light": "#1b2733", "dark": "#e6edf3"}  # as in report.css
INKED: Any = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
FEWEST = 5  # particles in a bin of the reliability; bins with fewer are left out
OF_CLASS = ("tpr", "ppv", "f1", "average_precision")  # measures that are drawn
ESTIMATES = ("corrected", "counted")  # of class shares
# Without a salt, ids in the file are drawn at random. Lines lose points that differ by less than the threshold, in px.
# Text stays text, which takes a third of the space of its outlines.
FILE: Any = {
    "svg.hashsalt": "lipnet",
    "path.simplify_threshold": 0.5,
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans"],
}
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


class Chart(NamedTuple):
    """A picture in two colour schemes, and what a reader sees who sees no pictures."""

    light: str
    dark: str
    text: str


class Point(NamedTuple):
    """Recall and precision of the predicted classes, each with the ends of its interval; NaN is not drawn."""

    recall: tuple[float, float, float]
    precision: tuple[float, float, float]


class Key(NamedTuple):
    """An entry of the legend: name, colour, and symbol as the path of an SVG in a square from -1 to 1."""

    name: str
    colour: str
    symbol: str


def keys_of(names: Sequence[str]) -> list[Key]:
    """The legend of the classifiers, in their order."""
    return [Key(name, _colour(number), _symbol_path(_marker(number))) for number, name in enumerate(names)]


def precision_recall(curves: Mapping[str, Curve], points: Mapping[str, Point], share: float, label: str) -> Chart:
    """Precision (y) against recall (x) of one class: a line for each classifier, and a symbol for what it predicts.

    Thin lines through a symbol are the intervals of both. The dotted line is the precision of a classifier that calls
    every particle a member of the class.

    Args:
        curves: classifier -> recall and precision.
        points: by classifier.
        share: of the class among the particles.
        label: name of the class.
    """
    bottom = lowest(points.values(), share)

    def draw(ax: Axes) -> None:
        ax.axhline(share, linestyle=":", color=matplotlib.rcParams["text.color"], linewidth=0.9)
        for number, curve in enumerate(curves.values()):
            ax.plot(*curve, color=_colour(number), linewidth=1.1, alpha=0.85)
        for number, ((recall, left, right), (precision, low, high)) in enumerate(points.values()):
            ax.plot([left, right], [precision] * 2, color=_colour(number), linewidth=0.8, alpha=0.7)
            ax.plot([recall] * 2, [low, high], color=_colour(number), linewidth=0.8, alpha=0.7)
            ax.plot(recall, precision, _marker(number), **_face(number), markersize=6.5, zorder=3, clip_on=False)
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(bottom, 1 + 0.02 * (1 - bottom)))

    said = [f"{name} recall {_said(one.recall)}, precision {_said(one.precision)}" for name, one in points.items()]
    return _chart(draw, f"Precision against recall of {label}. Predicted classes: {'; '.join(said)}.")


def lowest(points: Iterable[Point], share: float) -> float:
    """Where the axis of precision starts: the tenth below the share of the class and all intervals."""
    return float(np.floor(10 * np.nanmin([share, *(point.precision[1] for point in points)])) / 10)


def _said(interval: tuple[float, float, float]) -> str:
    return f"{interval[0]:.2f}" if np.isfinite(interval[0]) else UNDEFINED


def class_measures(folds: pd.DataFrame, names: Sequence[str], label: str) -> Chart:
    """Measures of one class: means over folds, with a line of one standard deviation to each side.

    Args:
        folds: columns classifier, class, measure, value, one row for each fold.
        names: of the classifiers, in their order.
        label: name of the class.
    """
    part = folds[folds["class"] == label]

    def draw(ax: Axes) -> None:
        for place, measure in enumerate(OF_CLASS):
            for number, name in enumerate(names):
                values = part.loc[(part["classifier"] == name) & (part["measure"] == measure), "value"]
                y, mean, sd = place + 0.8 * ((number + 0.5) / len(names) - 0.5), values.mean(), values.std()
                ax.plot([mean - sd, mean + sd], [y, y], color=_colour(number), linewidth=1)
                ax.plot(mean, y, _marker(number), **_face(number), markersize=4.5, clip_on=False)
            if place:
                ax.axhline(place - 0.5, color=matplotlib.rcParams["text.color"], linewidth=0.3)
        ax.set_yticks(range(len(OF_CLASS)), [plain_words(measure).replace(" ", "\n") for measure in OF_CLASS])
        ax.tick_params(axis="y", length=0)
        ax.set(xlim=(0, 1.02), ylim=(len(OF_CLASS) - 0.5, -0.5))

    words = ", ".join(map(plain_words, OF_CLASS))
    return _chart(draw, f"Means of {words} of {label} for each classifier; the numbers are in the table.")


def reliability(bins: Mapping[str, NDArray[np.float64]], label: str) -> Chart:
    """Observed share (y) against predicted probability (x) of one class. The area of a dot grows with log(particles).

    Bins with fewer particles than ``FEWEST`` are left out.

    Args:
        bins: classifier -> number of particles, sum of probabilities and members of the class in each bin.
        label: name of the class.
    """

    def draw(ax: Axes) -> None:
        ax.plot([0, 1], [0, 1], ":", color=matplotlib.rcParams["text.color"], linewidth=0.9)
        for number, of_bins in enumerate(bins.values()):
            counts, stated, observed = of_bins[:, of_bins[0] >= FEWEST]
            ax.plot(stated / counts, observed / counts, color=_colour(number), linewidth=1, alpha=0.85)
            sizes = 5 * np.log2(1 + counts)
            ax.scatter(stated / counts, observed / counts, sizes, _colour(number), marker=_marker(number), linewidths=0)
        ax.set(xlabel="predicted probability", ylabel="observed share", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))

    return _chart(draw, f"Observed share of {label} against the predicted probability for each classifier.")


def class_shares(samples: pd.DataFrame, label: str) -> Chart:
    """Estimated share (y) against true share (x) of one class: each sample counted and corrected, with its interval.

    Args:
        samples: columns true, counted, corrected, low, high, one row for each sample.
        label: name of the class.
    """

    def draw(ax: Axes) -> None:
        ax.plot([0, 1], [0, 1], ":", color=matplotlib.rcParams["text.color"], linewidth=0.9)
        ax.vlines(samples["true"], samples["low"], samples["high"], color=_colour(0), linewidth=0.6, alpha=0.5)
        for number, name in enumerate(ESTIMATES):
            ax.plot(samples["true"], samples[name], _marker(number), color=_colour(number), markersize=3, clip_on=False)
        ax.set(xlabel="true share", ylabel="estimated share", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))

    errors = {name: float((samples[name] - samples["true"]).abs().mean()) for name in ESTIMATES}
    said = ", ".join(f"{name} {error:.3f}" for name, error in errors.items())
    return _chart(draw, f"Estimated against true share of {label}. Mean error: {said}.")


def learning(history: pd.DataFrame) -> list[Chart]:
    """Training loss and accuracy against the epoch, one line for each fold.

    Dashed lines are the validation loss, if early stopping chose the number of epochs.

    Args:
        history: columns fold, phase, epoch, loss, accuracy, validation_loss.
    """
    trained, choosing = (history[(history["phase"] == "choosing") == is_choosing] for is_choosing in (False, True))

    def lines(ax: Axes, column: str, table: pd.DataFrame, style: str = "-") -> None:
        for fold, part in table.groupby("fold"):
            ax.plot(part["epoch"], part[column], style, color=_colour(int(str(fold))), linewidth=1.2)

    def loss(ax: Axes) -> None:
        lines(ax, "loss", trained)
        lines(ax, "validation_loss", choosing, "--")
        ax.set(xlabel="epoch", ylabel="loss")

    def accuracy(ax: Axes) -> None:
        lines(ax, "accuracy", trained)
        ax.set(xlabel="epoch", ylabel="accuracy")

    return [
        _chart(loss, "Training loss against the epoch, one line for each fold."),
        _chart(accuracy, "Training accuracy against the epoch, one line for each fold."),
    ]


def _chart(draw: Callable[[Axes], None], text: str) -> Chart:
    uris = {}
    for scheme, ink in INK.items():
        with matplotlib.rc_context({**STYLE, **FILE, **dict.fromkeys(INKED, ink)}):
            figure, stream = Figure(figsize=SIDES_IN, layout="constrained"), io.BytesIO()
            draw(figure.subplots())
            figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
        uris[scheme] = data_uri("svg+xml", _compact(stream.getvalue().decode()).encode())
    return Chart(uris["light"], uris["dark"], text)


def _compact(svg: str) -> str:
    """The same picture in fewer bytes: lines to a tenth of a point, no line breaks between elements."""
    rounded = re.sub(r'(?<= d=")[^"]+', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), svg)
    return re.sub(r"\s*\n\s*", " ", rounded)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _marker(number: int) -> str:
    return SYMBOLS[number % len(SYMBOLS)]


def _face(number: int) -> dict[str, Any]:
    return {"color": _colour(number), "markeredgecolor": matplotlib.rcParams["text.color"], "markeredgewidth": 0.5}


def _symbol_path(marker: str) -> str:
    style = MarkerStyle(marker)
    polygon = style.get_path().transformed(style.get_transform()).to_polygons()[0]
    return f"M{'L'.join(f'{x:.2f} {-y:.2f}' for x, y in np.asarray(polygon).tolist())}Z"
