"""Particles of unknown class: a folder of images, a table, or a micrograph with its label mask."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lipnet.core.errors import InputError
from lipnet.sources import micrographs, table
from lipnet.sources.formats.grey_levels import GreySettings
from lipnet.sources.images import IMAGE_SUFFIXES, read_label_pages
from lipnet.sources.micrograph_rows import LABEL_MASKS, LabelPlace, MicrographTask, Target
from lipnet.sources.micrographs import MicrographSettings
from lipnet.sources.rows import Rejected, Source
from lipnet.sources.table import TABLE_NAME, Cells, TableRow, TableTask


def open_unlabelled(
    path: Path,
    masks: Path | None,
    padding_px: int | None,
    given: Sequence[str],
    settings: MicrographSettings,
    grey: GreySettings,
) -> Source:
    """List the particles of an input; the tasks read the images and return particles with an empty label.

    Args:
        path: a folder with particles.csv or a table of the same layout, where the class column is optional; or a folder
            of images, one particle each; or a micrograph.
        masks: folder of masks with the names of the images; or the label mask of a micrograph, by default the file
            beside the micrograph with one of the names in ``micrograph_rows.LABEL_MASKS``.
        padding_px: width of the surrounding on each side of a particle: present in the images of a folder (None: 0), or
            to cut from a micrograph (None: the value in ``settings``).
        given: columns of a table whose numbers are features.
        settings: how to cut from a micrograph.
        grey: how samples become grey levels.

    Raises:
        InputError: the input does not exist, holds no particles, or is of another kind.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    listed = path / TABLE_NAME if path.is_dir() else path
    if listed.suffix.lower() == ".csv" and listed.exists():
        return _of_table(listed, masks, padding_px, given, grey)
    if given:
        raise InputError(f"{path}: the model needs the columns {', '.join(given)}; give a table that has them")
    if path.is_dir():
        return _of_folder(path, masks, padding_px or 0, grey)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        changes = {} if padding_px is None else {"padding_px": padding_px}
        return _of_micrograph(path, masks, settings.model_copy(update=changes), grey)
    raise InputError(f"{path}: give a folder of images, a .csv table, or a micrograph as PNG, JPEG, TIFF or MRC")


def _of_table(
    path: Path, masks: Path | None, padding_px: int | None, given: Sequence[str], grey: GreySettings
) -> Source:
    if masks is not None or padding_px is not None:
        raise InputError(f"{path}: a table gives masks and padding itself, in the columns mask and padding_px")
    rows = table.read_csv(path, ("id", "image", *given))
    return _of_rows(path.parent, *table.split_duplicates(rows, path.name), given, grey)


def _of_rows(
    folder: Path,
    rows: Sequence[tuple[int, Cells]],
    rejected: list[Rejected],
    given: Sequence[str],
    grey: GreySettings,
) -> Source:
    tasks = table.tasks_of(rows, grey)
    read = partial(table.read_task, folder=folder, classes=(), class_column=None, feature_columns=given, grey=grey)
    return Source(tasks, read, rejected)


def _of_folder(folder: Path, masks: Path | None, padding_px: int, grey: GreySettings) -> Source:
    """Treat the folder as a table with one row for each image."""
    if masks is not None and not masks.is_dir():
        raise InputError(f"{masks}: no such folder of masks")
    if grey.pooled:
        raise InputError(
            f"{folder}: the model takes black and white from all crops of a micrograph, which a folder of images does "
            "not name; give the micrograph with its label mask, or a table with the column group"
        )
    root = _common_folder([folder, masks or folder])
    rows: list[tuple[int, Cells]] = []
    for number, image in enumerate(_images(folder, masks), start=1):
        name = image.relative_to(folder)
        cells = {"id": name.as_posix(), "image": _relative(image, folder, root), "padding_px": str(padding_px)}
        if masks is not None:
            cells["mask"] = _relative(_mask_of(name, masks), masks, root)
        rows.append((number, cells))
    if not rows:
        raise InputError(f"{folder}: holds no {TABLE_NAME} and no PNG, JPEG, TIFF or MRC image")
    return _of_rows(root, rows, [], (), grey)


def _images(folder: Path, masks: Path | None) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        is_mask = masks is not None and masks.resolve() in path.resolve().parents
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not is_mask:
            yield path


def _mask_of(name: Path, masks: Path) -> Path:
    """The mask with the name of the image, or else with its stem and another suffix."""
    others = (masks / name.with_suffix(suffix) for suffix in sorted(IMAGE_SUFFIXES))
    return next((path for path in (masks / name, *others) if path.is_file()), masks / name)


def _common_folder(folders: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([folder.resolve() for folder in folders]))


def _relative(path: Path, folder: Path, root: Path) -> str:
    # Only the folder is resolved, because the user chose it. The reader refuses links inside it.
    return str(folder.resolve().relative_to(root) / path.relative_to(folder))


def _of_micrograph(path: Path, masks: Path | None, settings: MicrographSettings, grey: GreySettings) -> Source:
    labels = label_mask_of(path, masks)
    root = _common_folder([path.parent, labels.parent])
    pages = list(enumerate(map(np.unique, read_label_pages(labels))))
    targets = []
    for page, numbers in pages:
        shown = f"{path.name}#{page}" if len(pages) > 1 else path.name
        for number in numbers[numbers > 0].tolist():
            place = LabelPlace(_relative(labels, labels.parent, root), number)
            targets.append(Target(number, labels.name, f"{shown}:{number}", "", page, None, place))
    if not targets:
        raise InputError(f"{labels}: marks no particle: the label mask is 0 everywhere")
    task = MicrographTask(_relative(path, path.parent, root), targets)
    return Source([task], partial(micrographs.read_task, folder=root, settings=settings, levels=grey), [])


def label_mask_of(path: Path, masks: Path | None) -> Path:
    """The label mask of a micrograph: ``masks``, or the file beside the micrograph.

    Raises:
        InputError: there is no such file.
    """
    labels = masks or _labels_beside(path)
    if not labels.is_file():
        raise InputError(f"{labels}: no such label mask")
    return labels


def rows_of(source: Source) -> pd.DataFrame:
    """Rows of particles.csv without classes, one for each particle that the source lists.

    Columns: id; then image and, as far as the source has them, mask, group, pixel_size_nm and padding_px; for a
    micrograph micrograph, labels, label and page. The files are named relative to the folder that contains images and
    masks.
    """
    rows: list[Mapping[str, Any]] = []
    for task in source.tasks:
        if isinstance(task, MicrographTask):
            rows += [_row_of_target(task.micrograph, target) for target in task.targets]
        else:
            rows += [{name: cells[name] for name in TableRow.model_fields if name in cells} for _, cells in task.rows]
    return pd.DataFrame(rows)


def only(source: Source, ids: Collection[str]) -> Source:
    """The source with the particles of these ids only; files without one of them are not opened."""
    tasks: list[TableTask | MicrographTask] = []
    for task in source.tasks:
        if isinstance(task, MicrographTask):
            tasks.append(task._replace(targets=[target for target in task.targets if target.id in ids]))
        else:
            tasks.append(TableTask([(line, cells) for line, cells in task.rows if cells["id"] in ids]))
    return source._replace(tasks=tasks)


def _row_of_target(micrograph: str, target: Target) -> dict[str, Any]:
    place = target.place
    assert isinstance(place, LabelPlace)  # boxes come with classes only
    return {
        "id": target.id,
        "micrograph": micrograph,
        "labels": place.file,
        "label": place.number,
        "page": target.page,
    }


def _labels_beside(path: Path) -> Path:
    candidates = [path.parent / name.format(stem=path.stem) for name in LABEL_MASKS]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise InputError(
            f"{path}: give its label mask with --masks, or save the mask as {candidates[2].name} beside it"
        )
    return found
