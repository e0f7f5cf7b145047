"""Source table: good rows become particles; messages name every fault of a row and the cure."""

import math
import pickle
import unicodedata
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.samples.particles import Particle, bounding_box, inscribed_ellipse
from lipnet.sources.formats.grey_levels import GreySettings
from lipnet.sources.images import FORMAT_NAMES
from lipnet.sources.rows import Rejected
from lipnet.sources.table import TableTask, list_tasks, read_task
from tests.sources.grey import AS_STORED

CLASSES = ("Full", "Empty")
IMAGE = np.arange(120, dtype=np.uint8).reshape(10, 12)
MASK = np.zeros((10, 12), np.uint8)
MASK[3:7, 4:9] = 255


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    Image.fromarray(IMAGE).save(data / "images" / "a.png")
    Image.fromarray(255 - IMAGE).save(data / "images" / "b.png")
    Image.fromarray(MASK).save(data / "mask.png")
    Image.fromarray(IMAGE).save(tmp_path / "outside.png")
    return data


def _table(folder: Path, *lines: str) -> None:
    (folder / "particles.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_particles(
    folder: Path,
    classes: Sequence[str],
    class_column: str,
    feature_columns: Sequence[str],
    grey: GreySettings = AS_STORED,
) -> list[Particle | Rejected]:
    tasks, rejected = list_tasks(folder, class_column, feature_columns, grey)
    tasks = pickle.loads(pickle.dumps(tasks))  # as when they are sent to other processes
    read = partial(
        read_task,
        folder=folder,
        classes=classes,
        class_column=class_column,
        feature_columns=feature_columns,
        grey=grey,
    )
    return [*(item for task in tasks for item in read(task)), *rejected]


def _read(folder: Path, *lines: str, **options: Any) -> list[Particle | Rejected]:
    _table(folder, *lines)
    return read_particles(folder, CLASSES, **{"class_column": "class", "feature_columns": (), **options})


def _one(folder: Path, **cells: str) -> Particle | Rejected:
    row = {"id": "p1", "image": "images/a.png", "class": "Full", **cells}
    features = [name for name in row if name in ("density", "width")]
    [result] = _read(folder, ",".join(row), ",".join(row.values()), feature_columns=features)
    return result


def _particle(folder: Path, **cells: str) -> Particle:
    result = _one(folder, **cells)
    assert isinstance(result, Particle), result
    return result


def _reason(folder: Path, **cells: str) -> str:
    result = _one(folder, **cells)
    assert isinstance(result, Rejected)
    assert (result.row, result.id) == (2, cells.get("id", "p1"))
    return result.reason


def test_a_full_row_becomes_a_particle(folder: Path) -> None:
    particle = _particle(
        folder, mask="mask.png", group="m7", pixel_size_nm="1.25", padding_px="3", density="-1.5e2", width="7"
    )
    assert (particle.id, particle.label, particle.group) == ("p1", "Full", "m7")
    assert (particle.pixel_size_nm, particle.padding_px, particle.mask_estimated) == (1.25, 3, False)
    assert particle.features == {"density": -150.0, "width": 7.0}
    np.testing.assert_array_equal(particle.image, IMAGE)
    np.testing.assert_array_equal(particle.mask, MASK > 0)


def test_a_bare_row_gets_an_ellipse_a_group_of_its_own_and_no_pixel_size(folder: Path) -> None:
    one, two = _read(folder, "id,image,class", "a,images/a.png,Full", "b,images/b.png,Empty")
    assert isinstance(one, Particle)
    assert isinstance(two, Particle)
    assert one.group != two.group
    assert one.mask_estimated
    assert math.isnan(one.pixel_size_nm)
    assert (one.padding_px, one.features) == (0, {})
    np.testing.assert_array_equal(one.mask, inscribed_ellipse((10, 12), 0))


def test_empty_cells_count_as_not_given(folder: Path) -> None:
    particle = _particle(folder, mask="", group="", pixel_size_nm="", padding_px="")
    assert particle.mask_estimated
    assert math.isnan(particle.pixel_size_nm)
    assert particle.padding_px == 0


def test_a_short_row_counts_as_empty_cells(folder: Path) -> None:
    [result] = _read(folder, "id,image,class,mask,group", "a,images/a.png,Full")
    assert isinstance(result, Particle)
    assert result.mask_estimated


def test_names_stay_text(folder: Path) -> None:
    lines = ["id,image,class,group", "001,images/a.png,NA,1", "NA,images/a.png,1,None", "1,images/a.png,1,nan"]
    _table(folder, *lines)
    found = read_particles(folder, ("NA", "1"), "class", ())
    assert [(p.id, p.label, p.group) for p in found if isinstance(p, Particle)] == [
        ("001", "NA", "1"),
        ("NA", "1", "None"),
        ("1", "1", "nan"),
    ]


def test_the_class_column_may_have_another_name_and_non_ascii_classes(folder: Path) -> None:
    _table(folder, "id,image,Füllung", "ä 1,images/a.png,halb voll")
    [found] = read_particles(folder, ("halb voll", "leer"), "Füllung", ())
    assert isinstance(found, Particle)
    assert (found.id, found.label) == ("ä 1", "halb voll")


def test_a_byte_order_mark_and_blanks_after_commas_do_not_matter(folder: Path) -> None:
    (folder / "particles.csv").write_text("id, image, class\np1, images/a.png, Full\n", encoding="utf-8-sig")
    [found] = read_particles(folder, CLASSES, "class", (), AS_STORED)
    assert isinstance(found, Particle)
    assert (found.id, found.label) == ("p1", "Full")


def test_results_come_in_order_and_a_bad_row_does_not_stop_the_others(folder: Path) -> None:
    found = _read(folder, "id,image,class", "a,images/a.png,Full", "b,gone.png,Full", "c,images/b.png,Empty")
    assert [type(result) for result in found] == [Particle, Rejected, Particle]
    assert found[1] == Rejected(3, "b", "gone.png", "image", "gone.png: no such file")


def test_no_table_is_named_with_the_cure(folder: Path) -> None:
    with pytest.raises(InputError, match=r"particles\.csv: no such file; .* set source\.folder"):
        read_particles(folder, CLASSES, "class", (), AS_STORED)


@pytest.mark.parametrize("content", [b"", b"id,image,class\n\xe4,a.png,Full\n", b'id,image,class\n"a,b\n'])
def test_a_table_that_is_no_csv_in_utf_8_is_refused(folder: Path, content: bytes) -> None:
    (folder / "particles.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"particles\.csv: not a CSV table in UTF-8"):
        read_particles(folder, CLASSES, "class", (), AS_STORED)


def test_missing_columns_are_all_named_with_the_present_ones(folder: Path) -> None:
    with pytest.raises(InputError, match=r"column image, density is missing; it has id, class, picture$"):
        _read(folder, "id,class,picture", "a,Full,images/a.png", feature_columns=("density",))


def test_rows_longer_than_the_header_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="rows have more fields than the header; remove commas"):
        _read(folder, "id,image,class", "a,images/a.png,Full,", "b,images/b.png,Empty,")


def test_one_row_longer_than_the_others_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"not a CSV table in UTF-8 .*line 3"):
        _read(folder, "id,image,class", "a,images/a.png,Full", "b,images/b.png,Empty,x")


def test_an_unknown_class_is_named_with_the_known_ones_and_the_cure(folder: Path) -> None:
    reason = _reason(folder, **{"class": "full"})
    assert reason == "class 'full' is not one of Full, Empty; correct the row or list it in `classes`"


def test_a_missing_image_is_named(folder: Path) -> None:
    assert _reason(folder, image="images/gone.png") == "gone.png: no such file"


def test_a_truncated_png_is_named(folder: Path) -> None:
    path = folder / "images" / "a.png"
    path.write_bytes(path.read_bytes()[:50])
    assert _reason(folder).startswith("a.png: damaged or not an image")


def test_nan_in_an_image_is_named(folder: Path) -> None:
    tifffile.imwrite(folder / "a.tif", np.full((10, 12), np.nan, np.float32))
    assert _reason(folder, image="a.tif") == "a.tif: has NaN or infinite values"


def test_an_unknown_format_is_named_with_the_known_ones(folder: Path) -> None:
    (folder / "a.webp").write_bytes(b"RIFF")
    assert _reason(folder, image="a.webp") == f"a.webp: format '.webp' is not read; use {FORMAT_NAMES}"


def test_a_missing_mask_is_named_as_the_file_at_fault(folder: Path) -> None:
    result = _one(folder, mask="gone.png")
    assert result == Rejected(2, "p1", "gone.png", "mask", "gone.png: no such file")


def test_a_mask_of_another_size_is_named_with_both_sizes(folder: Path) -> None:
    Image.fromarray(MASK[:9]).save(folder / "mask.png")
    reason = _reason(folder, mask="mask.png")
    assert reason == "mask.png: the mask is (9, 12) px but the image is (10, 12) px"


def test_an_empty_mask_is_named(folder: Path) -> None:
    Image.fromarray(np.zeros_like(MASK)).save(folder / "mask.png")
    assert _reason(folder, mask="mask.png") == "mask.png: the mask is empty"


def test_a_duplicate_id_is_named_with_its_first_row(folder: Path) -> None:
    lines = ["a,images/a.png,Full", "b,images/a.png,Full", "b,images/b.png,Empty", "b,images/b.png,Empty"]
    found = _read(folder, "id,image,class", *lines)
    assert [result.id for result in found if isinstance(result, Particle)] == ["a", "b"]
    assert [(result.row, result.reason) for result in found if isinstance(result, Rejected)] == [
        (4, "id 'b' is a duplicate of row 3; ids must be unique"),
        (5, "id 'b' is a duplicate of row 3; ids must be unique"),
    ]


def test_an_empty_id_is_refused(folder: Path) -> None:
    assert _reason(folder, id="") == "id is '': String should have at least 1 character"


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-inf", "dense", "", "1;5"])
def test_a_feature_that_is_no_finite_number_is_named_with_its_value(folder: Path, value: str) -> None:
    assert _reason(folder, density=value) == f"density is '{value}', not a finite number"


@pytest.mark.parametrize("value", ["-1.5", "0"])
def test_a_pixel_size_must_be_positive(folder: Path, value: str) -> None:
    assert _reason(folder, pixel_size_nm=value) == f"pixel_size_nm is '{value}': Input should be greater than 0"


@pytest.mark.parametrize("value", ["2 nm", "nan"])
def test_a_pixel_size_must_be_a_number(folder: Path, value: str) -> None:
    assert _reason(folder, pixel_size_nm=value).startswith(f"pixel_size_nm is '{value}': Input should be a")


@pytest.mark.parametrize("value", ["-1", "1.5", "two"])
def test_padding_must_be_a_whole_number(folder: Path, value: str) -> None:
    assert _reason(folder, padding_px=value).startswith(f"padding_px is '{value}': Input should be")


@pytest.mark.parametrize("value", ["5", "100"])
def test_padding_must_leave_some_of_the_image(folder: Path, value: str) -> None:
    assert _reason(folder, padding_px=value) == f"padding_px is {value}, which leaves nothing of (10, 12) px"


def test_the_largest_padding_still_leaves_a_mask(folder: Path) -> None:
    particle = _particle(folder, padding_px="4")
    assert particle.padding_px == 4
    assert bounding_box(particle.mask) == (slice(4, 6), slice(4, 8))


@pytest.mark.parametrize("column", ["image", "mask"])
@pytest.mark.parametrize("name", ["../outside.png", "images/../../outside.png", "{parent}/outside.png"])
def test_files_outside_the_data_folder_are_refused(folder: Path, column: str, name: str) -> None:
    name = name.format(parent=folder.parent)
    assert (folder / name).is_file()
    expected = f"{column} file '{name}' is empty or leaves the data folder; name a file inside it"
    assert _reason(folder, **{column: name}) == expected


@pytest.mark.parametrize("target", ["{parent}/outside.png", "images/b.png"])
def test_links_are_refused_wherever_they_lead(folder: Path, target: str) -> None:
    (folder / "link.png").symlink_to(folder / target.format(parent=folder.parent))
    expected = "image file 'link.png': link.png is a link, which is not followed; copy the file"
    assert _reason(folder, image="link.png") == expected


def test_a_linked_folder_inside_the_data_folder_is_refused(folder: Path) -> None:
    (folder / "more").symlink_to(folder / "images")
    assert "more is a link" in _reason(folder, image="more/a.png")


def test_the_data_folder_itself_may_be_a_link(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    assert _particle(folder.parent / "link").id == "p1"


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b.png"])
def test_what_cannot_name_a_file_is_refused(folder: Path, name: str) -> None:
    row = {"id": "p1", "image": name, "class": "Full"}
    [result] = read_task(TableTask([(2, row)]), folder, CLASSES, "class", (), AS_STORED)
    assert isinstance(result, Rejected)
    assert result.column == "image"


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "\x7f"])
def test_an_id_without_control_characters_is_needed(folder: Path, name: str) -> None:
    row = {"id": name, "image": "images/a.png", "class": "Full"}
    [result] = read_task(TableTask([(2, row)]), folder, CLASSES, "class", (), AS_STORED)
    assert isinstance(result, Rejected)
    assert (result.column, result.id) == ("id", name)


def test_a_path_that_stays_inside_is_read(folder: Path) -> None:
    np.testing.assert_array_equal(_particle(folder, image="images/../images/a.png").image, IMAGE)


def test_an_empty_image_name_is_refused(folder: Path) -> None:
    assert _reason(folder, image="") == "image is '': String should have at least 1 character"


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u202f", "\u200b", "\ufeff", "\t"])
def test_blanks_at_either_end_of_a_cell_or_a_name_of_a_column_do_not_count(folder: Path, blank: str) -> None:
    names = ["id", "image", "class", "group", "pixel_size_nm", "density"]
    lines = [["a", "images/a.png", "Full", "m 1", "1.5", "2"], ["b", "images/b.png", "Empty", "m\u00a01", "1.5", "3"]]
    rows = [",".join(f"{blank}{cell}{blank}" for cell in cells) for cells in (names, *lines)]
    found = _read(folder, *rows, feature_columns=("density",))
    assert [(item.id, item.label, item.group) for item in found if isinstance(item, Particle)] == [
        ("a", "Full", "m 1"),
        ("b", "Empty", "m 1"),
    ]
    assert [item.features for item in found if isinstance(item, Particle)] == [{"density": 2.0}, {"density": 3.0}]


@pytest.mark.parametrize(("in_table", "in_settings"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_compare_in_one_form_wherever_they_stand(folder: Path, in_table: str, in_settings: str) -> None:
    def of(text: str, form: Any) -> str:
        return unicodedata.normalize(form, text)

    (folder / of("Größe", in_settings)).mkdir()
    Image.fromarray(IMAGE).save(folder / of("Größe/é.png", in_settings))
    _table(folder, of("id,image,Füllung,ä,group", in_table), of("ü,Größe/é.png,Größe,1,é", in_table))
    column, feature, name = (of(text, in_settings) for text in ("Füllung", "ä", "Größe"))
    [found] = read_particles(folder, (name, "leer"), column, (feature,))
    assert isinstance(found, Particle), found
    assert (found.label, found.features) == (name, {feature: 1.0})
    assert (found.id, found.group) == (of("ü", "NFC"), of("é", "NFC"))


@pytest.mark.parametrize("name", ["images/a.PNG", "images\\a.png", "./images/A/../a.Png"])
def test_a_file_is_found_whatever_the_case_of_its_suffix_and_the_strokes_between_folders(
    folder: Path, name: str
) -> None:
    np.testing.assert_array_equal(_particle(folder, image=name).image, IMAGE)


@pytest.mark.parametrize("name", ["..\\outside.png", "images\\..\\..\\outside.png"])
def test_strokes_of_windows_do_not_lead_outside(folder: Path, name: str) -> None:
    assert (
        _reason(folder, image=name) == f"image file '{name}' is empty or leaves the data folder; name a file inside it"
    )


def test_two_files_that_a_name_can_mean_are_named(folder: Path) -> None:
    for name in ("c.PNG", "c.Png"):
        Image.fromarray(IMAGE).save(folder / name, format="png")
    assert _reason(folder, image="c.png") == "image file 'c.png': c.PNG and c.Png have this name; rename one of them"


@pytest.mark.parametrize("tail", ["\n", "\n\n\n", ",,\n,,\n", " , ,\u00a0\n", "\r\n\r\n", ",,,,,,\n", '"","",""\n'])
def test_rows_without_content_are_passed_over(folder: Path, tail: str) -> None:
    (folder / "particles.csv").write_bytes(f"id,image,class\na,images/a.png,Full\n{tail}".encode())
    [found] = read_particles(folder, CLASSES, "class", ())
    assert isinstance(found, Particle)


def test_a_row_with_any_content_is_not_passed_over(folder: Path) -> None:
    found = _read(folder, "id,image,class,note", ",,,", "7,,,", ",,,x")
    assert [(item.row, item.column) for item in found if isinstance(item, Rejected)] == [(3, "image"), (4, "id")]


def test_a_row_is_the_line_where_it_begins(folder: Path) -> None:
    lines = [
        "",
        "id,image,class,note",
        "",
        'a,images/a.png,Full,"two',
        'lines"',
        ",,,",
        "b,gone.png,Full,",
        "b,,,",
        "c,,,",
    ]
    found = _read(folder, *lines)
    assert [(item.row, item.id) for item in found if isinstance(item, Rejected)] == [(7, "b"), (9, "c"), (8, "b")]
    assert [item.reason for item in found if isinstance(item, Rejected)][2].startswith("id 'b' is a duplicate of row 7")


@pytest.mark.parametrize(
    "header", ["id,image,class,class", "id,image,class, Class ,class\u00a0", "note,id,image,class,note"]
)
def test_a_column_that_is_there_twice_is_refused(folder: Path, header: str) -> None:
    with pytest.raises(
        InputError, match=r"particles\.csv: column (class|note) is there more than once; rename or delete"
    ):
        _read(folder, header, "a,images/a.png,Full,x,y")


def test_columns_without_a_name_do_no_harm(folder: Path) -> None:
    [found] = _read(folder, ",id,image,class,,", "0,a,images/a.png,Full,,")
    assert isinstance(found, Particle)


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_another_separator_is_named(folder: Path, mark: str, word: str) -> None:
    lines = [line.replace("|", mark) for line in ("id|image|class|pixel_size_nm", "a|images/a.png|Full|1,5")]
    with pytest.raises(
        InputError, match=f"column id, image, class is missing; .*{word} between the columns: save it with"
    ):
        _read(folder, *lines)


def test_a_missing_column_of_the_class_names_the_setting(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"column class is missing; it has id, image, kind; source\.class_column in params"
    ):
        _read(folder, "id,image,kind", "a,images/a.png,Full")


@pytest.mark.parametrize("column", ["pixel_size_nm", "density"])
def test_a_decimal_comma_in_quotes_is_named(folder: Path, column: str) -> None:
    assert _reason(folder, **{column: '"1,5"'}).endswith("; write a decimal point, not a comma")


def test_a_decimal_comma_without_quotes_is_named_with_its_line(folder: Path) -> None:
    with pytest.raises(InputError, match=r"line 3 has 5 cells, the header 4.* and write numbers with decimal points"):
        _read(folder, "id,image,class,pixel_size_nm", "a,images/a.png,Full,1", "b,images/b.png,Full,1,5")


@pytest.mark.parametrize("column", ["group", "label", "padding_px", "mask", "Typ\u00a0"])
def test_the_column_of_the_class_may_have_any_name(folder: Path, column: str) -> None:
    found = _read(folder, f"id,image,{column}", "a,images/a.png,Full", "b,images/b.png,Full", class_column=column)
    assert [item.label for item in found if isinstance(item, Particle)] == ["Full", "Full"]
    assert len({item.group for item in found if isinstance(item, Particle)}) == 2


def test_a_table_named_in_capitals_is_read(folder: Path) -> None:
    (folder / "Particles.CSV").write_text("id,image,class\na,images/a.png,Full\n")
    [found] = read_particles(folder, CLASSES, "class", ())
    assert isinstance(found, Particle)


def test_a_link_into_the_cache_of_dvc_is_read_and_others_are_refused_with_a_cure(folder: Path) -> None:
    content = (folder / "images/a.png").read_bytes()
    for place in (".dvc", "other/.dvc"):
        (folder.parent / place / "cache/files/md5/ab").mkdir(parents=True)
        (folder.parent / place / "cache/files/md5/ab" / ("0" * 30)).write_bytes(content)
    (folder / "own.png").symlink_to(folder.parent / ".dvc/cache/files/md5/ab" / ("0" * 30))
    (folder / "foreign.png").symlink_to(folder.parent / "other/.dvc/cache/files/md5/ab" / ("0" * 30))
    (folder / "more").symlink_to(folder.parent / ".dvc/cache/files/md5")
    np.testing.assert_array_equal(_particle(folder, image="own.png").image, IMAGE)
    assert "dvc checkout --relink" in _reason(folder, image="foreign.png")
    assert "more is a link, which is not followed" in _reason(folder, image=f"more/ab/{'0' * 30}")


@pytest.mark.parametrize("name", ["a_cp_masks.png", "a_cp_masks.TIF", "a_cp_masks.tiff"])
def test_the_mask_that_cellpose_saved_beside_an_image_is_taken(folder: Path, name: str) -> None:
    if name.endswith("png"):
        Image.fromarray(MASK // 255 * 7).save(folder / "images" / name)
    else:
        tifffile.imwrite(folder / "images" / name, (MASK // 255 * 7).astype(np.uint16))
    particle = _particle(folder)
    np.testing.assert_array_equal(particle.mask, MASK > 0)
    assert not particle.mask_estimated
    assert _particle(folder, image="images/b.png").mask_estimated
    Image.fromarray(255 - MASK).save(folder / "mask.png")
    np.testing.assert_array_equal(_particle(folder, mask="mask.png").mask, MASK == 0)  # the table comes first


def test_a_mask_of_cellpose_with_neighbours_is_refused(folder: Path) -> None:
    labels = MASK // 255
    labels[0, 0] = 2
    Image.fromarray(labels).save(folder / "images/a_cp_masks.png")
    assert _reason(folder).startswith("a_cp_masks.png: marks 2 objects; set all but the particle to 0")
