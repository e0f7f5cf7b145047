"""Look at the particles of a problem before the pipeline runs: classes, masks, grey levels, duplicates and sizes.

Where stage ingest has run and nothing that it read has changed since, its table and store are read. Otherwise the
tables of the source and some of its images are.
"""

from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lipnet.classifiers.networks.settings import NetworkSettings
from lipnet.classifiers.training_sets import InnerSettings
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.problems import classes_of
from lipnet.core.settings import parse, pick, seed_of
from lipnet.deployment.checks.validation import RECORDS, features_used
from lipnet.deployment.runs import changes_since_ingest
from lipnet.samples import particles
from lipnet.samples.crops import CropSettings
from lipnet.samples.feature_names import select_columns
from lipnet.samples.features import FeatureSettings
from lipnet.samples.folds import SplitSettings, too_few
from lipnet.samples.particles import Grey, Mask, Particle, bounding_box
from lipnet.sources import duplicates
from lipnet.sources.formats import grey_levels
from lipnet.sources.micrograph_rows import MicrographTask
from lipnet.sources.reading import IngestSettings, Listed, listed
from lipnet.sources.rows import Rejected, spelled, summarise
from lipnet.sources.settings import SourceSettings, source_of
from lipnet.sources.source import open_source

MOST_IMAGES = 200  # images of a source that are opened
MOST_MICROGRAPHS = 5  # whole micrographs are slow to read
FEWEST_LEVELS = 64  # of the 256 grey levels of 8-bit images
MOST_REDUCTION = 4  # source pixels per pixel of the network's input
LEAST_REDUCTION = 0.5
SIXTEEN_OF_EIGHT = 257  # the factor by which 8-bit levels are widened to 16 bits


class Finding(NamedTuple):
    """What is wrong with the data and what to change; ``stops``: the pipeline would stop."""

    text: str
    stops: bool


class Data(NamedTuple):
    """Particles that were looked at.

    Attributes:
        origin: where they come from.
        listed: all particles: columns label and group, and the features if stage ingest has run.
        sample: particles with their images.
        unusable: rows among the sample, and rows of the tables, that ingest would reject.
    """

    origin: str
    listed: pd.DataFrame
    sample: list[Particle]
    unusable: list[Rejected]


def look_at(params: dict[str, Any], problem: str, root: Path) -> tuple[str, list[Finding]]:
    """Look at the particles of a problem.

    Args:
        params: params.yaml with its recipe; without faults (``validation``).
        problem: name of the problem.
        root: folder of the pipeline.

    Returns:
        What was looked at, and the findings.

    Raises:
        InputError: there is no such problem.
    """
    classes_of(params, problem)  # an unknown problem is no fault of the data
    settings = source_of(params, problem)
    own = root / settings.folder / problem
    if settings.shared_by(problem) and not own.is_dir():
        cure = f"make it; it holds corrections.csv of {problem}, of which the header id,label is enough"
        return "the folder of the problem is missing", [Finding(f"{own}: no such folder; {cure}", stops=True)]
    table = root / f"data/particles/{problem}.csv"
    ingested = table.exists() and not changes_since_ingest(root, problem)
    if not ingested and settings.kind == "artificial":
        return "artificial particles, which stage ingest simulates; nothing to look at before it has run", []
    try:
        data = _ingested(table, settings) if ingested else _raw(params, problem, root, settings)
    except InputError as error:
        return "the data cannot be read", [Finding(str(error), stops=True)]
    findings = [
        *_rows(params, problem, data, settings),
        *_classes(params, problem, data.listed),
        *_masks(data.sample),
        *_grey_levels(data.sample, settings),
        *_duplicates(data.sample),
        *_sizes(params, data.sample),
        *(_features(params, data.listed) if ingested else []),
    ]
    return f"{data.origin}: {len(data.listed)} particles, {len(data.sample)} images", findings


def _ingested(table: Path, settings: SourceSettings) -> Data:
    listed, store = files.read_table(table), table.with_suffix(".npz")
    images = list[tuple[Grey, Mask]]()
    for block in files.read_blocks(store):
        grey_levels.check_record(block, settings.made_by, str(store))
        packed = particles.from_arrays(block, str(store))
        images += [(packed.image(index).copy(), packed.mask(index).copy()) for index in range(len(packed))]
    if len(images) != len(listed):
        raise InputError(f"{store}: holds {len(images)} particles but the table {len(listed)}; run `dvc repro`")
    columns = [listed[name] for name in ("id", "label", "group", "padding_px", "mask_estimated")]
    sample = [
        Particle(name, label, group, image, mask, padding_px=padding_px, mask_estimated=bool(estimated))
        for (image, mask), name, label, group, padding_px, estimated in zip(images, *columns, strict=True)
    ]
    return Data(str(table), listed, sample, [])


def _raw(params: dict[str, Any], problem: str, root: Path, settings: SourceSettings) -> Data:
    folder = root / settings.folder / settings.folder_of(problem)
    measures = parse(FeatureSettings, pick(params, "features"), "features")
    source = open_source(problem, classes_of(params, problem), folder, settings, measures, seed_of(params))
    read = [item for task in _some(source.tasks) for item in source.read(task)]
    found = [item for item in read if isinstance(item, Particle)]
    unusable = [item for item in [*source.rejected, *read] if isinstance(item, Rejected) and item.fault]
    rows = pd.DataFrame([row for task in source.tasks for row in listed(task, settings)], columns=Listed._fields)
    names = classes_of(params, problem)
    rows["label"] = [spelled(label, names) or label for label in rows["label"]]
    return Data(str(folder), rows, found, unusable)


def _some(tasks: Sequence[Any]) -> list[Any]:
    """Tasks with some of the rows of these tasks, evenly spaced."""
    if tasks and isinstance(tasks[0], MicrographTask):
        chosen = tasks[:: ceil(len(tasks) / MOST_MICROGRAPHS)]
        most = ceil(MOST_IMAGES / len(chosen))
        return [task._replace(targets=task.targets[:: ceil(len(task.targets) / most)]) for task in chosen]
    rows = [row for task in tasks for row in task.rows]
    return [tasks[0]._replace(rows=rows[:: ceil(len(rows) / MOST_IMAGES)])] if rows else []


def _rows(params: dict[str, Any], problem: str, data: Data, settings: SourceSettings) -> Iterator[Finding]:
    limit = parse(IngestSettings, pick(params, "ingest"), "ingest").max_rejected_fraction
    classes, n = classes_of(params, problem), len(data.listed)
    foreign = data.listed["label"][~data.listed["label"].isin(classes)]
    if len(foreign):
        names = ", ".join(sorted(set(foreign)))
        text = f"{len(foreign)} of {n} particles have a class that is not in classes.{problem}: {names}; add it there"
        yield Finding(f"{text}, or correct the labels", len(foreign) > limit * n)
    faults = [row for row in data.unusable if row.column not in (settings.class_column, "Class")]
    if faults:
        total = len(data.sample) + len(data.unusable)
        text = f"{len(faults)} of {total} rows that were looked at cannot be used; correct them:\n{summarise(faults)}"
        yield Finding(text, len(faults) > limit * total)


def _classes(params: dict[str, Any], problem: str, listed: pd.DataFrame) -> Iterator[Finding]:
    split = parse(SplitSettings, pick(params, "split"), "split")
    inner = parse(InnerSettings, pick(params, "inner"), "inner")
    calibration = pick(params, "train_svm", "calibration_folds")
    groups, classes = pd.factorize(listed["group"])[0], classes_of(params, problem)
    labels = np.array([classes.index(name) if name in classes else -1 for name in listed["label"]], dtype=np.int64)
    short = too_few(labels, groups, classes, split)
    for name in classes:
        members = (listed["label"] == name).to_numpy()
        if name in short:
            yield Finding(short[name], stops=True)
            continue
        train, train_groups = (
            number * (split.folds - 1) // split.folds for number in (members.sum(), len(np.unique(groups[members])))
        )
        if inner.classifiers and train_groups < inner.folds:
            text = f"class '{name}' lies in about {train_groups} groups of the training rows of a fold, fewer than the "
            yield Finding(f"{text}{inner.folds} inner folds; lower inner.folds or use finer groups", stops=True)
        if train < calibration:
            text = f"class '{name}' has about {train} training particles in a fold, fewer than the {calibration} folds "
            yield Finding(f"{text}that calibrate the SVM; add particles or lower train_svm.calibration_folds", False)


def _masks(sample: Sequence[Particle]) -> Iterator[Finding]:
    given = [item for item in sample if not item.mask_estimated]
    inverted = [item.id for item in given if _looks_inverted(item.mask)]
    full = [item.id for item in given if not _looks_inverted(item.mask) and all(map(np.any, _sides(item.mask)))]
    if inverted:
        yield Finding(
            f"{len(inverted)} of {len(given)} masks look inverted: they contain the corners or most of the border of "
            f"the image (first: {inverted[0]}); make them 0 around the particle",
            stops=False,
        )
    if full:
        yield Finding(
            f"{len(full)} of {len(given)} masks touch all four borders of their images (first: {full[0]}); check that "
            "a mask shows the particle only, or cut the images with more surrounding",
            stops=False,
        )


def _sides(mask: Mask) -> tuple[Mask, Mask, Mask, Mask]:
    return mask[0], mask[-1], mask[:, 0], mask[:, -1]


def _looks_inverted(mask: Mask) -> bool:
    return bool(mask[[0, 0, -1, -1], [0, -1, 0, -1]].all() or np.concatenate(_sides(mask)).mean() > 0.5)


def _grey_levels(sample: Sequence[Particle], settings: SourceSettings) -> Iterator[Finding]:
    shares = [grey_levels.brightest(item.image) for item in sample]
    for note in grey_levels.faint(shares, [item.id for item in sample], settings.grey):
        yield Finding(note, stops=False)
    eight = [item.image for item in sample if _has_eight_bits(item.image)]
    if eight:
        unit = 1 if eight[0].dtype == np.uint8 else SIXTEEN_OF_EIGHT
        levels = float(np.median([(int(image.max()) - int(image.min())) / unit + 1 for image in eight]))
        if levels < FEWEST_LEVELS:
            yield Finding(
                f"8-bit images use only {levels:.0f} of 256 grey levels (median); convert them again with their full "
                "range, or save 16 bits",
                stops=False,
            )


def _has_eight_bits(image: Grey) -> bool:
    return image.dtype == np.uint8 or not np.any(image % SIXTEEN_OF_EIGHT)


def _duplicates(sample: Sequence[Particle]) -> Iterator[Finding]:
    if not sample:
        return
    table = pd.DataFrame({"id": [item.id for item in sample], "label": [item.label for item in sample]})
    found = duplicates.find(table, pd.Series([duplicates.fingerprint(item.image) for item in sample], dtype=str))
    if not len(found):
        return
    one, first = found.loc[found.index[0], ["id", "first_id"]]
    n_conflicts = int(found["conflict"].astype(bool).sum())
    conflict = f", {n_conflicts} of them with another class: correct these labels" if n_conflicts else ""
    text = f"{len(found)} images are copies of others (first: {one} of {first}){conflict}; copies share a group"
    yield Finding(f"{text}; delete them if they are not wanted", stops=False)


def _sizes(params: dict[str, Any], sample: Sequence[Particle]) -> Iterator[Finding]:
    if not sample:
        return
    crop, model = parse(CropSettings, pick(params, "crop"), "crop"), pick(params, "model")
    size_px = parse(NetworkSettings, pick(params, "networks", model), f"networks.{model}").size_px
    shapes = (item.image if crop.mode == "surrounding" else item.mask[bounding_box(item.mask)] for item in sample)
    sides = np.array([max(part.shape) for part in shapes])
    if crop.scale == "constant" and (too_large := int((sides > crop.field_px).sum())):
        text = f"{too_large} of {len(sides)} particles are larger than crop.field_px ({crop.field_px}); raise it to "
        yield Finding(f"{text}{sides.max()} at least, or set crop.scale: fit", stops=True)
    middle = float(np.median(sides))
    reduction = (crop.field_px if crop.scale == "constant" else middle) / size_px
    what = f"particles are {middle:.0f} px across (median) and the input of {model} is {size_px} px"
    if reduction > MOST_REDUCTION:
        yield Finding(f"{what}: details below {reduction:.1f} px are lost; choose a network with a larger input", False)
    if reduction < LEAST_REDUCTION:
        yield Finding(f"{what}: enlarging adds no detail; choose a network with a smaller input", stops=False)


def _features(params: dict[str, Any], listed: pd.DataFrame) -> Iterator[Finding]:
    records = {
        name: parse(RECORDS[name], pick(params, name), name) for name in ("train_cnn", "train_svm", "train_trees")
    }
    columns: dict[str, None] = {}
    for where, names in features_used(records).items():
        try:
            columns |= dict.fromkeys(select_columns(listed, names))
        except InputError as error:
            yield Finding(f"{where}: {error}", stops=True)
    for name in columns:
        n_bad = int((~np.isfinite(listed[name].to_numpy(dtype=np.float64))).sum())
        if n_bad:
            yield Finding(f"feature {name} has no finite value for {n_bad} particles; leave them or it out", stops=True)
