"""Particles without a class: from a folder of images, a table, or a micrograph, cut like training particles."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.samples.particles import Particle, inscribed_ellipse
from lipnet.sources.micrographs import MicrographSettings
from lipnet.sources.rows import Rejected
from lipnet.sources.unlabelled import left_out_in_words, only, open_all, open_unlabelled, rows_of
from tests.sources.grey import AS_STORED

SETTINGS = MicrographSettings(padding_px=2, pixel_size_nm=None)
IMAGE = np.arange(120, dtype=np.uint8).reshape(10, 12)
MASK = np.zeros((10, 12), np.uint8)
MASK[3:7, 4:9] = 255


def _save(path: Path, pixels: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def _read(path: Path, masks: Path | None = None, padding_px: int | None = None, given: Any = ()) -> list[Any]:
    opened = open_unlabelled(path, masks, padding_px, given, SETTINGS, AS_STORED)
    return [*(item for task in opened.tasks for item in opened.read(task)), *opened.rejected]


def test_every_image_of_a_folder_is_a_particle_of_its_name(tmp_path: Path) -> None:
    _save(tmp_path / "b.png", IMAGE)
    _save(tmp_path / "inner" / "a.png", 255 - IMAGE)
    (tmp_path / "notes.txt").write_text("no image")
    first, second = _read(tmp_path)
    assert (first.id, second.id, first.label) == ("b.png", "inner/a.png", "")
    assert_array_equal(second.image, 255 - IMAGE)
    assert_array_equal(first.mask, inscribed_ellipse((10, 12), 0))
    assert first.mask_estimated and np.isnan(first.pixel_size_nm)


def test_the_padding_of_the_images_of_a_folder_is_not_part_of_the_particle(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", IMAGE)
    [particle] = _read(tmp_path, padding_px=3)
    assert particle.padding_px == 3
    assert_array_equal(particle.mask, inscribed_ellipse((10, 12), 3))


@pytest.mark.parametrize("where", ["beside", "inside"])
def test_masks_have_the_names_of_the_images_or_their_stems(tmp_path: Path, where: str) -> None:
    images = tmp_path / "images"
    masks = images / "masks" if where == "inside" else tmp_path / "masks"
    for name, mask in (("a.png", "a.png"), ("b.png", "b.tif")):
        _save(images / name, IMAGE)
        _save(masks / mask, MASK)
    particles = _read(images, masks)
    assert [particle.id for particle in particles] == ["a.png", "b.png"]
    for particle in particles:
        assert_array_equal(particle.mask, MASK > 0)
        assert not particle.mask_estimated


def test_an_image_without_its_mask_and_a_damaged_one_are_rejected_and_the_rest_is_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _save(tmp_path / "images" / f"{name}.png", IMAGE)
    (tmp_path / "images" / "c.png").write_bytes(b"no image")
    for name in ("b", "c"):
        _save(tmp_path / "masks" / f"{name}.png", MASK)
    lacking, fine, damaged = _read(tmp_path / "images", tmp_path / "masks")
    assert isinstance(fine, Particle)
    assert isinstance(lacking, Rejected) and "a.png: no such file" in lacking.reason
    assert isinstance(damaged, Rejected) and "c.png: damaged or not an image" in damaged.reason


def test_a_link_in_a_folder_is_not_followed_and_the_folder_itself_may_be_one(tmp_path: Path) -> None:
    _save(tmp_path / "images" / "a.png", IMAGE)
    _save(tmp_path / "outside.png", IMAGE)
    (tmp_path / "images" / "b.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "link").symlink_to(tmp_path / "images")
    fine, refused = _read(tmp_path / "link")
    assert isinstance(fine, Particle)
    assert isinstance(refused, Rejected) and "is a link, which is not followed" in refused.reason


@pytest.mark.parametrize("name", ["particles.csv", "mine.csv"])
def test_a_table_needs_no_class_and_its_columns_say_the_rest(tmp_path: Path, name: str) -> None:
    _save(tmp_path / "a.png", IMAGE)
    (tmp_path / name).write_text("id,image,padding_px,pixel_size_nm,density\np1,a.png,2,1.5,7\n")
    path = tmp_path if name == "particles.csv" else tmp_path / name
    [particle] = _read(path, given=["density"])
    assert (particle.id, particle.label, particle.padding_px, particle.pixel_size_nm) == ("p1", "", 2, 1.5)
    assert particle.features == {"density": 7.0}


def test_rows_of_a_table_that_cannot_be_used_are_rejected(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", IMAGE)
    (tmp_path / "particles.csv").write_text("id,image\np1,a.png\np1,a.png\np2,missing.png\n")
    fine, missing, twice = _read(tmp_path)
    assert isinstance(fine, Particle)
    assert "missing.png: no such file" in missing.reason and missing.row == 4
    assert "duplicate of row 2" in twice.reason


def _micrograph(folder: Path, labels_name: str) -> Path:
    labels = np.zeros((30, 40), np.uint16)
    labels[5:10, 6:12], labels[15:22, 20:31] = 3, 7
    grey = np.random.default_rng(0).integers(20, 230, (30, 40)).astype(np.uint8)
    _save(folder / "field.png", grey)
    (folder / labels_name).parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(folder / labels_name, labels)
    return folder / "field.png"


@pytest.mark.parametrize("labels_name", ["field_labels.tif", "labels/field.tif", "../elsewhere/any.tif"])
def test_every_number_of_a_label_mask_is_a_particle_cut_with_its_surrounding(tmp_path: Path, labels_name: str) -> None:
    path = _micrograph(tmp_path / "data", labels_name)
    masks = tmp_path / "data" / labels_name if ".." in labels_name else None
    first, second = _read(path, masks)
    assert (first.id, second.id) == ("field.png:3", "field.png:7")
    assert first.image.shape == (5 + 4, 6 + 4) and first.mask.sum() == 30 and not first.mask_estimated
    assert second.padding_px == 2
    [wider, _] = _read(path, masks, padding_px=4)
    assert wider.image.shape == (5 + 8, 6 + 8)


def test_particles_of_a_stack_say_their_page(tmp_path: Path) -> None:
    labels = np.zeros((2, 30, 40), np.uint16)
    labels[0, 5:10, 6:12] = labels[1, 8:12, 6:12] = 1
    tifffile.imwrite(tmp_path / "stack.tif", np.full((2, 30, 40), 90, np.uint8), photometric="minisblack")
    tifffile.imwrite(tmp_path / "stack_labels.tif", labels, photometric="minisblack")
    first, second = _read(tmp_path / "stack.tif")
    assert (first.id, second.id) == ("stack.tif#0:1", "stack.tif#1:1")
    assert (first.mask.sum(), second.mask.sum()) == (30, 24)


def test_a_label_mask_of_another_size_rejects_its_particles(tmp_path: Path) -> None:
    path = _micrograph(tmp_path, "field_labels.tif")
    _save(path, IMAGE)
    assert all("the label mask is" in item.reason for item in _read(path))


@pytest.mark.parametrize(
    ("make", "path", "options", "message"),
    [
        ((), "none", {}, "none: no such file or folder"),
        (("notes.txt",), "", {}, "holds no particles.csv and no PNG"),
        (("notes.txt",), "notes.txt", {}, r"notes\.txt: give a folder of images"),
        (("a.png",), "", {"masks": "none"}, "none: no such folder of masks"),
        (
            ("a.png",),
            "a.png",
            {},
            r"a\.png: give its label mask with --masks, or save the mask as a_labels\.tif beside",
        ),
        (("a.png",), "a.png", {"masks": "none.tif"}, r"none\.tif: no such label mask"),
        (("a.png", "b.png"), "a.png", {"masks": "b.png"}, r"b\.png: marks no particle"),
        (("a.png", "b.txt"), "a.png", {"masks": "b.txt"}, r"b\.txt: format '\.txt' is not read"),
        (("a.png",), "", {"given": ["density"]}, "the model needs the columns density; give a table"),
        (("t.csv",), "t.csv", {"masks": "."}, r"t\.csv: a table gives masks and padding itself"),
        (("t.csv",), "t.csv", {"padding_px": 1}, r"t\.csv: a table gives masks and padding itself"),
        (("t.csv",), "t.csv", {}, r"t\.csv: column image is missing"),
        (("t.csv",), "t.csv", {"given": ["density"]}, r"t\.csv: column image, density is missing"),
    ],
)
def test_an_input_that_cannot_be_read_is_named(
    tmp_path: Path, make: tuple[str, ...], path: str, options: dict[str, Any], message: str
) -> None:
    for name in make:
        if name.endswith(".png"):
            _save(tmp_path / name, np.zeros((10, 12), np.uint8))
        else:
            (tmp_path / name).write_text("id\np1\n")
    if "masks" in options:
        options = options | {"masks": tmp_path / options["masks"]}
    with pytest.raises(InputError, match=message):
        _read(tmp_path / path, **options)


def test_rows_of_a_folder_name_files_as_particles_csv_does(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        _save(tmp_path / "images" / name, IMAGE)
        _save(tmp_path / "masks" / name, MASK)
    source = open_unlabelled(tmp_path / "images", tmp_path / "masks", 1, (), SETTINGS, AS_STORED)
    rows = rows_of(source).set_index("id")
    assert rows.loc["b.png"].to_dict() == {"image": "images/b.png", "mask": "masks/b.png", "padding_px": "1"}
    rows_of(source).to_csv(tmp_path / "particles.csv", index=False)
    assert [item.id for item in _read(tmp_path)] == ["a.png", "b.png"]


def test_some_particles_of_a_source_can_be_read_alone(tmp_path: Path) -> None:
    (tmp_path / "particles.csv").write_text("id,image,group\n1,a.png,x\n2,gone.png,x\n")
    _save(tmp_path / "a.png", IMAGE)
    source = only(open_unlabelled(tmp_path, None, None, (), SETTINGS, AS_STORED), {"1"})
    assert rows_of(source).to_dict("records") == [{"id": "1", "image": "a.png", "group": "x"}]
    [[particle]] = [source.read(task) for task in source.tasks]
    assert particle.id == "1"


def test_rows_of_a_micrograph_name_its_label_mask(tmp_path: Path) -> None:
    labels = np.zeros((10, 12), np.uint8)
    labels[1:4, 1:4], labels[6:9, 6:9] = 3, 8
    tifffile.imwrite(tmp_path / "m.tif", IMAGE)
    tifffile.imwrite(tmp_path / "m_labels.tif", labels)
    source = only(open_unlabelled(tmp_path / "m.tif", None, None, (), SETTINGS, AS_STORED), {"m.tif:8"})
    [row] = rows_of(source).to_dict("records")
    assert row == {"id": "m.tif:8", "micrograph": "m.tif", "labels": "m_labels.tif", "label": 8, "page": 0}
    [task] = source.tasks
    assert [item.id for item in source.read(task) if isinstance(item, Particle)] == ["m.tif:8"]


def test_images_of_other_formats_are_refused_by_name_and_other_files_are_reported(tmp_path: Path) -> None:
    _save(tmp_path / "images" / "a.png", IMAGE)
    _save(tmp_path / "masks" / "a.png", MASK)
    _save(tmp_path / "masks" / "b.png", MASK)
    for name in ("c.czi", "notes.txt", "._a.png", ".ipynb_checkpoints/a-checkpoint.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    opened = open_unlabelled(tmp_path / "images", tmp_path / "masks", None, (), SETTINGS, AS_STORED)
    assert [item.id for task in opened.tasks for item in opened.read(task) if isinstance(item, Particle)] == ["a.png"]
    assert [(row.id, row.fault) for row in opened.rejected] == [("c.czi", True)]
    assert [(row.file, row.reason, row.fault) for row in opened.left_out] == [
        ("notes.txt", "no image", False),
        ("b.png", "a mask without its image", False),
    ]


def test_a_folder_of_unread_images_alone_names_each_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.nd2").write_bytes(b"x")
    [row] = open_unlabelled(tmp_path, None, None, (), SETTINGS, AS_STORED).rejected
    assert "a.nd2: format '.nd2' is not read" in row.reason


def test_a_folder_and_a_table_of_micrographs_are_read(tmp_path: Path) -> None:
    _micrograph(tmp_path, "field_labels.tif")
    for path in (tmp_path, tmp_path / "fields.csv"):
        (tmp_path / "fields.csv").write_text("micrograph,class\nfield.png,Bright\n")
        items = _read(path, padding_px=1)
        assert [(item.id, item.padding_px, item.label) for item in items] == [
            ("field.png:3", 1, ""),
            ("field.png:7", 1, ""),
        ]
    with pytest.raises(InputError, match="a table of micrographs gives label masks itself"):
        _read(tmp_path / "fields.csv", tmp_path)


def test_boxes_of_a_table_without_classes_are_read_and_written_again(tmp_path: Path) -> None:
    _micrograph(tmp_path, "field_labels.tif")
    (tmp_path / "particles.csv").write_text("micrograph,x_px,y_px,width_px,height_px\nfield.png,6,5,12,10\n")
    [particle] = _read(tmp_path)
    assert particle.id == "field.png:box2" and particle.mask_estimated and particle.image.shape == (10 + 4, 12 + 4)
    [row] = rows_of(open_unlabelled(tmp_path, None, None, (), SETTINGS, AS_STORED)).to_dict("records")
    box = {"x_px": 6, "y_px": 5, "width_px": 12, "height_px": 10}
    assert row == {"id": "field.png:box2", "micrograph": "field.png", **box}


def _ids(paths: list[Path], masks: Path | None = None) -> list[list[str]]:
    opened = open_all(paths, masks, None, (), SETTINGS, AS_STORED)
    read = [[item for task in one.tasks for item in one.read(task)] for one in opened]
    assert all(isinstance(item, Particle) for items in read for item in items)
    return [[item.id for item in items] for items in read]


def test_ids_of_several_inputs_begin_with_what_tells_the_inputs_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        _save(tmp_path / name / "a.png", IMAGE)
        _micrograph(tmp_path / name / "fields", "field_labels.tif")
        (tmp_path / f"{name}.csv").write_text(f"id,image\np1,{name}/a.png\n")
    images = [tmp_path / name / "fields" / "field.png" for name in ("one", "two")]
    assert _ids(images) == [[f"{name}/fields/field.png:{n}" for n in (3, 7)] for name in ("one", "two")]
    assert _ids([tmp_path / "one.csv", tmp_path / "two.csv"]) == [["one.csv/p1"], ["two.csv/p1"]]
    beside = _save(images[0].with_name("other.png"), np.zeros((30, 40), np.uint8))
    tifffile.imwrite(beside.with_name("other_labels.tif"), np.eye(30, 40, dtype=np.uint8))
    assert _ids([images[0], beside]) == [["field.png:3", "field.png:7"], ["other.png:1"]]


def test_label_masks_of_several_micrographs_may_lie_in_a_folder(tmp_path: Path) -> None:
    paths = []
    for name in ("a", "b"):
        paths.append(_micrograph(tmp_path / name, f"../masks/{name}.tif").rename(tmp_path / f"{name}.png"))
    assert _ids(paths, tmp_path / "masks") == [["a.png:3", "a.png:7"], ["b.png:3", "b.png:7"]]
    with pytest.raises(InputError, match="give a folder of masks for several inputs"):
        _ids(paths, tmp_path / "masks" / "a.tif")


def test_of_several_inputs_one_that_cannot_be_opened_is_rejected(tmp_path: Path) -> None:
    fine = _micrograph(tmp_path, "field_labels.tif")
    lacking = _save(tmp_path / "lacking.png", IMAGE)
    one, other = open_all([fine, lacking], None, None, (), SETTINGS, AS_STORED)
    assert one.tasks and not other.tasks
    assert "lacking.png: give its label mask" in other.rejected[0].reason


@pytest.mark.parametrize(("second", "message"), [("gone.png", "no such file or folder"), (".", "is given twice")])
def test_an_input_that_is_missing_or_given_twice_is_refused(tmp_path: Path, second: str, message: str) -> None:
    _save(tmp_path / "a.png", IMAGE)
    with pytest.raises(InputError, match=message):
        _ids([tmp_path, tmp_path / second])


def test_files_that_are_left_out_share_one_sentence_for_each_reason() -> None:
    rows = [Rejected(0, "", f"{name}.txt", "file", "no image", fault=False) for name in "abcde"]
    rows.append(Rejected(0, "", "m.png", "file", "a mask without its image", fault=False))
    assert left_out_in_words(rows) == [
        "left out: a.txt, b.txt, c.txt and 2 more: no image",
        "left out: m.png: a mask without its image",
    ]
