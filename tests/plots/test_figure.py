"""What all pictures share: the file depends on what is drawn alone."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from lipnet.plots.figure import COLOURS, STYLE, save, styled


@styled
def _figure(height: float = 1.0) -> Figure:
    figure = Figure(figsize=(2, 2))
    figure.subplots().bar([0], [height])
    return figure


@styled
def _drawn_in_style(seen: list[Any]) -> Figure:
    seen.append(matplotlib.rcParams["font.size"])
    return _figure()


def test_the_style_is_in_effect_only_while_a_picture_is_drawn_and_saved(tmp_path: Path) -> None:
    matplotlib.get_backend()  # chooses it, if no other test has; that changes rcParams
    before, seen = matplotlib.rcParams.copy(), list[Any]()
    assert before["font.size"] != STYLE["font.size"]
    save(_drawn_in_style(seen), tmp_path / "own.png")
    assert seen == [STYLE["font.size"]]
    assert matplotlib.rcParams == before
    with matplotlib.rc_context(STYLE):  # the style in effect throughout gives the same bytes
        save(_figure(), tmp_path / "throughout.png")
    assert (tmp_path / "own.png").read_bytes() == (tmp_path / "throughout.png").read_bytes()
    with matplotlib.rc_context({"font.size": 20}):  # so does another style of the caller
        save(_figure(), tmp_path / "other.png")
    assert (tmp_path / "own.png").read_bytes() == (tmp_path / "other.png").read_bytes()


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, height in (("one", 1.0), ("two", 1.0), ("other", 0.5)):
        figure = _figure(height)
        figure.axes[0].set_ylim(0, 1)
        save(figure, tmp_path / f"{name}.png")
    one, two, other = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "two", "other"))
    assert one == two
    assert one != other


def test_save_makes_the_folder_and_writes_no_dates_or_versions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "picture.png"
    save(_figure(), path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert set(image.info) == {"dpi"}


def test_colours_are_different() -> None:
    assert len(set(COLOURS)) == len(COLOURS) >= 7
