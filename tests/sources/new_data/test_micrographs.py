"""Objects of new micrographs: pages, folders, tables; what has no counterpart is rejected or reported."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from lipnet.core.errors import InputError
from lipnet.sources.micrograph_rows import BoxPlace, LabelPlace, Target
from lipnet.sources.new_data.micrographs import Listing, by_mask, mask_of, of_folder, of_pairs, of_table


def _labels(*numbers: int) -> Any:
    labels = np.zeros((30, 40), np.uint16)
    for at, number in enumerate(numbers):
        labels[3 + 9 * at : 9 + 9 * at, 6:12] = number
    return labels


def _save(path: Path, pixels: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric="minisblack")
    return path


def _field(folder: Path, name: str, *numbers: int) -> None:
    _save(folder / f"{name}.tif", np.full((30, 40), 90, np.uint8))
    _save(folder / f"{name}_labels.tif", _labels(*numbers))


def _ids(listing: Listing | None) -> list[str]:
    assert listing is not None
    return [target.id for task in listing.tasks for target in task.targets]


def _stack(folder: Path, pages: int, masks: Any) -> Listing:
    _save(folder / "s.tif", np.full((pages, 30, 40), 90, np.uint8) if pages > 1 else np.full((30, 40), 90, np.uint8))
    _save(folder / "s_labels.tif", masks)
    return of_pairs(folder, [("s.tif", Path("s.tif"), Path("s_labels.tif"))])


def test_pages_of_a_stack_without_a_page_of_the_label_mask_are_rejected(tmp_path: Path) -> None:
    listing = _stack(tmp_path, 3, _labels(1, 2))
    assert _ids(listing) == ["s.tif#0:1", "s.tif#0:2"]
    assert [(row.id, row.reason) for row in listing.rejected] == [
        (f"s.tif#{page}", f"s_labels.tif: has no page {page}, counted from 0") for page in (1, 2)
    ]


def test_pages_of_a_label_mask_without_a_page_of_the_stack_are_rejected(tmp_path: Path) -> None:
    listing = _stack(tmp_path, 1, np.stack([_labels(1), _labels(2)]))
    assert _ids(listing) == ["s.tif#0:1"]
    [row] = listing.rejected
    assert (row.id, row.reason) == ("s.tif#1", "s.tif: has no page 1, counted from 0")


def test_a_page_without_particles_is_reported_without_fault(tmp_path: Path) -> None:
    listing = _stack(tmp_path, 2, np.stack([_labels(), _labels(5)]))
    assert _ids(listing) == ["s.tif#1:5"] and listing.rejected == []
    [row] = listing.left_out
    assert (row.file, row.reason, row.fault) == ("s.tif#0", "its label mask marks no particle", False)


@pytest.mark.parametrize("number", [1, 255, 65535])
def test_a_binary_mask_of_several_particles_is_refused(tmp_path: Path, number: int) -> None:
    listing = _stack(tmp_path, 1, _labels(number, number, number))
    assert listing.tasks == []
    assert f"3 separate pieces, all with the number {number}, so it is a binary mask" in listing.rejected[0].reason


def test_one_particle_with_a_stray_pixel_is_no_binary_mask(tmp_path: Path) -> None:
    labels = _labels(255)
    labels[29, 39] = 255
    assert _ids(_stack(tmp_path, 1, labels)) == ["s.tif:255"]
    assert _ids(_stack(tmp_path, 1, _labels(7, 7))) == ["s.tif:7"]  # a number of its own, in two pieces


def test_every_micrograph_of_a_folder_is_read_and_every_other_file_named(tmp_path: Path) -> None:
    _field(tmp_path, "a", 1, 2)
    _field(tmp_path, "in/b", 7)
    _save(tmp_path / "c.tif", np.zeros((30, 40), np.uint8))
    _save(tmp_path / "d_labels.tif", _labels(1))
    np.save(tmp_path / "a_labels.npy", _labels(1))
    (tmp_path / "e.czi").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no image")
    listing = of_folder(tmp_path)
    assert listing is not None
    assert _ids(listing) == ["a.tif:1", "a.tif:2", "in/b.tif:7"]
    reasons = {row.file: row.reason for row in listing.rejected}
    assert set(reasons) == {"c.tif", "e.czi"} and "save it beside the image as c_labels.tif" in reasons["c.tif"]
    assert {row.file: row.reason for row in listing.left_out} == {
        "a_labels.npy": "a second label mask of the same micrograph",
        "d_labels.tif": "a label mask without its micrograph",
        "notes.txt": "no image",
    }


def test_a_folder_without_label_masks_is_no_folder_of_micrographs(tmp_path: Path) -> None:
    _save(tmp_path / "a.tif", np.zeros((30, 40), np.uint8))
    assert of_folder(tmp_path) is None


def test_a_damaged_label_mask_does_not_stop_the_others(tmp_path: Path) -> None:
    _field(tmp_path, "a", 1)
    _field(tmp_path, "b", 1)
    (tmp_path / "a_labels.tif").write_bytes(b"no image")
    listing = of_folder(tmp_path)
    assert _ids(listing) == ["b.tif:1"]
    assert listing is not None and "a_labels.tif: damaged" in listing.rejected[0].reason


def _table(folder: Path, text: str) -> Listing:
    (folder / "fields.csv").write_text(text)
    return of_table(folder / "fields.csv")


def test_a_row_without_label_and_box_stands_for_all_objects(tmp_path: Path) -> None:
    _field(tmp_path, "a", 3, 8)
    _save(tmp_path / "elsewhere/any.tif", _labels(5))
    _save(tmp_path / "b.tif", np.full((30, 40), 90, np.uint8))
    listing = _table(tmp_path, "micrograph,labels,pixel_size_nm\na.tif,,1.5\nb.tif,elsewhere/any.tif,\n")
    assert _ids(listing) == ["a.tif:3", "a.tif:8", "b.tif:5"] and listing.rejected == []
    first, last = listing.tasks[0].targets[0], listing.tasks[1].targets[0]
    assert (first.pixel_size_nm, first.place, first.line) == (1.5, LabelPlace("a_labels.tif", 3), 2)
    assert (last.pixel_size_nm, last.place) == (None, LabelPlace("elsewhere/any.tif", 5))


def test_rows_name_one_object_or_one_box_or_one_page(tmp_path: Path) -> None:
    _field(tmp_path, "a", 3, 8)
    _save(tmp_path / "s.tif", np.full((2, 30, 40), 90, np.uint8))
    _save(tmp_path / "s_labels.tif", np.stack([_labels(1), _labels(2, 4)]))
    header = "id,micrograph,page,label,x_px,y_px,width_px,height_px\n"
    rows = ["p1,a.tif,,8.0,,,,", ",a.tif,,Dense,1,2,10,12", ",s.tif,1,,,,,", ",a.tif,,3,1,2,10,12"]
    listing = _table(tmp_path, header + "\n".join(rows))
    assert listing.rejected == []
    places = {target.id: target.place for task in listing.tasks for target in task.targets}
    assert places == {
        "p1": LabelPlace("a_labels.tif", 8),
        "a.tif:box3": BoxPlace(1, 2, 10, 12, relative=False),
        "a.tif:3": LabelPlace("a_labels.tif", 3),
        "s.tif#1:2": LabelPlace("s_labels.tif", 2),
        "s.tif#1:4": LabelPlace("s_labels.tif", 4),
    }


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("a.tif,,,,5,", "box", "the box lacks x_px, width_px, height_px"),
        ("a.tif,,ghost,,,", "label", "label is 'ghost'; give the particle's number in the label mask"),
        ("a.tif,,0,,,", "label", "label is '0'"),
        ("a.tif,9,,,,", "page", "a.tif: has no page 9, counted from 0"),
        ("gone.tif,,,,,", "labels", "gone.tif: has no label mask"),
        ("../a.tif,,,,,", "micrograph", "leaves the data folder"),
        (",,3,,,", "micrograph", "micrograph is ''"),
        ("a.tif,,,1,2,-3", "width_px", "width_px is '-3'"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_with_its_line(
    tmp_path: Path, row: str, column: str, reason: str
) -> None:
    _field(tmp_path, "a", 3)
    columns = "micrograph,page,label,x_px,y_px,width_px,height_px\n"
    [rejected] = _table(tmp_path, f"{columns}{row},\n").rejected
    assert (rejected.row, rejected.column) == (2, column) and reason in rejected.reason


def test_a_particle_that_is_listed_twice_is_rejected_once(tmp_path: Path) -> None:
    _field(tmp_path, "a", 3, 8)
    listing = _table(tmp_path, "micrograph,label\na.tif,8\na.tif,\n")
    assert _ids(listing) == ["a.tif:8", "a.tif:3"]
    assert "id 'a.tif:8' is a duplicate of row 2" in listing.rejected[0].reason


def test_a_damaged_micrograph_or_label_mask_in_a_table_is_named(tmp_path: Path) -> None:
    _field(tmp_path, "a", 3)
    _field(tmp_path, "b", 3)
    (tmp_path / "a.tif").write_bytes(b"no image")
    (tmp_path / "b_labels.tif").write_bytes(b"no image")
    listing = _table(tmp_path, "micrograph\na.tif\nb.tif\n")
    assert _ids(listing) == ["a.tif:3"]  # who reads the micrograph says that it is damaged
    [rejected] = listing.rejected
    assert rejected.row == 3 and "b_labels.tif: damaged or not an image" in rejected.reason


def test_the_label_mask_is_found_beside_or_in_a_folder_of_label_masks(tmp_path: Path) -> None:
    _field(tmp_path, "a", 1)
    image = tmp_path / "a.tif"
    assert mask_of(image, None) == tmp_path / "a_labels.tif"
    for name in ("a_cp_masks.png", "a.png"):
        (tmp_path / "masks").mkdir(exist_ok=True)
        (tmp_path / "masks" / name).write_bytes(b"")
        assert mask_of(image, tmp_path / "masks").name == name
    with pytest.raises(InputError, match="holds no label mask of the name b"):
        mask_of(tmp_path / "b.tif", tmp_path / "masks")


def test_boxes_have_no_label_mask() -> None:
    box = Target(2, "t.csv", "b", "", 0, None, BoxPlace(1, 2, 3, 4, relative=False))
    named = [Target(2, "t.csv", name, "", 0, None, LabelPlace(f"{name[0]}.tif", 1)) for name in ("a1", "b1", "a2")]
    assert by_mask([box, *named]) == {"a.tif": [named[0], named[2]], "b.tif": [named[1]]}
