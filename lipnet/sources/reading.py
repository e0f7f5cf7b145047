"""While ingest reads a source: what it keeps in memory, when it refuses the data, and the line that it prints."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.samples import particles
from lipnet.sources.ingest import IngestedBatch
from lipnet.sources.rows import Rejected, summarise

N_EXAMPLES = 10  # images of each class, for the contact sheet


class IngestSettings(Settings):
    """Section ``ingest`` of params.yaml.

    Attributes:
        max_rejected_fraction: largest accepted share of faulty rows.
    """

    max_rejected_fraction: float = Field(ge=0, le=1)


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
