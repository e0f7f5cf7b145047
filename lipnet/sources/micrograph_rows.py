"""Listing of the particles of source ``micrographs``: rows of particles.csv, or text files of boxes in YOLO format.

A row of particles.csv names an object of a label mask, or gives a box in px. No image is opened here.
"""

import io
import re
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from lipnet.core.errors import InputError
from lipnet.sources.images import IMAGE_SUFFIXES
from lipnet.sources.input.disk import entries, listed_as
from lipnet.sources.input.spelling import file_key, is_clutter, tidy
from lipnet.sources.input.text_files import read_text
from lipnet.sources.rows import (
    OptionalPixelSize,
    OptionalText,
    Rejected,
    Row,
    RowFault,
    Text,
    check_class,
    checked,
    empty_is_missing,
    inside,
)
from lipnet.sources.table import TABLE_NAME, Cells, read_csv, without

CLASS_TABLE, CLASS_LIST = "classes.csv", "classes.txt"
LABEL_MASKS = (  # names of the label mask of an image, relative to the folder of the image
    *("{stem}_cp_masks.tif", "{stem}_cp_masks.png", "{stem}_labels.tif", "{stem}_labels.png", "{stem}_labels.npy"),
    *("labels/{stem}.tif", "labels/{stem}.tiff", "labels/{stem}.png", "labels/{stem}.npy"),
    *("{stem}_cp_masks.tiff", "{stem}_labels.tiff", "masks/{stem}_cp_masks.tif", "masks/{stem}_cp_masks.png"),
    "{stem}_seg.npy",  # of Cellpose; its reader says how to save the masks in a form that can be read
)
BOX_COLUMNS = ("x_px", "y_px", "width_px", "height_px")
_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?|nan", re.IGNORECASE)
YOLO_COLUMNS = ("class_index", "x_centre", "y_centre", "width", "height")


class ListedRow(Row):
    """Columns that every row of particles.csv has."""

    micrograph: Text
    id: OptionalText = None
    page: Annotated[int | None, Field(ge=0), BeforeValidator(empty_is_missing)] = None
    pixel_size_nm: OptionalPixelSize = None


class LabelRow(ListedRow):
    """The schema of a row that names an object of a label mask."""

    label: Annotated[int, Field(ge=1)]
    labels: OptionalText = None


class BoxRow(ListedRow):
    """The schema of a row with a box in px."""

    x_px: float
    y_px: float
    width_px: Annotated[float, Field(gt=0)]
    height_px: Annotated[float, Field(gt=0)]


class YoloRow(Row):
    """The schema of a line of a YOLO file: centre and size of a box, relative to the image."""

    class_index: Text
    x_centre: float
    y_centre: float
    width: Annotated[float, Field(gt=0)]
    height: Annotated[float, Field(gt=0)]


class LabelPlace(NamedTuple):
    """An object of a label mask; the file is relative to the data folder."""

    file: str
    number: int


class BoxPlace(NamedTuple):
    """Left, top, width and height of a box, in px or relative to the image."""

    left: float
    top: float
    width: float
    height: float
    relative: bool


class Target(NamedTuple):
    """A particle to cut from a micrograph; ``line`` and ``file`` say where it is listed."""

    line: int
    file: str
    id: str
    label: str
    page: int | None
    pixel_size_nm: float | None
    place: LabelPlace | BoxPlace


class MicrographTask(NamedTuple):
    """All particles listed for one image file."""

    micrograph: str
    targets: list[Target]


def list_tasks(folder: Path, classes: Sequence[str], class_column: str) -> tuple[list[MicrographTask], list[Rejected]]:
    """Read the tables of a data folder but no image.

    With particles.csv: columns micrograph, the class column, and either label (optional: labels, the file of the mask)
    or x_px, y_px, width_px, height_px; optional id, page (from 0) and pixel_size_nm. Without it: all text files of
    boxes, and classes.csv (columns index and the class column) or classes.txt (one name a line).

    Returns:
        One task for each image file, and the rows whose fault shows without the image.

    Raises:
        InputError: there are no such tables, or they lack a column.
    """
    known = tuple(classes)
    listed = _from_table if listed_as(folder, TABLE_NAME).exists() else _from_yolo
    by_image: dict[str, list[Target]] = {}
    rejected: list[Rejected] = []
    first: dict[str, Target] = {}
    for item in listed(folder, known, class_column):
        if isinstance(item, Rejected):
            rejected.append(item)
            continue
        micrograph, target = item
        if first.setdefault(target.id, target) is not target:
            reason = f"id '{target.id}' is a duplicate of row {first[target.id].line}; list every particle once"
            rejected.append(Rejected(target.line, target.id, target.file, "id", reason))
        else:
            by_image.setdefault(micrograph, []).append(target)
    return [MicrographTask(name, targets) for name, targets in by_image.items()], rejected


def _from_table(folder: Path, classes: Sequence[str], class_column: str) -> Iterator[tuple[str, Target] | Rejected]:
    rows = read_csv(listed_as(folder, TABLE_NAME), ("micrograph", class_column), class_column)
    places = [without(cells, class_column) for _, cells in rows]
    labelled = _names_labels(places)
    if rows and not labelled and not set(BOX_COLUMNS) <= set(places[0]):
        clash = "; column label holds the class, as source.class_column says" if class_column == "label" else ""
        raise InputError(
            f"{folder / TABLE_NAME}: give each particle a label (its number in the label mask), or a box in the "
            f"columns {', '.join(sorted(BOX_COLUMNS))}{clash}"
        )
    named, mask_of = cache(partial(_in_folder, folder)), cache(partial(_label_mask, folder))  # many rows name one image
    for (line, cells), where in zip(rows, places, strict=True):
        try:
            row = checked(LabelRow, where) if labelled else checked(BoxRow, where)
            label = check_class(cells[class_column], classes, class_column)
            # One name for one file, however rows spell it: it is the group of its particles.
            image = named(row.micrograph, "micrograph")
            place: LabelPlace | BoxPlace
            if isinstance(row, LabelRow):
                file = mask_of(image) if row.labels is None else named(row.labels, "labels")
                place, key = LabelPlace(file, row.label), row.label
            else:
                place, key = BoxPlace(row.x_px, row.y_px, row.width_px, row.height_px, relative=False), line
            page = "" if row.page is None else f"#{row.page}"
            name = row.id or tidy(f"{image}{page}:{key}")
            yield image, Target(line, TABLE_NAME, name, label, row.page, row.pixel_size_nm, place)
        except RowFault as fault:
            yield Rejected(line, cells.get("id", ""), fault.file or TABLE_NAME, fault.column, str(fault))


def _names_labels(places: Sequence[Cells]) -> bool:
    """Whether rows name objects of a label mask; with complete boxes, only if some label is a whole number."""
    if not places or "label" not in places[0]:
        return False
    boxes = set(BOX_COLUMNS) <= set(places[0])
    return not boxes or any(re.fullmatch(r"\d+(\.0*)?", cells["label"]) for cells in places)


def _in_folder(folder: Path, name: str, column: str) -> str:
    return str(inside(folder, name, column).relative_to(folder))


def _label_mask(folder: Path, micrograph: str) -> str:
    """Name of the label mask of a micrograph, in the folder of the micrograph or one below.

    Raises:
        RowFault: there is none.
    """
    image = Path(micrograph)
    for name in LABEL_MASKS:
        path = inside(folder, str(image.parent / name.format(stem=image.stem)), "labels")
        if path.is_file():
            return str(path.relative_to(folder))
    raise RowFault(
        "labels",
        micrograph,
        f"{image.name}: has no label mask; save it beside the image as {LABEL_MASKS[2].format(stem=image.stem)}, or "
        "name it in a column labels",
    )


def _from_yolo(folder: Path, classes: Sequence[str], class_column: str) -> Iterator[tuple[str, Target] | Rejected]:
    names = _class_names(folder, class_column)
    for path in sorted(folder.rglob("*")):
        listed = path.suffix.lower() == ".txt" and path.name.lower() != CLASS_LIST
        if listed and not is_clutter(path.relative_to(folder)) and not path.is_dir():
            yield from _boxes_of(folder, path, names, classes, class_column)


def _boxes_of(
    folder: Path, path: Path, names: dict[str, str], classes: Sequence[str], class_column: str
) -> Iterator[tuple[str, Target] | Rejected]:
    file, has_image = str(path.relative_to(folder)), bool(_images_of(folder, path))
    try:
        lines = _yolo_lines(inside(folder, file, "boxes"))
    except InputError as error:
        yield Rejected(1, "", file, "boxes", str(error), fault=has_image or isinstance(error, RowFault))
        return
    if lines and not has_image and not any(_like_a_box(words) for _, words in lines):
        reason = f"{path.name}: holds no boxes, and no image has its name, so it is left out"
        yield Rejected(lines[0][0], "", file, "boxes", reason, fault=False)
        return
    for line, words in lines:
        try:
            if len(words) not in (5, 6):  # the sixth is a confidence
                raise RowFault("boxes", file, f"a line must hold {' '.join(YOLO_COLUMNS)}; it has {len(words)} words")
            row = checked(YoloRow, dict(zip(YOLO_COLUMNS, words, strict=False)))
            if row.class_index not in names:
                raise RowFault("class_index", file, f"class_index {row.class_index} is not in the list of classes")
            label = check_class(names[row.class_index], classes, class_column)
            image = _image_of(folder, path)
            left, top = row.x_centre - row.width / 2, row.y_centre - row.height / 2
            place = BoxPlace(left, top, row.width, row.height, relative=True)
            yield image, Target(line, file, tidy(f"{image}:{line}"), label, None, None, place)
        except RowFault as fault:
            yield Rejected(line, "", file, fault.column, str(fault))


def _like_a_box(words: Sequence[str]) -> bool:
    return len(words) >= len(YOLO_COLUMNS) and all(map(_NUMBER.fullmatch, words))


def _class_names(folder: Path, class_column: str) -> dict[str, str]:
    """Name of the class of each index, from classes.csv or classes.txt."""
    path = listed_as(folder, CLASS_TABLE)
    if path.exists():
        names: dict[str, str] = {}
        for line, cells in read_csv(path, ("index", class_column), class_column):
            if names.setdefault(cells["index"], cells[class_column]) != cells[class_column]:
                raise InputError(
                    f"{path}: line {line}: index {cells['index']} has another class above; keep one of them"
                )
        return names
    found = [path for place in (folder, folder / "labels") if (path := listed_as(place, CLASS_LIST)).exists()]
    if not found:
        raise InputError(
            f"{folder}: holds neither {TABLE_NAME} nor {CLASS_TABLE} nor {CLASS_LIST}; see data/raw/README.md, or set "
            "source.folder to where they are"
        )
    return {str(index): tidy(name) for index, name in enumerate(_lines(read_text(found[0], "a text file")))}


def _yolo_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Number and words of each line that is not blank; bytes that are not UTF-8 stay as signs of a fault."""
    lines = enumerate(_lines(read_text(path, "a text file", errors="replace")), start=1)
    return [(line, words) for line, content in lines if (words := [tidy(word) for word in tidy(content).split()])]


def _lines(text: str) -> Iterator[str]:
    return iter(io.StringIO(text, newline=None))  # with any line end


def _image_of(folder: Path, boxes: Path) -> str:
    """The image of a text file of boxes.

    Raises:
        RowFault: there is none, there are several, or it is a link.
    """
    found, name = _images_of(folder, boxes), boxes.relative_to(folder)
    if len(found) != 1:
        problem = "no image has its name" if not found else f"{len(found)} images have its name"
        raise RowFault("micrograph", str(name), f"{name}: {problem}; put one image of the name {boxes.stem} beside it")
    image = str(found[0].relative_to(folder))
    inside(folder, image, "micrograph")
    return image


def _images_of(folder: Path, boxes: Path) -> list[Path]:
    """Images with the name of a text file: beside it, above its folder labels, or in images instead of labels."""
    places = [boxes.parent]
    if boxes.parent.name == "labels":
        places.append(boxes.parent.parent)
    parts = boxes.parent.relative_to(folder).parts
    if "labels" in parts:
        places.append(folder.joinpath(*("images" if part == "labels" else part for part in parts)))
    keys = [file_key(f"{boxes.stem}{suffix}") for suffix in sorted(IMAGE_SUFFIXES)]
    listed = {place: entries(place) for place in places}
    return [place / name for place, names in listed.items() for key in keys for name in names.get(key, [])]
