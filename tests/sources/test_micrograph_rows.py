"""Listing of particles on micrographs: label masks, boxes and their images are found, and every fault is named."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.samples.particles import Particle
from lipnet.sources.micrograph_rows import list_tasks
from lipnet.sources.rows import Rejected
from tests.sources.micrograph_folder import (
    CLASSES,
    GREY,
    LABELS,
    SETTINGS,
    particles_of,
    read_folder,
    save_micrograph,
    the_fault,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_micrograph(tmp_path)


@pytest.mark.parametrize("place", ["beside", "labels", "images"])
@pytest.mark.parametrize("classes", ["csv", "txt"])
def test_boxes_as_yolo_saves_them(tmp_path: Path, place: str, classes: str) -> None:
    image = tmp_path / ("images" if place == "images" else "") / "f.png"
    boxes = tmp_path / ("" if place == "beside" else "labels") / "f.txt"
    for path in (image, boxes):
        path.parent.mkdir(exist_ok=True)
    Image.fromarray(GREY).save(image)
    centre = ((12 + 6) / 60, (10 + 5) / 50, 12 / 60, 10 / 50)
    boxes.write_text(f"2 {' '.join(map(str, centre))}\n\n0 0.5 0.5 0.2 0.2 0.87\n")
    if classes == "csv":
        (tmp_path / "classes.csv").write_text("index,class\n0,Empty\n2,Full\n3,Full\n")
    else:
        (tmp_path / "classes.txt").write_text("Empty\nother\nFull\n")
    first, second = particles_of(read_folder(tmp_path))
    name = str(image.relative_to(tmp_path))
    assert (first.id, first.label, first.group) == (f"{name}:1", "Full", name)
    assert (second.id, second.label) == (f"{name}:3", "Empty")
    np.testing.assert_array_equal(first.image, GREY[6:24, 8:28])


@pytest.mark.parametrize("name", ["f_labels.tif", "f_labels.npy", "labels/f.tif", "labels/f.png", "f_cp_masks.png"])
def test_label_masks_are_found_where_segmentation_programs_save_them(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / "f.png")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(LABELS).save(path)
    else:
        {".tif": tifffile.imwrite, ".npy": np.save}[path.suffix](path, LABELS)
    [particle] = particles_of(read_folder(tmp_path, "micrograph,label,class\nf.png,700,Full\n"))
    assert particle.mask.sum() == (LABELS == 700).sum()


def test_the_pixel_size_of_the_settings_stands_in_for_the_column(folder: Path) -> None:
    table = "micrograph,label,class,pixel_size_nm\nf.png,3,Full,2.5\nf.png,9,Full,\n"
    sizes = [
        item.pixel_size_nm
        for item in particles_of(read_folder(folder, table, SETTINGS.model_copy(update={"pixel_size_nm": 4.0})))
    ]
    assert sizes == [2.5, 4.0]


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ("f.png,4,Full", "label", "label 4 is not in f_labels.png; correct the row"),
        ("f.png,0,Full", "label", "label is '0': Input should be greater than or equal to 1"),
        ("f.png,x,Full", "label", "label is 'x': Input should be a valid integer"),
        ("f.png,3,full", "class", "class 'full' is not one of Full, Empty; correct the row or list it in `classes`"),
        ("g.png,3,Full", "labels", "g.png: has no label mask; save it beside the image as g_labels.tif"),
        ("../f.png,3,Full", "micrograph", "micrograph file '../f.png' is empty or leaves the data folder"),
        (",3,Full", "micrograph", "micrograph is ''"),
    ],
)
def test_faults_of_a_row_are_named_and_spare_the_others(folder: Path, row: str, column: str, message: str) -> None:
    found = read_folder(folder, f"micrograph,label,class\n{row}\nf.png,700,Empty\n")
    fault = the_fault(found)
    assert (fault.row, fault.column) == (2, column)
    assert fault.reason.startswith(message)
    assert [item.label for item in found if isinstance(item, Particle)] == ["Empty"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", "a line must hold class_index x_centre y_centre width height; it has 4 words"),
        ("7 0.5 0.5 0.2 0.2", "class_index 7 is not in the list of classes"),
        ("1 0.5 0.5 0.2 0.2", "class 'other' is not one of Full, Empty"),
        ("0 0.5 0.5 0 0.2", "width is '0': Input should be greater than 0"),
        ("0 0.5 x 0.2 0.2", "y_centre is 'x': Input should be a valid number"),
        ("0 5 5 0.2 0.2", "the box lies outside the image"),
        ("0 1e308 0.5 0.2 0.2", "the box lies outside the image"),
    ],
)
def test_faults_of_a_yolo_line_are_named(folder: Path, line: str, message: str) -> None:
    (folder / "classes.txt").write_text("Full\nother\n")
    (folder / "f.txt").write_text(f"0 0.5 0.5 0.2 0.2\n{line}\n")
    found = read_folder(folder)
    fault = the_fault(found)
    assert (fault.row, fault.file) == (2, "f.txt")
    assert fault.reason.startswith(message)
    assert len(found) == 2


def test_boxes_of_no_image_or_of_two_are_rejected_line_by_line(folder: Path) -> None:
    (folder / "classes.txt").write_text("Full\n")
    (folder / "g.txt").write_text("0 0.5 0.5 0.2 0.2\n0 0.4 0.5 0.2 0.2\n")
    (folder / "f.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    tifffile.imwrite(folder / "f.tif", GREY)
    found = read_folder(folder)
    assert [(item.file, item.row) for item in found if isinstance(item, Rejected)] == [
        ("f.txt", 1),
        ("g.txt", 1),
        ("g.txt", 2),
    ]
    reasons = {item.reason for item in found if isinstance(item, Rejected)}
    assert reasons == {
        "f.txt: 2 images have its name; put one image of the name f beside it",
        "g.txt: no image has its name; put one image of the name g beside it",
    }


def test_the_same_object_twice_is_rejected(folder: Path) -> None:
    found = read_folder(folder, "micrograph,label,class\nf.png,3,Full\nf.png,3,Empty\n")
    assert the_fault(found).reason == "id 'f.png:3' is a duplicate of row 2; list every particle once"


def test_links_are_not_followed(folder: Path) -> None:
    (folder / "g.png").symlink_to(folder / "f.png")
    (folder / "g_labels.png").symlink_to(folder / "f_labels.png")
    fault = the_fault(read_folder(folder, "micrograph,label,class\ng.png,3,Full\n"))
    assert "is a link, which is not followed" in fault.reason


def test_a_folder_without_any_list_says_what_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither particles\.csv nor classes\.csv nor classes\.txt"):
        list_tasks(tmp_path, CLASSES, "class")


def test_a_table_without_labels_or_boxes_says_which_columns_to_add(folder: Path) -> None:
    with pytest.raises(InputError, match="or a box in the columns height_px, width_px, x_px, y_px"):
        read_folder(folder, "micrograph,class,x_px\nf.png,Full,3\n")
