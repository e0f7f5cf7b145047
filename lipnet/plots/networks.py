"""Pictures of a network: kernels, activations (thesis, Figures 14 and 15) and the log loss (section 4.7, Figure 9)."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lipnet.plots.figure import COLOURS, styled

Floats = NDArray[np.floating[Any]]

KERNELS_PER_ROW = 16
CHANNELS_PER_ROW = 8
TILE_PX = 32  # smaller tiles are magnified to about this side, so that the gaps look similar
GAP = "0.6"  # grey between tiles; differs from the colour of 0 in kernels and in activations
WIDTH_IN = 7.5
TITLE_IN = 0.3


@styled
def kernel_maps(kernels: Mapping[str, Floats], dead: Mapping[str, NDArray[np.bool_]], title: str) -> Figure:
    """Kernels of every convolution in the colour map ``seismic``: blue below 0, white at 0, red above (Figure 14).

    For each convolution, the picture shows all filters at one input channel (see ``strongest_channel``). The colours of
    a convolution range up to its largest absolute weight in the picture.

    Args:
        kernels: name -> shape (height_px, width_px, channels in, filters).
        dead: name -> shape (filters,), True for dead filters; the titles give their number.
        title: above the picture.
    """
    channels = {name: strongest_channel(kernel) for name, kernel in kernels.items()}
    mosaics = {
        name: mosaic(np.moveaxis(kernel[:, :, channels[name]], -1, 0), KERNELS_PER_ROW, gap_px=6)
        for name, kernel in kernels.items()
    }
    heights_in = [WIDTH_IN * 0.9 * tiles.shape[0] / tiles.shape[1] + TITLE_IN for tiles in mosaics.values()]
    figure = Figure(figsize=(WIDTH_IN, sum(heights_in) + TITLE_IN), layout="constrained")
    axes = figure.subplots(len(mosaics), squeeze=False, height_ratios=heights_in)[:, 0]
    for ax, (name, tiles) in zip(axes, mosaics.items(), strict=True):
        most = float(np.nanmax(np.abs(tiles))) or 1.0
        _show(ax, tiles, "seismic", -most, most)
        _, _, n_channels, n_filters = kernels[name].shape
        which = f", input channel {channels[name]} of 0 to {n_channels - 1}" if n_channels > 1 else ""
        ax.set_title(f"{name}{which}: {n_filters} filters, {dead[name].sum()} dead", loc="left", fontsize=8)
    figure.suptitle(title, parse_math=False)
    return figure


def strongest_channel(kernel: Floats) -> int:
    """Input channel with the largest sum of absolute weights; kernel of shape (height_px, width_px, in, filters)."""
    return int(np.abs(kernel).sum(axis=(0, 1, 3)).argmax())


@styled
def activation_maps(crop: NDArray[np.uint8], activations: Mapping[str, Floats], channels: int, title: str) -> Figure:
    """The activations of every convolution for one particle, as mosaics of channels, beside the input (Figure 15).

    Black is 0; white is the largest value of a convolution among the drawn channels.

    Args:
        crop: the input, shape (size_px, size_px).
        activations: name -> shape (height_px, width_px, filters).
        channels: largest number of channels of each convolution; the most active ones are drawn.
        title: above the picture.
    """
    mosaics = {
        name: mosaic(np.moveaxis(values[..., most_active(values, channels)], -1, 0), CHANNELS_PER_ROW, gap_px=1)
        for name, values in activations.items()
    }
    heights_in = [WIDTH_IN * 0.7 * tiles.shape[0] / tiles.shape[1] + TITLE_IN for tiles in mosaics.values()]
    figure = Figure(figsize=(WIDTH_IN, sum(heights_in) + TITLE_IN), layout="constrained")
    grid = figure.add_gridspec(len(mosaics), 2, width_ratios=[1, 5], height_ratios=heights_in)
    beside = figure.add_subplot(grid[0, 0])
    beside.imshow(crop, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    beside.set_axis_off()
    beside.set_title(f"input, {crop.shape[0]} px", fontsize=8)
    for number, (name, tiles) in enumerate(mosaics.items()):
        ax = figure.add_subplot(grid[number, 1])
        _show(ax, tiles, "gray", 0, float(np.nanmax(tiles)) or 1.0)
        height_px, _, n_filters = activations[name].shape
        ax.set_title(
            f"{name}: {min(channels, n_filters)} most active of {n_filters} channels, {height_px} px", fontsize=8
        )
    figure.suptitle(title, parse_math=False)
    return figure


def most_active(activations: Floats, channels: int) -> NDArray[np.intp]:
    """Indices of the channels with the largest sums, ascending, at most ``channels`` of them.

    Args:
        activations: shape (height_px, width_px, filters).
        channels: largest number of indices.
    """
    return np.sort(np.argsort(-activations.sum(axis=(0, 1)), stable=True)[:channels])


def mosaic(tiles: Floats, columns: int, gap_px: int) -> Floats:
    """Tiles of shape (n, height_px, width_px) in one array, row by row, with NaN between and around them.

    Small tiles are magnified by repeating pixels, up to a height of ``TILE_PX``; gaps are not magnified. NaN fills the
    last row.
    """
    zoom = max(TILE_PX // tiles.shape[1], 1)
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    n, height, width = tiles.shape
    rows = -(-n // columns)
    framed = np.full((rows * columns, height + gap_px, width + gap_px), np.nan)
    framed[:n, gap_px:, gap_px:] = tiles
    joined = framed.reshape(rows, columns, *framed.shape[1:]).swapaxes(1, 2).reshape(rows * framed.shape[1], -1)
    return np.pad(joined, ((0, gap_px), (0, gap_px)), constant_values=np.nan)


def _show(ax: Axes, tiles: Floats, colours: str, low: float, high: float) -> None:
    colour_map = matplotlib.colormaps[colours].resampled(257).with_extremes(bad=GAP)  # odd: one colour is 0
    drawn = ax.imshow(tiles, cmap=colour_map, vmin=low, vmax=high, interpolation="nearest")
    ax.set_axis_off()
    ax.figure.colorbar(drawn, ax=ax, ticks=sorted({low, 0, high}), format="%.2g", fraction=0.02)


@styled
def log_loss_curve() -> Figure:
    """Log loss of one particle, -ln p, against the predicted probability p of its true class (Figure 9).

    The markers are the examples of the thesis: p = 0.9, 0.5 and 0.1.
    """
    figure = Figure(figsize=(4, 3), layout="constrained")
    ax = figure.subplots()
    probability = np.geomspace(np.exp(-8), 1, 200)
    ax.plot(probability, -np.log(probability), color=COLOURS[0])
    for p in (0.9, 0.5, 0.1):
        ax.plot(p, -np.log(p), "o", color=COLOURS[1], markersize=4)
        ax.annotate(f"{-np.log(p):.3f} at p = {p}", (p, -np.log(p)), (4, 6), textcoords="offset points")
    ax.set(xlabel="predicted probability p of the true class", ylabel="log loss, −ln p", xlim=(0, 1), ylim=(0, 8))
    return figure
