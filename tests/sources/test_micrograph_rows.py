"""Listing of particles on micrographs: label masks, boxes and their images are found, and every fault is named."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.samples.particles import Particle
from lipnet.sources.micrograph_rows import BoxPlace, LabelPlace, list_tasks
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


BOX = "micrograph,x_px,y_px,width_px,height_px"


@pytest.mark.parametrize("column", ["label", "labels", "page", "kind\u00a0", "Größe"])
def test_boxes_may_have_a_column_of_the_class_of_any_name(folder: Path, column: str) -> None:
    (folder / "particles.csv").write_text(f"{BOX},{column}\nf.png,12,10,12,10,Full\nf.png,30,10,9,9,Empty\n")
    [task], rejected = list_tasks(folder, CLASSES, column)
    assert rejected == []
    assert [(one.label, type(one.place), one.page) for one in task.targets] == [
        ("Full", BoxPlace, None),
        ("Empty", BoxPlace, None),
    ]


@pytest.mark.parametrize(
    ("labels", "place"), [("abc", BoxPlace), (["", "", ""], BoxPlace), (["3", "9.0", ""], LabelPlace)]
)
def test_with_both_boxes_and_labels_whole_numbers_name_objects_of_a_mask(
    folder: Path, labels: str, place: type
) -> None:
    rows = [f"f.png,{number},10,12,10,Full,{label}" for number, label in enumerate(labels)]
    (folder / "particles.csv").write_text("\n".join([f"{BOX},class,label", *rows]))
    [task], rejected = list_tasks(folder, CLASSES, "class")
    assert {type(one.place) for one in task.targets} == {place}
    assert [row.row for row in rejected] == ([4] if place is LabelPlace else [])


def test_a_class_called_label_cannot_name_objects_and_the_message_says_so(folder: Path) -> None:
    (folder / "particles.csv").write_text("micrograph,label\nf.png,Full\n")
    with pytest.raises(
        InputError, match=r"or a box in the columns .*; column label holds the class, as source\.class_column"
    ):
        list_tasks(folder, CLASSES, "label")


def test_one_micrograph_is_one_group_however_rows_spell_it(folder: Path) -> None:
    (folder / "sub").mkdir()
    rows = ["f.png,3", "./f.png,9", "sub/../f.png ,700", "f.PNG,5", "\ufefff.png,6"]
    (folder / "particles.csv").write_text("\n".join(["micrograph,label,class", *(f"{row},Full" for row in rows)]))
    [task], rejected = list_tasks(folder, CLASSES, "class")
    assert (task.micrograph, rejected) == ("f.png", [])
    assert [one.id for one in task.targets] == ["f.png:3", "f.png:9", "f.png:700", "f.png:5", "f.png:6"]


@pytest.mark.parametrize(
    "name", ["f_cp_masks.TIF", "f_cp_masks.tiff", "f_labels.Png", "masks/f_cp_masks.png", "labels/f.TIFF"]
)
def test_label_masks_are_found_under_more_names_and_suffixes_without_case(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / "f.png")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    if name.lower().endswith("png"):
        Image.fromarray(LABELS).save(tmp_path / name)
    else:
        tifffile.imwrite(tmp_path / name, LABELS)
    [particle] = particles_of(read_folder(tmp_path, "micrograph,label,class\nf.png,700,Full\n"))
    assert particle.mask.sum() == (LABELS == 700).sum()


def test_masks_as_cellpose_pickles_them_are_not_opened_and_the_cure_is_named(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "f.png")
    np.save(tmp_path / "f_seg.npy", np.array({"masks": LABELS}, dtype=object), allow_pickle=True)
    fault = the_fault(read_folder(tmp_path, "micrograph,label,class\nf.png,700,Full\n"))
    assert fault.reason.startswith("f_seg.npy: holds pickled objects, which are not opened; save plain label masks as")


@pytest.fixture
def yolo(folder: Path) -> Path:
    """A folder of boxes with a list of classes."""
    (folder / "classes.txt").write_text("Full\nEmpty\n")
    (folder / "f.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    return folder


@pytest.mark.parametrize(
    "name",
    ["._f.txt", "._.txt", ".hidden/f.txt", "__MACOSX/._f.txt", "__MACOSX/f.txt", ".ipynb_checkpoints/f-checkpoint.txt"],
)
def test_files_that_systems_add_are_passed_over(yolo: Path, name: str) -> None:
    (yolo / name).parent.mkdir(exist_ok=True)
    (yolo / name).write_bytes(b"\0\5\x16\7 0 0.5 0.5 0.2 0.2")
    assert [item.id for item in particles_of(read_folder(yolo))] == ["f.png:1"]
    assert list_tasks(yolo, CLASSES, "class")[1] == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("README.txt", "\nBoxes drawn by AB\nin 2024"),
        ("notes.TXT", "pixel size 1.5 nm"),
        ("f_cp_outlines.txt", "12,34,13,35,14,36,15,37\n20,20,21,21"),
        ("train.txt", "./images/f.png"),
        ("size.txt", "1.5"),
    ],
)
def test_text_files_that_are_no_boxes_are_listed_as_left_out(yolo: Path, name: str, content: str) -> None:
    (yolo / name).write_text(content)
    found = read_folder(yolo)
    assert [item.id for item in particles_of(found)] == ["f.png:1"]
    [left_out] = [item for item in found if isinstance(item, Rejected)]
    assert (left_out.file, left_out.fault, left_out.row) == (name, False, 2 if content.startswith("\n") else 1)
    assert left_out.reason == f"{name}: holds no boxes, and no image has its name, so it is left out"


def test_a_text_in_utf_16_is_left_out_without_an_image_and_a_fault_with_one(yolo: Path) -> None:
    for name in ("f.txt", "README.txt"):
        (yolo / name).write_text("0 0.5 0.5 0.2 0.2\n", encoding="utf-16")
    found = [item for item in read_folder(yolo) if isinstance(item, Rejected)]
    assert [(item.file, item.fault) for item in found] == [("README.txt", False), ("f.txt", True)]
    assert all("save it as UTF-8" in item.reason for item in found)


@pytest.mark.parametrize(
    "line", ["no box at all", "0 0.5 0.5 0.2", "0 0,5 0,5 0,2 0,2", "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"]
)
def test_every_line_of_a_file_with_an_image_is_a_box_or_a_fault(yolo: Path, line: str) -> None:
    (yolo / "f.txt").write_text(f"\n{line}\n\n")
    fault = the_fault(read_folder(yolo))
    assert (fault.row, fault.file) == (2, "f.txt")


def test_boxes_without_an_image_are_faults_also_with_decimal_commas(yolo: Path) -> None:
    (yolo / "g.txt").write_text("0 0,5 0,5 0,2 0,2\n")
    assert "write a decimal point, not a comma" in the_fault(read_folder(yolo)).reason


def test_boxes_and_images_match_whatever_the_case_of_suffixes_and_the_form_of_accents(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    Image.fromarray(GREY).save(tmp_path / "images/e\u0301.Png", format="png")
    (tmp_path / "labels/\u00e9.TXT").write_text("\ufeff0 0.5 0.5 0.2 0.2\r1 0.4 0.5 0.2 0.2\r")
    (tmp_path / "labels/Classes.txt").write_text("Full\u00a0\r\nEmpty\r\n")
    found = particles_of(read_folder(tmp_path))
    assert [(item.id, item.label) for item in found] == [
        ("images/\u00e9.Png:1", "Full"),
        ("images/\u00e9.Png:2", "Empty"),
    ]


def test_an_index_with_two_classes_is_refused(folder: Path) -> None:
    (folder / "classes.csv").write_text("index,class\n0,Full\n1,Empty\n0,Full\n1,Full\n")
    with pytest.raises(InputError, match=r"classes\.csv: line 5: index 1 has another class above; keep one of them"):
        list_tasks(folder, CLASSES, "class")


def test_links_into_the_cache_of_dvc_are_followed_for_micrographs_masks_and_boxes(tmp_path: Path) -> None:
    cache, folder = tmp_path / ".dvc/cache", tmp_path / "data"
    cache.mkdir(parents=True)
    folder.mkdir()
    save_micrograph(cache)
    (cache / "f.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    for name in ("f.png", "f_labels.png", "f.txt"):
        (folder / name).symlink_to(cache / name)
    (folder / "classes.txt").write_text("Full\n")
    assert [item.id for item in particles_of(read_folder(folder))] == ["f.png:1"]
    [particle] = particles_of(read_folder(folder, "micrograph,label,class\nf.png,3,Full\n"))
    assert particle.mask.sum() == (LABELS == 3).sum()


def test_a_text_file_that_is_a_link_is_a_fault(yolo: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("elsewhere") / "secret"
    target.write_text("0 0.5 0.5 0.2 0.2\n")
    (yolo / "g.txt").symlink_to(target)
    assert "g.txt is a link, which is not followed" in the_fault(read_folder(yolo)).reason
