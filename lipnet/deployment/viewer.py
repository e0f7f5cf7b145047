"""Files that napari, Fiji and QuPath open: the classes of the particles of a micrograph as images, tables and outlines.

Every page of a stack gets a set of files of its own.
"""

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from lipnet.core.errors import InputError
from lipnet.core.problems import encode
from lipnet.deployment.model_files import Description
from lipnet.evaluation.predictions import PROBABILITY
from lipnet.plots import annotated
from lipnet.plots.annotated import Piece
from lipnet.plots.colours import COLOURS, rgb
from lipnet.samples.particles import Grey
from lipnet.sources.formats.grey_levels import GreySettings, of_page
from lipnet.sources.images import read_label_pages, read_pages
from lipnet.sources.micrograph_rows import LabelPlace, MicrographTask, Target
from lipnet.sources.new_data.micrographs import by_mask
from lipnet.sources.unlabelled import Opened


class Classified(NamedTuple):
    """The classified particles of one page.

    Attributes:
        numbers: number of each particle in the label mask, ascending, shape (n,).
        labels: class index of each particle, shape (n,).
        table: n rows: label, the number; id; class; p_<class>.
    """

    numbers: NDArray[np.int64]
    labels: NDArray[np.int64]
    table: pd.DataFrame


def label_masks(opened: Sequence[Opened]) -> list[tuple[Path, Path, list[Target]]]:
    """Micrograph, label mask and particles of each pair of files among some inputs; boxes have no label mask."""
    return [
        (one.folder / task.micrograph, one.folder / labels, targets)
        for one in opened
        for task in one.tasks
        if isinstance(task, MicrographTask)
        for labels, targets in by_mask(task.targets).items()
    ]


def files_of_all(opened: Sequence[Opened], table: pd.DataFrame, about: Description) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file for all micrographs with label masks; those of several keep their folders.

    Args:
        opened: the inputs.
        table: as in ``files_of``.
        about: of a model that predicted.

    Raises:
        InputError: two micrographs have files of the same name.
    """
    pairs = label_masks(opened)
    root = Path(os.path.commonpath([image.resolve().parent for image, _, _ in pairs]))
    written = set[str]()
    for image, masks, targets in pairs:
        within = image.resolve().parent.relative_to(root)
        for name, content in files_of(image, masks, targets, table, about.classes, about.grey):
            path = (within / name).as_posix()
            if path in written:
                raise InputError(f"{image}: another input also has a picture {path}; give them to --viewer one by one")
            written.add(path)
            yield path, content


def files_of(
    image: Path,
    masks: Path,
    targets: Sequence[Target],
    table: pd.DataFrame,
    classes: Sequence[str],
    grey: GreySettings,
) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, page after page. Pages without classified particles are left out.

    Args:
        image: the micrograph.
        masks: its label mask.
        targets: the particles that were listed.
        table: predictions, with columns id, class and p_<class>; particles that are not listed here are background.
        classes: the K class names.
        grey: the rule of the model; the picture of a micrograph has one black and white.
    """
    pages = {target.id: target.page or 0 for target in targets}
    table = table.assign(page=table["id"].map(pages))
    numbers = {target.id: target.place.number for target in targets if isinstance(target.place, LabelPlace)}
    several = len(set(pages.values())) > 1
    of_whole = grey.model_copy(update={"per": "micrograph"})
    for page, (samples, mask) in enumerate(zip(read_pages(image), read_label_pages(masks), strict=False)):
        if (table["page"] == page).any():
            found = classified(table[table["page"] == page], numbers, classes)
            stem = f"{image.stem}_page{page}" if several else image.stem
            shown = of_page(samples, of_whole, image.name)
            yield from _files_of_page(stem, shown, mask, found, classes)


def classified(table: pd.DataFrame, numbers: Mapping[str, int], classes: Sequence[str]) -> Classified:
    """The particles of a table of predictions, in the order of their numbers in the label mask.

    Args:
        table: columns id, class and p_<class>.
        numbers: id of a particle -> its number in the label mask.
        classes: the K class names.
    """
    kept = table[["id", "class", *(PROBABILITY + name for name in classes)]]
    kept.insert(0, "label", kept["id"].map(numbers))
    kept = kept.sort_values("label").reset_index(drop=True)
    return Classified(kept["label"].to_numpy(np.int64), encode(kept["class"], list(classes)), kept)


def _files_of_page(
    stem: str, grey: Grey, mask: NDArray[np.int64], found: Classified, classes: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    rows = row_image(mask, found.numbers)
    shapes = outlines_of(rows)
    counts = [f"{name} {(found.labels == number).sum()}" for number, name in enumerate(classes)]
    picture = annotated.micrograph(grey, list(zip(shapes, found.labels.tolist(), strict=True)), counts)
    yield f"{stem}_classes.tif", _class_tiff(class_image(rows, found.labels, len(classes)))
    yield f"{stem}_particles.tif", _tiff(np.where(rows > 0, mask, 0))
    yield f"{stem}_legend.csv", _csv(legend(classes))
    yield f"{stem}_particles.csv", _csv(found.table)
    yield f"{stem}.geojson", json.dumps(geojson(shapes, found, classes), allow_nan=False).encode()
    yield f"{stem}_classes.png", _png(picture)


def row_image(mask: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each pixel of a label mask the row of its particle in ``numbers`` plus 1; 0 for all other pixels.

    Args:
        mask: label mask, shape (height_px, width_px).
        numbers: numbers of the particles in the mask, ascending, not empty, shape (n,).
    """
    row = np.minimum(np.searchsorted(numbers, mask), len(numbers) - 1)
    return np.where(numbers[row] == mask, row + 1, 0)


def class_image(rows: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int) -> NDArray[Any]:
    """For each pixel of ``row_image`` the class index plus 1, and 0 for background; uint8, or uint16 if needed."""
    return np.concatenate([[0], labels + 1]).astype(np.min_scalar_type(n_classes))[rows]


def outlines_of(rows: NDArray[np.int64]) -> list[list[Piece]]:
    """Pieces of each particle of ``row_image``, in px from the upper left corner of the image (see ``outlines``)."""
    shapes = []
    for number, box in enumerate(ndimage.find_objects(rows), start=1):
        corner = (box[1].start, box[0].start)
        pieces = annotated.outlines(rows[box] == number)
        shapes.append([[ring + corner for ring in piece] for piece in pieces])
    return shapes


def geojson(shapes: Sequence[Sequence[Piece]], found: Classified, classes: Sequence[str]) -> dict[str, Any]:
    """A FeatureCollection with one detection of QuPath for each particle, in px; ready for JSON."""
    columns = [PROBABILITY + name for name in classes]
    features = []
    for pieces, label, row in zip(shapes, found.labels.tolist(), found.table.to_dict("records"), strict=True):
        rings = [[ring.tolist() for ring in piece] for piece in pieces]
        geometry: dict[str, Any] = {"type": "Polygon", "coordinates": rings[0]}
        if len(rings) > 1:
            geometry = {"type": "MultiPolygon", "coordinates": rings}
        properties = {
            "objectType": "detection",
            "name": row["id"],
            "classification": {"name": row["class"], "color": list(rgb(label))},
            "measurements": {name: float(row[name]) for name in columns},
        }
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def legend(classes: Sequence[str]) -> pd.DataFrame:
    """Value, class and colour of the pixels of the class image."""
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(classes))]
    rows = {"value": range(len(classes) + 1), "class": ["background", *classes], "colour": ["#000000", *colours]}
    return pd.DataFrame(rows)


def _class_tiff(image: NDArray[Any]) -> bytes:
    """A TIFF that ImageJ shows in the colours of the classes; values stay class indices plus 1."""
    if image.dtype != np.uint8:
        return _tiff(image)
    table = np.zeros((3, 256), np.uint8)
    table[:, 1:] = np.array([rgb(number) for number in range(255)]).T
    stream = io.BytesIO()
    tifffile.imwrite(stream, image, imagej=True, compression="zlib", metadata={"mode": "grayscale", "LUTs": [table]})
    return stream.getvalue()


def _tiff(image: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    smallest = image.astype(np.min_scalar_type(image.max()))
    tifffile.imwrite(stream, smallest, compression="zlib", photometric="minisblack", metadata=None)
    return stream.getvalue()


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()
