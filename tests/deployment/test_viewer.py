"""Files for viewers: values of the label images, outlines of QuPath, tables, and pages of a stack."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.deployment.viewer import class_image, files_of, files_of_all, legend, row_image
from lipnet.plots.colours import rgb
from lipnet.sources.micrographs import MicrographSettings
from lipnet.sources.unlabelled import open_unlabelled
from tests.deployment.onnx_models import description
from tests.plots.test_annotated import filled
from tests.sources.grey import AS_STORED

CLASSES = ["Full", "Empty", "Odd"]
SETTINGS = MicrographSettings(padding_px=2, pixel_size_nm=None)


def _mask() -> NDArray[np.uint16]:
    mask = np.zeros((40, 50), np.uint16)
    mask[2:12, 3:15] = 7
    mask[5:8, 6:9] = 0  # a hole
    mask[20:30, 5:9] = 300
    mask[20:30, 12:16] = 300  # the second piece
    mask[33:39, 40:50] = 2
    mask[15:18, 30:36] = 11  # not classified
    return mask


@pytest.fixture
def stack(tmp_path: Path) -> tuple[Path, Path]:
    """A micrograph with one page, and its label mask."""
    grey = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "field.tif", grey)
    tifffile.imwrite(tmp_path / "field_labels.tif", _mask())
    return tmp_path / "field.tif", tmp_path / "field_labels.tif"


def _table(*labels: str, page: str = "") -> pd.DataFrame:
    ids = [f"field.tif{page}:{number}" for number in (2, 7, 300)]
    table = pd.DataFrame({"id": ids, "class": labels})
    return table.assign(p_Full=0.5, p_Empty=0.25, p_Odd=0.25, entropy=1.0)


def _files(image: Path, masks: Path, table: pd.DataFrame) -> dict[str, bytes]:
    [task] = open_unlabelled(image, masks, None, [], SETTINGS, AS_STORED).tasks
    return dict(files_of(image, masks, task.targets, table, CLASSES, AS_STORED))


def _read(content: bytes) -> NDArray[Any]:
    return tifffile.imread(io.BytesIO(content))


def test_pixels_of_particles_have_the_class_index_plus_1_and_all_others_0(stack: tuple[Path, Path]) -> None:
    files = _files(*stack, _table("Odd", "Full", "Empty"))
    classes, mask = _read(files["field_classes.tif"]), _mask()
    assert classes.dtype == np.uint8
    for number, value in ((2, 3), (7, 1), (300, 2), (11, 0), (0, 0)):
        assert set(classes[mask == number].tolist()) == {value}
    particles = _read(files["field_particles.tif"])
    assert particles.dtype == np.uint16 and (particles == np.where(mask == 11, 0, mask)).all()


def test_imagej_shows_class_images_in_the_colours_of_the_classes(stack: tuple[Path, Path]) -> None:
    files = _files(*stack, _table("Odd", "Full", "Empty"))
    with tifffile.TiffFile(io.BytesIO(files["field_classes.tif"])) as tiff:
        assert tiff.imagej_metadata is not None
        lut = tiff.imagej_metadata["LUTs"]
    assert lut[:, 0].tolist() == [0, 0, 0] and lut[:, 2].tolist() == list(rgb(1))


def test_tables_can_be_joined_to_the_images(stack: tuple[Path, Path]) -> None:
    files = _files(*stack, _table("Odd", "Full", "Empty"))
    table = pd.read_csv(io.BytesIO(files["field_particles.csv"]))
    assert list(table) == ["label", "id", "class", "p_Full", "p_Empty", "p_Odd"]
    assert table["label"].tolist() == [2, 7, 300] and table["class"].tolist() == ["Odd", "Full", "Empty"]
    said = pd.read_csv(io.BytesIO(files["field_legend.csv"]))
    assert said["value"].tolist() == [0, 1, 2, 3] and said["class"].tolist() == ["background", *CLASSES]


def test_polygons_of_qupath_contain_exactly_the_pixels_of_the_particles(stack: tuple[Path, Path]) -> None:
    content = json.loads(_files(*stack, _table("Odd", "Full", "Empty"))["field.geojson"])
    assert content["type"] == "FeatureCollection"
    kinds = [feature["geometry"]["type"] for feature in content["features"]]
    assert kinds == ["Polygon", "Polygon", "MultiPolygon"]
    for feature, number in zip(content["features"], (2, 7, 300), strict=True):
        coordinates = feature["geometry"]["coordinates"]
        pieces = coordinates if feature["geometry"]["type"] == "MultiPolygon" else [coordinates]
        arrays = [[np.array(ring) for ring in piece] for piece in pieces]
        assert (filled(arrays, (40, 50)) == (_mask() == number)).all()
    properties = content["features"][1]["properties"]
    assert properties["objectType"] == "detection" and properties["name"] == "field.tif:7"
    assert properties["classification"] == {"name": "Full", "color": list(rgb(0))}
    assert properties["measurements"] == {"p_Full": 0.5, "p_Empty": 0.25, "p_Odd": 0.25}


def test_the_picture_shows_outlines(stack: tuple[Path, Path]) -> None:
    with Image.open(io.BytesIO(_files(*stack, _table("Odd", "Full", "Empty"))["field_classes.png"])) as picture:
        colours = {colour for _, colour in picture.getcolors(10**6) or []}
    assert {rgb(0), rgb(1), rgb(2)} <= colours


def test_every_page_has_its_own_files_and_pages_without_particles_have_none(tmp_path: Path) -> None:
    image, masks = tmp_path / "field.tif", tmp_path / "field_labels.tif"
    grey = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype(np.uint8)
    tifffile.imwrite(image, grey, photometric="minisblack")
    tifffile.imwrite(masks, np.stack([_mask(), _mask(), np.flipud(_mask())]), photometric="minisblack")
    tables = [_table("Full", "Full", "Full", page="#0"), _table("Odd", "Empty", "Empty", page="#2")]
    files = _files(image, masks, pd.concat(tables, ignore_index=True))
    assert len(files) == 12 and {name.split("_")[1].split(".")[0] for name in files} == {"page0", "page2"}
    last = _read(files["field_page2_classes.tif"])
    assert set(last[np.flipud(_mask()) == 7].tolist()) == {2} and set(last[np.flipud(_mask()) == 2].tolist()) == {3}


def test_more_than_255_classes_need_16_bits() -> None:
    rows = row_image(np.array([[0, 5], [9, 4]]), np.array([4, 9]))
    assert rows.tolist() == [[0, 0], [2, 1]]
    image = class_image(rows, np.array([299, 0]), 300)
    assert image.dtype == np.uint16 and image.tolist() == [[0, 0], [1, 300]]
    assert len(legend([f"c{n}" for n in range(300)])) == 301


def test_files_depend_on_their_content_only(stack: tuple[Path, Path]) -> None:
    table = _table("Odd", "Full", "Empty")
    assert _files(*stack, table) == _files(*stack, table.iloc[::-1])


def test_two_micrographs_whose_files_would_have_the_same_name_are_refused(tmp_path: Path) -> None:
    said, opened = description(), []
    for name in ("m.tif", "m.png"):
        labels = np.zeros((30, 40), np.uint8)
        labels[5:20, 5:20] = 1
        Image.fromarray(labels).save(tmp_path / name)
        tifffile.imwrite(tmp_path / "m_labels.tif", labels)
        opened.append(open_unlabelled(tmp_path / name, None, 0, [], said.micrographs))
    table = pd.DataFrame({"id": ["m.tif:1", "m.png:1"], "class": "Dark", "p_Bright": 0.1, "p_Dark": 0.9})
    with pytest.raises(InputError, match=r"another input also has a picture m_classes\.tif"):
        list(files_of_all(opened, table, said))
