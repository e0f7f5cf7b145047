"""What all pictures share: the file depends on what is drawn alone."""

from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from lipnet.plots.figure import COLOURS, save


def _figure(height: float = 1.0) -> Figure:
    figure = Figure(figsize=(2, 2))
    figure.subplots().bar([0], [height])
    return figure


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
