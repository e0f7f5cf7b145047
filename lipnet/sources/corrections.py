"""Labels that an expert corrected: corrections.csv in the folder of a problem, beside or without other files there."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lipnet.core.errors import InputError
from lipnet.sources.table import read_csv

NAME = "corrections.csv"


class Correction(NamedTuple):
    """What the class of a particle is, and the line of the file that says so."""

    row: int
    label: str


def read_corrections(folder: Path, classes: Sequence[str]) -> dict[str, Correction]:
    """Corrections by id of the particle; none where there is no file.

    Columns: id, label. Others (suggested, note, reviewer ...) are for people and ignored.

    Raises:
        InputError: it is not such a table, an id is empty or stands twice, or a label is not one of the classes.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    corrections: dict[str, Correction] = {}
    for row, cells in read_csv(path, ("id", "label")):
        name, label = cells["id"], cells["label"]
        if not name:
            raise InputError(f"{path}: row {row}: the id is empty; write the particle's id or delete the row")
        if name in corrections:
            first = corrections[name].row
            raise InputError(f"{path}: row {row}: id '{name}' stands in row {first} too; delete one of the two")
        if label not in classes:
            known = ", ".join(classes)
            raise InputError(f"{path}: row {row}: label '{label}' of '{name}' is not one of {known}; write one of them")
        corrections[name] = Correction(row, label)
    return corrections


def check_known(corrections: Mapping[str, Correction], ids: Collection[str], folder: Path) -> None:
    """Raises InputError if a corrected particle is not among ``ids``, those that ingest accepted."""
    known = set(ids)
    for name, (row, _) in corrections.items():
        if name not in known:
            raise InputError(
                f"{folder / NAME}: row {row}: no particle '{name}' was ingested; correct the id or delete the row "
                "(rows that ingest rejected are in rejected.csv)"
            )
