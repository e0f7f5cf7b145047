"""Read or make the particles of a problem: one packed store, a table with features, and the rejected rows."""

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from lipnet import artificial, features, files, particles
from lipnet.errors import InputError
from lipnet.parallel import run_all
from lipnet.particles import Particle
from lipnet.plots import figure
from lipnet.plots.particles import grid
from lipnet.problems import classes_of
from lipnet.settings import Settings, parse, pick, seed_of
from lipnet.sources import table
from lipnet.sources.settings import SourceSettings
from lipnet.sources.table import Rejected
from stages.command import bar, run

N_EXAMPLES = 10


class IngestSettings(Settings):
    """Section ``ingest`` of params.yaml."""

    max_rejected_fraction: float = Field(ge=0, le=1)


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write store, table, rejected rows and a contact sheet."""
    problem, classes = arguments.problem, classes_of(params, arguments.problem)
    source = parse(SourceSettings, pick(params, "source"), "source")
    limits = parse(IngestSettings, pick(params, "ingest"), "ingest")
    measures = parse(features.FeatureSettings, pick(params, "features"), "features")
    if source.kind == "artificial":
        results = _simulate(problem, classes, source, seed_of(params))
    else:
        results = _read(problem, classes, source, arguments.folder)
    accepted = [item for item in results if isinstance(item, Particle)]
    rejected = [item for item in results if isinstance(item, Rejected)]
    files.write_table(arguments.rejected, pd.DataFrame(rejected, columns=["row", "id", "file", "reason"]))
    _check(accepted, rejected, limits, arguments)

    store, known = particles.pack(accepted), particles.describe(accepted)
    sizes_nm = known["pixel_size_nm"].to_numpy()
    measured = features.measure_all(store, sizes_nm, measures, bar(range(len(store)), f"{problem}: features"))
    given = pd.DataFrame([item.features for item in accepted])
    clash = [name for name in given if name in known]
    if clash:
        raise InputError(f"params.yaml: source.feature_columns: ingest itself writes a column {clash[0]}; rename yours")
    measured = measured.drop(columns=[name for name in given if name in measured])
    files.write_arrays(arguments.store, particles.to_arrays(store))
    files.write_table(arguments.table, pd.concat([known, given, measured], axis=1))
    figure.save(_contact_sheet(accepted, classes), arguments.picture)
    counts = ", ".join(f"{name} {(known['label'] == name).sum()}" for name in classes)
    n_groups = known["group"].nunique()
    print(f"{problem}: {len(accepted)} particles ({counts}) in {n_groups} groups, {len(rejected)} rejected")


def _simulate(problem: str, classes: list[str], source: SourceSettings, seed: int) -> list[Particle | Rejected]:
    settings = artificial.restrict(source.artificial, problem, classes)
    return list(artificial.make_particles(problem, settings, seed, run_all))


def _read(problem: str, classes: list[str], source: SourceSettings, folder: Path) -> list[Particle | Rejected]:
    progress = partial(bar, title=f"{problem}: reading")
    columns = source.feature_columns
    return list(table.read_particles(folder, classes, source.class_column, columns, progress))


def _check(accepted: list[Particle], rejected: list[Rejected], limits: IngestSettings, arguments: Namespace) -> None:
    total = len(accepted) + len(rejected)
    if not total:
        raise InputError(f"{arguments.folder / table.TABLE_NAME}: the table has no rows")
    if not accepted or len(rejected) > limits.max_rejected_fraction * total:
        raise InputError(
            f"{len(rejected)} of {total} rows rejected; ingest.max_rejected_fraction allows "
            f"{limits.max_rejected_fraction:.1%}. All are in {arguments.rejected}; mostly:\n{table.summarise(rejected)}"
        )


def _contact_sheet(accepted: list[Particle], classes: list[str]) -> Any:
    rows = [[item.image for item in accepted if item.label == name][:N_EXAMPLES] for name in classes]
    shown = [(name, row) for name, row in zip(classes, rows, strict=True) if row]
    return grid([row for _, row in shown], [name for name, _ in shown], [])


if __name__ == "__main__":
    run(__doc__, True, ["folder", "store", "table", "rejected", "picture"], main)
