"""Source ``table``: particles.csv lists one image (and mask) file for each particle."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from lipnet.core.errors import InputError
from lipnet.samples.particles import Grey, Mask, Particle, inscribed_ellipse
from lipnet.sources.formats import pixel_sizes
from lipnet.sources.formats.grey_levels import GreySettings, Levels
from lipnet.sources.images import pixel_sizes_nm, read_grey, read_label_pages, read_mask
from lipnet.sources.input.disk import listed_as
from lipnet.sources.input.spelling import advice_on_number, tidy
from lipnet.sources.input.text_files import read_text, records
from lipnet.sources.rows import (
    OptionalPadding,
    OptionalPixelSize,
    OptionalText,
    Rejected,
    Remark,
    Row,
    RowFault,
    Text,
    check_class,
    check_group,
    checked,
    in_tasks,
    inside,
    read_file,
    shared_levels,
)

TABLE_NAME = "particles.csv"
OF_CELLPOSE = "_cp_masks"  # end of the stem of its masks
SEPARATORS = {"semicolons": ";", "tabs": "\t"}  # that spreadsheet programs write in place of commas

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
    rows = read_csv(listed_as(folder, TABLE_NAME), ("id", "image", class_column, *feature_columns), class_column)
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
    """Read the particles of some rows, one result a row, in the order of the rows; a remark may follow it.

    A particle without a mask gets the one that Cellpose saved beside its image, or else the ellipse inscribed in the
    image less its padding, marked as estimated. A particle without a group is a group of its own.

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
            row = checked(TableRow, without(cells, class_column))
            label = "" if class_column is None else check_class(cells[class_column], classes, class_column)
            features = {name: _feature(cells, name) for name in feature_columns}
            image, mask, estimated = _read_images(folder, row, grey, shared)
            [stated_nm] = read_file(pixel_sizes_nm, folder, row.image, "image") or [None]
            results.append(
                Particle(
                    id=row.id,
                    label=label,
                    group=row.group or f"row {line}",
                    image=image,
                    mask=mask,
                    padding_px=row.padding_px or 0,
                    pixel_size_nm=pixel_sizes.agreed(row.pixel_size_nm, stated_nm),
                    mask_estimated=estimated,
                    features=features,
                )
            )
            remark = pixel_sizes.disagreement(row.pixel_size_nm, stated_nm)
            if remark:
                results.append(Remark(line, row.id, row.image, "pixel_size_nm", f"{row.image}: {remark}", fault=False))
        except RowFault as fault:
            file = fault.file or cells["image"]
            results.append(Rejected(line, cells["id"], file, fault.column, str(fault)))
    return results


def read_csv(path: Path, required: Sequence[str], class_column: str | None = None) -> list[tuple[int, Cells]]:
    """Rows of a CSV file in UTF-8, all cells as tidy text (see ``spelling.tidy``); blank rows are left out.

    Args:
        path: of the file.
        required: columns that must be there; cells have these names as they are spelled here.
        class_column: the one of them that ``source.class_column`` names, for the message.

    Returns:
        The line where each row begins (the first line of the file is 1), and its cells.

    Raises:
        InputError: the file is missing, is not such a table, has a column twice, or lacks one of the required columns.
    """
    text = read_text(path, "a CSV table")
    try:
        rows = list(records(text))
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV table in UTF-8 ({error})") from None
    if not rows:
        raise InputError(f"{path}: not a CSV table in UTF-8 (it is empty)")
    names = _column_names(path, rows[0][1], required, class_column)
    return [(line, _cells_of(path, line, names, fields)) for line, fields in rows[1:]]


def _column_names(path: Path, header: list[str], required: Sequence[str], class_column: str | None) -> list[str]:
    spelled = {tidy(name): name for name in required}
    names = [spelled.get(name, name) for name in header]
    twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise InputError(f"{path}: column {', '.join(twice)} is there more than once; rename or delete one of them")
    missing = [name for name in required if name not in names]
    if missing:
        advice = "".join(
            f"; it has {words} between the columns: save it with commas, and with points in numbers"
            for words, mark in SEPARATORS.items()
            if set(missing) & {tidy(name) for name in ",".join(header).split(mark)}
        )
        if class_column in missing and not advice:
            advice = "; source.class_column in params.yaml names the column of the class"
        raise InputError(f"{path}: column {', '.join(missing)} is missing; it has {', '.join(names)}{advice}")
    return names


def _cells_of(path: Path, line: int, names: Sequence[str], fields: Sequence[str]) -> Cells:
    """Cells by column; a short row ends with empty cells."""
    more = fields[len(names) :]
    if any(more):
        raise InputError(
            f"{path}: not a CSV table in UTF-8 (line {line} has {len(fields)} cells, the header {len(names)}); put "
            "quotation marks around cells with commas, and write numbers with decimal points"
        )
    if more:
        raise InputError(
            f"{path}: line {line}: the rows have more fields than the header; remove commas at the ends of the rows"
        )
    return dict.fromkeys(names, "") | dict(zip(names, fields, strict=False))


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
        reason = f"{name} is '{cells[name]}', not a finite number{advice_on_number(cells[name])}"
        raise RowFault(name, "", reason) from None


def without(cells: Cells, class_column: str | None) -> Cells:
    """The cells of a row less its class, because the column of the class may have any name, such as group or label."""
    return {name: cell for name, cell in cells.items() if name != class_column}


def _read_images(
    folder: Path, row: TableRow, grey: GreySettings, shared: Mapping[str, Levels]
) -> tuple[Grey, Mask, bool]:
    """The image, its mask, and whether the mask is estimated."""
    check_group(row.group, grey, "group")
    read = partial(read_grey, settings=grey, levels=shared.get(row.group or ""))
    image = read_file(read, folder, row.image, "image")
    padding_px = row.padding_px or 0
    if 2 * padding_px >= min(image.shape):
        raise RowFault("padding_px", "", f"padding_px is {padding_px}, which leaves nothing of {image.shape} px")
    mask = row.mask or mask_beside(folder, row.image)
    if mask is None:
        return image, inscribed_ellipse(image.shape, padding_px), True
    return image, read_matching_mask(folder, mask, image), False


def mask_beside(folder: Path, image: str) -> str | None:
    """Name of the mask that Cellpose saved in the folder of an image; None if there is none."""
    path = Path(image)
    names = (str(path.with_name(f"{path.stem}{OF_CELLPOSE}{suffix}")) for suffix in (".png", ".tif", ".tiff"))
    return next((name for name in names if inside(folder, name, "mask").is_file()), None)


def read_matching_mask(folder: Path, name: str, image: Grey) -> Mask:
    """Read the mask that a row names.

    Raises:
        RowFault: the mask differs in size from the image, is empty, cannot be read, or is one of Cellpose that marks
            several objects.
    """
    mask, file = read_file(read_mask, folder, name, "mask"), Path(name).name
    if mask.shape != image.shape:
        turned = mask.shape == image.shape[::-1]
        cure = "; one of the files states an orientation, so save both without it" if turned else ""
        raise RowFault("mask", name, f"{file}: the mask is {mask.shape} px but the image is {image.shape} px{cure}")
    if not mask.any():
        raise RowFault("mask", name, f"{file}: the mask is empty")
    if Path(name).stem.endswith(OF_CELLPOSE):
        labels = read_file(lambda path: next(read_label_pages(path)), folder, name, "mask")
        if len(objects := np.unique(labels[labels > 0])) > 1:
            reason = f"{file}: marks {len(objects)} objects; set all but the particle to 0, or name another mask"
            raise RowFault("mask", name, reason)
    return mask
