"""Source ``micrographs``: whole images with label masks or boxes, from which each particle is cut with its surrounding.

Particles are listed in one of three ways: particles.csv with numbers of a label mask, particles.csv with boxes in px,
or text files of boxes as YOLO saves them. The group of a particle is its micrograph.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field
from scipy import ndimage
from skimage.segmentation import relabel_sequential

from lipnet.core.errors import InputError
from lipnet.core.files import unchanged
from lipnet.core.settings import Settings
from lipnet.samples.particles import Grey, Mask, Particle, inscribed_ellipse
from lipnet.sources.images import IMAGE_SUFFIXES, count_pages, read_label_pages, read_pages
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
LABEL_MASKS = (  # where the label mask of an image is looked for, beside the image
    *("{stem}_cp_masks.tif", "{stem}_cp_masks.png", "{stem}_labels.tif", "{stem}_labels.png", "{stem}_labels.npy"),
    *("labels/{stem}.tif", "labels/{stem}.tiff", "labels/{stem}.png", "labels/{stem}.npy"),
)
YOLO_COLUMNS = ("class_index", "x_centre", "y_centre", "width", "height")
MIN_SIDE_PX = 3

Labels = NDArray[np.int64]


class MicrographSettings(Settings):
    """Section ``source.micrographs``: whole images with label masks or boxes.

    Attributes:
        padding_px: surrounding to cut with each particle.
        pixel_size_nm: of all images where the table has no such column; None where unknown.
        clip_percent: share of the pixels of a 16-bit or float image, at either end, that becomes black or white.
    """

    padding_px: int = Field(ge=0)
    pixel_size_nm: float | None = Field(gt=0)
    clip_percent: float = Field(ge=0, lt=50)


class ListedRow(Row):
    """What every row of particles.csv has."""

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


class Page(NamedTuple):
    """One image with what is known of it.

    Attributes:
        grey: shape (height_px, width_px).
        group: name of the page.
        labels: its label mask with numbers made sequential, same shape; None where particles are given as boxes.
        numbers: numbers in the file -> sequential ones.
        boxes: bounding box of each sequential number, from 1.
    """

    grey: Grey
    group: str
    labels: Labels | None = None
    numbers: dict[int, int] = {}  # noqa: RUF012
    boxes: Sequence[tuple[slice, slice]] = ()


def list_tasks(folder: Path, classes: Sequence[str], class_column: str) -> tuple[list[MicrographTask], list[Rejected]]:
    """Read the tables of a data folder but no image.

    With particles.csv, columns micrograph, the class column, and either label (optional: labels, the file of the mask)
    or x_px, y_px, width_px, height_px; optional id, page (from 0) and pixel_size_nm. Without it, every text file of
    boxes, and classes.csv (columns index and the class column) or classes.txt (one name a line).

    Returns:
        One task for each image file, and the rows that can be judged faulty without it.

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
    meaning = _class_indices(folder, class_column)
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
                if row.class_index not in meaning:
                    raise RowFault("class_index", file, f"class_index {row.class_index} is not in the list of classes")
                label = check_class(meaning[row.class_index], classes, class_column)
                image = _image_of(folder, path)
                left, top = row.x_centre - row.width / 2, row.y_centre - row.height / 2
                place = BoxPlace(left, top, row.width, row.height, relative=True)
                yield image, Target(line, file, f"{image}:{line}", label, None, None, place)
            except RowFault as fault:
                yield Rejected(line, "", file, fault.column, str(fault))


def _class_indices(folder: Path, class_column: str) -> dict[str, str]:
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
    """The image that a text file of boxes belongs to: beside it, above a folder labels, or in images for labels."""
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
        what = "no image has its name" if not found else f"{len(found)} images have its name"
        raise RowFault("micrograph", str(name), f"{name}: {what}; put one image of the name {boxes.stem} beside it")
    image = str(found[0].relative_to(folder))
    inside(folder, image, "micrograph")
    return image


_SUFFIXES = IMAGE_SUFFIXES | {suffix.upper() for suffix in IMAGE_SUFFIXES}


def read_task(task: MicrographTask, folder: Path, settings: MicrographSettings) -> list[Particle | Rejected]:
    """Cut the particles of one image file: one result for each of its rows, in order.

    Objects of the label masks that no row names follow as rejected rows without fault.

    Args:
        task: the rows.
        folder: the data folder.
        settings: how to cut, and what to assume where nothing is said.
    """
    done: dict[Target, Particle | Rejected] = {}
    left_out: list[Rejected] = []
    try:
        path = inside(folder, task.micrograph, "micrograph")
        n_pages = count_pages(path)
        masks: dict[str, Iterator[tuple[int, Labels]]] = {}
        for number, grey in enumerate(read_pages(path, settings.clip_percent)):
            targets = [target for target in task.targets if _page_of(target, n_pages) == number]
            group = task.micrograph if n_pages == 1 else f"{task.micrograph}#{number}"
            for file, same in _by_label_file(targets):
                try:
                    page = _with_labels(Page(grey, group), folder, file, number, masks)
                    left_out += _without_row(page, file, same)
                    done |= {target: _cut_or_reject(target, page, settings) for target in same}
                except RowFault as fault:
                    done |= {target: _reject(target, fault) for target in same}
    except InputError as error:
        damaged = RowFault("micrograph", task.micrograph, str(error))
        done = {target: done.get(target) or _reject(target, damaged) for target in task.targets}
    absent = RowFault("page", task.micrograph, f"{task.micrograph}: the page is not one of its pages; give one from 0")
    return [*(done.get(target) or _reject(target, absent) for target in task.targets), *left_out]


def _page_of(target: Target, n_pages: int) -> int | None:
    return 0 if target.page is None and n_pages == 1 else target.page


def _by_label_file(targets: Sequence[Target]) -> list[tuple[str, list[Target]]]:
    files: dict[str, list[Target]] = {}
    for target in targets:
        files.setdefault(target.place.file if isinstance(target.place, LabelPlace) else "", []).append(target)
    return list(files.items())


def _reject(target: Target, fault: RowFault) -> Rejected:
    return Rejected(target.line, target.id, fault.file or target.file, fault.column, str(fault))


def _with_labels(
    page: Page, folder: Path, file: str, number: int, masks: dict[str, Iterator[tuple[int, Labels]]]
) -> Page:
    """The page with its label mask; ``masks`` remembers how far each file of masks has been read."""
    if not file:
        return page
    try:
        pages = masks.setdefault(file, enumerate(read_label_pages(inside(folder, file, "labels"))))
        labels = next((labels for n, labels in pages if n == number), None)
    except InputError as error:
        raise RowFault("labels", file, str(error)) from None
    if labels is None or labels.shape != page.grey.shape:
        found = "has no such page" if labels is None else f"is {labels.shape} px"
        raise RowFault("labels", file, f"{file}: the label mask {found} but page {number} is {page.grey.shape} px")
    sequential, _, back = relabel_sequential(labels)
    numbers = {int(old): new for new, old in enumerate(np.asarray(back)) if new}
    return page._replace(labels=sequential, numbers=numbers, boxes=ndimage.find_objects(sequential))


def _without_row(page: Page, file: str, targets: Sequence[Target]) -> list[Rejected]:
    named = {target.place.number for target in targets if isinstance(target.place, LabelPlace)}
    reason = f"the object has no row in {TABLE_NAME}, so it has no class and is left out"
    return [
        Rejected(number, f"{page.group}:{number}", file, "class", reason, fault=False)
        for number in page.numbers
        if number not in named
    ]


def _cut_or_reject(target: Target, page: Page, settings: MicrographSettings) -> Particle | Rejected:
    try:
        if isinstance(target.place, LabelPlace):
            image, mask, at_edge = _cut_label(page, target.place, settings.padding_px)
        else:
            image, mask, at_edge = _cut_box(page, target.place, settings.padding_px)
    except RowFault as fault:
        return _reject(target, fault)
    return Particle(
        id=target.id,
        label=target.label,
        group=page.group,
        image=image,
        mask=mask,
        padding_px=settings.padding_px,
        pixel_size_nm=target.pixel_size_nm or settings.pixel_size_nm or math.nan,
        mask_estimated=isinstance(target.place, BoxPlace),
        cut_by_edge=at_edge,
    )


def _cut_label(page: Page, place: LabelPlace, padding_px: int) -> tuple[Grey, Mask, bool]:
    assert page.labels is not None
    if place.number not in page.numbers:
        raise RowFault("label", place.file, f"label {place.number} is not in {place.file}; correct the row")
    number = page.numbers[place.number]
    box = page.boxes[number - 1]
    window, outside = _window(page.grey.shape, box, padding_px)
    labels = np.pad(page.labels[window], outside, constant_values=-1)
    hidden = (labels != number) & (labels != 0)  # neighbours, and what lies beyond the image
    image = _fill(np.pad(page.grey[window], outside), hidden, labels == 0, page.grey)
    return image, labels == number, _touches(page.grey.shape, box)


def _cut_box(page: Page, place: BoxPlace, padding_px: int) -> tuple[Grey, Mask, bool]:
    height, width = page.grey.shape
    across, down = (width, height) if place.relative else (1, 1)
    exact = (
        _pixels(place.top * down, (place.top + place.height) * down, height),
        _pixels(place.left * across, (place.left + place.width) * across, width),
    )
    rows, columns = (
        slice(max(side.start, 0), min(side.stop, end)) for side, end in zip(exact, page.grey.shape, strict=True)
    )
    shape_px = (rows.stop - rows.start, columns.stop - columns.start)
    if min(shape_px) < MIN_SIDE_PX:
        raise RowFault("box", "", f"the box lies outside the image, or less than {MIN_SIDE_PX} px of it inside")
    window, outside = _window(page.grey.shape, (rows, columns), padding_px)
    mask = np.pad(inscribed_ellipse(shape_px, 0), padding_px)
    beyond = np.pad(np.zeros(page.grey[window].shape, bool), outside, constant_values=True)
    background = ~beyond & ~np.pad(np.ones(shape_px, bool), padding_px)
    image = _fill(np.pad(page.grey[window], outside), beyond, background, page.grey)
    return image, mask, _touches(page.grey.shape, exact)


def _pixels(start: float, stop: float, end: int) -> slice:
    """Whole pixels from start to stop; an edge outside 0..end moves to 1 px outside, since floats may be infinite."""
    return slice(*(round(min(max(edge, -1.0), end + 1.0)) for edge in (start, stop)))


def _window(
    shape_px: tuple[int, ...], box: tuple[slice, slice], padding_px: int
) -> tuple[tuple[slice, ...], list[tuple[int, int]]]:
    """The part of a page that a box with its padding covers, and how far it reaches beyond the page on each side."""
    window, outside = [], []
    for side, end in zip(box, shape_px, strict=True):
        low, high = side.start - padding_px, side.stop + padding_px
        window.append(slice(max(low, 0), min(high, end)))
        outside.append((max(-low, 0), max(high - end, 0)))
    return tuple(window), outside


def _fill(image: NDArray[Any], hidden: Mask, background: Mask, whole: Grey) -> Grey:
    """The image with the median grey of its background, or else of the whole page, at what must not be seen."""
    if hidden.any():
        image[hidden] = np.median(image[background] if background.any() else whole)
    return image


def _touches(shape_px: tuple[int, ...], box: tuple[slice, slice]) -> bool:
    return any(side.start <= 0 or side.stop >= end for side, end in zip(box, shape_px, strict=True))
