"""Particles that nobody has named yet: a folder of images, a table, or a micrograph with its label mask."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lipnet.core.errors import InputError
from lipnet.samples.particles import Particle
from lipnet.sources import micrographs, table
from lipnet.sources.images import IMAGE_SUFFIXES, read_label_pages
from lipnet.sources.micrographs import LABEL_MASKS, LabelPlace, MicrographSettings, MicrographTask, Target
from lipnet.sources.rows import Rejected, in_tasks
from lipnet.sources.table import TABLE_NAME, Cells, TableTask


class Unlabelled(NamedTuple):
    """What is to be read.

    Attributes:
        tasks: parts of the input, each read on its own.
        read: function of one task that returns its particles, with an empty label, and rejected rows.
        rejected: rows that were rejected before any image was opened.
    """

    tasks: Sequence[Any]
    read: Callable[[Any], Sequence[Particle | Rejected]]
    rejected: list[Rejected]


def open_unlabelled(
    path: Path, masks: Path | None, padding_px: int | None, given: Sequence[str], settings: MicrographSettings
) -> Unlabelled:
    """List what an input holds; images are left to its tasks.

    Args:
        path: a folder with particles.csv, or a table of the same layout, of which a class column is not needed; or a
            folder of images, each a particle; or a micrograph.
        masks: folder of masks, named as the images of a folder; or the label mask of a micrograph, by default the file
            beside it that has its name (see ``micrographs.LABEL_MASKS``).
        padding_px: width of the surrounding on each side of a particle: in the images of a folder (None: 0), or to be
            cut from a micrograph (None: as ``settings`` say).
        given: columns of a table whose numbers are features.
        settings: how to cut from a micrograph.

    Raises:
        InputError: there is no such input, it holds nothing, or it is of no such kind.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    listed = path / TABLE_NAME if path.is_dir() else path
    if listed.suffix.lower() == ".csv" and listed.exists():
        return _of_table(listed, masks, padding_px, given)
    if given:
        raise InputError(f"{path}: the model needs the columns {', '.join(given)}; give a table that has them")
    if path.is_dir():
        return _of_folder(path, masks, padding_px or 0)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        changes = {} if padding_px is None else {"padding_px": padding_px}
        return _of_micrograph(path, masks, settings.model_copy(update=changes))
    raise InputError(f"{path}: give a folder of images, a .csv table, or a micrograph as PNG, JPEG, TIFF or MRC")


def _of_table(path: Path, masks: Path | None, padding_px: int | None, given: Sequence[str]) -> Unlabelled:
    if masks is not None or padding_px is not None:
        raise InputError(f"{path}: a table says itself, in the columns mask and padding_px, what masks and padding are")
    rows = table.read_csv(path, ("id", "image", *given))
    return _of_rows(path.parent, *table.split_duplicates(rows, path.name), given)


def _of_rows(
    folder: Path, rows: Sequence[tuple[int, Cells]], rejected: list[Rejected], given: Sequence[str]
) -> Unlabelled:
    tasks = [TableTask(some) for some in in_tasks(rows)]
    read = partial(table.read_task, folder=folder, classes=(), class_column=None, feature_columns=given)
    return Unlabelled(tasks, read, rejected)


def _of_folder(folder: Path, masks: Path | None, padding_px: int) -> Unlabelled:
    """The folder as a table, of which every image is a row."""
    if masks is not None and not masks.is_dir():
        raise InputError(f"{masks}: no such folder of masks")
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
    return _of_rows(root, rows, [], ())


def _images(folder: Path, masks: Path | None) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        is_mask = masks is not None and masks.resolve() in path.resolve().parents
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not is_mask:
            yield path


def _mask_of(name: Path, masks: Path) -> Path:
    """The mask of the image's name, or else of its stem with another suffix."""
    others = (masks / name.with_suffix(suffix) for suffix in sorted(IMAGE_SUFFIXES))
    return next((path for path in (masks / name, *others) if path.is_file()), masks / name)


def _common_folder(folders: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([folder.resolve() for folder in folders]))


def _relative(path: Path, folder: Path, root: Path) -> str:
    # Only the folder, which the user chose, is resolved: a link inside it is left to the reader, which refuses it.
    return str(folder.resolve().relative_to(root) / path.relative_to(folder))


def _of_micrograph(path: Path, masks: Path | None, settings: MicrographSettings) -> Unlabelled:
    labels = masks or _labels_beside(path)
    if not labels.is_file():
        raise InputError(f"{labels}: no such label mask")
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
    return Unlabelled([task], partial(micrographs.read_task, folder=root, settings=settings), [])


def _labels_beside(path: Path) -> Path:
    candidates = [path.parent / name.format(stem=path.stem) for name in LABEL_MASKS]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise InputError(f"{path}: give its label mask with --masks, or save it beside it as {candidates[2].name}")
    return found
