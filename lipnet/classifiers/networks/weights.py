"""Write and load the weights of a network.

Keras is imported inside the functions, as in ``backend``. Keras writes and reads weights in files only.
"""

import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from lipnet.classifiers.networks.backend import start_keras
from lipnet.core.errors import InputError

if TYPE_CHECKING:
    import keras


def to_bytes(model: "keras.Model") -> bytes:
    """Content of a ``.weights.h5`` file of this network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fold.weights.h5"
        model.save_weights(path)
        return path.read_bytes()


def load(architecture: Path, weights: Path) -> "keras.Model":
    """Load a network that ``train_cnn`` wrote; no code from the files is run.

    Args:
        architecture: JSON file.
        weights: ``.weights.h5`` file.

    Raises:
        InputError: a file is missing or damaged, or the weights belong to another architecture; the message names the
            file.
    """
    start_keras()
    model = _read_architecture(architecture)
    try:
        # Keras ignores surplus arrays, as those of a deeper network; it warns of missing arrays.
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


def convolutions(model: "keras.Model") -> list[str]:
    """Names of the convolutions with a ReLU: all convolutions except the 1 x 1 convolution to K classes."""
    import keras

    names = {layer.name for layer in model.layers}
    return [
        layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and f"{layer.name}_relu" in names
    ]


def _read_architecture(path: Path) -> "keras.Model":
    import keras

    import lipnet.classifiers.networks.dropout  # noqa: F401, registers DecayingDropout with Keras

    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise InputError(f"{path}: damaged ({_first_line(error)}); delete it and run `dvc repro`") from None
    if not isinstance(model, keras.Model) or not convolutions(model):
        raise InputError(f"{path}: not the architecture of a LipNet; delete it and run `dvc repro`")
    return model


def _n_arrays(weights: Path) -> int:
    import h5py

    found = []
    with h5py.File(weights) as file:
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return sum("seed_generator" not in name for name in found)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
