"""Pictures of maps of attention, of patches that activate filters, and of agreement with features."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from lipnet.deployment.explanations.agreement import strongest
from lipnet.deployment.explanations.explain import Patches
from lipnet.plots.figure import styled
from lipnet.plots.networks import GAP, TITLE_IN, WIDTH_IN, mosaic

Floats = NDArray[np.floating[Any]]

# An odd number of colours, so that 0 has a colour of its own.
BOTH_WAYS = matplotlib.colormaps["seismic"].resampled(257).with_extremes(bad=GAP)
GREYS = matplotlib.colormaps["gray"].with_extremes(bad="white")
GAP_PX = 2
LEVEL = 0.05  # of significance
ROW_IN = 0.18  # height of a row of the heat map: a line of text


@styled
def attention_maps(crops: NDArray[np.uint8], labels: Sequence[str], maps: Mapping[str, Floats], title: str) -> Figure:
    """Draw particles and their maps of attention, one row per particle.

    Occlusion maps are red where covering a place makes the class less probable. The other maps are red where brighter
    pixels speak for the class, and blue where darker pixels do. The colours of each map range up to its largest
    absolute value, which is written above the map.

    Args:
        crops: shape (n, size_px, size_px).
        labels: text above each of the n particles.
        maps: name -> maps of ``explain.occlusion`` or ``explain.backproject``, shape (n, size_px, size_px).
        title: title of the picture.
    """
    tile_in = WIDTH_IN / (1 + len(maps))
    figure = Figure(figsize=(WIDTH_IN, (tile_in + TITLE_IN) * len(crops) + TITLE_IN), layout="constrained")
    axes = figure.subplots(len(crops), 1 + len(maps), squeeze=False)
    for ax, crop, label in zip(axes[:, 0], crops, labels, strict=True):
        ax.imshow(crop, cmap=GREYS, vmin=0, vmax=255, interpolation="nearest")
        ax.set_title(label, fontsize=7, parse_math=False)
    for column, (name, of_particles) in zip(axes.T[1:], maps.items(), strict=True):
        for ax, values in zip(column, of_particles, strict=True):
            _both_ways(ax, values)
            ax.set_title(f"{name}\n±{np.abs(values).max():.2g}", fontsize=7)
    for ax in axes.flat:
        ax.set_axis_off()
    figure.suptitle(title, parse_math=False)
    return figure


def _both_ways(ax: Axes, values: Floats) -> AxesImage:
    most = float(np.nanmax(np.abs(values))) or 1.0
    return ax.imshow(values, cmap=BOTH_WAYS, vmin=-most, vmax=most, interpolation="nearest")


@styled
def exciting_patches(found: Patches, title: str) -> Figure:
    """Draw the patches that activate filters most, and their reconstructions (Zeiler and Fergus 2014, Figure 2).

    Each filter has one row. Each reconstruction is scaled to its own largest absolute value.

    Args:
        found: result of ``explain.excited_patches``.
        title: title of the picture.
    """
    n, k, side_px, _ = found.patches.shape
    most = np.nanmax(np.abs(found.reconstructions), axis=(2, 3), keepdims=True)
    scaled = found.reconstructions / np.where(most > 0, most, 1)
    figure = Figure(figsize=(WIDTH_IN, WIDTH_IN / 2 * n / k + 0.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    grey, signed = (mosaic(tiles.reshape(-1, side_px, side_px), k, GAP_PX) for tiles in (found.patches, scaled))
    left.imshow(grey, cmap=GREYS, vmin=0, vmax=255, interpolation="nearest")
    right.imshow(signed, cmap=BOTH_WAYS, vmin=-1, vmax=1, interpolation="nearest")
    step = (len(grey) - GAP_PX) / n
    left.set(title=f"the {k} strongest patches, strongest first", ylabel="filter", xticks=[])
    left.set_yticks(GAP_PX / 2 + (np.arange(n) + 0.5) * step, [str(number) for number in found.filters])
    left.spines[:].set_visible(False)
    right.set(title="pixels that activate the filter")
    right.set_axis_off()
    figure.suptitle(title, parse_math=False)
    return figure


@styled
def agreement_map(table: pd.DataFrame, title: str) -> Figure:
    """Draw a heat map of the rank correlations of features with the units that agree with them most.

    Of features numbered ``name_00``, ``name_01`` ..., only the one with the strongest correlation is shown. Pairs whose
    correlation is not significant are grey.

    Args:
        table: result of ``agreement.agreement``, with at least one defined correlation.
        title: title of the picture.
    """
    best = strongest(table, "feature")
    best = best[~best["feature"].str.replace(r"_\d+$", "", regex=True).duplicated()]
    units = list(dict.fromkeys(best["unit"]))
    shown = table[table["p_holm"] < LEVEL].pivot_table(index="feature", columns="unit", values="spearman")
    values = shown.reindex(index=best["feature"], columns=units).to_numpy(np.float64)
    figure = Figure(figsize=(WIDTH_IN, 1.5 + ROW_IN * len(best)), layout="constrained")
    ax = figure.subplots()
    drawn = ax.imshow(values, cmap=BOTH_WAYS, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    ax.set_yticks(range(len(best)), best["feature"], parse_math=False)
    ax.set_xticks(range(len(units)), [str(unit) for unit in units])
    ax.set(xlabel=f"unit before the last layer (grey: p ≥ {LEVEL} after Holm's correction)")
    figure.colorbar(drawn, ax=ax, label="Spearman's rank correlation")
    figure.suptitle(title, parse_math=False)
    return figure
