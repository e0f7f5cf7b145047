"""Particles of new micrographs: every object of their label masks, or those that a table lists."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field
from scipy import ndimage

from lipnet.core.errors import InputError
from lipnet.sources import table
from lipnet.sources.images import count_pages, read_label_pages
from lipnet.sources.micrograph_rows import (
    LABEL_MASKS,
    BoxPlace,
    LabelPlace,
    ListedRow,
    MicrographTask,
    Target,
)
from lipnet.sources.new_data import disk
from lipnet.sources.rows import OptionalText, Rejected, RowFault, checked, empty_is_missing, inside

BOX = ("x_px", "y_px", "width_px", "height_px")
OF_BINARY_MASKS = (1, 255, 65535)  # the only number in a mask that marks all particles alike
WHOLE = re.compile(r"0*[1-9]\d*(\.0*)?")  # 3, or 3.0 as pandas writes it beside empty cells
LEAST_PIECE = 0.1  # of the area of the largest piece; smaller ones are stray pixels

OptionalFloat = Annotated[float | None, BeforeValidator(empty_is_missing)]
OptionalSide = Annotated[float | None, Field(gt=0), BeforeValidator(empty_is_missing)]


class Listing(NamedTuple):
    """Particles to cut, rows that cannot be used, and what is left out without fault."""

    tasks: list[MicrographTask]
    rejected: list[Rejected]
    left_out: list[Rejected]


class FieldRow(ListedRow):
    """The schema of a row of a table of micrographs: one object, one box, or all objects of a label mask."""

    label: OptionalText = None
    labels: OptionalText = None
    x_px: OptionalFloat = None
    y_px: OptionalFloat = None
    width_px: OptionalSide = None
    height_px: OptionalSide = None


def of_pairs(root: Path, pairs: Iterable[tuple[str, Path, Path]]) -> Listing:
    """Every object of the label mask of each micrograph, page by page.

    Args:
        root: folder that contains all files.
        pairs: name for ids, micrograph, and label mask; the files are relative to ``root``.
    """
    listing = Listing([], [], [])
    for name, image, labels in pairs:
        try:
            targets = list(_objects(root, image, labels, ListedRow(micrograph=name), listing))
        except InputError as error:
            listing.rejected.append(Rejected(0, name, str(labels), "labels", str(error)))
            continue
        if targets:
            listing.tasks.append(MicrographTask(str(image), targets))
    return listing


def of_folder(folder: Path) -> Listing | None:
    """Particles of a folder of micrographs with their label masks beside them; None if no image has a label mask."""
    found = disk.look(folder)
    masks = {image: masks_beside(image) for image in found.images}
    used = {path for paths in masks.values() for path in paths}
    if not used:
        return None
    images = [image for image in found.images if image not in used]
    within = {image: image.relative_to(folder) for image in images}
    pairs = [(within[one].as_posix(), within[one], masks[one][0].relative_to(folder)) for one in images if masks[one]]
    listing = of_pairs(folder, pairs)
    alone = [image for image in images if not masks[image]]
    of_none = [image for image in alone if _named_as_mask(image)]
    for image in alone:
        if image not in of_none:
            name = within[image].as_posix()
            listing.rejected.append(Rejected(0, name, name, "labels", _lacking(image)))
    listing.left_out.extend(disk.left_out(of_none, folder, "a label mask without its micrograph"))
    listing.rejected.extend(disk.refuse([path for path in found.unread if path not in used], folder))
    second = sorted({path for paths in masks.values() for path in paths[1:]})
    listing.left_out.extend(disk.left_out(second, folder, "a second label mask of the same micrograph"))
    listing.left_out.extend(disk.left_out(found.others, folder, "no image"))
    return listing


def _named_as_mask(path: Path) -> bool:
    return path.parent.name == "labels" or path.stem.endswith(("_labels", "_cp_masks"))


def masks_beside(image: Path) -> list[Path]:
    """Files beside a micrograph that have the name of its label mask, the one to use first."""
    candidates = [image.parent / name.format(stem=image.stem) for name in LABEL_MASKS]
    return [path for path in candidates if path != image and path.is_file()]


def mask_of(image: Path, masks: Path | None) -> Path:
    """The label mask of a micrograph.

    Args:
        image: the micrograph.
        masks: its label mask, or a folder that holds it under the name of the micrograph or one of LABEL_MASKS; None:
            the file beside the micrograph.

    Raises:
        InputError: there is no such file.
    """
    if masks is None:
        beside = masks_beside(image)
        if not beside:
            name = LABEL_MASKS[2].format(stem=image.stem)
            raise InputError(f"{image}: give its label mask with --masks, or save the mask as {name} beside it")
        return beside[0]
    if masks.is_dir():
        same = [path for path in sorted(masks.glob("*")) if path.stem == image.stem and path != image]
        found = [*same, *masks_beside(masks / image.name)]
        if not found:
            raise InputError(f"{masks}: holds no label mask of the name {image.stem}")
        return found[0]
    if not masks.is_file():
        raise InputError(f"{masks}: no such label mask")
    return masks


def _lacking(image: Path) -> str:
    return f"{image.name}: has no label mask; save it beside the image as {LABEL_MASKS[2].format(stem=image.stem)}"


def _objects(
    root: Path, image: Path, labels: Path, row: ListedRow, listing: Listing, line: int = 0
) -> Iterator[Target]:
    """The objects of one page, or of all pages of a micrograph; pages without a counterpart are rejected.

    Args:
        root: as in ``of_pairs``.
        image: the micrograph, relative to ``root``.
        labels: its label mask, relative to ``root``.
        row: page (None: all of them) and pixel size.
        listing: receives what is rejected or left out.
        line: of the table.
    """
    numbers = [_numbers(page) for page in read_label_pages(inside(root, str(labels), "labels"))]
    n_pages = _pages_of(inside(root, str(image), "micrograph"), len(numbers))
    pages = range(max(n_pages, len(numbers))) if row.page is None else [row.page]
    for page in pages:
        shown = f"{row.micrograph}#{page}" if max(n_pages, len(numbers)) > 1 else row.micrograph
        lacking = [path for path, n in ((image, n_pages), (labels, len(numbers))) if page >= n]
        reason = f"{lacking[0].name}: has no page {page}, counted from 0" if lacking else numbers[page].fault
        if reason:
            listing.rejected.append(Rejected(line, shown, str(lacking[0] if lacking else labels), "page", reason))
        elif not len(numbers[page].found):
            reason = "its label mask marks no particle"
            listing.left_out.append(Rejected(line, "", shown, "labels", reason, fault=False))
        else:
            for number in numbers[page].found.tolist():
                place = LabelPlace(str(labels), number)
                yield Target(line or number, str(labels), f"{shown}:{number}", "", page, row.pixel_size_nm, place)


class _Numbers(NamedTuple):
    """Numbers of the objects of one page of a label mask, and what is wrong with the page."""

    found: NDArray[np.int64]
    fault: str = ""


def _numbers(page: NDArray[np.int64]) -> _Numbers:
    found = np.unique(page)
    found = found[found > 0]
    if len(found) == 1 and found[0] in OF_BINARY_MASKS:
        pieces, n = ndimage.label(page, structure=np.ones((3, 3)))
        areas = np.bincount(pieces.ravel())[1:]
        large = int((areas >= LEAST_PIECE * areas.max()).sum()) if n else 0
        if large > 1:
            return _Numbers(
                found,
                f"the label mask has {large} separate pieces, all with the number {found[0]}, so it is a binary mask; "
                "give each particle its own number, for example in Fiji (Analyze Particles, Show: Count Masks)",
            )
    return _Numbers(found)


def _pages_of(image: Path, otherwise: int) -> int:
    try:
        return count_pages(image)
    except InputError:  # who reads the image will say what is wrong with it
        return otherwise


def of_table(path: Path) -> Listing:
    """Particles that a table lists, by rows with the column ``micrograph``; other columns as in ``FieldRow``.

    A row with a label names one object of the label mask, a row with a box a particle without mask. A row without
    either stands for all objects of the label mask, on its page or on all pages.

    Raises:
        InputError: the table cannot be read.
    """
    listing, by_image, seen = Listing([], [], []), dict[str, list[Target]](), dict[str, int]()
    for line, cells in table.read_csv(path, ("micrograph",)):
        try:
            for target in _targets(path.parent, path.name, line, checked(FieldRow, cells), listing):
                if seen.setdefault(target.id, line) != line:
                    reason = f"id '{target.id}' is a duplicate of row {seen[target.id]}; list every particle once"
                    listing.rejected.append(Rejected(line, target.id, path.name, "id", reason))
                else:
                    by_image.setdefault(cells["micrograph"], []).append(target)
        except RowFault as fault:
            file = fault.file or path.name
            listing.rejected.append(Rejected(line, cells.get("id", ""), file, fault.column, str(fault)))
        except InputError as error:
            listing.rejected.append(Rejected(line, cells.get("id", ""), path.name, "labels", str(error)))
    listing.tasks.extend(MicrographTask(image, targets) for image, targets in by_image.items())
    return listing


def _targets(folder: Path, file: str, line: int, row: FieldRow, listing: Listing) -> list[Target]:
    box, lacking = [getattr(row, name) for name in BOX], [name for name in BOX if getattr(row, name) is None]
    shown = row.micrograph if row.page is None else f"{row.micrograph}#{row.page}"
    number = int(float(row.label)) if row.label and WHOLE.fullmatch(row.label) else None
    if number is None and not lacking:  # a label that is no number may be a class
        place: LabelPlace | BoxPlace = BoxPlace(box[0], box[1], box[2], box[3], relative=False)
    elif number is None and len(lacking) < len(BOX):
        raise RowFault("box", "", f"the box lacks {', '.join(lacking)}")
    elif row.label is None:
        return list(_objects(folder, Path(row.micrograph), _labels_of(folder, row), row, listing, line))
    elif number is None:
        raise RowFault("label", "", f"label is '{row.label}'; give the particle's number in the label mask, from 1")
    else:
        place = LabelPlace(str(_labels_of(folder, row)), number)
    name = row.id or f"{shown}:{f'box{line}' if number is None else number}"
    return [Target(line, file, name, "", row.page, row.pixel_size_nm, place)]


def _labels_of(folder: Path, row: FieldRow) -> Path:
    image = inside(folder, row.micrograph, "micrograph")
    if row.labels is not None:
        inside(folder, row.labels, "labels")
        return Path(row.labels)
    beside = masks_beside(image)
    if not beside:
        raise RowFault("labels", row.micrograph, f"{_lacking(image)}, or name it in a column labels")
    return beside[0].relative_to(folder)


def by_mask(targets: Sequence[Target]) -> dict[str, list[Target]]:
    """Targets by the file of their label mask; boxes have none and are left out."""
    found: dict[str, list[Target]] = {}
    for target in targets:
        if isinstance(target.place, LabelPlace):
            found.setdefault(target.place.file, []).append(target)
    return found
