"""Source ``table``: particles.csv beside the images and masks that it names."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lipnet.errors import InputError
from lipnet.images import read_grey, read_mask
from lipnet.particles import Grey, Mask, Particle

TABLE_NAME = "particles.csv"
KNOWN_COLUMNS = ("id", "image", "mask", "group", "pixel_size_nm", "padding_px")

Row = dict[str, str]


@dataclass(frozen=True)
class Rejected:
    """A row that could not be used: its line in the table (the header is line 1), the file at fault, and why."""

    row: int
    id: str
    file: str
    reason: str


def read_particles(
    folder: Path,
    classes: Iterable[str],
    class_column: str,
    feature_columns: Iterable[str],
    progress: Callable[[list[Row]], Iterable[Row]] = iter,
) -> Iterator[Particle | Rejected]:
    """Read the particles that ``folder/particles.csv`` lists, one result a row and in its order.

    Columns: id, image and the class column; optionally mask, group, pixel_size_nm, padding_px and the feature columns.
    Without a mask, the ellipse inscribed in the image less its padding stands for the particle, marked as estimated.
    Without a group, every particle is a group of its own.

    Args:
        folder: the data folder; images and masks are named relative to it and must lie inside it.
        classes: names of the classes of the problem.
        class_column: the column that holds the class.
        feature_columns: columns whose numbers become features of the particle.
        progress: wraps the list of rows, e.g. in a progress bar.

    Raises:
        InputError: there is no table, or it lacks a column; faults of single rows come as ``Rejected`` instead.
    """
    known = tuple(classes)
    features = tuple(feature_columns)
    rows = _read_rows(folder / TABLE_NAME, ("id", "image", class_column, *features))
    seen: dict[str, int] = {}
    for line, row in enumerate(progress(rows), start=2):
        file = row["image"]
        try:
            _check_id(row["id"], seen, line)
            label = _check_class(row[class_column], known, class_column)
            numbers = {name: _number(row, name) for name in features}
            image = read_grey(_inside(folder, file))
            padding_px = _padding(row, image)
            file = row.get("mask") or file
            mask = _read_mask(folder, row, image, padding_px)
            yield Particle(
                id=row["id"],
                label=label,
                group=row.get("group") or f"row {line}",
                image=image,
                mask=mask,
                padding_px=padding_px,
                pixel_size_nm=_pixel_size(row),
                mask_estimated=not row.get("mask"),
                features=numbers,
            )
        except InputError as error:
            yield Rejected(line, row["id"], file, str(error))


def summarise(rejected: list[Rejected], limit: int = 5) -> str:
    """The most frequent reasons for rejection in plain words, with the first row of each."""
    reasons: dict[str, list[Rejected]] = {}
    for row in rejected:
        name = Path(row.file).name
        reasons.setdefault(row.reason.replace(name, "<file>") if name else row.reason, []).append(row)
    ranked = sorted(reasons.items(), key=lambda item: -len(item[1]))
    lines = [f"  {len(rows)} x {reason} (first: row {rows[0].row}, {rows[0].file})" for reason, rows in ranked[:limit]]
    return "\n".join(lines)


def _read_rows(path: Path, required: tuple[str, ...]) -> list[Row]:
    try:
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True, skip_blank_lines=False
        )
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; source 'table' needs it, or set source.folder to where it is"
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a CSV table in UTF-8 ({error})") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first column for an index
        raise InputError(f"{path}: the rows have more fields than the header; remove commas at the ends of the rows")
    missing = [name for name in required if name not in table.columns]
    if missing:
        raise InputError(f"{path}: column {', '.join(missing)} is missing; it has {', '.join(table.columns)}")
    return [dict(zip(table.columns, values, strict=True)) for values in table.itertuples(index=False, name=None)]


def _check_id(name: str, seen: dict[str, int], line: int) -> None:
    if not name:
        raise InputError("the id is empty")
    if name in seen:
        raise InputError(f"id '{name}' is a duplicate of row {seen[name]}; ids must be unique")
    seen[name] = line


def _check_class(label: str, classes: tuple[str, ...], class_column: str) -> str:
    if label not in classes:
        raise InputError(
            f"{class_column} '{label}' is not one of {', '.join(classes)}; correct the row or list it in `classes`"
        )
    return label


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not name or not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"file '{name}' is empty or leaves the data folder; name a file inside it")
    return path


def _number(row: Row, name: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name} is '{row[name]}', not a finite number")
    return value


def _pixel_size(row: Row) -> float:
    if not row.get("pixel_size_nm"):
        return math.nan
    value = _number(row, "pixel_size_nm")
    if value <= 0:
        raise InputError(f"pixel_size_nm is {value}; it must be positive")
    return value


def _padding(row: Row, image: Grey) -> int:
    if not row.get("padding_px"):
        return 0
    value = _number(row, "padding_px")
    if value < 0 or value != int(value) or 2 * value >= min(image.shape):
        raise InputError(f"padding_px is {row['padding_px']}; it must be a whole number that leaves some of the image")
    return int(value)


def _read_mask(folder: Path, row: Row, image: Grey, padding_px: int) -> Mask:
    name = row.get("mask")
    if not name:
        return inscribed_ellipse(image.shape, padding_px)
    mask = read_mask(_inside(folder, name))
    if mask.shape != image.shape:
        raise InputError(f"{Path(name).name}: the mask is {mask.shape} px but the image is {image.shape} px")
    if not mask.any():
        raise InputError(f"{Path(name).name}: the mask is empty")
    return mask


def inscribed_ellipse(shape_px: tuple[int, ...], padding_px: int) -> Mask:
    """Mask of shape ``shape_px``: the ellipse inscribed in the box left after the padding, reaching all its sides."""
    height, width = shape_px
    y, x = np.ogrid[:height, :width]
    down = np.abs(y + 0.5 - height / 2) / (height / 2 - padding_px)
    across = np.abs(x + 0.5 - width / 2) / (width / 2 - padding_px)
    # By the centres of pixels alone, the tips of an elongated ellipse would be lost: the two axes are added.
    axes = (np.abs(x + 0.5 - width / 2) <= 0.5) & (down < 1) | (np.abs(y + 0.5 - height / 2) <= 0.5) & (across < 1)
    return np.asarray((down**2 + across**2 <= 1) | axes, dtype=bool)
