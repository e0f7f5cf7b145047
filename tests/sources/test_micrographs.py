"""Source micrographs: particles are cut at their place, neighbours are hidden, cut particles are marked."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import tifffile
from PIL import Image

from lipnet.samples.particles import Particle, bounding_box, inscribed_ellipse
from lipnet.sources.micrograph_rows import list_tasks
from lipnet.sources.micrographs import read_task
from lipnet.sources.rows import Rejected
from tests.sources.grey import AS_STORED, POOLED
from tests.sources.micrograph_folder import (
    GREY,
    LABELS,
    SETTINGS,
    particles_of,
    read_folder,
    save_micrograph,
    the_fault,
)

BACKGROUND = "the object has no row in particles.csv, so it has no class and is left out"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_micrograph(tmp_path)


def test_an_object_of_a_label_mask_is_cut_with_its_surrounding(folder: Path) -> None:
    [particle] = particles_of(read_folder(folder, "micrograph,label,class\nf.png,3,Full\n"))
    assert (particle.id, particle.label, particle.group) == ("f.png:3", "Full", "f.png")
    assert (particle.padding_px, particle.mask_estimated, particle.cut_by_edge) == (4, False, False)
    assert math.isnan(particle.pixel_size_nm)
    assert particle.image.shape == (10 + 8, 12 + 8)
    assert bounding_box(particle.mask) == (slice(4, 14), slice(4, 16))
    np.testing.assert_array_equal(particle.image[4:14, 4:16], GREY[10:20, 12:24])
    np.testing.assert_array_equal(particle.image[:4], GREY[6:10, 8:28])


def test_a_touching_neighbour_becomes_the_median_of_the_background(folder: Path) -> None:
    [particle] = particles_of(read_folder(folder, "micrograph,label,class\nf.png,3,Full\n"))
    window = (slice(6, 24), slice(8, 28))
    neighbour = LABELS[window] == 700
    assert neighbour.sum() == 4 * 7
    level = np.median(GREY[window][LABELS[window] == 0])
    np.testing.assert_allclose(particle.image[neighbour], level, atol=0.5)
    np.testing.assert_array_equal(particle.image[~neighbour], GREY[window][~neighbour])


def test_a_particle_at_the_edge_is_flagged_and_stays_in_the_middle(folder: Path) -> None:
    [particle] = particles_of(read_folder(folder, "micrograph,label,class\nf.png,9,Empty\n"))
    assert particle.cut_by_edge
    assert particle.image.shape == (18, 18)
    assert bounding_box(particle.mask) == (slice(4, 14), slice(4, 14))
    level = np.median(GREY[36:50, 46:60][LABELS[36:50, 46:60] == 0])
    np.testing.assert_allclose(particle.image[14:, :], level, atol=0.5)
    np.testing.assert_allclose(particle.image[:, 14:], level, atol=0.5)
    np.testing.assert_array_equal(particle.image[:14, :14], GREY[36:50, 46:60])


def test_objects_without_a_row_are_listed_but_no_fault(folder: Path) -> None:
    found = read_folder(folder, "micrograph,label,class\nf.png,700,Full\n")
    left_out = [item for item in found if isinstance(item, Rejected)]
    assert [(item.row, item.id, item.fault, item.reason) for item in left_out] == [
        (3, "f.png:3", False, BACKGROUND),
        (9, "f.png:9", False, BACKGROUND),
    ]


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_a_mask_in_black_and_white_is_no_label_mask_of_several_objects(folder: Path, dtype: type) -> None:
    (folder / "f_labels.png").unlink()
    np.save(folder / "f_labels.npy", (LABELS > 0) if dtype is bool else np.where(LABELS, 255, 0).astype(dtype))
    fault = the_fault(read_folder(folder, f"micrograph,label,class\nf.png,{1 if dtype is bool else 255},Full"))
    assert fault.column == "label"
    assert "is in 2 pieces over 40 x 48 px, the largest of 18 x 12 px: give each object its own number" in fault.reason


def test_a_number_with_a_stray_pixel_far_away_is_refused_and_one_nearby_is_not(folder: Path) -> None:
    for row, fine in ((22, True), (45, False)):
        labels = np.where(LABELS == 3, 3, 0)
        labels[row, 13] = 3
        Image.fromarray(labels.astype(np.uint16)).save(folder / "f_labels.png")
        found = read_folder(folder, "micrograph,label,class\nf.png,3,Full")
        if fine:
            [particle] = particles_of(found)
            assert particle.mask.sum() == 121
        else:
            assert "is in 2 pieces over 36 x 12 px, the largest of 10 x 12 px" in the_fault(found).reason


def test_a_box_gives_an_ellipse_marked_as_estimated_and_keeps_its_neighbours(folder: Path) -> None:
    table = "id,micrograph,x_px,y_px,width_px,height_px,class,pixel_size_nm\na,f.png,12.2,9.8,12,10,Full,1.5\n"
    [particle] = particles_of(read_folder(folder, table))
    assert (particle.id, particle.mask_estimated, particle.cut_by_edge, particle.pixel_size_nm) == (
        "a",
        True,
        False,
        1.5,
    )
    np.testing.assert_array_equal(particle.mask, np.pad(inscribed_ellipse((10, 12), 0), 4))
    np.testing.assert_array_equal(particle.image, GREY[6:24, 8:28])


def test_a_box_that_crosses_the_edge_is_clipped_and_flagged(folder: Path) -> None:
    found = read_folder(folder, "micrograph,x_px,y_px,width_px,height_px,class\nf.png,-5,20,15,10,Full\n")
    [particle] = particles_of(found)
    assert particle.cut_by_edge
    assert bounding_box(particle.mask) == (slice(4, 14), slice(4, 14))
    np.testing.assert_array_equal(particle.image[4:14, 4:14], GREY[20:30, :10])


def test_a_box_with_edges_beyond_any_float_is_clipped(folder: Path) -> None:
    (folder / "classes.txt").write_text("Full\n")
    (folder / "f.txt").write_text("0 0.5 0 0.2 1.5e307\n")
    [particle] = particles_of(read_folder(folder))
    assert particle.cut_by_edge
    assert bounding_box(particle.mask) == (slice(4, 54), slice(4, 16))


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
    found = read_folder(tmp_path, table, grey=POOLED)
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
    flat = particles_of(read_folder(tmp_path, table, grey=POOLED))[0]
    percents = POOLED.model_copy(update={"low_percent": 0.1, "high_percent": 99.9})
    clipped = particles_of(read_folder(tmp_path, table, grey=percents))[0]
    assert np.ptp(flat.image) < 100
    assert np.ptp(clipped.image) > 50_000


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
    found = read_folder(folder, f"micrograph,x_px,y_px,width_px,height_px,class\nf.png,{box},Full\n")
    assert the_fault(found).reason.startswith(message)
    assert len(found) == 1


def test_a_damaged_micrograph_rejects_all_its_rows_and_no_others(folder: Path) -> None:
    (folder / "g.png").write_bytes((folder / "f.png").read_bytes()[:300])
    shutil.copy(folder / "f_labels.png", folder / "g_labels.png")
    found = read_folder(folder, "micrograph,label,class\ng.png,3,Full\nf.png,3,Empty\ng.png,9,Full\nh.png,9,Full\n")
    faults = {item.row: item.reason for item in found if isinstance(item, Rejected) and item.fault}
    assert set(faults) == {2, 4, 5}
    assert faults[2].startswith("g.png: damaged or not an image")
    assert [item.id for item in found if isinstance(item, Particle)] == ["f.png:3"]


def test_a_label_mask_of_another_size_or_damaged_is_named(folder: Path) -> None:
    Image.fromarray(LABELS[1:]).save(folder / "f_labels.png")
    table = "micrograph,label,class\nf.png,3,Full\n"
    assert (
        the_fault(read_folder(folder, table)).reason
        == "f_labels.png: the label mask is (49, 60) px but page 0 is (50, 60) px"
    )
    (folder / "f_labels.png").write_bytes(b"no image")
    assert the_fault(read_folder(folder, table)).reason.startswith("f_labels.png: damaged or not an image")


REAL = Path(__file__).parents[3] / "shared" / "realdata" / "liposomes" / "fields"
LUMEN = "index,class\n0,Filled\n1,Clustered\n2,Filled\n3,Clustered\n4,Empty\n5,Empty\n"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not part of the project")
def test_every_published_box_of_the_liposomes_is_cut_or_rejected(tmp_path: Path) -> None:
    folder = tmp_path / "fields"
    shutil.copytree(REAL, folder)
    (folder / "classes.csv").write_text(LUMEN)
    classes = ("Empty", "Filled", "Clustered")
    tasks, rejected = list_tasks(folder, classes, "class")
    found = [item for task in tasks for item in read_task(task, folder, SETTINGS, AS_STORED)]
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
