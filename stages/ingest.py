"""Read or make the particles of a problem: packed images, a table with features, rejected rows, pictures, a report."""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.errors import InputError
from lipnet.core.parallel import stream
from lipnet.core.problems import classes_of
from lipnet.core.settings import Settings, parse, pick, seed_of
from lipnet.plots import data, figure
from lipnet.plots.particles import grid
from lipnet.samples import particles
from lipnet.samples.features import FeatureSettings
from lipnet.sources import data_report, ingest
from lipnet.sources.corrections import check_known, read_corrections
from lipnet.sources.ingest import IngestedBatch
from lipnet.sources.rows import Rejected, reasons, summarise
from lipnet.sources.settings import SourceSettings
from lipnet.sources.source import open_source

N_EXAMPLES = 10
CORRECTED = "corrected_labels.csv"  # beside the report, so that what a label was before is not lost
PICTURES = {
    "contact_sheet.png": "The first particles of each class, with their surrounding.",
    "sizes.png": "Height and width of the particles (thesis, Figure 3).",
    "size_distribution.png": "Distribution of the size in each class (thesis, Figure 4).",
    "features.png": "Distribution of each feature in each class.",
    "profiles.png": "Profiles and grey histogram: mean of each class, and one standard deviation on either side.",
}


class IngestSettings(Settings):
    """Section ``ingest`` of params.yaml."""

    max_rejected_fraction: float = Field(ge=0, le=1)


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write all that is known of the particles before any of them is cut, split or learnt from."""
    problem, classes = arguments.problem, classes_of(params, arguments.problem)
    settings = parse(SourceSettings, pick(params, "source"), "source")
    limits = parse(IngestSettings, pick(params, "ingest"), "ingest")
    measures = parse(FeatureSettings, pick(params, "features"), "features")
    source = open_source(problem, classes, arguments.folder, settings, measures, seed_of(params))

    corrections = read_corrections(arguments.folder, classes)
    labels = {name: correction.label for name, correction in corrections.items()}
    work = partial(ingest.read_batch, read=source.read, measures=measures, labels=labels)
    parts: list[IngestedBatch] = []
    examples: dict[str, list[Any]] = {name: [] for name in classes}
    streamed = bar(stream(work, source.tasks), f"{problem}: reading and measuring", len(source.tasks))
    files.write_blocks(arguments.store, _keep(streamed, parts, examples))
    rejected = [*source.rejected, *(row for part in parts for row in part.rejected)]
    files.write_table(arguments.rejected, ingest.rejected_table(rejected))
    _check(sum(len(part.known) for part in parts), rejected, limits, arguments)

    table, duplicates = ingest.join(parts)
    check_known(corrections, table["id"], arguments.folder)
    corrected = ingest.corrected_table(parts)
    counts = data_report.count(table, rejected, duplicates, len(corrected))
    files.write_table(arguments.table, table)
    files.write_table(arguments.duplicates, duplicates)
    files.write_json(arguments.counts, counts)
    _draw(table, classes, examples, arguments.pictures)
    files.write_table(arguments.pictures / CORRECTED, corrected)
    report = data_report.text(problem, counts, reasons(rejected), PICTURES)
    files.write_text(arguments.pictures / "report.md", report)
    print(_headline(problem, counts))


def _keep(
    streamed: Iterable[IngestedBatch], parts: list[IngestedBatch], examples: dict[str, list[Any]]
) -> Iterator[dict[str, Any]]:
    """Pass the packed images on to be written, one part in memory at a time; keep the tables and a few images."""
    for part in streamed:
        parts.append(part._replace(arrays={}))
        if not part.arrays:
            continue
        store = particles.from_arrays(part.arrays, "ingest")
        for index, name in enumerate(part.known["label"]):
            if len(examples[name]) < N_EXAMPLES:
                examples[name].append(store.image(index).copy())
        yield part.arrays


def _check(n_accepted: int, rejected: list[Rejected], limits: IngestSettings, arguments: Namespace) -> None:
    faults = [row for row in rejected if row.fault]
    total = n_accepted + len(faults)
    if not total:
        raise InputError(f"{arguments.folder}: no particles are listed there")
    if not n_accepted or len(faults) > limits.max_rejected_fraction * total:
        raise InputError(
            f"{len(faults)} of {total} rows rejected; ingest.max_rejected_fraction allows "
            f"{limits.max_rejected_fraction:.1%}. All are in {arguments.rejected}; mostly:\n{summarise(faults)}"
        )


def _draw(table: pd.DataFrame, classes: list[str], examples: dict[str, list[Any]], folder: Path) -> None:
    present = [name for name in classes if examples[name]]
    scalars, families = data.feature_columns(table)
    pictures = {
        "contact_sheet.png": grid([examples[name] for name in present], present, []),
        "sizes.png": data.size_scatter(table, classes),
        "size_distribution.png": data.size_distribution(table, classes),
        "features.png": data.feature_distributions(table, classes, scalars),
        "profiles.png": data.profiles(table, classes, families),
    }
    for name, picture in pictures.items():
        figure.save(picture, folder / name)


def _headline(problem: str, counts: dict[str, Any]) -> str:
    classes = ", ".join(f"{name} {of_class['particles']}" for name, of_class in counts["classes"].items())
    return (
        f"{problem}: {counts['particles']} particles ({classes}) in {counts['groups']} groups, "
        f"{counts['rejected']['total']} rejected, {counts['duplicates']['particles']} duplicates, "
        f"{counts['corrected']} labels corrected"
    )


if __name__ == "__main__":
    run(__doc__, "problem", ["folder", "store", "table", "rejected", "duplicates", "counts", "pictures"], main)
