"""Source ``micrographs``: whole images with label masks or boxes, from which particles are cut with their surrounding.

``micrograph_rows`` lists the particles; this module cuts them. The group of a particle is its micrograph, or its page
of a stack.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from scipy import ndimage
from skimage.segmentation import relabel_sequential

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.samples.particles import Mask, Particle, bounding_box, inscribed_ellipse
from lipnet.sources.formats import pixel_sizes
from lipnet.sources.formats.grey_levels import GreySettings, of_cut, of_page
from lipnet.sources.images import count_pages, pixel_sizes_nm, read_label_pages, read_pages
from lipnet.sources.micrograph_rows import BoxPlace, LabelPlace, MicrographTask, Target
from lipnet.sources.rows import Rejected, Remark, RowFault, inside
from lipnet.sources.table import TABLE_NAME

MIN_SIDE_PX = 3
APART = 2  # an object whose pieces lie further apart than this, in sizes of the largest, is several objects

Labels = NDArray[np.int64]


class MicrographSettings(Settings):
    """Section ``source.micrographs``: whole images with label masks or boxes.

    Attributes:
        padding_px: surrounding to cut with each particle.
        pixel_size_nm: for images without a pixel size in the table; None: that which the file states, if any.
    """

    padding_px: int = Field(ge=0)
    pixel_size_nm: float | None = Field(gt=0)

    @model_validator(mode="before")
    @classmethod
    def _without_clip_percent(cls, section: Any) -> Any:
        if isinstance(section, dict) and "clip_percent" in section:
            raise PydanticCustomError(
                "moved",
                "clip_percent is now part of source.grey: delete it here and write, under `source:`, grey: {rule: "
                "percentile, bits: null, per: micrograph, low_percent: {low}, high_percent: {high}}, or take rule: "
                "as_stored for images that are to keep their levels",
                {"low": section["clip_percent"], "high": 100 - section["clip_percent"]},
            )
        return section


class Page(NamedTuple):
    """One image of a file, with its label mask.

    Attributes:
        grey: shape (height_px, width_px); the samples as stored, if each particle has its own black and white.
        group: name of the page.
        stated_nm: pixel size that the file states; None if none.
        labels: label mask, renumbered 1, 2, 3 ..., same shape; None if the particles are given as boxes.
        numbers: numbers in the file -> numbers in ``labels``.
        boxes: bounding box of each number in ``labels``, from 1.
    """

    grey: NDArray[Any]
    group: str
    stated_nm: float | None = None
    labels: Labels | None = None
    numbers: dict[int, int] = {}  # noqa: RUF012
    boxes: Sequence[tuple[slice, slice]] = ()


def read_task(
    task: MicrographTask, folder: Path, settings: MicrographSettings, levels: GreySettings
) -> list[Particle | Rejected]:
    """Cut the particles of one image file: one result for each row, in the order of the rows.

    Objects of the label masks without a row follow as rejected rows without fault, and remarks on pixel sizes.

    Args:
        task: the rows.
        folder: the data folder.
        settings: how to cut, and the default pixel size.
        levels: how samples become grey levels.
    """
    done: dict[Target, Particle | Rejected] = {}
    left_out: list[Rejected] = []
    try:
        path = inside(folder, task.micrograph, "micrograph")
        n_pages, sizes_nm = count_pages(path), pixel_sizes_nm(path)
        masks: dict[str, Iterator[tuple[int, Labels]]] = {}
        for number, samples in enumerate(read_pages(path)):
            targets = [target for target in task.targets if _page_of(target, n_pages) == number]
            stated_nm = sizes_nm[number] if sizes_nm else None
            group = task.micrograph if n_pages == 1 else f"{task.micrograph}#{number}"
            left_out += _remarks(targets, group, stated_nm, settings)
            grey = of_page(samples, levels, group) if targets else samples.values
            for file, same in _by_label_file(targets):
                try:
                    page = _with_labels(Page(grey, group, stated_nm), folder, file, number, masks)
                    left_out += _without_row(page, file, same)
                    done |= {target: _cut_or_reject(target, page, settings, levels) for target in same}
                except RowFault as fault:
                    done |= {target: _reject(target, fault) for target in same}
    except InputError as error:
        damaged = RowFault("micrograph", task.micrograph, str(error))
        done = {target: done.get(target) or _reject(target, damaged) for target in task.targets}
    absent = RowFault("page", task.micrograph, f"{task.micrograph}: the page is not one of its pages; give one from 0")
    return [*(done.get(target) or _reject(target, absent) for target in task.targets), *left_out]


def _remarks(
    targets: Sequence[Target], group: str, stated_nm: float | None, settings: MicrographSettings
) -> list[Rejected]:
    """A remark for each pixel size that the user gives on a page and its file contradicts."""
    given = {target.pixel_size_nm or settings.pixel_size_nm: target for target in targets}
    found = [(target, pixel_sizes.disagreement(size_nm, stated_nm)) for size_nm, target in given.items()]
    return [
        Remark(row.line, row.id, row.file, "pixel_size_nm", f"{group}: {text}", fault=False)
        for row, text in found
        if text
    ]


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
    """The page with its label mask; ``masks`` holds an iterator over the pages of each file that is already open."""
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


def _cut_or_reject(
    target: Target, page: Page, settings: MicrographSettings, levels: GreySettings
) -> Particle | Rejected:
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
        image=of_cut(image, levels, target.id),
        mask=mask,
        padding_px=settings.padding_px,
        pixel_size_nm=pixel_sizes.agreed(target.pixel_size_nm or settings.pixel_size_nm, page.stated_nm),
        mask_estimated=isinstance(target.place, BoxPlace),
        cut_by_edge=at_edge,
    )


def _cut_label(page: Page, place: LabelPlace, padding_px: int) -> tuple[NDArray[Any], Mask, bool]:
    assert page.labels is not None
    if place.number not in page.numbers:
        raise RowFault("label", place.file, f"label {place.number} is not in {place.file}; correct the row")
    number = page.numbers[place.number]
    box = page.boxes[number - 1]
    _check_is_one_object(page.labels[box] == number, place)
    window, outside = _window(page.grey.shape, box, padding_px)
    labels = np.pad(page.labels[window], outside, constant_values=-1)
    hidden = (labels != number) & (labels != 0)  # neighbours, and the area beyond the image
    image = _fill(np.pad(page.grey[window], outside), hidden, labels == 0, page.grey)
    return image, labels == number, _touches(page.grey.shape, box)


def _check_is_one_object(mask: Mask, place: LabelPlace) -> None:
    """Refuse a number that stands for several objects: a stray pixel far away, or a mask in black and white.

    Args:
        mask: True where the label mask has the number, cut to the bounding box of that.
        place: the object.

    Raises:
        RowFault: its pieces lie far apart.
    """
    pieces, n_pieces = ndimage.label(mask, np.ones((3, 3)))
    if n_pieces == 1:
        return
    sizes = np.bincount(pieces.ravel())[1:]
    largest = bounding_box(pieces == sizes.argmax() + 1)
    sides = [side.stop - side.start for side in largest]
    if any(whole > APART * side for whole, side in zip(mask.shape, sides, strict=True)):
        raise RowFault(
            "label",
            place.file,
            f"label {place.number} of {place.file} is in {n_pieces} pieces over {mask.shape[0]} x {mask.shape[1]} px, "
            f"the largest of {sides[0]} x {sides[1]} px: give each object its own number (a black and white mask has "
            "one for all of them), and remove stray pixels",
        )


def _cut_box(page: Page, place: BoxPlace, padding_px: int) -> tuple[NDArray[Any], Mask, bool]:
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
    """Whole pixels from start to stop. An edge outside 0..end moves to 1 px outside, because it may be infinite."""
    return slice(*(round(min(max(edge, -1.0), end + 1.0)) for edge in (start, stop)))


def _window(
    shape_px: tuple[int, ...], box: tuple[slice, slice], padding_px: int
) -> tuple[tuple[slice, ...], list[tuple[int, int]]]:
    """The part of a page that a padded box covers, and by how many px the box exceeds the page on each side."""
    window, outside = [], []
    for side, end in zip(box, shape_px, strict=True):
        low, high = side.start - padding_px, side.stop + padding_px
        window.append(slice(max(low, 0), min(high, end)))
        outside.append((max(-low, 0), max(high - end, 0)))
    return tuple(window), outside


def _fill(image: NDArray[Any], hidden: Mask, background: Mask, whole: NDArray[Any]) -> NDArray[Any]:
    """Fill hidden pixels with the median grey of the background, or of the whole page if there is no background."""
    if hidden.any():
        image[hidden] = np.median(image[background] if background.any() else whole)
    return image


def _touches(shape_px: tuple[int, ...], box: tuple[slice, slice]) -> bool:
    return any(side.start <= 0 or side.stop >= end for side, end in zip(box, shape_px, strict=True))
