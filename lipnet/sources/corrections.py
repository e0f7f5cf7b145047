"""Labels that an expert corrected: corrections.csv in the data folder of a problem, which may hold no other files."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lipnet.core.errors import InputError
from lipnet.sources.input.disk import listed_as
from lipnet.sources.rows import spelled
from lipnet.sources.table import read_csv

FILE_NAME = "corrections.csv"


class Correction(NamedTuple):
    """The corrected class of a particle, and the line of the file that gives it."""

    row: int
    label: str


def read_corrections(folder: Path, classes: Sequence[str]) -> dict[str, Correction]:
    """Corrections by id of the particle; empty if there is no file.

    Columns: id, label. Other columns (suggested, note, reviewer ...) are for people and are ignored.

    Raises:
        InputError: the file is not such a table, an id is empty or repeated, or a label is not one of the classes.
    """
    path = listed_as(folder, FILE_NAME)
    if not path.exists():
        return {}
    corrections: dict[str, Correction] = {}
    for row, cells in read_csv(path, ("id", "label")):
        name, label = cells["id"], spelled(cells["label"], classes)
        if not name:
            raise InputError(f"{path}: row {row}: the id is empty; write the particle's id or delete the row")
        if name in corrections:
            first = corrections[name].row
            raise InputError(f"{path}: row {row}: id '{name}' is in row {first} too; delete one of the two rows")
        if label is None:
            given, known = cells["label"], ", ".join(classes)
            raise InputError(f"{path}: row {row}: label '{given}' of '{name}' is not one of {known}; write one of them")
        corrections[name] = Correction(row, label)
    return corrections


def check_known(corrections: Mapping[str, Correction], ids: Collection[str], folder: Path) -> None:
    """Check that ingest accepted every corrected particle.

    Args:
        corrections: by id of the particle.
        ids: of the particles that ingest accepted.
        folder: the data folder, for the message.

    Raises:
        InputError: a corrected particle is not among ``ids``.
    """
    known = set(ids)
    for name, (row, _) in corrections.items():
        if name not in known:
            raise InputError(
                f"{folder / FILE_NAME}: row {row}: no particle '{name}' was ingested; correct the id or delete the row "
                "(rows that ingest rejected are in rejected.csv)"
            )
