"""Pictures of particles with the outline of their mask, and charts in two colour schemes."""

import base64
import io
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lipnet.deployment.reports import charts
from lipnet.deployment.reports.charts import Chart, Point
from lipnet.deployment.reports.particle_pictures import SIDE_PX, outline_path, picture_of


def _corners(path: str) -> np.ndarray[Any, Any]:
    return np.array([[float(number) for number in pair.split()] for pair in re.findall(r"[ML]([^MLZ]+)", path)])


def _pixels(uri: str) -> np.ndarray[Any, Any]:
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_the_outline_runs_around_every_piece_of_the_mask_at_the_scale_of_the_picture() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:10, 6:16] = mask[14:17, 20:24] = True
    path = outline_path(mask, 2.0)
    assert path.count("M") == path.count("Z") == 2
    first, second = (_corners(f"M{part}") for part in path.split("M")[1:])
    assert (first.min(axis=0) - [12, 8] < 1.1).all() and (first.max(axis=0) - [32, 20] < 1.1).all()
    assert len(first) < 12 and first.mean() < second.mean()  # straight sides have no points in between


@pytest.mark.parametrize(("side", "white"), [(40, 255), (400, 65535)])
def test_a_particle_is_shown_in_a_square_with_a_margin_and_large_ones_are_reduced(side: int, white: int) -> None:
    mask = np.zeros((3 * side, 3 * side), bool)
    mask[side : 2 * side, side : 2 * side] = True
    image = np.where(mask, white, 0).astype(np.uint8 if white == 255 else np.uint16)
    found = picture_of(image, mask, "a text")
    expected = min(round(1.8 * side), SIDE_PX)
    assert abs(found.width - expected) <= 1 and found.height == found.width and found.text == "a text"
    pixels = _pixels(found.uri)
    assert pixels.shape == (found.height, found.width)
    low, high = _corners(found.outline).min(axis=0), _corners(found.outline).max(axis=0)
    inside = pixels[int(low[1]) + 3 : int(high[1]) - 3, int(low[0]) + 3 : int(high[0]) - 3]
    assert inside.min() > 240 and abs((high - low).max() - expected / 1.8) < 2
    assert pixels[: int(low[1]) - 3].max() < 15


def test_at_the_edge_of_the_image_the_window_ends_there() -> None:
    mask = np.zeros((50, 50), bool)
    mask[:10, :20] = True
    found = picture_of(np.zeros((50, 50), np.uint8), mask, "")
    assert found.height < found.width == 28


def _svg(uri: str) -> str:
    return base64.b64decode(uri.split(",")[1]).decode()


def _drawn() -> list[Chart]:
    curve = (np.array([1.0, 0.5, 0.0]), np.array([0.3, 0.8, 1.0]))
    nan = (np.nan, np.nan, np.nan)
    points = {"cnn": Point((0.5, 0.4, 0.6), (0.8, 0.7, 0.9)), "never": Point((0.0, 0.0, 0.1), nan)}
    rows = [(name, "Rare", m, v) for name in points for m in charts.OF_CLASS for v in (0.4, 0.5, 0.6)]
    folds = pd.DataFrame(rows, columns=["classifier", "class", "measure", "value"])
    history = pd.DataFrame({"fold": [0, 0, 1, 1], "phase": "training", "epoch": [1, 2, 1, 2], "loss": [2.0, 1, 2, 1]})
    history = history.assign(accuracy=0.5, validation_loss=np.nan)
    return [
        charts.precision_recall({"cnn": curve, "never": curve}, points, 0.3, "Rare"),
        charts.class_measures(folds, list(points), "Rare"),
        charts.reliability({"cnn": np.full((3, 10), 6.0), "never": np.zeros((3, 10))}, "Rare"),
        *charts.learning(history),
    ]


def test_charts_have_the_ink_of_their_scheme_and_the_same_bytes_every_time() -> None:
    drawn = _drawn()
    assert drawn == _drawn()
    for chart in drawn:
        light, dark = _svg(chart.light), _svg(chart.dark)
        assert charts.INK["light"] in light and charts.INK["light"] not in dark
        assert charts.INK["dark"] in dark and charts.INK["dark"] not in light
        assert "#ffffff" not in light + dark
        assert len(chart.text) > 30


def test_the_text_of_a_precision_recall_chart_names_what_is_predicted() -> None:
    said = "Predicted classes: cnn recall 0.50, precision 0.80; never recall 0.00, precision undefined."
    assert _drawn()[0].text.endswith(said)


def test_the_axis_of_precision_starts_below_the_class_share_and_all_intervals() -> None:
    point = Point((0.9, 0.8, 1.0), (0.97, 0.95, 0.99))
    assert charts.lowest([point], 0.93) == 0.9
    assert charts.lowest([point], 0.12) == 0.1
    assert charts.lowest([Point((0, 0, 0), (0.5, 0.37, 0.6))], 0.9) == 0.3


def test_every_classifier_has_a_colour_and_a_symbol_of_its_own() -> None:
    keys = charts.keys_of([f"c{number}" for number in range(20)])
    assert len({(key.colour, key.symbol) for key in keys}) == 20
    assert all(np.abs(_corners(key.symbol)).max() <= 1.01 for key in keys)
