"""Code that all sources share: the record of a source, checked and rejected rows, paths inside the data folder."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lipnet.core.errors import InputError
from lipnet.samples.particles import Particle
from lipnet.sources.formats.grey_levels import GreySettings, Levels, Samples, levels_of
from lipnet.sources.images import read_samples
from lipnet.sources.input import disk
from lipnet.sources.input.spelling import advice_on_number, tidy

ROWS_PER_TASK = 64


@dataclass(frozen=True)
class Rejected:
    """A row that could not be used, and why.

    Attributes:
        row: its place in the file that lists it: the line of a CSV or text file where it begins (the first line is 1),
            the number of a JSON record (from 0), or the label of an object in a label mask.
        id: of the particle; empty if unknown.
        file: the file at fault.
        column: the part of the row at fault: id, class, image, mask ... or the name of a feature.
        reason: the fault in plain words, and how to correct it.
        fault: False for rows left out on purpose, such as objects of a label mask without a class; these do not count
            against ingest.max_rejected_fraction.
    """

    row: int
    id: str
    file: str
    column: str
    reason: str
    fault: bool = True


class Remark(Rejected):
    """Something to know about a row that was used."""


class Source(NamedTuple):
    """Particles that can be read, in tasks.

    Attributes:
        tasks: parts of the source; any worker can read each on its own, in any order.
        read: reads one task and returns its particles and rejected rows, in order.
        rejected: rows that were rejected before any image was opened.
    """

    tasks: Sequence[Any]
    read: Callable[[Any], Sequence[Particle | Rejected]]
    rejected: list[Rejected]


class RowFault(InputError):
    """A fault of one row; the source turns it into ``Rejected`` and continues with the next row."""

    def __init__(self, column: str, file: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.file = column, file


class Row(BaseModel):
    """Base class of the schemas of rows; columns that a schema does not name are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, coerce_numbers_to_str=True)


def empty_is_missing(value: Any) -> Any:
    """None for an empty cell."""
    return None if value == "" else value


Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]  # no control characters
OptionalText = Annotated[Text | None, BeforeValidator(empty_is_missing)]
OptionalPadding = Annotated[int | None, Field(ge=0), BeforeValidator(empty_is_missing)]
OptionalPixelSize = Annotated[float | None, Field(gt=0), BeforeValidator(empty_is_missing)]

RowT = TypeVar("RowT", bound=Row)
Content = TypeVar("Content")


def checked(schema: type[RowT], values: Mapping[str, Any]) -> RowT:
    """Check one row against its schema.

    Raises:
        RowFault: a value is missing, of the wrong type or out of range; the message names the first fault.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0])
        place = "".join(f"[{part}]" for part in fault["loc"][1:])
        given = "is missing" if fault["type"] == "missing" else f"is {_short(fault['input'])}: {fault['msg']}"
        given += advice_on_number(fault["input"]) if fault["type"].endswith("_parsing") else ""
        raise RowFault(name, "", f"{name}{place} {given}") from None


def _short(value: Any, limit: int = 40) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]} ..."


def check_class(label: str, classes: Sequence[str], column: str) -> str:
    """Return the class that a label names, in the spelling of ``classes``.

    Raises:
        RowFault: it names none.
    """
    found = spelled(label, classes)
    if found is None:
        known = ", ".join(classes)
        raise RowFault(column, "", f"{column} '{label}' is not one of {known}; correct the row or list it in `classes`")
    return found


def spelled(label: str, classes: Sequence[str]) -> str | None:
    """The one of the classes that a label names; None if it names none."""
    return label if label in classes else next((name for name in classes if tidy(name) == tidy(label)), None)


def inside(folder: Path, name: str, column: str) -> Path:
    """Path of a file that a row names; the file must lie in the data folder, and links are not followed.

    The name may differ from that on the disk in the form of Unicode, the width of blanks and the capitals of the
    suffix; in that case no other file may have it. The data folder itself may be a link, because its user chose it. The
    files in it may come from a stranger. Only links of DVC, into its cache in the same repository, are followed.

    Raises:
        RowFault: the name is empty or absolute, leads out of the folder, or passes through a link; or several files
            have it.
    """
    path = _relative(folder, name)
    if not name or path.is_absolute() or ".." in path.parts:
        raise RowFault(
            column, name, f"{column} file '{name}' is empty or leaves the data folder; name a file inside it"
        )
    try:
        found, links = _walk(folder, path)
    except InputError as error:
        raise RowFault(column, name, f"{column} file '{name}': {error}") from None
    except (OSError, ValueError):  # the name is too long or has characters that file names cannot have
        raise RowFault(column, name, f"{column} file {_short(name)} cannot name a file") from None
    if links and not (links == [found] and disk.in_dvc_cache(found, folder)):
        fault = f"{links[0].name} is a link, which is not followed; {disk.advice_on_link(links[0])}"
        raise RowFault(column, name, f"{column} file '{name}': {fault}")
    return found


def _relative(folder: Path, name: str) -> Path:
    """The name as a path; tables from Windows may have backslashes between folders."""
    path = Path(os.path.normpath(name))  # normpath is safe because links are refused
    windows = "\\" in name and not os.path.lexists(folder / path)
    return Path(os.path.normpath(name.replace("\\", "/"))) if windows else path


def _walk(folder: Path, path: Path) -> tuple[Path, list[Path]]:
    """The path as the disk spells it, and the links that it passes through.

    Raises:
        InputError: several files have the name.
    """
    here, links = folder, []
    for part in path.parts:
        names = disk.spellings(here, part)
        if len(names) > 1:
            raise InputError(f"{' and '.join(names)} have this name; rename one of them")
        here = here / (names[0] if names else part)
        links += [here] if here.is_symlink() else []
    return here, links


def read_file(read: Callable[[Path], Content], folder: Path, name: str, column: str) -> Content:
    """Apply ``read`` to a file that a row names.

    Raises:
        RowFault: ``inside`` refuses the name, or the file cannot be read.
    """
    path = inside(folder, name, column)
    try:
        return read(path)
    except InputError as error:
        raise RowFault(column, name, str(error)) from None


def in_tasks(rows: Sequence[Any], group_of: Callable[[Any], str] | None = None) -> list[list[Any]]:
    """Split rows into lists that are short enough to hold all images of a list in memory.

    With ``group_of``, the rows of a group stay in one list, even if it is longer.
    """
    if group_of is not None:
        groups: dict[str, list[Any]] = {}
        for row in rows:
            groups.setdefault(group_of(row), []).append(row)
        tasks = list[list[Any]]()
        for members in groups.values():
            if not tasks or len(tasks[-1]) + len(members) > ROWS_PER_TASK:
                tasks.append([])
            tasks[-1] += members
        return tasks
    return [list(rows[start : start + ROWS_PER_TASK]) for start in range(0, len(rows), ROWS_PER_TASK)]


def shared_levels(crops: Iterable[tuple[str, str]], folder: Path, grey: GreySettings) -> dict[str, Levels]:
    """Black and white of each group of crops; empty if the crops of a group do not share them.

    Args:
        crops: group and file of each crop; a file that cannot be read is left out, because its row is rejected later.
        folder: the data folder.
        grey: how samples become grey levels.

    Raises:
        InputError: the crops of a group differ in bit depth.
    """
    if not grey.pooled:
        return {}
    samples: dict[str, list[Samples]] = {}
    for group, file in crops:
        with suppress(RowFault):
            samples.setdefault(group, []).append(read_file(read_samples, folder, file, "image"))
    return {group: levels_of(of_group, grey, group) for group, of_group in samples.items()}


def check_group(group: str | None, grey: GreySettings, column: str) -> None:
    """Check that the group of a crop is known where the crops of a group share black and white.

    Raises:
        RowFault: it is not.
    """
    if grey.pooled and not group:
        raise RowFault(
            column,
            "",
            f"{column} is empty, but source.grey.per: micrograph takes black and white from all crops of a group; name "
            "the micrograph of the crop there, or set per: particle",
        )


def reasons(rejected: Iterable[Rejected]) -> list[tuple[str, int]]:
    """Reasons with their counts, the most frequent first; without file names and ids if several rows share a reason."""
    return [(rows[0].reason if len(rows) == 1 else common, len(rows)) for common, rows in _by_reason(rejected)]


def summarise(rejected: Sequence[Rejected], limit: int = 5) -> str:
    """The most frequent reasons for rejection in plain words, with the first row of each."""
    return "\n".join(
        f"  {len(rows)} x {common} (first: row {rows[0].row}, {rows[0].column} {rows[0].file})"
        for common, rows in _by_reason(rejected)[:limit]
    )


def _by_reason(rejected: Iterable[Rejected]) -> list[tuple[str, list[Rejected]]]:
    """Rows with the same reason, apart from names; the most frequent reason first."""
    found: dict[str, list[Rejected]] = {}
    for row in rejected:
        found.setdefault(_common_reason(row), []).append(row)
    return sorted(found.items(), key=lambda item: -len(item[1]))


def _common_reason(row: Rejected) -> str:
    for name in (row.file, Path(row.file).name, row.id):
        if len(name) > 2:  # a shorter name may be part of any word
            row = replace(row, reason=row.reason.replace(name, "..."))
    return row.reason
