"""What all sources that read files share: checked rows, rejected rows, and paths that stay inside the data folder."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lipnet.core.errors import InputError

ROWS_PER_TASK = 64


@dataclass(frozen=True)
class Rejected:
    """A row that could not be used, and why.

    Attributes:
        row: its place in the file that lists it: the line of a CSV or text file (the first line is 1), the number of a
            JSON record (from 0), the label of an object in a label mask.
        id: of the particle, as far as known.
        file: the file at fault.
        column: the part of the row at fault: id, class, image, mask ... or the name of a feature.
        reason: in plain words, with the cure.
        fault: False for what is left out on purpose, such as an object of a label mask that was given no class; it does
            not count against ingest.max_rejected_fraction.
    """

    row: int
    id: str
    file: str
    column: str
    reason: str
    fault: bool = True


class RowFault(InputError):
    """A fault of one row; the source turns it into ``Rejected`` and goes on with the next."""

    def __init__(self, column: str, file: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.file = column, file


class Row(BaseModel):
    """Base of the declared schemas of rows; columns that a schema does not name are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, coerce_numbers_to_str=True)


def empty_is_missing(value: Any) -> Any:
    """None for an empty cell."""
    return None if value == "" else value


Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]  # names stand in tables and messages
OptionalText = Annotated[Text | None, BeforeValidator(empty_is_missing)]
OptionalPadding = Annotated[int | None, Field(ge=0), BeforeValidator(empty_is_missing)]
OptionalPixelSize = Annotated[float | None, Field(gt=0), BeforeValidator(empty_is_missing)]

RowT = TypeVar("RowT", bound=Row)
Image = TypeVar("Image")


def checked(schema: type[RowT], values: Mapping[str, Any]) -> RowT:
    """One row as a record of its schema.

    Raises:
        RowFault: a value is missing, of the wrong type or out of range; the first fault is named.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0])
        place = "".join(f"[{part}]" for part in fault["loc"][1:])
        given = "is missing" if fault["type"] == "missing" else f"is {_short(fault['input'])}: {fault['msg']}"
        raise RowFault(name, "", f"{name}{place} {given}") from None


def _short(value: Any, limit: int = 40) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]} ..."


def check_class(label: str, classes: Sequence[str], column: str) -> str:
    """The label itself.

    Raises:
        RowFault: it is not one of the classes.
    """
    if label not in classes:
        known = ", ".join(classes)
        raise RowFault(column, "", f"{column} '{label}' is not one of {known}; correct the row or list it in `classes`")
    return label


def inside(folder: Path, name: str, column: str) -> Path:
    """The path of a file that a row names, which must lie in the data folder and not be reached through a link.

    The data folder itself may be a link: its user chose it. What lies in it may come from a stranger.

    Raises:
        RowFault: the name is empty, absolute, leads out of the folder, or passes through a link.
    """
    path = Path(os.path.normpath(name))  # without links, what stands before a .. does not matter
    if not name or path.is_absolute() or ".." in path.parts:
        raise RowFault(
            column, name, f"{column} file '{name}' is empty or leaves the data folder; name a file inside it"
        )
    try:
        links = [part for depth, part in enumerate(path.parts, 1) if folder.joinpath(*path.parts[:depth]).is_symlink()]
    except (OSError, ValueError):  # too long, or with characters that no file name has
        raise RowFault(column, name, f"{column} file {_short(name)} cannot name a file") from None
    if links:
        raise RowFault(
            column, name, f"{column} file '{name}': {links[0]} is a link, which is not followed; copy the file"
        )
    return folder / path


def read_file(read: Callable[[Path], Image], folder: Path, name: str, column: str) -> Image:
    """What ``read`` makes of a file that a row names.

    Raises:
        RowFault: the name is refused (see ``inside``), or the file cannot be read.
    """
    path = inside(folder, name, column)
    try:
        return read(path)
    except InputError as error:
        raise RowFault(column, name, str(error)) from None


def in_tasks(rows: Sequence[Any]) -> list[list[Any]]:
    """Rows in lists short enough to hold all their images in memory."""
    return [list(rows[start : start + ROWS_PER_TASK]) for start in range(0, len(rows), ROWS_PER_TASK)]


def reasons(rejected: Iterable[Rejected]) -> list[tuple[str, int]]:
    """Reasons without the names of files, each with its count, the most frequent first."""
    return Counter(map(_common_reason, rejected)).most_common()


def summarise(rejected: Sequence[Rejected], limit: int = 5) -> str:
    """The most frequent reasons for rejection in plain words, with the first row of each."""
    first = {_common_reason(row): row for row in reversed(rejected)}
    return "\n".join(
        f"  {count} x {reason} (first: row {first[reason].row}, {first[reason].file})"
        for reason, count in reasons(rejected)[:limit]
    )


def _common_reason(row: Rejected) -> str:
    for name in (row.file, Path(row.file).name, row.id):
        if len(name) > 2:  # a shorter one may be part of any word
            row = replace(row, reason=row.reason.replace(name, "..."))
    return row.reason
