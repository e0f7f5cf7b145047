"""The common entry to all kinds of source: it lists tasks that any worker can read on its own."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lipnet.core.errors import InputError
from lipnet.samples.features import FeatureSettings
from lipnet.samples.particles import Particle
from lipnet.sources import micrograph_rows, micrographs, particles, table
from lipnet.sources.artificial.micrographs import plan_micrographs, render_micrograph
from lipnet.sources.artificial.settings import restrict
from lipnet.sources.rows import Rejected, Source
from lipnet.sources.settings import SourceSettings


def open_shared(folder: Path, images: str, settings: SourceSettings) -> Source:
    """List the particles of a table whose images several problems share; its task gives particles without labels.

    Args:
        folder: the folder with the table and the images.
        images: its name in ``shared``.
        settings: section ``source``; its rows ``of`` name the class columns.

    Raises:
        InputError: no problem uses the folder, or the table is missing or lacks a column.
    """
    columns, given = settings.label_columns(images), settings.feature_columns
    if not columns:
        raise InputError(f"params.yaml: shared: no problem uses {images}; name it in source.of.PROBLEM.images_of")
    listed = table.list_tasks(folder, columns[0], [*columns[1:], *given], settings.grey)
    read = partial(
        table.read_task, folder=folder, classes=(), class_column=None, feature_columns=given, grey=settings.grey
    )
    return Source(listed[0], read, listed[1])


def open_source(
    problem: str, classes: list[str], folder: Path, settings: SourceSettings, measures: FeatureSettings, seed: int
) -> Source:
    """List the particles of a source; its tasks read the images.

    Args:
        problem: name of the problem.
        classes: class names of the problem.
        folder: the data folder of the problem; not used for artificial particles.
        settings: kind of source, and the settings of each kind.
        measures: the grids to which given profiles are resampled.
        seed: of the run; used to draw artificial particles.

    Raises:
        InputError: the table, the JSON file or the list of classes is missing or unusable, or the generator cannot draw
            the problem.
    """
    column = settings.class_column
    if settings.kind == "artificial":
        drawn = restrict(settings.artificial, problem, classes)
        plans = plan_micrographs(problem, drawn, seed)
        return Source(plans, partial(render_micrograph, settings=drawn), [])
    grey = settings.grey
    listed: tuple[Sequence[Any], list[Rejected]]
    read: Callable[[Any], Sequence[Particle | Rejected]]
    if settings.kind == "table":
        features = settings.feature_columns
        listed = table.list_tasks(folder, column, features, grey)
        read = partial(
            table.read_task,
            folder=folder,
            classes=classes,
            class_column=column,
            feature_columns=features,
            grey=grey,
        )
    elif settings.kind == "particles":
        listed = particles.list_tasks(folder, settings.particles, grey)
        read = partial(
            particles.read_task,
            folder=folder,
            classes=classes,
            settings=settings.particles,
            measures=measures,
            grey=grey,
        )
    else:
        listed = micrograph_rows.list_tasks(folder, classes, column)
        read = partial(micrographs.read_task, folder=folder, settings=settings.micrographs, levels=grey)
    return Source(listed[0], read, listed[1])
