"""Pixel sizes: the table's, then the settings', then the file's; a remark where they differ."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lipnet.samples.particles import Particle
from lipnet.sources import data_report, duplicates, table
from lipnet.sources.formats.pixel_sizes import agreed, disagreement
from lipnet.sources.rows import Rejected, Remark
from lipnet.sources.unlabelled import open_unlabelled
from tests.sources.grey import STRETCHED
from tests.sources.micrograph_folder import GREY, LABELS, SETTINGS, read_folder
from tests.sources.microscope_files import WRITERS, write_dm


@pytest.mark.parametrize(
    ("given", "stated", "expected"), [(None, None, math.nan), (None, 0.5, 0.5), (2.0, 0.5, 2.0), (2.0, None, 2.0)]
)
def test_the_size_given_is_used_or_else_the_stated_one(given: Any, stated: Any, expected: float) -> None:
    np.testing.assert_equal(agreed(given, stated), expected)


def test_sizes_that_differ_by_more_than_rounding_are_named() -> None:
    assert disagreement(0.5, 0.5049) == disagreement(0.5049, 0.5) == disagreement(None, 0.5) == ""
    assert disagreement(5.0, 0.5) == (
        "used with the pixel size given, 5 nm, but the file says 0.5 nm; correct it, or remove it to use "
        "that of the file"
    )


def _rows(folder: Path, *rows: str) -> list[Particle | Rejected]:
    (folder / "particles.csv").write_text("\n".join(["id,image,class,pixel_size_nm", *rows]))
    tasks, rejected = table.list_tasks(folder, "class", (), STRETCHED)
    read = [table.read_task(task, folder, ["Full"], "class", (), STRETCHED) for task in tasks]
    return [*(item for items in read for item in items), *rejected]


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_crop_has_the_size_that_its_file_states_unless_the_table_gives_one(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, GREY.astype("f4"))
    stated, rounded, other, remark = _rows(tmp_path, f"1,{name},Full,", f"2,{name},Full,0.5", f"3,{name},Full,5")
    assert [item.pixel_size_nm for item in (stated, rounded, other)] == pytest.approx([0.5, 0.5, 5.0])
    assert isinstance(remark, Remark) and not remark.fault
    assert (remark.row, remark.id, remark.file, remark.column) == (4, "3", name, "pixel_size_nm")
    assert remark.reason.startswith(f"{name}: used with the pixel size given, 5 nm, but the file says 0.5 nm")


def test_particles_of_a_micrograph_have_the_size_that_its_file_states(tmp_path: Path) -> None:
    write_dm(tmp_path / "f.dm4", GREY)
    np.save(tmp_path / "f_labels.npy", LABELS)
    header = "micrograph,label,class,pixel_size_nm\n"
    first, second, left_out = read_folder(tmp_path, header + "f.dm4,3,Full,\nf.dm4,9,Full,")
    assert (first.pixel_size_nm, second.pixel_size_nm) == (0.5, 0.5)
    assert isinstance(left_out, Rejected) and not isinstance(left_out, Remark)
    given = read_folder(tmp_path, header + "f.dm4,3,Full,2\nf.dm4,9,Full,2\nf.dm4,700,Full,")
    assert [item.pixel_size_nm for item in given[:3]] == [2.0, 2.0, 0.5]
    [remark] = given[3:]
    assert isinstance(remark, Remark) and remark.reason.startswith(
        "f.dm4: used with the pixel size given, 2 nm, but the file says 0.5 nm"
    )
    by_setting = read_folder(tmp_path, settings=SETTINGS.model_copy(update={"pixel_size_nm": 4.0}))
    assert [item.pixel_size_nm for item in by_setting[:3]] == [2.0, 2.0, 4.0]
    assert [item.reason.split(", but")[0] for item in by_setting[3:]] == [
        "f.dm4: used with the pixel size given, 2 nm",
        "f.dm4: used with the pixel size given, 4 nm",
    ]


def test_every_page_has_its_own_size(tmp_path: Path) -> None:
    write_dm(tmp_path / "f.dm3", GREY, GREY)
    np.save(tmp_path / "f_labels.npy", np.stack([LABELS, LABELS]))
    first, second, *_ = read_folder(tmp_path, "micrograph,label,page,class\nf.dm3,3,0,Full\nf.dm3,3,1,Full")
    assert (first.group, second.group) == ("f.dm3#0", "f.dm3#1")
    assert (first.pixel_size_nm, second.pixel_size_nm) == (0.5, 0.5)


def test_new_particles_have_the_size_that_their_file_states(tmp_path: Path) -> None:
    (tmp_path / "crops").mkdir()
    write_dm(tmp_path / "crops" / "a.dm4", GREY)
    write_dm(tmp_path / "f.dm4", GREY)
    np.save(tmp_path / "f_labels.npy", LABELS)
    for path in (tmp_path / "crops", tmp_path / "f.dm4"):
        source = open_unlabelled(path, None, None, (), SETTINGS, STRETCHED)
        found = [item for task in source.tasks for item in source.read(task)]
        assert found and all(item.pixel_size_nm == 0.5 for item in found)


def test_a_remark_is_no_row_left_out() -> None:
    known = pd.DataFrame({"label": ["A"], "group": ["g"], "pixel_size_nm": [1.0], "mask_estimated": [0]})
    known["cut_by_edge"] = 0
    remark = Remark(2, "1", "a.dm4", "pixel_size_nm", "differs", fault=False)
    left_out = Rejected(2, "1", "a.dm4", "class", "no class", fault=False)
    none = duplicates.find(known.assign(id="1"), pd.Series(["x"]))
    counts = data_report.count(known, [remark, left_out], none)
    assert (counts["left_out"], counts["rejected"]["total"]) == (1, 0)
