"""One door to every kind of source: tasks that any worker can read on its own."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lipnet.samples.features import FeatureSettings
from lipnet.samples.particles import Particle
from lipnet.sources import micrographs, particles, table
from lipnet.sources.artificial import micrographs as artificial
from lipnet.sources.rows import Rejected
from lipnet.sources.settings import SourceSettings


class Source(NamedTuple):
    """What is to be read.

    Attributes:
        tasks: parts of the source, each read on its own, in any order and by any worker.
        read: function of one task that returns its particles and rejected rows, in order.
        rejected: rows that were rejected before any image was opened.
    """

    tasks: Sequence[Any]
    read: Callable[[Any], Sequence[Particle | Rejected]]
    rejected: list[Rejected]


def open_source(
    problem: str, classes: list[str], folder: Path, settings: SourceSettings, measures: FeatureSettings, seed: int
) -> Source:
    """List what a source holds; images are left to its tasks.

    Args:
        problem: name of the problem.
        classes: its classes.
        folder: where the files of the problem lie; artificial particles need none.
        settings: kind of source, and what each kind needs.
        measures: the grids to which given profiles are resampled.
        seed: of the run; draws artificial particles.

    Raises:
        InputError: the table, the JSON file or the list of classes is missing or unusable, or the generator cannot draw
            the problem.
    """
    column = settings.class_column
    if settings.kind == "artificial":
        drawn = artificial.restrict(settings.artificial, problem, classes)
        plans = artificial.plan_micrographs(problem, drawn, seed)
        return Source(plans, partial(artificial.render_micrograph, settings=drawn), [])
    listed: tuple[Sequence[Any], list[Rejected]]
    read: Callable[[Any], Sequence[Particle | Rejected]]
    if settings.kind == "table":
        features = settings.feature_columns
        listed = table.list_tasks(folder, column, features)
        read = partial(table.read_task, folder=folder, classes=classes, class_column=column, feature_columns=features)
    elif settings.kind == "particles":
        listed = particles.list_tasks(folder, settings.particles)
        read = partial(
            particles.read_task, folder=folder, classes=classes, settings=settings.particles, measures=measures
        )
    else:
        listed = micrographs.list_tasks(folder, classes, column)
        read = partial(micrographs.read_task, folder=folder, settings=settings.micrographs)
    return Source(listed[0], read, listed[1])
