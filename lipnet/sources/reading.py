"""While ingest reads a source: what it keeps in memory, when it refuses the data, and the line that it prints."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.samples import folds, particles
from lipnet.sources.ingest import IngestedBatch
from lipnet.sources.micrograph_rows import MicrographTask
from lipnet.sources.particles import class_of
from lipnet.sources.rows import Rejected, spelled, summarise
from lipnet.sources.settings import SourceSettings
from lipnet.sources.table import TableTask

N_EXAMPLES = 10  # images of each class, for the contact sheet


class Listed(NamedTuple):
    """What a table says of a particle before its image is opened; without a group it has the name of its row."""

    id: str
    label: str
    group: str


class IngestSettings(Settings):
    """Section ``ingest`` of params.yaml.

    Attributes:
        max_rejected_fraction: largest accepted share of faulty rows.
    """

    max_rejected_fraction: float = Field(ge=0, le=1)


def listed(task: Any, settings: SourceSettings) -> Iterator[Listed]:
    """What the tables say of the particles of a task; nothing for artificial ones."""
    if isinstance(task, MicrographTask):
        yield from (Listed(one.id, one.label, f"{task.micrograph}#{one.page}") for one in task.targets)
    elif isinstance(task, TableTask):
        for line, cells in task.rows:
            yield Listed(cells["id"], cells[settings.class_column], cells.get("group") or f"row {line}")
    elif settings.kind == "particles":
        for number, record in task.rows:
            name, group = class_of(record.get("Class", ""), settings.particles), record.get("Group")
            yield Listed(str(record.get("Id")), name, f"record {number}" if group is None else str(group))


def too_few(
    tasks: Iterable[Any],
    settings: SourceSettings,
    corrected: Mapping[str, str],
    classes: list[str],
    split: folds.SplitSettings,
) -> list[str]:
    """Messages on classes that have fewer particles or groups than folds, as far as the tables tell.

    Args:
        tasks: of the source.
        settings: of the source.
        corrected: labels by id, from corrections.csv.
        classes: names of the classes.
        split: number of folds and protocol.
    """
    rows = [row for task in tasks for row in listed(task, settings)]
    if not rows:
        return []
    index = {name: number for number, name in enumerate(classes)}
    labels = [index.get(spelled(corrected.get(row.id, row.label), classes) or "", -1) for row in rows]
    groups = pd.factorize(np.array([row.group for row in rows], dtype=object))[0]
    return list(folds.too_few(np.array(labels), groups, classes, split).values())


def keep(
    streamed: Iterable[IngestedBatch],
    parts: list[IngestedBatch],
    examples: dict[str, list[Any]],
    record: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """Yield the packed images of each part for writing, so that only one part is in memory at a time.

    Args:
        streamed: parts of a source.
        parts: receives the parts without their images.
        examples: receives the first images of each class, at most ``N_EXAMPLES``; has a list for every class.
        record: arrays that are added to each part, to say how it was made (``grey_levels.record``).
    """
    for part in streamed:
        parts.append(part._replace(arrays={}))
        if not part.arrays:
            continue
        store = particles.from_arrays(part.arrays, "ingest")
        for index, name in enumerate(part.known["label"]):
            if len(examples[name]) < N_EXAMPLES:
                examples[name].append(store.image(index).copy())
        yield part.arrays | record


def check_accepted(
    parts: Sequence[IngestedBatch], rejected: Sequence[Rejected], settings: IngestSettings, folder: Path, table: Path
) -> None:
    """Check that a source gave particles and that few of its rows are faulty.

    Args:
        parts: all parts of the source.
        rejected: all rejected rows.
        settings: the accepted share.
        folder: of the source, for messages.
        table: of the rejected rows, for messages.

    Raises:
        InputError: the source lists no particles, accepts none of them, or has too many faulty rows.
    """
    n_accepted = sum(len(part.known) for part in parts)
    faults = [row for row in rejected if row.fault]
    total = n_accepted + len(faults)
    if not total:
        raise InputError(f"{folder}: no particles are listed there")
    if not n_accepted or len(faults) > settings.max_rejected_fraction * total:
        raise InputError(
            f"{len(faults)} of {total} rows rejected; ingest.max_rejected_fraction allows "
            f"{settings.max_rejected_fraction:.1%}. All are in {table}; mostly:\n{summarise(faults)}"
        )


def headline(problem: str, counts: dict[str, Any]) -> str:
    """One line about a data set, from the counts of ``data_report.count``."""
    classes = ", ".join(f"{name} {of_class['particles']}" for name, of_class in counts["classes"].items())
    return (
        f"{problem}: {counts['particles']} particles ({classes}) in {counts['groups']} groups, "
        f"{counts['rejected']['total']} rejected, {counts['duplicates']['particles']} duplicates, "
        f"{counts['corrected']} labels corrected"
    )
