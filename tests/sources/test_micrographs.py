"""Source micrographs: particles are cut where they lie, neighbours hidden, edges flagged, every row accounted for."""

import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import tifffile
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.samples.particles import Particle, bounding_box, inscribed_ellipse
from lipnet.sources.micrograph_rows import list_tasks
from lipnet.sources.micrographs import MicrographSettings, read_task
from lipnet.sources.rows import Rejected

CLASSES = ("Full", "Empty")
SETTINGS = MicrographSettings(padding_px=4, pixel_size_nm=None, clip_percent=0)
GREY = np.random.default_rng(0).integers(20, 230, (50, 60)).astype(np.uint8)
LABELS = np.zeros((50, 60), np.uint16)
LABELS[10:20, 12:24] = 3  # in the middle
LABELS[20:28, 15:22] = 700  # touches it from below
LABELS[40:50, 50:60] = 9  # in the corner
BACKGROUND = "the object has no row in particles.csv, so it has no class and is left out"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.fromarray(GREY).save(tmp_path / "f.png")
    Image.fromarray(LABELS).save(tmp_path / "f_labels.png")
    return tmp_path


def _read(folder: Path, table: str = "", settings: MicrographSettings = SETTINGS) -> list[Particle | Rejected]:
    if table:
        (folder / "particles.csv").write_text(table, encoding="utf-8")
    tasks, rejected = pickle.loads(pickle.dumps(list_tasks(folder, CLASSES, "class")))
    return [*(item for task in tasks for item in read_task(task, folder, settings)), *rejected]


def _particles(found: list[Particle | Rejected]) -> list[Particle]:
    assert all(isinstance(item, Particle) or not item.fault for item in found), found
    return [item for item in found if isinstance(item, Particle)]


def _fault(found: list[Particle | Rejected]) -> Rejected:
    [fault] = [item for item in found if isinstance(item, Rejected) and item.fault]
    return fault


def test_an_object_of_a_label_mask_is_cut_with_its_surrounding(folder: Path) -> None:
    [particle] = _particles(_read(folder, "micrograph,label,class\nf.png,3,Full\n"))
    assert (particle.id, particle.label, particle.group) == ("f.png:3", "Full", "f.png")
    assert (particle.padding_px, particle.mask_estimated, particle.cut_by_edge) == (4, False, False)
    assert math.isnan(particle.pixel_size_nm)
    assert particle.image.shape == (10 + 8, 12 + 8)
    assert bounding_box(particle.mask) == (slice(4, 14), slice(4, 16))
    np.testing.assert_array_equal(particle.image[4:14, 4:16], GREY[10:20, 12:24])
    np.testing.assert_array_equal(particle.image[:4], GREY[6:10, 8:28])


def test_a_touching_neighbour_becomes_the_median_of_the_background(folder: Path) -> None:
    [particle] = _particles(_read(folder, "micrograph,label,class\nf.png,3,Full\n"))
    window = (slice(6, 24), slice(8, 28))
    neighbour = LABELS[window] == 700
    assert neighbour.sum() == 4 * 7
    level = np.median(GREY[window][LABELS[window] == 0])
    np.testing.assert_allclose(particle.image[neighbour], level, atol=0.5)
    np.testing.assert_array_equal(particle.image[~neighbour], GREY[window][~neighbour])


def test_a_particle_at_the_edge_is_flagged_and_stays_in_the_middle(folder: Path) -> None:
    [particle] = _particles(_read(folder, "micrograph,label,class\nf.png,9,Empty\n"))
    assert particle.cut_by_edge
    assert particle.image.shape == (18, 18)
    assert bounding_box(particle.mask) == (slice(4, 14), slice(4, 14))
    level = np.median(GREY[36:50, 46:60][LABELS[36:50, 46:60] == 0])
    np.testing.assert_allclose(particle.image[14:, :], level, atol=0.5)
    np.testing.assert_allclose(particle.image[:, 14:], level, atol=0.5)
    np.testing.assert_array_equal(particle.image[:14, :14], GREY[36:50, 46:60])


def test_objects_without_a_row_are_listed_but_no_fault(folder: Path) -> None:
    found = _read(folder, "micrograph,label,class\nf.png,700,Full\n")
    left_out = [item for item in found if isinstance(item, Rejected)]
    assert [(item.row, item.id, item.fault, item.reason) for item in left_out] == [
        (3, "f.png:3", False, BACKGROUND),
        (9, "f.png:9", False, BACKGROUND),
    ]


def test_a_box_gives_an_ellipse_marked_as_estimated_and_keeps_its_neighbours(folder: Path) -> None:
    table = "id,micrograph,x_px,y_px,width_px,height_px,class,pixel_size_nm\na,f.png,12.2,9.8,12,10,Full,1.5\n"
    [particle] = _particles(_read(folder, table))
    assert (particle.id, particle.mask_estimated, particle.cut_by_edge, particle.pixel_size_nm) == (
        "a",
        True,
        False,
        1.5,
    )
    np.testing.assert_array_equal(particle.mask, np.pad(inscribed_ellipse((10, 12), 0), 4))
    np.testing.assert_array_equal(particle.image, GREY[6:24, 8:28])


def test_a_box_that_crosses_the_edge_is_clipped_and_flagged(folder: Path) -> None:
    found = _read(folder, "micrograph,x_px,y_px,width_px,height_px,class\nf.png,-5,20,15,10,Full\n")
    [particle] = _particles(found)
    assert particle.cut_by_edge
    assert bounding_box(particle.mask) == (slice(4, 14), slice(4, 14))
    np.testing.assert_array_equal(particle.image[4:14, 4:14], GREY[20:30, :10])


def test_a_box_with_edges_beyond_any_float_is_clipped(folder: Path) -> None:
    (folder / "classes.txt").write_text("Full\n")
    (folder / "f.txt").write_text("0 0.5 0 0.2 1.5e307\n")
    [particle] = _particles(_read(folder))
    assert particle.cut_by_edge
    assert bounding_box(particle.mask) == (slice(4, 54), slice(4, 16))


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
    first, second = _particles(_read(tmp_path))
    name = str(image.relative_to(tmp_path))
    assert (first.id, first.label, first.group) == (f"{name}:1", "Full", name)
    assert (second.id, second.label) == (f"{name}:3", "Empty")
    np.testing.assert_array_equal(first.image, GREY[6:24, 8:28])


def _mrc(path: Path, pixels: Any) -> None:
    with mrcfile.new(path) as mrc:
        mrc.set_data(pixels)


WRITERS: dict[str, Callable[[Path, Any], None]] = {
    "pages.tif": lambda path, stack: tifffile.imwrite(path, stack, photometric="minisblack"),
    "big.tif": lambda path, stack: tifffile.imwrite(path, stack, photometric="minisblack", bigtiff=True),
    "imagej.tif": lambda path, stack: tifffile.imwrite(path, stack, imagej=True),
    "zlib.tif": lambda path, stack: tifffile.imwrite(path, stack, photometric="minisblack", compression="zlib"),
    "stack.mrc": lambda path, stack: _mrc(path, stack.astype(np.float32)),
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_every_page_of_a_stack_is_a_group_with_its_own_labels(tmp_path: Path, name: str) -> None:
    stack = np.stack([GREY, 255 - GREY, GREY // 2])
    WRITERS[name](tmp_path / name, stack)
    masks = np.stack([LABELS, np.zeros_like(LABELS), LABELS[:, ::-1]])
    tifffile.imwrite(tmp_path / "masks.tif", masks, photometric="minisblack")
    rows = [f"{name},3,0,Full", f"{name},3,2,Empty", f"{name},700,2,Empty", f"{name},3,1,Full", f"{name},3,,Full"]
    table = "\n".join(["micrograph,label,page,class,labels", *(f"{row},masks.tif" for row in rows)])
    found = _read(tmp_path, table)
    particles = [item for item in found if isinstance(item, Particle)]
    assert [item.group for item in particles] == [f"{name}#0", f"{name}#2", f"{name}#2"]
    assert [item.id for item in particles] == [f"{name}#0:3", f"{name}#2:3", f"{name}#2:700"]
    faults = [item for item in found if isinstance(item, Rejected) and item.fault]
    assert [(item.row, item.column) for item in faults] == [(5, "label"), (6, "page")]
    shown = particles[0].image[particles[0].mask].astype(float)
    expected = GREY[10:20, 12:24].ravel().astype(float)
    assert np.corrcoef(shown, expected)[0, 1] > 0.999
    mirrored = particles[1].image[particles[1].mask].reshape(10, 12).astype(float)
    assert np.corrcoef(mirrored.ravel(), (GREY // 2)[10:20, 36:48].ravel())[0, 1] > 0.999


def test_hot_pixels_do_not_flatten_a_float_image(tmp_path: Path) -> None:
    values = GREY.astype(np.float32)
    values[0, 0] = 1e6
    tifffile.imwrite(tmp_path / "f.tif", values)
    table = "micrograph,x_px,y_px,width_px,height_px,class\nf.tif,12,10,12,10,Full\n"
    flat = _particles(_read(tmp_path, table))[0]
    clipped = _particles(_read(tmp_path, table, SETTINGS.model_copy(update={"clip_percent": 0.1})))[0]
    assert np.ptp(flat.image) < 100
    assert np.ptp(clipped.image) > 50_000


@pytest.mark.parametrize("name", ["f_labels.tif", "f_labels.npy", "labels/f.tif", "labels/f.png", "f_cp_masks.png"])
def test_label_masks_are_found_where_segmentation_programs_save_them(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / "f.png")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(LABELS).save(path)
    else:
        {".tif": tifffile.imwrite, ".npy": np.save}[path.suffix](path, LABELS)
    [particle] = _particles(_read(tmp_path, "micrograph,label,class\nf.png,700,Full\n"))
    assert particle.mask.sum() == (LABELS == 700).sum()


def test_the_pixel_size_of_the_settings_stands_in_for_the_column(folder: Path) -> None:
    table = "micrograph,label,class,pixel_size_nm\nf.png,3,Full,2.5\nf.png,9,Full,\n"
    sizes = [
        item.pixel_size_nm
        for item in _particles(_read(folder, table, SETTINGS.model_copy(update={"pixel_size_nm": 4.0})))
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
    found = _read(folder, f"micrograph,label,class\n{row}\nf.png,700,Empty\n")
    fault = _fault(found)
    assert (fault.row, fault.column) == (2, column)
    assert fault.reason.startswith(message)
    assert [item.label for item in found if isinstance(item, Particle)] == ["Empty"]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("70,10,5,5", "the box lies outside the image"),
        ("10,-9,5,9", "the box lies outside the image"),
        ("10,10,2,9", "the box lies outside the image, or less than 3 px of it inside"),
        ("1e300,0,5,5", "the box lies outside the image"),
        ("10,10,-2,9", "width_px is '-2': Input should be greater than 0"),
        ("10,nan,2,9", "y_px is 'nan': Input should be a finite number"),
    ],
)
def test_boxes_that_show_nothing_are_rejected(folder: Path, box: str, message: str) -> None:
    found = _read(folder, f"micrograph,x_px,y_px,width_px,height_px,class\nf.png,{box},Full\n")
    assert _fault(found).reason.startswith(message)
    assert len(found) == 1


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
    found = _read(folder)
    fault = _fault(found)
    assert (fault.row, fault.file) == (2, "f.txt")
    assert fault.reason.startswith(message)
    assert len(found) == 2


def test_boxes_of_no_image_or_of_two_are_rejected_line_by_line(folder: Path) -> None:
    (folder / "classes.txt").write_text("Full\n")
    (folder / "g.txt").write_text("0 0.5 0.5 0.2 0.2\n0 0.4 0.5 0.2 0.2\n")
    (folder / "f.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    tifffile.imwrite(folder / "f.tif", GREY)
    found = _read(folder)
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
    found = _read(folder, "micrograph,label,class\nf.png,3,Full\nf.png,3,Empty\n")
    assert _fault(found).reason == "id 'f.png:3' is a duplicate of row 2; list every particle once"


def test_a_damaged_micrograph_rejects_all_its_rows_and_no_others(folder: Path) -> None:
    (folder / "g.png").write_bytes((folder / "f.png").read_bytes()[:300])
    shutil.copy(folder / "f_labels.png", folder / "g_labels.png")
    found = _read(folder, "micrograph,label,class\ng.png,3,Full\nf.png,3,Empty\ng.png,9,Full\nh.png,9,Full\n")
    faults = {item.row: item.reason for item in found if isinstance(item, Rejected) and item.fault}
    assert set(faults) == {2, 4, 5}
    assert faults[2].startswith("g.png: damaged or not an image")
    assert [item.id for item in found if isinstance(item, Particle)] == ["f.png:3"]


def test_a_label_mask_of_another_size_or_damaged_is_named(folder: Path) -> None:
    Image.fromarray(LABELS[1:]).save(folder / "f_labels.png")
    table = "micrograph,label,class\nf.png,3,Full\n"
    assert (
        _fault(_read(folder, table)).reason == "f_labels.png: the label mask is (49, 60) px but page 0 is (50, 60) px"
    )
    (folder / "f_labels.png").write_bytes(b"no image")
    assert _fault(_read(folder, table)).reason.startswith("f_labels.png: damaged or not an image")


def test_links_are_not_followed(folder: Path) -> None:
    (folder / "g.png").symlink_to(folder / "f.png")
    (folder / "g_labels.png").symlink_to(folder / "f_labels.png")
    fault = _fault(_read(folder, "micrograph,label,class\ng.png,3,Full\n"))
    assert "is a link, which is not followed" in fault.reason


def test_a_folder_without_any_list_says_what_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither particles\.csv nor classes\.csv nor classes\.txt"):
        list_tasks(tmp_path, CLASSES, "class")


def test_a_table_without_labels_or_boxes_says_which_columns_to_add(folder: Path) -> None:
    with pytest.raises(InputError, match="or a box in the columns height_px, width_px, x_px, y_px"):
        _read(folder, "micrograph,class,x_px\nf.png,Full,3\n")


REAL = Path(__file__).parents[3] / "shared" / "realdata" / "liposomes" / "fields"
LUMEN = "index,class\n0,Filled\n1,Clustered\n2,Filled\n3,Clustered\n4,Empty\n5,Empty\n"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not part of the project")
def test_every_published_box_of_the_liposomes_is_cut_or_rejected(tmp_path: Path) -> None:
    folder = tmp_path / "fields"
    shutil.copytree(REAL, folder)
    (folder / "classes.csv").write_text(LUMEN)
    classes = ("Empty", "Filled", "Clustered")
    tasks, rejected = list_tasks(folder, classes, "class")
    found = [item for task in tasks for item in read_task(task, folder, SETTINGS)]
    assert len(tasks) == 34
    particles = [item for item in found if isinstance(item, Particle)]
    assert len(found) + len(rejected) == 2720
    assert len(particles) > 2700
    counts = [sum(item.label == name for item in particles) for name in classes]
    assert counts[0] > counts[1] > counts[2] > 50
    for item in particles[::50]:
        height, width = item.image.shape
        image, line = item.id.rsplit(":", 1)
        words = (folder / image).with_suffix(".txt").read_text().split("\n")[int(line) - 1].split()
        assert (height - 8, width - 8) == pytest.approx(
            (512 * float(words[4]), 512 * float(words[3])), abs=1.01
        ) or item.cut_by_edge
