"""Pictures of a data set: sizes (thesis, Figures 3 and 4), features and profiles in each class.

A class has the same colour in all pictures. Small and large classes can be compared: the pictures show shares instead
of counts, draw rare classes on top, and show every particle of a rare class; a box plot would hide their number.
"""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lipnet.plots.figure import COLOURS, styled
from lipnet.plots.particles import grid
from lipnet.samples.feature_names import NOT_FEATURES

Floats = NDArray[np.float64]
Line = Literal["-", "--", ":", "-."]

NUMBERED = re.compile(r"(.+)_([0-9]+)")
UNIT = re.compile(r"(.+) (nm|px)([23]?)")
MARKERS = "o^sD"  # markers and lines change when the colours repeat
LINES: tuple[Line, ...] = ("-", "--", ":", "-.")
FEW = 20  # classes up to this size show every particle
FENCE = 5.0  # axes end at most this many interquartile ranges beyond the quartiles
BINS = 50
SIDES = ["width_px", "height_px"]
FAMILY_AXES = {
    "radial_density_profile": ("place, from the centre outwards", "mean grey level"),
    "edge_density_profile": ("place, from inside to outside", "mean grey level"),
    "histogram": ("bin, from black to white", "share of the pixels"),
}

CAPTIONS = {
    "contact_sheet.png": "The first particles of each class, with their surrounding.",
    "sizes.png": "Height and width of the particles (thesis, Figure 3).",
    "size_distribution.png": "Distribution of the size in each class (thesis, Figure 4).",
    "features.png": "Distribution of each feature in each class.",
    "profiles.png": "Profiles and grey histogram: mean of each class, and one standard deviation on either side.",
}


def pictures_of(
    table: pd.DataFrame, classes: Sequence[str], examples: Mapping[str, Sequence[NDArray[np.integer]]]
) -> dict[str, Figure]:
    """The pictures of the stage ingest, by the file names of ``CAPTIONS``.

    Args:
        table: of the particles.
        classes: as in ``size_scatter``.
        examples: class -> images of its first particles; classes without images are left out of the contact sheet.
    """
    present = [name for name in classes if examples[name]]
    scalars, families = feature_columns(table)
    return {
        "contact_sheet.png": grid([examples[name] for name in present], present, []),
        "sizes.png": size_scatter(table, classes),
        "size_distribution.png": size_distribution(table, classes),
        "features.png": feature_distributions(table, classes, scalars),
        "profiles.png": profiles(table, classes, families),
    }


def feature_columns(table: pd.DataFrame) -> tuple[list[str], dict[str, list[str]]]:
    """The features of a particle table, sorted by the names of its columns into scalars and numbered families.

    A family has at least two columns name_00, name_01 ... with consecutive numbers. height_px and width_px are scalars.

    Returns:
        The scalars in order of the table, and family -> its columns in order of their numbers.
    """
    features = [str(column) for column in table.columns if column not in NOT_FEATURES]
    numbered: dict[str, list[str]] = {}
    for column in features:
        if match := NUMBERED.fullmatch(column):
            numbered.setdefault(match[1], []).append(column)
    families = {name: sorted(columns, key=_number) for name, columns in numbered.items() if _consecutive(columns)}
    members = {column for columns in families.values() for column in columns}
    return [column for column in features if column not in members], families


def _number(column: str) -> int:
    return int(column.rpartition("_")[2])


def _consecutive(columns: Sequence[str]) -> bool:
    numbers = sorted(map(_number, columns))
    return len(numbers) > 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@styled
def size_scatter(table: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Width against height of the particles in px (thesis, Figure 3); rare classes lie on top.

    Sizes are whole numbers; points of equal size are spread over their square pixel. Particles far from all others (see
    ``_limits``) are not drawn; a note below the picture gives their number.

    Args:
        table: columns label, width_px and height_px, one row a particle.
        classes: names of the classes; their order determines the colours. Classes without particles are not drawn.
    """
    parts = _parts(table, classes)
    figure = Figure(figsize=(3.8 + _beside(parts), 3.8), layout="constrained")
    ax = figure.subplots()
    for name in sorted(parts, key=lambda name: -len(parts[name])):
        sides = parts[name][SIDES].to_numpy(float)
        colour, marker, _ = _look(name, classes)
        size, opacity, rim = np.clip(np.array([4000, 400, 60]) / len(sides), [3, 0.3, 0], [24, 0.95, 0.8])
        look = {"c": colour, "marker": marker, "alpha": opacity, "edgecolors": "white", "linewidths": rim}
        x, y = (sides + _spread(len(sides))).T
        ax.scatter(x, y, size, **look)
    every = table[SIDES].to_numpy(float)
    low, high = _padded(*_limits((part[side].to_numpy(float) for part in parts.values() for side in SIDES), percent=0))
    ax.axline((low, low), slope=1, color="black", linewidth=0.4, zorder=0)
    ax.set(xlim=(low, high), ylim=(low, high), ylabel="height (px)", title="Bounding box of each particle")
    ax.set_xlabel(f"width (px){_beyond(np.any((every < low) | (every > high), axis=1).sum())}")
    ax.set_aspect("equal")
    looks = [_look(name, classes) for name in parts]
    handles = [Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5) for colour, marker, _ in looks]
    _legend(figure, handles, parts)
    return figure


@styled
def size_distribution(table: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Histogram of the size in each class, one above the other (thesis, Figure 4).

    Size is the mean of width and height in px. Bars show shares of the class and have equal width in px. Particles far
    from all others (see ``_limits``) are not drawn; a note below the picture gives their number.

    Args:
        table: columns label, width_px and height_px, one row a particle.
        classes: as in ``size_scatter``.
    """
    sizes = {name: part[SIDES].mean(axis=1).to_numpy(float) for name, part in _parts(table, classes).items()}
    low, high = _limits(sizes.values(), percent=0)
    # Sizes are multiples of 0.5 px: a whole width gives every bar the same number of possible values.
    width = max(int(np.ceil((high - low) / BINS)), 1)
    edges = np.arange(np.floor(low), high + width + 1, width)
    figure = Figure(figsize=(5.2, 0.95 * len(sizes) + 0.6), layout="constrained")
    axes = figure.subplots(len(sizes), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (name, size) in zip(axes, sizes.items(), strict=True):
        colour, _, _ = _look(name, classes)
        ax.stairs(np.histogram(size, edges)[0] / len(size), edges, fill=True, color=colour)
        ax.axvline(float(np.median(size)), color="black", linewidth=0.8)
        if len(size) <= FEW:
            ax.plot(size, np.full(len(size), 0.08), "|", color="black", transform=ax.get_xaxis_transform())
        ax.set_title(f"{_short(name)}: {_particles(len(size))}, median {np.median(size):g} px", loc="left", fontsize=8)
        ax.yaxis.set_major_locator(MaxNLocator(3))
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    axes[-1].set(xlim=(edges[0], edges[-1]))
    every = np.concatenate(list(sizes.values()))
    note = _beyond(((every < edges[0]) | (every > edges[-1])).sum())
    figure.supxlabel(f"mean of width and height (px){note}", fontsize=8)
    figure.supylabel("share of the class", fontsize=8)
    return figure


@styled
def feature_distributions(table: pd.DataFrame, classes: Sequence[str], features: Sequence[str]) -> Figure:
    """Each scalar feature in each class: median and quartiles (box), 5th and 95th percentile (whiskers).

    Box plots stay readable with 12 classes. A smoothed density would suggest a shape even for a class of 5 particles.
    A whisker without an end extends beyond the axis. Values that are not finite are left out.

    Args:
        table: column label and those of ``features``, one row a particle.
        classes: as in ``size_scatter``.
        features: columns to draw, one panel for each.
    """
    parts = _parts(table, classes)
    figure, axes = _panels(len(features), 4, (2.1, 0.6 + 0.2 * len(parts)), parts, sharey=True)
    for ax, feature in zip(axes, features, strict=True):
        values = {name: _finite(part[feature]) for name, part in parts.items()}
        for place, (name, of_class) in enumerate(values.items()):
            if len(of_class):
                _box(ax, of_class, place, _look(name, classes)[0])
        ax.set_xlim(*_padded(*_limits(values.values(), percent=1)))
        ax.set_title(_in_words(feature), fontsize=8)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.ticklabel_format(axis="x", style="sci", scilimits=(-3, 5))
    for ax in axes[:1]:  # the others share its axis
        ax.set_yticks(range(len(parts)), _counted(parts))
        ax.set_ylim(len(parts) - 0.4, -0.6)
    note = (
        f"Box: quartiles and median; whiskers: 5th and 95th percentile; dots: all particles of classes of up to {FEW}"
    )
    figure.supxlabel(note, fontsize=8)
    return figure


def _box(ax: Axes, values: Floats, place: int, colour: str) -> None:
    names = ("whislo", "q1", "med", "q3", "whishi")
    stats = dict(zip(names, np.percentile(values, [5, 25, 50, 75, 95]).tolist(), strict=True))
    thin = {"linewidth": 0.8}
    ax.bxp(
        [stats],
        positions=[place],
        widths=0.6,
        orientation="horizontal",
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": colour, "linewidth": 0.6},
        medianprops={"color": "black", "linewidth": 1.2},
        whiskerprops=thin,
        capprops=thin,
    )
    if len(values) <= FEW:
        ax.plot(values, np.full(len(values), place), "o", color="black", markersize=2.2, zorder=3)


@styled
def profiles(table: pd.DataFrame, classes: Sequence[str], families: Mapping[str, list[str]]) -> Figure:
    """Each family of numbered features: mean of each class, with a band of one standard deviation on either side.

    Args:
        table: column label and those of the families, one row a particle.
        classes: as in ``size_scatter``.
        families: name -> columns, as of ``feature_columns``.
    """
    parts = _parts(table, classes)
    figure, axes = _panels(len(families), 3, (2.7, 2.4), parts, sharey=False)
    for ax, (family, columns) in zip(axes, families.items(), strict=True):
        numbers = [_number(column) for column in columns]
        for name, part in parts.items():
            mean, sd = part[columns].mean().to_numpy(float), part[columns].std(ddof=0).to_numpy(float)
            colour, _, line = _look(name, classes)
            ax.plot(numbers, mean, line, color=colour, linewidth=1.2)
            ax.fill_between(numbers, mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
        ax.set_ylim(bottom=max(ax.get_ylim()[0], float(table[columns].min().min())))  # a band may pass below 0
        x_label, y_label = FAMILY_AXES.get(family, ("number of the column", "value"))
        ax.set(xlabel=x_label, ylabel=y_label)
        ax.set_title(_in_words(family), fontsize=8)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    looks = [_look(name, classes) for name in parts]
    _legend(figure, [Line2D([], [], color=colour, linestyle=line) for colour, _, line in looks], parts)
    figure.supxlabel("Mean of each class, and one standard deviation on either side", fontsize=8)
    return figure


def _parts(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, pd.DataFrame]:
    # Rows of each class with particles, in order of the classes.
    by_class = dict(iter(table.groupby("label", sort=False)))
    return {name: by_class[name] for name in classes if name in by_class}


def _look(name: str, classes: Sequence[str]) -> tuple[str, str, Line]:
    # Colour, marker and line of a class.
    again, number = divmod(list(classes).index(name), len(COLOURS))
    return COLOURS[number], MARKERS[again % len(MARKERS)], LINES[again % len(LINES)]


def _short(name: str) -> str:
    return name if len(name) <= 30 else f"{name[:27]}..."


def _particles(count: int) -> str:
    return f"{count:,} particle{'' if count == 1 else 's'}"


def _counted(parts: Mapping[str, pd.DataFrame]) -> list[str]:
    return [f"{_short(name)} ({len(part):,})" for name, part in parts.items()]


def _beyond(count: int) -> str:
    return f"; {_particles(count)} beyond the axis" if count else ""


def _spread(count: int) -> Floats:
    # Offsets from the centre of a pixel, shape (count, 2): evenly spread and reproducible (Roberts's R2 sequence).
    return np.arange(1, count + 1)[:, None] * np.array([0.7548776662, 0.5698402910]) % 1 - 0.5


def _legend(figure: Figure, handles: Sequence[Artist], parts: Mapping[str, pd.DataFrame]) -> None:
    figure.legend(handles, _counted(parts), frameon=False, loc="outside right upper")


def _beside(parts: Mapping[str, pd.DataFrame]) -> float:
    # Width of the class names, in inches.
    return 0.07 * max(map(len, _counted(parts))) + 0.4


def _panels(
    count: int, columns: int, size: tuple[float, float], parts: Mapping[str, pd.DataFrame], sharey: bool
) -> tuple[Figure, list[Axes]]:
    # A figure with ``count`` axes, ``columns`` in each row; ``size`` of one in inches.
    columns = max(min(columns, count), 1)
    rows = max(-(-count // columns), 1)
    figure = Figure(figsize=(columns * size[0] + _beside(parts), rows * size[1] + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel().tolist()
    for ax in axes[count:]:
        ax.remove()
    return figure, axes[:count]


def _finite(values: pd.Series) -> Floats:
    array = values.to_numpy(float)
    return array[np.isfinite(array)]


def _limits(parts: Iterable[Floats], percent: float) -> tuple[float, float]:
    """Ends of an axis that shows every class: all values except ``percent`` of each class at either end.

    The ends are at most FENCE interquartile ranges beyond the quartiles of a class, because percentiles of few
    particles do not exclude outliers.
    """
    ends = [_ends(values, percent) for values in parts if len(values)]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 1.0)


def _ends(values: Floats, percent: float) -> tuple[float, float]:
    low, q1, q3, high = np.percentile(values, [percent, 25, 75, 100 - percent]).tolist()
    reach = FENCE * (q3 - q1) or np.inf  # at a range of 0, only the percentiles limit the axis
    return max(low, q1 - reach), min(high, q3 + reach)


def _padded(low: float, high: float) -> tuple[float, float]:
    # A margin on either side, also if all values are equal.
    margin = 0.04 * (high - low) or 0.04 * abs(low) or 1.0
    return low - margin, high + margin


def _in_words(feature: str) -> str:
    words = feature.replace("_", " ")
    if match := UNIT.fullmatch(words):
        name, unit, power = match.groups()
        words = f"{name} ({unit}{'⁰¹²³'[int(power)] if power else ''})"
    lines = textwrap.wrap(words, 30, max_lines=2, placeholder=" ...")
    return "\n".join(lines).replace("$", r"\$")
