"""Read or make the particles of a problem: packed images, a table with features, rejected rows, pictures, a report."""

import sys
from argparse import Namespace
from functools import partial
from typing import Any

from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.parallel import stream
from lipnet.core.problems import classes_of
from lipnet.core.settings import parse, pick, seed_of
from lipnet.evaluation.measures import check_class_names
from lipnet.plots import data, figure
from lipnet.samples.features import FeatureSettings
from lipnet.samples.folds import SplitSettings
from lipnet.sources import data_report, ingest, reading
from lipnet.sources.corrections import check_known, read_corrections
from lipnet.sources.rows import Rejected, reasons
from lipnet.sources.settings import source_of
from lipnet.sources.source import open_source


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the particles, their table, the rejected rows and the duplicates; then the report with its pictures."""
    problem, classes = arguments.problem, classes_of(params, arguments.problem)
    check_class_names(problem, classes)
    settings = source_of(params, problem)
    limits = parse(reading.IngestSettings, pick(params, "ingest"), "ingest")
    measures = parse(FeatureSettings, pick(params, "features"), "features")
    corrections = read_corrections(arguments.folder, classes)
    labels = {name: correction.label for name, correction in corrections.items()}
    split = parse(SplitSettings, pick(params, "split"), "split")
    parts, examples, rejected = list[ingest.IngestedBatch](), {name: list[Any]() for name in classes}, list[Rejected]()
    if images := settings.shared_by(problem):
        store = arguments.shared / f"{images}.npz"
        streamed = ingest.shared_batches(store, settings.class_column, classes, labels, settings.made_by)
    else:
        source = open_source(problem, classes, arguments.folder, settings, measures, seed_of(params))
        for fault in reading.too_few(source.tasks, settings, labels, classes, split):  # stage split stops because of it
            print(f"warning: {problem}: {fault}", file=sys.stderr, flush=True)
        work = partial(ingest.read_batch, read=source.read, measures=measures, labels=labels)
        streamed = bar(stream(work, source.tasks), f"{problem}: reading and measuring", len(source.tasks))
        rejected += source.rejected
    files.write_blocks(arguments.store, reading.keep(streamed, parts, examples, settings.made_by))
    rejected += [row for part in parts for row in part.rejected]
    files.write_table(arguments.rejected, ingest.rejected_table(rejected))
    reading.check_accepted(parts, rejected, limits, arguments.folder, arguments.rejected)

    table, duplicates = ingest.join(parts)
    check_known(corrections, table["id"], arguments.folder)
    corrected = ingest.corrected_table(parts)
    counts = data_report.count(table, rejected, duplicates, len(corrected))
    files.write_table(arguments.table, table)
    files.write_table(arguments.duplicates, duplicates)
    files.write_json(arguments.counts, counts)
    for name, picture in data.pictures_of(table, classes, examples).items():
        figure.save(picture, arguments.pictures / name)
    files.write_table(arguments.pictures / "corrected_labels.csv", corrected)  # keeps the labels before correction
    notes = ingest.faint(parts, settings.grey)
    report = data_report.text(problem, counts, reasons(rejected), data.CAPTIONS, notes)
    files.write_text(arguments.pictures / "report.md", report)
    print("\n".join([reading.headline(problem, counts), *(f"{problem}: {note}" for note in notes)]))


if __name__ == "__main__":
    paths = ["folder", "shared", "store", "table", "rejected", "duplicates", "counts", "pictures"]
    run(__doc__, "problem", paths, main)
