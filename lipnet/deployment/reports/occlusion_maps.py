"""Which parts of a crop the network needs: occlusion maps of typical and of mistaken particles of each class.

A particle is shown to the network of the fold that tests it, which was not trained on it.
"""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lipnet.classifiers.networks import weights
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick
from lipnet.deployment.explanations.explain import occlusion
from lipnet.deployment.model_files import NETWORK
from lipnet.deployment.reports.page import data_uri
from lipnet.deployment.reports.particle_pictures import ParticlePicture, outline_path, picture_of
from lipnet.deployment.runs import Evidence, PipelineRun
from lipnet.evaluation.predictions import Predictions
from lipnet.plots.colours import rgb
from lipnet.samples import crops
from lipnet.samples.particles import Mask

if TYPE_CHECKING:
    import keras

OF_CLASS = 2  # typical particles of each class, and mistaken ones
MOST = 24  # maps on the page
ACROSS = 16  # largest number of squares along a side
SQUARE = 14  # the side of a crop is at least this many times the reach of a square
FOR, AGAINST = 1, 0  # numbers of the colours where covering lowers the probability, and where it raises it
OPACITY = 0.75  # of the strongest place of a map
LEAST = 0.05  # a map whose largest change is smaller is paler
LEFT_OUT = "left out on request (--no-maps)"


class Explained(NamedTuple):
    """A particle with its map.

    Attributes:
        id: of the particle.
        label: its class.
        predicted: class by the network.
        probability: of the predicted class.
        particle: its picture.
        map: the crop with the map on top.
        drop: largest fall of the probability.
        rise: largest rise.
    """

    id: str
    label: str
    predicted: str
    probability: str
    particle: ParticlePicture
    map: ParticlePicture
    drop: str
    rise: str


class Maps(NamedTuple):
    """Occlusion maps, or the reason why there are none.

    Attributes:
        typical: particles that the network classifies correctly and most confidently, class by class.
        mistaken: particles that it classifies wrongly and most confidently, by their class.
        square_px: side of the squares.
        crop_px: side of the crops.
        reason: why there are no maps; empty if there are.
    """

    typical: Sequence[Explained]
    mistaken: Sequence[Explained]
    square_px: int
    crop_px: int
    reason: str


def without(reason: str) -> Maps:
    """No maps, and the reason."""
    return Maps([], [], 0, 0, reason)


def maps_of(run: PipelineRun, evidence: Evidence) -> Maps:
    """Occlusion maps of a run, or the reason why there are none: no network, or one that takes more than images."""
    if NETWORK not in evidence.predictions:
        return without(f"the run has no predictions of {NETWORK}")
    try:
        return _maps(run, evidence)
    except ImportError as error:
        return without(f"TensorFlow cannot be imported ({error})")
    except InputError as error:
        return without(str(error))


def _maps(run: PipelineRun, evidence: Evidence) -> Maps:
    settings = parse(crops.CropSettings, pick(run.params, "crop"), "crop")
    size_px = pick(run.params, "networks", pick(run.params, "model"))["size_px"]
    images, reach_px = _crops(run, size_px), max(size_px // SQUARE, 1)
    predictions, row_of = evidence.predictions[NETWORK], {name: row for row, name in enumerate(run.table["id"])}
    network = cache(lambda number: _network(run.models / NETWORK, number))
    number_of = {(fold.repeat, fold.fold): fold.number for fold in run.folds}

    def explained(row: int) -> Explained:
        name, predicted = str(predictions.ids[row]), int(predictions.predicted[row])
        text = f"Particle {name} with the outline of its mask"
        model = network(number_of[int(predictions.repeat[row]), int(predictions.fold[row])])
        at = row_of[name]
        values = occlusion(model, images[at], predicted, reach_px, step_px=_step(size_px))
        outline = outline_path(_mask_of_crop(evidence.masks[at], size_px, settings), 1.0)
        uri = data_uri("png", _png(overlaid(crops.first_channel(images[at : at + 1])[0], values)))
        return Explained(
            id=name,
            label=predictions.classes[predictions.true[row]],
            predicted=predictions.classes[predicted],
            probability=f"{predictions.probabilities[row, predicted]:.2f}",
            particle=picture_of(evidence.images[at], evidence.masks[at], text),
            map=ParticlePicture(uri, size_px, size_px, outline, f"Occlusion map of particle {name}"),
            drop=f"{max(values.max(), 0):.2f}",
            rise=f"{max(-values.min(), 0):.2f}",
        )

    typical, mistaken = selected(predictions)
    return Maps([*map(explained, typical)], [*map(explained, mistaken)], 2 * reach_px + 1, size_px, "")


def _crops(run: PipelineRun, size_px: int) -> NDArray[np.uint8]:
    path = run.root / f"data/crops/{run.problem}.npz"
    images = crops.of_size(files.read_arrays(path), size_px)
    if len(images) != len(run.table):
        raise InputError(f"{path}: holds {len(images)} crops of {len(run.table)} particles; run `dvc repro`")
    return images


def _network(folder: Path, number: int) -> "keras.Model":
    model = weights.load(folder / "architecture.json", folder / f"fold{number}.weights.h5")
    if len(model.inputs) > 1:
        raise InputError("the network takes particle features beside the crop")
    return model


def _step(size_px: int) -> int:
    return -(-size_px // ACROSS)


def selected(predictions: Predictions) -> tuple[list[int], list[int]]:
    """Rows of the first repeat to explain: the most confident of each class, classified correctly, and wrongly."""
    first = predictions.repeat == predictions.repeat.min()
    stated = predictions.probabilities[np.arange(len(first)), predictions.predicted]
    order = np.argsort(-stated, kind="stable")
    right = predictions.predicted == predictions.true
    n_classes = len(predictions.classes)
    each = OF_CLASS if 2 * OF_CLASS * n_classes <= MOST else 1
    rows = [
        [row for label in range(n_classes) for row in order[(first & kind & (predictions.true == label))[order]][:each]]
        for kind in (right, ~right)
    ]
    return rows[0][: MOST // 2], rows[1][: MOST // 2]


def _mask_of_crop(mask: Mask, size_px: int, settings: crops.CropSettings) -> Mask:
    """The mask at the place and size that it has in the crop, shape (size_px, size_px)."""
    mode = crops.CHANNELS[settings.mode][0]
    part = crops.cut(mask.astype(np.float32), mask, mode)
    return crops.to_size(part, size_px, settings) > 127


def overlaid(crop: NDArray[np.uint8], values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """A crop with its map on top, in colour: the larger the change, relative to the largest one, the less transparent.

    Args:
        crop: shape (size_px, size_px).
        values: of ``explain.occlusion``, shape (m, m).

    Returns:
        Shape (size_px, size_px, 3).
    """
    step = -(-len(crop) // len(values))
    enlarged = values.repeat(step, axis=0).repeat(step, axis=1)[: len(crop), : len(crop)]
    opacity = OPACITY * np.abs(enlarged) / max(float(np.abs(values).max()), LEAST)
    colours = np.where(enlarged[..., None] > 0, rgb(FOR), rgb(AGAINST))
    mixed = (1 - opacity[..., None]) * crop[..., None] + opacity[..., None] * colours
    return np.round(mixed).astype(np.uint8)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
