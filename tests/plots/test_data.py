"""Pictures of a data set: what is drawn for tables whose answers are known, and for tables at their limits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, StepPatch
from numpy.testing import assert_allclose

from lipnet.plots.data import (
    FEW,
    feature_columns,
    feature_distributions,
    profiles,
    size_distribution,
    size_scatter,
)
from lipnet.plots.figure import COLOURS, save
from lipnet.samples.feature_names import NOT_FEATURES

CLASSES = ["Full", "Empty", "Uncertain"]


def _table(counts: dict[str, int], seed: int = 0, **columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    labels = np.repeat(list(counts), list(counts.values()))
    n = len(labels)
    table = pd.DataFrame(
        {
            "id": [f"p{number}" for number in range(n)],
            "label": labels,
            "group": "m1",
            "height_px": rng.integers(30, 80, n),
            "width_px": rng.integers(30, 80, n),
            "area_px2": rng.normal(2000, 300, n),
            **{f"histogram_{number:02d}": rng.random(n) for number in range(4)},
            **{f"radial_density_profile_{number:02d}": rng.random(n) for number in range(3)},
        }
    )
    return table.assign(**columns)


def _draw(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, Figure]:
    scalars, families = feature_columns(table)
    return {
        "scatter": size_scatter(table, classes),
        "sizes": size_distribution(table, classes),
        "features": feature_distributions(table, classes, scalars),
        "profiles": profiles(table, classes, families),
    }


def _legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def _boxes(ax: Axes) -> list[PathPatch]:
    return [patch for patch in ax.patches if isinstance(patch, PathPatch)]


def _stairs(ax: Axes) -> tuple[Any, Any]:
    (patch,) = (patch for patch in ax.patches if isinstance(patch, StepPatch))
    values, edges, _ = patch.get_data()
    return values, edges


def test_scalars_are_told_from_numbered_families() -> None:
    columns = ["id", "label", "group", "height_px", "width_px", "padding_px", "pixel_size_nm", "mask_estimated"]
    columns += ["cut_by_edge", "moment_mu20_px2", "histogram_01", "histogram_00", "charge", "edge_density_profile_00"]
    columns += ["edge_density_profile_01", "histogram_02"]
    scalars, families = feature_columns(pd.DataFrame(columns=columns))
    assert scalars == ["height_px", "width_px", "moment_mu20_px2", "charge"]
    assert families == {
        "histogram": ["histogram_00", "histogram_01", "histogram_02"],
        "edge_density_profile": ["edge_density_profile_00", "edge_density_profile_01"],
    }


@pytest.mark.parametrize(
    "columns", [["stain_7"], ["dose_10", "dose_30"], ["a_1", "a_01"], ["_1", "_2"], ["x_²", "x_³"]]
)
def test_numbers_in_names_alone_make_no_family(columns: list[str]) -> None:
    assert feature_columns(pd.DataFrame(columns=columns)) == (columns, {})


def test_families_of_more_than_a_hundred_columns_are_in_order_of_their_numbers() -> None:
    columns = [f"histogram_{number:02d}" for number in range(120)]
    assert feature_columns(pd.DataFrame(columns=sorted(columns))) == ([], {"histogram": columns})


@given(st.lists(st.from_regex(r"[ab](_[0-9]{1,2})?", fullmatch=True) | st.sampled_from(NOT_FEATURES), unique=True))
def test_every_feature_is_a_scalar_or_in_one_family(columns: list[str]) -> None:
    scalars, families = feature_columns(pd.DataFrame(columns=columns))
    found = [*scalars, *(column for members in families.values() for column in members)]
    assert sorted(found) == sorted(set(columns) - set(NOT_FEATURES))
    assert all(len(members) > 1 for members in families.values())


def test_rare_classes_are_drawn_last_and_the_legend_counts_in_order_of_the_classes() -> None:
    figure = size_scatter(_table({"Uncertain": 3, "Full": 1200, "Empty": 40}), CLASSES)
    drawn = figure.axes[0].collections
    assert [len(points.get_offsets()) for points in drawn] == [1200, 40, 3]
    assert [to_hex(points.get_facecolor()[0]).upper() for points in drawn] == list(COLOURS[:3])
    assert _legend(figure) == ["Full (1,200)", "Empty (40)", "Uncertain (3)"]
    sizes = [points.get_sizes()[0] for points in drawn]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1]


def test_width_lies_across_and_height_upwards_each_point_within_its_pixel() -> None:
    table = _table({"Full": 500}, height_px=np.arange(500) // 50 + 100, width_px=40)
    ax = size_scatter(table, CLASSES).axes[0]
    points = np.asarray(ax.collections[0].get_offsets())
    assert np.abs(points - table[["width_px", "height_px"]].to_numpy()).max() <= 0.5
    assert len(np.unique(points, axis=0)) == 500  # equal sizes do not hide one another
    assert ax.get_aspect() == 1
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_xlim()[0] < 40
    assert ax.get_ylim()[1] > 109
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("width (px)", "height (px)")


def test_a_giant_does_not_crowd_the_others_but_is_told_of() -> None:
    table = _table({"Full": 300, "Uncertain": 5})
    table.loc[table.index[-1], ["height_px", "width_px"]] = 5000
    ax = size_scatter(table, CLASSES).axes[0]
    assert ax.get_xlim()[1] < 500
    assert ax.get_xlabel() == "width (px); 1 particle beyond the axis"
    figure = size_distribution(table, CLASSES)
    assert figure.axes[0].get_xlim()[1] < 500
    assert figure.get_supxlabel() == "mean of width and height (px); 1 particle beyond the axis"


def test_size_bars_are_shares_of_each_class_on_one_axis() -> None:
    sizes = [40, 40, 41, 45, 43]
    table = _table({"Full": 4, "Uncertain": 1}, height_px=sizes, width_px=sizes)
    figure = size_distribution(table, CLASSES)
    full, uncertain = figure.axes
    for ax, expected in ((full, {40: 0.5, 41: 0.25, 45: 0.25}), (uncertain, {43: 1.0})):
        shares, edges = _stairs(ax)
        assert dict(zip(edges[:-1][shares > 0], shares[shares > 0], strict=True)) == expected
    assert full.get_xlim() == uncertain.get_xlim()
    assert full.get_title(loc="left") == "Full: 4 particles, median 40.5 px"
    assert uncertain.get_title(loc="left") == "Uncertain: 1 particle, median 43 px"
    assert figure.get_supxlabel() == "mean of width and height (px)"


def test_a_line_marks_the_median_and_ticks_the_particles_of_a_rare_class() -> None:
    table = _table({"Full": FEW + 1, "Uncertain": FEW}, height_px=range(2 * FEW + 1), width_px=range(2 * FEW + 1))
    full, uncertain = size_distribution(table, CLASSES).axes
    assert [list(line.get_xdata()) for line in full.lines] == [[FEW / 2, FEW / 2]]
    median, ticks = uncertain.lines
    assert list(median.get_xdata()) == 2 * [1.5 * FEW + 0.5]
    assert list(ticks.get_xdata()) == list(range(FEW + 1, 2 * FEW + 1))


def test_size_is_the_mean_of_both_sides() -> None:
    table = _table({"Full": 30}, height_px=40, width_px=60)
    shares, edges = _stairs(size_distribution(table, CLASSES).axes[0])
    assert edges[:-1][shares > 0] == [50]


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), min_size=1, max_size=60))
def test_size_bars_and_what_is_told_to_lie_beyond_are_all_particles(sides: list[tuple[int, int]]) -> None:
    table = _table({"Full": len(sides)}, height_px=[high for high, _ in sides], width_px=[wide for _, wide in sides])
    figure = size_distribution(table, CLASSES)
    shares, edges = _stairs(figure.axes[0])
    _, _, note = figure.get_supxlabel().partition("; ")
    beyond = int(note.split()[0]) if note else 0
    assert shares.sum() * len(sides) + beyond == pytest.approx(len(sides))
    assert set(np.diff(edges)) == {max(1, np.diff(edges)[0])}
    assert 1 <= len(shares) <= 55


def test_boxes_show_quartiles_and_whiskers_the_5th_and_95th_percentile() -> None:
    values = np.arange(101.0)
    table = _table({"Full": 101, "Empty": 101}, charge=np.concatenate([values, values + 1000]))
    (ax,) = feature_distributions(table, CLASSES, ["charge"]).axes
    ends = [np.asarray(box.get_path().vertices)[:, 0] for box in _boxes(ax)]
    assert [(end.min(), end.max()) for end in ends] == [(25, 75), (1025, 1075)]
    lines = [np.unique(line.get_xdata()).tolist() for line in ax.lines]
    assert lines[:5] == [[5, 25], [75, 95], [5], [95], [50]]
    assert [to_hex(box.get_facecolor()).upper() for box in _boxes(ax)] == list(COLOURS[:2])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Full (101)", "Empty (101)"]
    assert ax.yaxis_inverted()
    assert ax.get_xlim()[0] < 5
    assert ax.get_xlim()[1] > 1095


def test_one_panel_a_feature_with_its_name_in_words() -> None:
    names = ["area_nm2", "moment_mu30_px3", "length_nm", "px", "signal_to_noise", "price_$_$", "x" * 100]
    table = _table({"Full": 9, "Empty": 9}, **dict.fromkeys(names, 1.0))
    titles = [ax.get_title() for ax in feature_distributions(table, CLASSES, names).axes]
    assert titles[:6] == ["area (nm²)", "moment mu30 (px³)", "length (nm)", "px", "signal to noise", r"price \$ \$"]
    assert len(titles) == 7
    assert max(map(len, titles[6].split("\n"))) <= 30


@pytest.mark.parametrize(("n", "dots"), [(FEW, FEW), (FEW + 1, 0)])
def test_every_particle_of_a_rare_class_is_a_dot(n: int, dots: int) -> None:
    table = _table({"Full": 100, "Uncertain": n})
    (ax,) = feature_distributions(table, CLASSES, ["area_px2"]).axes
    drawn = [line.get_xdata() for line in ax.lines if line.get_marker() == "o"]
    assert sum(map(len, drawn)) == dots
    if dots:
        assert_allclose(drawn[0], table.loc[table["label"] == "Uncertain", "area_px2"])


def test_the_axis_of_a_feature_is_not_stretched_by_outliers() -> None:
    table = _table({"Full": 1000, "Uncertain": 5}, seed=1)
    usual = table["area_px2"].max()
    table.loc[[0, 1, 2, table.index[-1]], "area_px2"] = 1e9
    (ax,) = feature_distributions(table, CLASSES, ["area_px2"]).axes
    assert ax.get_xlim()[1] < 3 * usual
    assert ax.get_xlim()[1] > table.loc[3:900, "area_px2"].quantile(0.95)


def test_the_axis_of_a_feature_goes_from_the_1st_to_the_99th_percentile_and_a_little_on() -> None:
    table = _table({"Full": 1001}, charge=np.arange(1001.0))
    (ax,) = feature_distributions(table, CLASSES, ["charge"]).axes
    assert_allclose(ax.get_xlim(), (10 - 0.04 * 980, 990 + 0.04 * 980))


def test_a_feature_that_is_mostly_zero_keeps_its_other_values_on_the_axis() -> None:
    table = _table({"Full": 100}, charge=[0.0] * 80 + [50.0] * 20)
    (ax,) = feature_distributions(table, CLASSES, ["charge"]).axes
    assert ax.get_xlim()[1] > 50


def test_values_that_are_not_finite_are_left_out() -> None:
    charge = np.concatenate([np.arange(101.0), [np.nan, np.inf, -np.inf], np.full(30, np.nan)])
    table = _table({"Full": 104, "Empty": 30}, charge=charge)
    (ax,) = feature_distributions(table, CLASSES, ["charge"]).axes
    (box,) = _boxes(ax)
    assert np.asarray(box.get_path().vertices)[:, 0].max() == 75
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Full (104)", "Empty (30)"]


def test_profiles_are_means_in_a_band_of_one_standard_deviation() -> None:
    table = pd.DataFrame({"label": ["Full", "Full", "Empty"], "f_01": [5.0, 7.0, 9.0], "f_00": [1.0, 3.0, 0.0]})
    figure = profiles(table, CLASSES, feature_columns(table)[1])
    (ax,) = figure.axes
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[0, 2], [1, 6]], [[0, 0], [1, 9]]]
    assert [line.get_color() for line in ax.lines] == list(COLOURS[:2])
    band = next(item for item in ax.collections if isinstance(item, FillBetweenPolyCollection))
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    assert corners == {(0, 1), (0, 3), (1, 5), (1, 7)}
    assert ax.get_title() == "f"
    assert _legend(figure) == ["Full (2)", "Empty (1)"]


def test_a_band_is_not_shown_below_what_the_feature_can_be() -> None:
    table = pd.DataFrame({"label": "Full", "f_00": [0.0, 0.0, 0.0, 1.0], "f_01": 0.0})
    (ax,) = profiles(table, CLASSES, feature_columns(table)[1]).axes
    assert ax.get_ylim()[0] == 0


def test_known_families_have_named_axes() -> None:
    table = _table({"Full": 5}, dose_1=0.0, dose_2=1.0)
    axes = {ax.get_title(): ax for ax in profiles(table, CLASSES, feature_columns(table)[1]).axes}
    assert list(axes) == ["histogram", "radial density profile", "dose"]
    assert axes["histogram"].get_ylabel() == "share of the pixels"
    assert axes["radial density profile"].get_xlabel() == "place, from the centre outwards"
    assert axes["dose"].get_xlabel() == "number of the column"


def test_a_class_without_particles_is_left_out_and_the_others_keep_their_colours() -> None:
    table = _table({"Uncertain": 30})
    figures = _draw(table, CLASSES)
    assert _legend(figures["scatter"]) == _legend(figures["profiles"]) == ["Uncertain (30)"]
    assert len(figures["sizes"].axes) == 1
    assert to_hex(figures["scatter"].axes[0].collections[0].get_facecolor()[0]).upper() == COLOURS[2]
    assert to_hex(figures["sizes"].axes[0].patches[0].get_facecolor()).upper() == COLOURS[2]
    assert to_hex(_boxes(figures["features"].axes[0])[0].get_facecolor()).upper() == COLOURS[2]
    assert figures["profiles"].axes[0].lines[0].get_color() == COLOURS[2]


def test_classes_of_one_colour_differ_in_marker_and_line() -> None:
    classes = [f"class {number}" for number in range(2 * len(COLOURS))]
    figures = _draw(_table(dict.fromkeys(classes, 3)), classes)
    lines = figures["profiles"].axes[0].lines
    handles = figures["scatter"].legends[0].legend_handles
    for looks in (
        [(line.get_color(), line.get_linestyle()) for line in lines],
        [(handle.get_color(), handle.get_marker()) for handle in handles],
    ):
        assert len(set(looks)) == len(classes)
        assert [colour for colour, _ in looks] == 2 * list(COLOURS)


def test_names_that_the_legend_would_hide_or_that_are_too_long_are_shown() -> None:
    classes = ["_hidden", "a" * 200]
    figure = size_scatter(_table(dict.fromkeys(classes, 3)), classes)
    assert _legend(figure) == ["_hidden (3)", f"{'a' * 27}... (3)"]


def _inside(figure: Figure) -> bool:
    figure.draw_without_rendering()
    texts = [text.get_window_extent() for ax in figure.axes for text in (ax.title, ax.xaxis.label, ax.yaxis.label)]
    legends = [legend.get_window_extent() for legend in figure.legends]
    return not any(legend.overlaps(ax.get_window_extent()) for legend in legends for ax in figure.axes) and not any(
        legend.overlaps(text) for legend in legends for text in texts if text.width
    )


@pytest.mark.parametrize("n_classes", [2, 12])
def test_legends_cover_neither_axes_nor_words(n_classes: int) -> None:
    classes = [f"A rather long name of a class {number}" for number in range(n_classes)]
    figures = _draw(_table(dict.fromkeys(classes, 10)), classes)
    assert _inside(figures["scatter"])
    assert _inside(figures["profiles"])


def test_long_names_leave_room_for_a_single_panel() -> None:
    classes = [f"A rather long name of a class {number}" for number in range(3)]
    table = _table(dict.fromkeys(classes, 10))
    families = {"histogram": feature_columns(table)[1]["histogram"]}
    for figure in (profiles(table, classes, families), feature_distributions(table, classes, ["area_px2"])):
        figure.draw_without_rendering()
        assert figure.axes[0].get_position().width * figure.get_figwidth() > 1.5  # inches


LIMITS = {
    "two particles": _table({"Full": 1, "Empty": 1}),
    "all equal": _table({"Full": 30, "Empty": 30}, height_px=20, width_px=20, area_px2=7.0),
    "all zero": _table({"Full": 30, "Empty": 30}, area_px2=0.0, histogram_00=0.0),
    "imbalance": _table({"Full": 20000, "Empty": 200, "Uncertain": 5}),
    "nothing known": _table({"Full": 30, "Empty": 30}, charge=np.nan),
    "no families": _table({"Full": 30, "Empty": 30})[["label", "height_px", "width_px"]],
    "an outlier": _table({"Full": 30, "Empty": 5}, height_px=[*range(30, 64), 100000], area_px2=[*range(34), 1e12]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_tables_at_their_limits_are_saved_with_the_same_bytes(name: str, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        for picture, figure in _draw(LIMITS[name], CLASSES).items():
            save(figure, tmp_path / folder / f"{picture}.png")
    for picture in ("scatter", "sizes", "features", "profiles"):
        assert (tmp_path / "one" / f"{picture}.png").read_bytes() == (tmp_path / "two" / f"{picture}.png").read_bytes()
