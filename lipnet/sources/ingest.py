"""From the tasks of a source to the particle table: workers read and measure batches, which are then joined."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.samples import features, particles
from lipnet.samples.features import FeatureSettings
from lipnet.samples.particles import Particle, ParticleStore
from lipnet.sources import duplicates
from lipnet.sources.formats import grey_levels
from lipnet.sources.formats.grey_levels import GreySettings
from lipnet.sources.rows import Rejected, RowFault, check_class
from lipnet.sources.table import TableTask

CELL = "cell "  # and the name of a class column: its column in the table of a shared batch
TABLES = ("known", "given", "measured")


class IngestedBatch(NamedTuple):
    """The particles and rejected rows of one task of a source.

    Attributes:
        arrays: packed images and masks of its n particles (see particles.to_arrays); empty where n is 0.
        known: table of ``particles.describe``, n rows, with three more columns: fingerprint (of the image), brightest
            (``grey_levels.brightest``) and label_before (the class before corrections).
        given: features that came with the particles, n rows.
        measured: features measured here, in px, n rows.
        rejected: rows that could not be used.
    """

    arrays: dict[str, Any]
    known: pd.DataFrame
    given: pd.DataFrame
    measured: pd.DataFrame
    rejected: list[Rejected]


def read_batch(
    task: Any,
    read: Callable[[Any], Sequence[Particle | Rejected]],
    measures: FeatureSettings,
    labels: Mapping[str, str],
) -> IngestedBatch:
    """Read, pack and measure the particles of one task.

    Args:
        task: of the source.
        read: reads a task; apart from the files that it reads, the result depends on the arguments alone.
        measures: how to measure features.
        labels: corrected labels by id; all other labels stay as they are.
    """
    results = read(task)
    accepted = [item for item in results if isinstance(item, Particle)]
    rejected = [item for item in results if isinstance(item, Rejected)]
    if not accepted:
        return IngestedBatch({}, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), rejected)
    before = [item.label for item in accepted]
    accepted = [replace(item, label=labels.get(item.id, item.label)) for item in accepted]
    store = particles.pack(accepted)
    fingerprints = [duplicates.fingerprint(item.image) for item in accepted]
    brightest = [grey_levels.brightest(item.image) for item in accepted]
    known = particles.describe(accepted).assign(fingerprint=fingerprints, brightest=brightest, label_before=before)
    given = pd.DataFrame([item.features for item in accepted])
    return IngestedBatch(particles.to_arrays(store), known, given, features.measure_all(store, measures), rejected)


def read_shared_batch(
    task: TableTask,
    read: Callable[[Any], Sequence[Particle | Rejected]],
    measures: FeatureSettings,
    columns: Sequence[str],
) -> IngestedBatch:
    """Read, pack and measure the particles of one task, with all their labels, for several problems.

    Args:
        task: some rows of the table.
        read: reads a task without looking at classes.
        measures: how to measure features.
        columns: the class column of each problem.

    Returns:
        A batch whose ``known`` has more columns: row and image (of the table), and CELL + name for each class column.
    """
    batch = read_batch(task, read, measures, {})
    if not len(batch.known):
        return batch
    cells = {of_row["id"]: (line, of_row) for line, of_row in task.rows}
    rows = [cells[name] for name in batch.known["id"]]
    labels = {CELL + column: [of_row[column] for _, of_row in rows] for column in columns}
    known = batch.known.assign(row=[line for line, _ in rows], image=[of_row["image"] for _, of_row in rows], **labels)
    return batch._replace(known=known)


def to_block(batch: IngestedBatch) -> dict[str, Any]:
    """A batch as arrays of an .npz file; its tables are JSON, in which numbers keep all digits."""
    tables = {name: getattr(batch, name).to_dict("list") for name in TABLES}
    content = json.dumps(tables | {"rejected": [asdict(row) for row in batch.rejected]})
    return {**batch.arrays, "tables": np.frombuffer(content.encode(), np.uint8)}


def from_block(block: dict[str, Any]) -> IngestedBatch:
    """The batch of ``to_block``; arrays of other names stay among its arrays."""
    content = json.loads(block["tables"].tobytes())
    n = len(content["known"].get("id", []))
    known, given, measured = (pd.DataFrame(content[name], index=range(n)) for name in TABLES)
    arrays = {name: array for name, array in block.items() if name != "tables"} if n else {}
    return IngestedBatch(arrays, known, given, measured, [Rejected(**row) for row in content["rejected"]])


def relabel(batch: IngestedBatch, column: str, classes: Sequence[str], labels: Mapping[str, str]) -> IngestedBatch:
    """The batch of one problem: particles get the label of its class column; those of no class of it are rejected.

    Args:
        batch: as ``read_shared_batch`` gives it.
        column: the class column.
        classes: of the problem.
        labels: corrected labels by id.
    """
    if not len(batch.known):
        return batch
    known = batch.known.drop(columns=["row", "image", *(name for name in batch.known if str(name).startswith(CELL))])
    known["label_before"] = batch.known[CELL + column]
    known["label"] = [labels.get(name, label) for name, label in zip(known["id"], known["label_before"], strict=True)]
    rejected = sorted([*batch.rejected, *_of_no_class(batch.known, column, classes)], key=lambda row: row.row)
    kept = np.flatnonzero(known["label_before"].isin(classes)).tolist()
    if not kept:
        return IngestedBatch({}, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), rejected)
    store = particles.from_arrays(batch.arrays, "shared images")
    some = ParticleStore(
        np.concatenate([store.image(index).ravel() for index in kept]),
        np.concatenate([store.mask(index).ravel() for index in kept]),
        store.shapes_px[kept],
    )
    known, given, measured = (table.iloc[kept].reset_index(drop=True) for table in (known, batch.given, batch.measured))
    return IngestedBatch(particles.to_arrays(some), known, given, measured, rejected)


def shared_batches(
    store: Path, column: str, classes: Sequence[str], labels: Mapping[str, str], made_by: dict[str, Any]
) -> Iterator[IngestedBatch]:
    """The batches of one problem from the images that stage share has read for several.

    Args:
        store: the file of stage share.
        column: the class column of the problem.
        classes: of the problem.
        labels: corrected labels by id.
        made_by: what the store must record of itself (``SourceSettings.made_by``).

    Raises:
        InputError: the store is missing, damaged, or was made by other settings.
    """
    for block in files.read_blocks(store):
        grey_levels.check_record(block, made_by, str(store))
        yield relabel(from_block(block), column, classes, labels)


def _of_no_class(known: pd.DataFrame, column: str, classes: Sequence[str]) -> Iterator[Rejected]:
    cells = zip(known["row"], known["id"], known["image"], known[CELL + column], strict=True)
    for line, name, image, label in cells:
        try:
            check_class(label, classes, column)
        except RowFault as fault:
            yield Rejected(int(line), name, image, fault.column, str(fault))


def join(batches: Sequence[IngestedBatch]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The particle table of all batches and its duplicates (see ``duplicates.find``).

    Given features replace measured ones of the same name. Groups that share an image are merged.

    Args:
        batches: at least one of them holds a particle.

    Raises:
        InputError: a given feature has the name of a column that ingest itself writes.
    """
    filled = [batch for batch in batches if len(batch.known)]
    known = pd.concat([batch.known for batch in filled], ignore_index=True)
    given = pd.concat([batch.given for batch in filled], ignore_index=True)
    measured = pd.concat([batch.measured for batch in filled], ignore_index=True)
    fingerprints = known.pop("fingerprint")
    known = known.drop(columns=["brightest", "label_before"])
    clash = [name for name in given if name in known]
    if clash:
        raise InputError(f"params.yaml: source.feature_columns: ingest itself writes a column {clash[0]}; rename yours")
    all_features = features.with_given(measured, given, known["pixel_size_nm"].to_numpy())
    known["group"] = duplicates.join_groups(known["group"], fingerprints)
    return pd.concat([known, all_features], axis=1), duplicates.find(known, fingerprints)


def corrected_table(batches: Sequence[IngestedBatch]) -> pd.DataFrame:
    """Particles whose class was corrected to another one; columns id, before and label."""
    known = pd.concat([batch.known for batch in batches if len(batch.known)], ignore_index=True)
    changed = known.loc[known["label_before"] != known["label"], ["id", "label_before", "label"]]
    return changed.rename(columns={"label_before": "before"}).reset_index(drop=True)


def faint(batches: Sequence[IngestedBatch], settings: GreySettings) -> list[str]:
    """Notes on images that use a small part of the grey levels (``grey_levels.faint``)."""
    known = pd.concat([batch.known for batch in batches if len(batch.known)], ignore_index=True)
    return list(grey_levels.faint(known["brightest"].tolist(), known["id"].tolist(), settings))


def rejected_table(rejected: Sequence[Rejected]) -> pd.DataFrame:
    """Rejected rows as a table; characters that cannot be printed, as from damaged files, are escaped."""
    table = pd.DataFrame([asdict(item) for item in rejected], columns=[field.name for field in fields(Rejected)])
    for name in ("id", "file", "column", "reason"):
        table[name] = table[name].map(_printable)
    return table


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
