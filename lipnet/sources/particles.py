"""Source ``particles``: one JSON file of particles with features, JPEG images in one folder and masks in another.

This is the layout of the thesis's own data (section 3). Lengths are taken to be in nm and areas in nm2: the text of the
thesis says so of most of them. The diameter is in px, so length / diameter gives the pixel size.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BeforeValidator, ConfigDict, Field

from lipnet.core.errors import InputError
from lipnet.samples import features
from lipnet.samples.features import FeatureSettings
from lipnet.samples.particles import Particle, pack
from lipnet.sources.formats.grey_levels import GreySettings, Levels
from lipnet.sources.images import read_grey
from lipnet.sources.input.disk import listed_as
from lipnet.sources.input.spelling import tidy_record
from lipnet.sources.input.text_files import read_text
from lipnet.sources.rows import (
    Rejected,
    Row,
    RowFault,
    Text,
    check_class,
    check_group,
    checked,
    in_tasks,
    inside,
    read_file,
    shared_levels,
)
from lipnet.sources.settings import ParticlesSettings
from lipnet.sources.table import OF_CELLPOSE, mask_beside, read_matching_mask

Record = dict[str, Any]
JPEG_QUALITY = 95
MOMENTS = ("mu20_px2", "mu02_px2", "mu30_px3", "mu03_px3")  # in the order of the layout


def _whole_float_as_int(value: Any) -> Any:
    # If one value is missing, pandas writes the whole column as floats.
    return int(value) if isinstance(value, float) and value.is_integer() else value


NameOrCode = Annotated[Text, BeforeValidator(_whole_float_as_int)]
Positive = Annotated[float, Field(gt=0)]
Profile = Annotated[list[tuple[float, float]], Field(min_length=1)]


class _Common(Row):
    model_config = ConfigDict(alias_generator=lambda name: name.title().replace("_", ""))

    id: NameOrCode
    class_: NameOrCode = Field(alias="Class")
    image: Text
    padding: Annotated[int, Field(ge=0)]
    group: NameOrCode | None = None


class ParticleRecord(_Common):
    """The schema of a record whose features are not used; the two that give the pixel size are optional."""

    length: Positive | None = None
    diameters_in_pixels: Positive | None = None


class FeatureRecord(_Common):
    """The schema of a record whose features are used."""

    area: Positive
    circularity: Positive
    perimeter: Positive
    length: Positive
    maximum_width: Positive
    diameters_in_pixels: Positive
    signal_to_noise: float
    moments: Annotated[list[float], Field(min_length=4, max_length=4)]
    histogram: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=2)]
    radial_density_profile: Profile
    edge_density_profile: Profile


class ParticlesTask(NamedTuple):
    """Some records: the number of each in the file (from 0) and its content."""

    rows: list[tuple[int, Record]]


def list_tasks(
    folder: Path, settings: ParticlesSettings, grey: GreySettings
) -> tuple[list[ParticlesTask], list[Rejected]]:
    """Read the JSON file but no image; records without any value are left out.

    Returns:
        The records in tasks for ``read_task``, and the rejected entries: not a record, or with a repeated Id.

    Raises:
        InputError: the file is missing, or is not JSON in a layout that pandas writes: a list of records
            (``orient="records"``), or columns of values by index (the default of pandas).
    """
    path = listed_as(folder, settings.file)
    first: dict[str, int] = {}
    unique: list[tuple[int, Record]] = []
    rejected: list[Rejected] = []
    for number, record in enumerate(_read_records(path)):
        if not isinstance(record, dict):
            rejected.append(Rejected(number, "", settings.file, "", "not a record of names and values"))
            continue
        record = tidy_record(record)
        if record and all(value is None or value == "" for value in record.values()):
            continue  # an empty row of a spreadsheet
        name = _id_of(record)
        if name and first.setdefault(name, number) != number:
            reason = f"Id '{name}' is a duplicate of record {first[name]}; Ids must be unique"
            rejected.append(Rejected(number, name, settings.file, "Id", reason))
        else:
            unique.append((number, record))
    group_of = (lambda row: _group_of(row[1])) if grey.pooled else None
    return [ParticlesTask(some) for some in in_tasks(unique, group_of)], rejected


def read_task(
    task: ParticlesTask,
    folder: Path,
    classes: Sequence[str],
    settings: ParticlesSettings,
    measures: FeatureSettings,
    grey: GreySettings,
) -> list[Particle | Rejected]:
    """Read the particles of some records, one result a record, in the order of the records.

    Args:
        task: the records.
        folder: the data folder.
        classes: names of the classes of the problem.
        settings: names of the two folders, class names of the codes, and whether to use the given features.
        measures: the grids to which given profiles are resampled.
        grey: how samples become grey levels.
    """
    crops = ((_group_of(record), f"{settings.images}/{record.get('Image')}") for _, record in task.rows)
    shared = shared_levels(crops, folder, grey)
    return [
        _read_record(number, record, folder, classes, settings, measures, grey, shared) for number, record in task.rows
    ]


def _read_record(
    number: int,
    record: Record,
    folder: Path,
    classes: Sequence[str],
    settings: ParticlesSettings,
    measures: FeatureSettings,
    grey: GreySettings,
    shared: Mapping[str, Levels],
) -> Particle | Rejected:
    try:
        row: FeatureRecord | ParticleRecord
        row = checked(FeatureRecord, record) if settings.given_features else checked(ParticleRecord, record)
        label = check_class(class_of(row.class_, settings), classes, "Class")
        check_group(row.group, grey, "Group")
        read = partial(read_grey, settings=grey, levels=shared.get(row.group or ""))
        image = read_file(read, folder, f"{settings.images}/{row.image}", "Image")
        if 2 * row.padding >= min(image.shape):
            raise RowFault("Padding", row.image, f"Padding is {row.padding}, which leaves nothing of {image.shape} px")
        mask = read_matching_mask(folder, _mask_of(folder, row.image, settings), image)
        return Particle(
            id=row.id,
            label=label,
            group=row.group or f"record {number}",
            image=image,
            mask=mask,
            padding_px=row.padding,
            pixel_size_nm=_pixel_size_nm(row),
            features=given_features(row, float(mask.sum()), measures) if isinstance(row, FeatureRecord) else {},
        )
    except RowFault as fault:
        file = fault.file or str(record.get("Image", ""))
        return Rejected(number, _id_of(record), file, fault.column, str(fault))


def _mask_of(folder: Path, image: str, settings: ParticlesSettings) -> str:
    """Name of the mask of an image: the file of its name among the masks, or else the one beside it of Cellpose."""
    mask = f"{settings.masks}/{image}"
    if settings.masks != settings.images and inside(folder, mask, "Image").is_file():
        return mask
    beside = mask_beside(folder, f"{settings.images}/{image}")
    if beside is None and settings.masks == settings.images:
        raise RowFault(
            "Image", mask, f"{image}: has no mask; with one folder for both, save it as STEM{OF_CELLPOSE}.png"
        )
    return beside or mask


def class_of(value: Any, settings: ParticlesSettings) -> str:
    """Name of the class that a value of Class stands for: that of the code, or else the value itself."""
    name = str(_whole_float_as_int(value))
    return settings.class_codes.get(name, name)


def _id_of(record: Record) -> str:
    return _text_of(record, "Id")


def _group_of(record: Record) -> str:
    return _text_of(record, "Group")


def _text_of(record: Record, key: str) -> str:
    value = _whole_float_as_int(record.get(key))
    return "" if value is None else str(value)


def _pixel_size_nm(row: ParticleRecord | FeatureRecord) -> float:
    if row.length is None or row.diameters_in_pixels is None:
        return float("nan")
    return row.length / row.diameters_in_pixels


def given_features(row: FeatureRecord, area_px2: float, measures: FeatureSettings) -> dict[str, float]:
    """The features of a record under the names of measured ones: profiles on the same grids, a histogram of sum 1.

    Raises:
        RowFault: the histogram has another number of bins than ``features.histogram_bins``, or is all 0.
    """
    histogram = np.array(row.histogram)
    if len(histogram) != measures.histogram_bins:
        raise RowFault(
            "Histogram",
            "",
            f"Histogram has {len(histogram)} values but features.histogram_bins is {measures.histogram_bins}",
        )
    if not histogram.any():
        raise RowFault("Histogram", "", "Histogram is all 0; set source.particles.given_features: false to measure it")
    pixel_nm = _pixel_size_nm(row)
    radial_nm = features.radial_grid_px(area_px2, measures) * pixel_nm
    edge_nm = features.edge_grid_px(measures) * pixel_nm
    return {
        "area_nm2": row.area,
        "perimeter_nm": row.perimeter,
        "circularity": row.circularity,
        "maximum_width_nm": row.maximum_width,
        "diameter_px": row.diameters_in_pixels,
        "length_nm": row.length,
        "signal_to_noise": row.signal_to_noise,
        **{f"moment_{name}": value for name, value in zip(MOMENTS, row.moments, strict=True)},
        **features.numbered("radial_density_profile", _on_grid(row.radial_density_profile, radial_nm)),
        **features.numbered("edge_density_profile", _on_grid(row.edge_density_profile, edge_nm)),
        **features.numbered("histogram", histogram / histogram.sum()),
    }


def _on_grid(profile: list[tuple[float, float]], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    values, distances = np.array(profile).T
    return features.resample(values, distances, grid)


def _read_records(path: Path) -> Iterable[Any]:
    try:
        content = json.loads(read_text(path, "JSON"), object_pairs_hook=_each_once)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON in UTF-8 ({error})") from None
    if isinstance(content, list):
        return content
    if isinstance(content, dict) and "Id" in content and all(isinstance(column, dict) for column in content.values()):
        rows = dict.fromkeys(index for column in content.values() for index in column)
        return [{name: column.get(index) for name, column in content.items()} for index in rows]
    raise InputError(
        f'{path}: expected a list of records, or columns with one called Id, as pandas\' to_json(orient="records") and '
        "to_json() write them"
    )


def _each_once(pairs: list[tuple[str, Any]]) -> Record:
    content = dict(pairs)
    if len(content) < len(pairs):  # json would keep only the last one
        names = [name for name, _ in pairs]
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise ValueError(f"'{twice}' occurs twice in one object")
    return content


def write_particles(
    folder: Path, particles: Sequence[Particle], settings: ParticlesSettings, measures: FeatureSettings
) -> list[Record]:
    """Write images and masks as JPEG, and measure what the records of the layout hold.

    Args:
        folder: the data folder; the two image folders are made in it.
        particles: with known pixel sizes.
        settings: names of the folders, and the class codes; a class without a code is written by name.
        measures: bins of the histogram, and how far outside the edge density profile reaches.

    Returns:
        One record a particle, ready for JSON.
    """
    codes = {name: int(code) for code, name in reversed(settings.class_codes.items())}
    for part in (settings.images, settings.masks):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return [_write_particle(folder, particle, settings, measures, codes) for particle in particles]


def _write_particle(
    folder: Path, particle: Particle, settings: ParticlesSettings, measures: FeatureSettings, codes: dict[str, int]
) -> Record:
    name = f"{particle.id}.jpg"
    Image.fromarray(particle.image).save(folder / settings.images / name, quality=JPEG_QUALITY)
    Image.fromarray(particle.mask).convert("L").save(folder / settings.masks / name, quality=JPEG_QUALITY)
    store, pixel_nm = pack([particle]), particle.pixel_size_nm
    row = features.in_nanometres(features.measure_all(store, measures), np.array([pixel_nm])).iloc[0]
    grey = store.image(0) / store.white
    radial, distances_px = features.radial_density_profile(grey, particle.mask)
    # In this layout the profile reaches the centre of the particle, so larger particles have longer profiles.
    deep = measures.model_copy(update={"edge_inside_px": float(np.ceil(row["maximum_width_nm"] / pixel_nm / 2))})
    deep = deep.model_copy(update={"edge_bins": int(deep.edge_inside_px + deep.edge_outside_px)})
    band = features.edge_band(grey, features.distance_to_outline(particle.mask), deep)
    return {
        "Id": particle.id,
        "Class": codes.get(particle.label, particle.label),
        "Group": particle.group,
        "Image": name,
        "Padding": particle.padding_px,
        "Area": row["area_nm2"],
        "Circularity": row["circularity"],
        "Perimeter": row["perimeter_nm"],
        "Length": row["length_nm"],
        "MaximumWidth": row["maximum_width_nm"],
        "DiametersInPixels": row["diameter_px"],
        "SignalToNoise": row["signal_to_noise"],
        "Moments": [row[f"moment_{moment}"] for moment in MOMENTS],
        "Histogram": row[[column for column in row.index if column.startswith("histogram_")]].tolist(),
        "RadialDensityProfile": _pairs(radial, distances_px * pixel_nm),
        "EdgeDensityProfile": _pairs(features.edge_density_profile(band), features.edge_grid_px(deep) * pixel_nm),
    }


def _pairs(values: NDArray[np.float64], distances: NDArray[np.float64]) -> list[list[float]]:
    return np.stack([values, distances], axis=1).tolist()
