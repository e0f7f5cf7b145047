"""Source ``table``: particles.csv lists one image (and mask) file for each particle."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from lipnet.core.errors import InputError
from lipnet.core.files import unchanged
from lipnet.samples.particles import Grey, Mask, Particle, inscribed_ellipse
from lipnet.sources.formats.grey_levels import GreySettings, Levels
from lipnet.sources.images import read_grey, read_mask
from lipnet.sources.rows import (
    OptionalPadding,
    OptionalPixelSize,
    OptionalText,
    Rejected,
    Row,
    RowFault,
    Text,
    check_class,
    check_group,
    checked,
    in_tasks,
    read_file,
    shared_levels,
)

TABLE_NAME = "particles.csv"

Cells = dict[str, str]


class TableRow(Row):
    """The schema of one row, without the class and the features: settings name their columns."""

    id: Text
    image: Text
    mask: OptionalText = None
    group: OptionalText = None
    pixel_size_nm: OptionalPixelSize = None
    padding_px: OptionalPadding = None


class TableTask(NamedTuple):
    """Some rows of the table: the line of each (the header is line 1) and its cells."""

    rows: list[tuple[int, Cells]]


_number = TypeAdapter(Annotated[float, Field(allow_inf_nan=False)])


def list_tasks(
    folder: Path, class_column: str, feature_columns: Iterable[str], grey: GreySettings
) -> tuple[list[TableTask], list[Rejected]]:
    """Read ``folder/particles.csv`` but no image.

    Columns: id, image and the class column; optionally mask, group, pixel_size_nm, padding_px and the feature columns.

    Returns:
        The rows in tasks for ``read_task``, and the rows rejected because an earlier row has the same id.

    Raises:
        InputError: there is no table, or it lacks a column.
    """
    rows = read_csv(folder / TABLE_NAME, ("id", "image", class_column, *feature_columns))
    unique, rejected = split_duplicates(rows, TABLE_NAME)
    return tasks_of(unique, grey), rejected


def tasks_of(rows: Sequence[tuple[int, Cells]], grey: GreySettings) -> list[TableTask]:
    """The rows in tasks; where the crops of a group share black and white, a group is in one task."""
    group_of = (lambda row: row[1].get("group", "")) if grey.pooled else None
    return [TableTask(some) for some in in_tasks(rows, group_of)]


def read_task(
    task: TableTask,
    folder: Path,
    classes: Sequence[str],
    class_column: str | None,
    feature_columns: Sequence[str],
    grey: GreySettings,
) -> list[Particle | Rejected]:
    """Read the particles of some rows, one result a row, in the order of the rows.

    A particle without a mask gets the ellipse inscribed in the image less its padding, marked as estimated. A particle
    without a group is a group of its own.

    Args:
        task: the rows.
        folder: the data folder; images and masks are named relative to it and must lie inside it.
        classes: names of the classes of the problem.
        class_column: the column of the class; None if the classes are unknown, and the labels stay empty.
        feature_columns: columns whose numbers become features of the particle.
        grey: how samples become grey levels.
    """
    shared = shared_levels(((cells.get("group", ""), cells["image"]) for _, cells in task.rows), folder, grey)
    results: list[Particle | Rejected] = []
    for line, cells in task.rows:
        try:
            row = checked(TableRow, cells)
            label = "" if class_column is None else check_class(cells[class_column], classes, class_column)
            features = {name: _feature(cells, name) for name in feature_columns}
            image, mask = _read_images(folder, row, grey, shared)
            results.append(
                Particle(
                    id=row.id,
                    label=label,
                    group=row.group or f"row {line}",
                    image=image,
                    mask=mask,
                    padding_px=row.padding_px or 0,
                    pixel_size_nm=math.nan if row.pixel_size_nm is None else row.pixel_size_nm,
                    mask_estimated=row.mask is None,
                    features=features,
                )
            )
        except RowFault as fault:
            file = fault.file or cells["image"]
            results.append(Rejected(line, cells["id"], file, fault.column, str(fault)))
    return results


def read_csv(path: Path, required: Sequence[str]) -> list[tuple[int, Cells]]:
    """Lines and cells of a CSV file in UTF-8, all as text; blanks after commas and a byte order mark are ignored.

    Raises:
        InputError: the file is missing, is not such a table, or lacks one of the required columns.
    """
    try:
        with unchanged(path):
            table = pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
                skipinitialspace=True,
                skip_blank_lines=False,
            )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; put it there, or set source.folder to where it is") from None
    except (ValueError, OSError) as error:  # ValueError includes the errors of pandas
        raise InputError(f"{path}: not a CSV table in UTF-8 ({error})") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas has used the first column as the index
        raise InputError(f"{path}: the rows have more fields than the header; remove commas at the ends of the rows")
    missing = [name for name in required if name not in table.columns]
    if missing:
        raise InputError(f"{path}: column {', '.join(missing)} is missing; it has {', '.join(table.columns)}")
    cells = (dict(zip(table.columns, values, strict=True)) for values in table.itertuples(index=False, name=None))
    return list(enumerate(cells, start=2))


def split_duplicates(rows: list[tuple[int, Cells]], file: str) -> tuple[list[tuple[int, Cells]], list[Rejected]]:
    """Split rows into those with a new id and those rejected for a repeated id; the schema rejects empty ids later."""
    first: dict[str, int] = {}
    unique, rejected = [], []
    for line, cells in rows:
        name = cells["id"]
        if name and first.setdefault(name, line) != line:
            reason = f"id '{name}' is a duplicate of row {first[name]}; ids must be unique"
            rejected.append(Rejected(line, name, file, "id", reason))
        else:
            unique.append((line, cells))
    return unique, rejected


def _feature(cells: Cells, name: str) -> float:
    try:
        return _number.validate_python(cells[name])
    except ValidationError:
        raise RowFault(name, "", f"{name} is '{cells[name]}', not a finite number") from None


def _read_images(folder: Path, row: TableRow, grey: GreySettings, shared: Mapping[str, Levels]) -> tuple[Grey, Mask]:
    check_group(row.group, grey, "group")
    read = partial(read_grey, settings=grey, levels=shared.get(row.group or ""))
    image = read_file(read, folder, row.image, "image")
    padding_px = row.padding_px or 0
    if 2 * padding_px >= min(image.shape):
        raise RowFault("padding_px", "", f"padding_px is {padding_px}, which leaves nothing of {image.shape} px")
    if row.mask is None:
        return image, inscribed_ellipse(image.shape, padding_px)
    return image, read_matching_mask(folder, row.mask, image)


def read_matching_mask(folder: Path, name: str, image: Grey) -> Mask:
    """Read the mask that a row names.

    Raises:
        RowFault: the mask differs in size from the image, is empty, or cannot be read.
    """
    mask = read_file(read_mask, folder, name, "mask")
    if mask.shape != image.shape:
        file = Path(name).name
        raise RowFault("mask", name, f"{file}: the mask is {mask.shape} px but the image is {image.shape} px")
    if not mask.any():
        raise RowFault("mask", name, f"{Path(name).name}: the mask is empty")
    return mask
