"""Listing of the particles of source ``micrographs``: rows of particles.csv, or text files of boxes in YOLO format.

A row of particles.csv names an object of a label mask, or gives a box in px. No image is opened here.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from lipnet.core.errors import InputError
from lipnet.core.files import unchanged
from lipnet.sources.images import IMAGE_SUFFIXES
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
from lipnet.sources.table import TABLE_NAME, read_csv

CLASS_TABLE, CLASS_LIST = "classes.csv", "classes.txt"
LABEL_MASKS = (  # names of the label mask of an image, relative to the folder of the image
    *("{stem}_cp_masks.tif", "{stem}_cp_masks.png", "{stem}_labels.tif", "{stem}_labels.png", "{stem}_labels.npy"),
    *("labels/{stem}.tif", "labels/{stem}.tiff", "labels/{stem}.png", "labels/{stem}.npy"),
)
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
    listed = _from_table if (folder / TABLE_NAME).exists() else _from_yolo
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
    rows = read_csv(folder / TABLE_NAME, ("micrograph", class_column))
    present = set(rows[0][1]) if rows else {"label"}
    wanted = {"x_px", "y_px", "width_px", "height_px"}
    if "label" not in present and not wanted <= present:
        raise InputError(
            f"{folder / TABLE_NAME}: give each particle a label (its number in the label mask), or a box in the "
            f"columns {', '.join(sorted(wanted))}"
        )
    for line, cells in rows:
        try:
            row = checked(LabelRow, cells) if "label" in present else checked(BoxRow, cells)
            label = check_class(cells[class_column], classes, class_column)
            inside(folder, row.micrograph, "micrograph")
            place: LabelPlace | BoxPlace
            if isinstance(row, LabelRow):
                place, key = LabelPlace(_label_file(folder, row), row.label), row.label
            else:
                place, key = BoxPlace(row.x_px, row.y_px, row.width_px, row.height_px, relative=False), line
            page = "" if row.page is None else f"#{row.page}"
            name = row.id or f"{row.micrograph}{page}:{key}"
            yield row.micrograph, Target(line, TABLE_NAME, name, label, row.page, row.pixel_size_nm, place)
        except RowFault as fault:
            yield Rejected(line, cells.get("id", ""), fault.file or TABLE_NAME, fault.column, str(fault))


def _label_file(folder: Path, row: LabelRow) -> str:
    if row.labels is not None:
        inside(folder, row.labels, "labels")
        return row.labels
    image = Path(row.micrograph)
    for name in LABEL_MASKS:
        path = inside(folder, str(image.parent / name.format(stem=image.stem)), "labels")
        if path.is_file():
            return str(path.relative_to(folder))
    raise RowFault(
        "labels",
        row.micrograph,
        f"{image.name}: has no label mask; save it beside the image as {LABEL_MASKS[2].format(stem=image.stem)}, or "
        "name it in a column labels",
    )


def _from_yolo(folder: Path, classes: Sequence[str], class_column: str) -> Iterator[tuple[str, Target] | Rejected]:
    names = _class_names(folder, class_column)
    for path in sorted(folder.rglob("*.txt")):
        if path.name == CLASS_LIST:
            continue
        file = str(path.relative_to(folder))
        for line, words in _yolo_lines(path):
            try:
                inside(folder, file, "boxes")
                if len(words) not in (5, 6):  # the sixth is a confidence
                    raise RowFault(
                        "boxes", file, f"a line must hold {' '.join(YOLO_COLUMNS)}; it has {len(words)} words"
                    )
                row = checked(YoloRow, dict(zip(YOLO_COLUMNS, words, strict=False)))
                if row.class_index not in names:
                    raise RowFault("class_index", file, f"class_index {row.class_index} is not in the list of classes")
                label = check_class(names[row.class_index], classes, class_column)
                image = _image_of(folder, path)
                left, top = row.x_centre - row.width / 2, row.y_centre - row.height / 2
                place = BoxPlace(left, top, row.width, row.height, relative=True)
                yield image, Target(line, file, f"{image}:{line}", label, None, None, place)
            except RowFault as fault:
                yield Rejected(line, "", file, fault.column, str(fault))


def _class_names(folder: Path, class_column: str) -> dict[str, str]:
    """Name of the class of each index, from classes.csv or classes.txt."""
    if (folder / CLASS_TABLE).exists():
        return {
            cells["index"]: cells[class_column] for _, cells in read_csv(folder / CLASS_TABLE, ("index", class_column))
        }
    path = folder / CLASS_LIST
    try:
        with unchanged(path):
            names = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(
            f"{folder}: holds neither {TABLE_NAME} nor {CLASS_TABLE} nor {CLASS_LIST}; see data/raw/README.md, or set "
            "source.folder to where they are"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a text file in UTF-8 ({error})") from None
    return {str(index): name.strip() for index, name in enumerate(names)}


def _yolo_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with unchanged(path):
            text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    for line, content in enumerate(text.split("\n"), start=1):
        if content.strip():
            yield line, content.split()


def _image_of(folder: Path, boxes: Path) -> str:
    """The image of a text file of boxes: beside the file, above its folder labels, or in images instead of labels."""
    places = [boxes.parent]
    if boxes.parent.name == "labels":
        places.append(boxes.parent.parent)
    parts = boxes.parent.relative_to(folder).parts
    if "labels" in parts:
        places.append(folder.joinpath(*("images" if part == "labels" else part for part in parts)))
    candidates = {place / f"{boxes.stem}{suffix}" for place in places for suffix in _SUFFIXES}
    found = [candidate for candidate in candidates if candidate.is_file()]
    name = boxes.relative_to(folder)
    if len(found) != 1:
        problem = "no image has its name" if not found else f"{len(found)} images have its name"
        raise RowFault("micrograph", str(name), f"{name}: {problem}; put one image of the name {boxes.stem} beside it")
    image = str(found[0].relative_to(folder))
    inside(folder, image, "micrograph")
    return image


_SUFFIXES = IMAGE_SUFFIXES | {suffix.upper() for suffix in IMAGE_SUFFIXES}
