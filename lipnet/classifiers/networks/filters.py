"""What a trained network holds: kernels, activations and dead filters of its convolutions (thesis, 5.1 and 7).

Keras is imported inside the functions, as in ``networks``. It reads weights from files only, so ``load`` takes paths.
"""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import PositiveInt

from lipnet.classifiers.networks.training import start_keras
from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.samples.crops import to_grey

if TYPE_CHECKING:
    import keras

CHUNK = 256  # images at once: each convolution keeps all its channels of all of them
LARGE_PX = 64  # fewer of larger images
SAME = 1e-3  # a filter that varies less than this share of the most varied one of its layer is dead,
NOISE = 1e-6  # and so is one that varies less than float32 resolves of grey levels in [0, 1]


class FigureSettings(Settings):
    """Section ``figures``.

    Attributes:
        particle: id of the particle to show, or a class, for its first one; None for the first of all.
        channels: at most so many channels of a convolution are shown.
    """

    particle: str | None
    channels: PositiveInt


def load(architecture: Path, weights: Path) -> "keras.Model":
    """Load a network that ``train_cnn`` wrote; no code from the files is run.

    Args:
        architecture: JSON file.
        weights: ``.weights.h5`` file.

    Raises:
        InputError: a file is missing or damaged, or the weights are those of another architecture; names the file.
    """
    start_keras()
    import keras

    import lipnet.classifiers.networks.dropout  # noqa: F401, registers the one layer of our own

    try:
        config = json.loads(architecture.read_text(encoding="utf-8"))
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except FileNotFoundError:
        raise InputError(f"{architecture}: no such file; run `dvc repro`") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise InputError(f"{architecture}: damaged ({_first_line(error)}); delete it and run `dvc repro`") from None
    if not isinstance(model, keras.Model) or not convolutions(model):
        raise InputError(f"{architecture}: not the architecture of a LipNet; delete it and run `dvc repro`")
    try:
        # Keras takes no offence at arrays that are left over, as in a deeper network; of missing ones it warns.
        fits = _n_arrays(weights) == len(model.weights)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            model.load_weights(weights)
    except FileNotFoundError:
        raise InputError(f"{weights}: no such file; run `dvc repro`") from None
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(f"{weights}: damaged ({_first_line(error)}); delete it and run `dvc repro`") from None
    except (ValueError, UserWarning):
        fits = False
    if not fits:
        raise InputError(f"{weights}: damaged, or weights of another network than {architecture}; run `dvc repro`")
    return model


def _n_arrays(weights: Path) -> int:
    import h5py

    found = []
    with h5py.File(weights) as file:
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return sum("seed_generator" not in name for name in found)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def convolutions(model: "keras.Model") -> list[str]:
    """Names of the convolutions that a ReLU follows: all but the 1 x 1 convolution to K classes."""
    import keras

    names = {layer.name for layer in model.layers}
    return [
        layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and f"{layer.name}_relu" in names
    ]


def kernels(model: "keras.Model") -> dict[str, NDArray[np.float32]]:
    """Kernels of every convolution, by its name: shape (height_px, width_px, channels in, filters) (Figure 14)."""
    return {name: np.asarray(model.get_layer(name).kernel) for name in convolutions(model)}


def activations(model: "keras.Model", crop: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What every convolution, after its ReLU, makes of one crop, by name (Figure 15).

    Args:
        model: a LipNet.
        crop: shape (size_px, size_px).

    Returns:
        arrays of shape (height_px, width_px, filters).
    """
    [outputs] = _outputs(model, crop[None])
    return {name: output[0] for name, output in outputs.items()}


def dead_filters(model: "keras.Model", crops: NDArray[np.uint8]) -> dict[str, NDArray[np.bool_]]:
    """Which filters of every convolution pass nothing on of what tells one particle from another (thesis, 5.1).

    The variation of a filter is the standard deviation over images of its activation, after the ReLU, at a pixel, as
    root mean square over pixels. A filter is dead when that is at most ``SAME`` times the variation of the most varied
    filter of its layer, or at most ``NOISE``. The thesis speaks of very small weights into and out of a unit; what is
    measured here hardly changes when weights are scaled up in one layer and down in the next. The most varied filter
    is the measure, rather than the median one, because weight decay may kill most filters of a layer.

    Args:
        model: a LipNet.
        crops: shape (n, size_px, size_px), n >= 2.

    Returns:
        by name of the convolution, shape (filters,), True where dead: the sum is the count, the size the total.

    Raises:
        ValueError: fewer than two crops; every filter would count as dead.
    """
    if len(crops) < 2:
        raise ValueError("one image cannot tell a dead filter from a live one")
    sums: dict[str, Any] = dict.fromkeys(convolutions(model), 0.0)  # become (2, height_px, width_px, filters)
    for outputs in _outputs(model, crops):
        for name, output in outputs.items():
            values = output.astype(np.float64)
            sums[name] = sums[name] + np.stack([values.sum(axis=0), (values**2).sum(axis=0)])
    return {name: _dead(*(of_layer / len(crops))) for name, of_layer in sums.items()}


def _dead(mean: NDArray[np.float64], mean_square: NDArray[np.float64]) -> NDArray[np.bool_]:
    variance = np.maximum(mean_square - mean**2, 0)
    variation = np.sqrt(variance.mean(axis=(0, 1)))
    return variation <= max(SAME * variation.max(), NOISE)


def _outputs(model: "keras.Model", crops: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[np.float32]]]:
    # Of every convolution, after its ReLU, CHUNK crops at a time.
    import keras

    part = keras.Model(model.inputs[0], {name: model.get_layer(f"{name}_relu").output for name in convolutions(model)})
    part.compile(run_eagerly=True)  # for so few calls, tracing costs more than it saves
    n = max(CHUNK * LARGE_PX**2 // max(crops.shape[1], LARGE_PX) ** 2, 1)
    for start in range(0, len(crops), n):
        yield part.predict_on_batch(to_grey(crops[start : start + n]))


def row_of(table: pd.DataFrame, particle: str | None) -> int:
    """Row of the particle to show.

    Args:
        table: columns id and label, a row a particle.
        particle: as in ``FigureSettings``.

    Raises:
        InputError: neither an id nor a class.
    """
    if particle is None:
        return 0
    for column in ("id", "label"):
        rows = np.flatnonzero(table[column] == particle)
        if len(rows):
            return int(rows[0])
    classes = ", ".join(sorted(set(table["label"])))
    raise InputError(f"params.yaml: figures.particle = '{particle}': no particle and no class here; classes: {classes}")
