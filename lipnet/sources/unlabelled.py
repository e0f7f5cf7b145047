"""Particles of unknown class: folders of images, tables, and micrographs with their label masks."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lipnet.core.errors import InputError
from lipnet.samples.particles import Particle
from lipnet.sources import micrographs, table
from lipnet.sources.formats.grey_levels import GreySettings
from lipnet.sources.images import FORMAT_NAMES, IMAGE_SUFFIXES
from lipnet.sources.micrograph_rows import LabelPlace, MicrographTask, Target
from lipnet.sources.micrographs import MicrographSettings
from lipnet.sources.new_data import disk
from lipnet.sources.new_data.micrographs import BOX, Listing, mask_of, of_folder, of_pairs, of_table
from lipnet.sources.rows import Rejected
from lipnet.sources.table import TABLE_NAME, Cells, TableRow, TableTask

Task = TableTask | MicrographTask


class Opened(NamedTuple):
    """Particles that an input lists, in tasks.

    Attributes:
        folder: folder of all files; tasks name files relative to it.
        tasks: parts of the input; any worker can read each on its own, in any order.
        read: reads one task and returns its particles and rejected rows, in order.
        rejected: what cannot be used, found before any image was opened.
        left_out: files and objects that were left out without fault, with the reason.
    """

    folder: Path
    tasks: Sequence[Any]
    read: Callable[[Any], Sequence[Particle | Rejected]]
    rejected: list[Rejected]
    left_out: list[Rejected]


def open_all(
    paths: Sequence[Path],
    masks: Path | None,
    padding_px: int | None,
    given: Sequence[str],
    settings: MicrographSettings,
    grey: GreySettings,
) -> list[Opened]:
    """List the particles of several inputs, with ids that differ between the inputs.

    Among several inputs, one that cannot be opened is rejected, and the others are read. An id then begins with the
    folder, or the table, that lists the particle, relative to the folder of all inputs.

    Args:
        paths: inputs, each as in ``open_unlabelled``.
        masks: as in ``open_unlabelled``; for several inputs, a folder.
        padding_px: as in ``open_unlabelled``.
        given: as in ``open_unlabelled``.
        settings: as in ``open_unlabelled``.
        grey: as in ``open_unlabelled``.

    Raises:
        InputError: an input does not exist or is given twice, or as for ``open_unlabelled`` if there is only one.
    """
    if len(paths) == 1:
        return [open_unlabelled(paths[0], masks, padding_px, given, settings, grey)]
    if masks is not None and not masks.is_dir():
        raise InputError(f"{masks}: give a folder of masks for several inputs")
    real = [path.resolve() for path in paths]
    for path, one in zip(paths, real, strict=True):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        if real.count(one) > 1:
            raise InputError(f"{path}: is given twice")
    root, opened = Path(os.path.commonpath([path.parent for path in real])), []
    for path, one in zip(paths, real, strict=True):
        try:
            found = open_unlabelled(path, masks, padding_px, given, settings, grey)
        except InputError as error:
            refused = Rejected(0, str(path), str(path), "input", str(error))
            found = Opened(path.parent, [], lambda _: [], [refused], [])
        is_image = one.is_file() and one.suffix.lower() in IMAGE_SUFFIXES
        within = (one.parent if is_image else one).relative_to(root).as_posix()
        opened.append(found if within == "." else _renamed(found, f"{within}/"))
    return opened


def _renamed(opened: Opened, prefix: str) -> Opened:
    """The same particles with ids that begin with a prefix."""
    tasks: list[Task] = []
    for task in opened.tasks:
        if isinstance(task, MicrographTask):
            tasks.append(task._replace(targets=[one._replace(id=prefix + one.id) for one in task.targets]))
        else:
            tasks.append(TableTask([(line, cells | {"id": prefix + cells["id"]}) for line, cells in task.rows]))
    rejected = [replace(row, id=prefix + row.id) if row.id else row for row in opened.rejected]
    return opened._replace(tasks=tasks, rejected=rejected)


def open_unlabelled(
    path: Path,
    masks: Path | None,
    padding_px: int | None,
    given: Sequence[str],
    settings: MicrographSettings,
    grey: GreySettings,
) -> Opened:
    """List the particles of an input; the tasks read the images and return particles with an empty label.

    Args:
        path: a table of particles, with the columns of particles.csv (the class column is optional), or of micrographs
            (``new_data.micrographs.of_table``); a folder with a particles.csv; a folder of micrographs with their label
            masks beside them; a folder of images, one particle each; or a micrograph.
        masks: folder of masks with the names of the images; or the label mask of a micrograph, or a folder of label
            masks, by default the file beside the micrograph with one of the names in ``micrograph_rows.LABEL_MASKS``.
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
    cut = settings if padding_px is None else settings.model_copy(update={"padding_px": padding_px})
    listed = path / TABLE_NAME if path.is_dir() else path
    if listed.suffix.lower() == ".csv" and listed.exists():
        if not given and _lists_micrographs(listed):
            return _of_micrographs(listed.parent, _without_masks(listed, masks, of_table), cut, grey)
        return _of_table(listed, masks, padding_px, given, grey)
    if given:
        raise InputError(f"{path}: the model needs the columns {', '.join(given)}; give a table that has them")
    if path.is_dir():
        listing = None if masks is not None else of_folder(path)
        if listing is None:
            return _of_folder(path, masks, padding_px or 0, grey)
        return _of_micrographs(path, listing, cut, grey)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{path}: give a folder of images, a .csv table, or a micrograph as {FORMAT_NAMES}")
    labels = mask_of(path, masks)
    root = _common_folder([path.parent, labels.parent])
    pair = path.name, Path(_relative(path, path.parent, root)), Path(_relative(labels, labels.parent, root))
    opened = _of_micrographs(root, of_pairs(root, [pair]), cut, grey)
    if not opened.tasks:
        reasons = [row.reason for row in opened.rejected] or [f"{labels}: marks no particle: it is 0 everywhere"]
        raise InputError("; ".join(reasons))
    return opened


def _lists_micrographs(path: Path) -> bool:
    rows = table.read_csv(path, ())
    return bool(rows) and "micrograph" in rows[0][1] and "image" not in rows[0][1]


def _without_masks(path: Path, masks: Path | None, of: Callable[[Path], Listing]) -> Listing:
    if masks is not None:
        raise InputError(f"{path}: a table of micrographs gives label masks itself, in the column labels")
    return of(path)


def _of_micrographs(folder: Path, listing: Listing, settings: MicrographSettings, grey: GreySettings) -> Opened:
    read = partial(_read_micrograph, folder=folder, settings=settings, grey=grey)
    return Opened(folder, listing.tasks, read, listing.rejected, listing.left_out)


def _read_micrograph(
    task: MicrographTask, folder: Path, settings: MicrographSettings, grey: GreySettings
) -> list[Particle | Rejected]:
    """Particles of a micrograph; objects of its label mask that a table does not list are left out without fault."""
    items, reason = micrographs.read_task(task, folder, settings, grey), "no row of the table names the object"
    return [item if isinstance(item, Particle) or item.fault else replace(item, reason=reason) for item in items]


def _of_table(
    path: Path, masks: Path | None, padding_px: int | None, given: Sequence[str], grey: GreySettings
) -> Opened:
    if masks is not None or padding_px is not None:
        raise InputError(f"{path}: a table gives masks and padding itself, in the columns mask and padding_px")
    rows = table.read_csv(path, ("id", "image", *given))
    return _of_rows(path.parent, *table.split_duplicates(rows, path.name), [], given, grey)


def _of_rows(
    folder: Path,
    rows: Sequence[tuple[int, Cells]],
    rejected: list[Rejected],
    left_out: list[Rejected],
    given: Sequence[str],
    grey: GreySettings,
) -> Opened:
    tasks = table.tasks_of(rows, grey)
    read = partial(table.read_task, folder=folder, classes=(), class_column=None, feature_columns=given, grey=grey)
    return Opened(folder, tasks, read, rejected, left_out)


def _of_folder(folder: Path, masks: Path | None, padding_px: int, grey: GreySettings) -> Opened:
    """Treat the folder as a table with one row for each image."""
    if masks is not None and not masks.is_dir():
        raise InputError(f"{masks}: no such folder of masks")
    if grey.pooled:
        raise InputError(
            f"{folder}: the model takes black and white from all crops of a micrograph, which a folder of images does "
            "not name; give the micrograph with its label mask, or a table with the column group"
        )
    root = _common_folder([folder, masks or folder])
    found = disk.look(folder, masks)
    rows: list[tuple[int, Cells]] = []
    used = set()
    for number, image in enumerate(found.images, start=1):
        name = image.relative_to(folder)
        cells = {"id": name.as_posix(), "image": _relative(image, folder, root), "padding_px": str(padding_px)}
        if masks is not None:
            mask = _mask_of(name, masks)
            used.add(mask)
            cells["mask"] = _relative(mask, masks, root)
        rows.append((number, cells))
    left_out = list(disk.left_out(found.others, folder, "no image"))
    if masks is not None:
        unused = [path for paths in disk.look(masks) for path in paths if path not in used]
        left_out.extend(disk.left_out(unused, masks, "a mask without its image"))
    rejected = list(disk.refuse(found.unread, folder))
    if not rows and not rejected:
        raise InputError(f"{folder}: holds no {TABLE_NAME} and no {FORMAT_NAMES} image")
    return _of_rows(root, rows, rejected, left_out, (), grey)


def _mask_of(name: Path, masks: Path) -> Path:
    """The mask with the name of the image, or else with its stem and another suffix."""
    others = (masks / name.with_suffix(suffix) for suffix in sorted(IMAGE_SUFFIXES))
    return next((path for path in (masks / name, *others) if path.is_file()), masks / name)


def _common_folder(folders: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([folder.resolve() for folder in folders]))


def _relative(path: Path, folder: Path, root: Path) -> str:
    # Only the folder is resolved, because the user chose it. The reader refuses links inside it.
    return str(folder.resolve().relative_to(root) / path.relative_to(folder))


def rows_of(opened: Opened) -> pd.DataFrame:
    """Rows of particles.csv without classes, one for each particle that an input lists.

    Columns: id; then image and, as far as the input has them, mask, group, pixel_size_nm and padding_px; for a
    micrograph micrograph, page, pixel_size_nm, and labels and label or the box. The files are named relative to the
    folder of the input.
    """
    rows: list[dict[str, Any]] = []
    for task in opened.tasks:
        if isinstance(task, MicrographTask):
            rows += [_row_of_target(task.micrograph, target) for target in task.targets]
        else:
            rows += [{name: cells[name] for name in TableRow.model_fields if name in cells} for _, cells in task.rows]
    return pd.DataFrame(rows).dropna(axis=1, how="all")


def only(opened: Opened, ids: Collection[str]) -> Opened:
    """The input with the particles of these ids only; files without one of them are not opened."""
    tasks: list[Task] = []
    for task in opened.tasks:
        if isinstance(task, MicrographTask):
            tasks.append(task._replace(targets=[target for target in task.targets if target.id in ids]))
        else:
            tasks.append(TableTask([(line, cells) for line, cells in task.rows if cells["id"] in ids]))
    return opened._replace(tasks=tasks)


def _row_of_target(micrograph: str, target: Target) -> dict[str, Any]:
    place = target.place
    row: dict[str, Any] = {"id": target.id, "micrograph": micrograph}
    if isinstance(place, LabelPlace):
        row |= {"labels": place.file, "label": place.number}
    else:
        row |= dict(zip(BOX, place, strict=False))
    return row | {"page": target.page, "pixel_size_nm": target.pixel_size_nm}


def left_out_in_words(rows: Iterable[Rejected], most: int = 3) -> list[str]:
    """One sentence for each reason for which files or objects were left out, with the first names."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        by_reason.setdefault(row.reason, []).append(row.file)
    texts = []
    for reason, repeated in by_reason.items():
        names = [f"{name} ({count} x)" if count > 1 else name for name, count in Counter(repeated).items()]
        more = f" and {len(names) - most} more" if len(names) > most else ""
        texts.append(f"left out: {', '.join(names[:most])}{more}: {reason}")
    return texts
