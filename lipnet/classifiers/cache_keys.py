"""Cache keys: a hash of everything that a trained fold depends on, so that a stored result can be reused.

A cache key covers data, settings, seed, threads, ``portable``, backend, versions of the libraries, and the code of this
library. It does not cover the kind of device, on which results depend too.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lipnet.core.portable import is_held
from lipnet.core.settings import Settings

# Modules of lipnet/ that training reaches; tests/studies/test_trials.py compares them with the imports.
CODE = (
    "classifiers/cache_keys",
    "classifiers/hog",
    "classifiers/networks/architecture",
    "classifiers/networks/backend",
    "classifiers/networks/checkpoints",
    "classifiers/networks/dropout",
    "classifiers/networks/early_stopping",
    "classifiers/networks/epoch",
    "classifiers/networks/filters",
    "classifiers/networks/heads",
    "classifiers/networks/losses",
    "classifiers/networks/prediction",
    "classifiers/networks/settings",
    "classifiers/networks/task",
    "classifiers/networks/training",
    "classifiers/networks/weights",
    "classifiers/precision",
    "classifiers/registry",
    "classifiers/svm",
    "classifiers/svm_files",
    "classifiers/task",
    "classifiers/tree_files",
    "classifiers/trees",
    "classifiers/vectorised/engine",
    "classifiers/vectorised/layers",
    "classifiers/vectorised/masking",
    "classifiers/vectorised/pool",
    "classifiers/vectorised/program",
    "classifiers/vectorised/training",
    "classifiers/vectorised/warping",
    "core/errors",
    "core/files",
    "core/portable",
    "core/problems",
    "core/seeds",
    "core/settings",
    "evaluation/predictions",
    "samples/augment",
    "samples/balance",
    "samples/buckets",
    "samples/crops",
    "samples/feature_names",
    "samples/folds",
    "samples/particles",
    "samples/tables",
)
LIBRARY = Path(__file__).parents[1]
LIBRARIES = ("keras", "numpy", "scipy", "scikit-learn", "imbalanced-learn", "libsvm-official")


def cache_key(task: Any, threads: int) -> str:
    """Hash of everything that training one fold depends on: 32 hexadecimal digits.

    Args:
        task: a record of arrays, settings, texts and numbers; functions and paths in it are ignored.
        threads: of the numerical libraries.

    Raises:
        TypeError: the record holds a value of another type.
    """
    digest = hashlib.sha256()
    for part in _parts([*_environment(), is_held(), threads, task]):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:32]


@cache
def _environment() -> list[str]:
    """Backend, versions of the libraries, and source text of the modules that training reaches."""
    backend = _backend()
    return [backend, *map(version, (backend, *LIBRARIES)), *(_source(name) for name in CODE)]


def _backend() -> str:
    """The backend that Keras will choose; importing Keras to ask would take seconds."""
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"]
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    try:
        return str(json.loads((home / "keras.json").read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def _source(name: str) -> str:
    return (LIBRARY / f"{name}.py").read_text(encoding="utf-8")


def _parts(value: Any) -> Iterator[bytes]:
    """The content of a value as bytes, with the type before each part; functions and paths are ignored."""
    if callable(value) or value is None or isinstance(value, Path):
        return
    yield type(value).__name__.encode()
    if isinstance(value, np.ndarray):
        yield from (value.dtype.str.encode(), repr(value.shape).encode(), np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Settings):
        yield value.model_dump_json().encode()
    elif is_dataclass(value):
        yield from (part for field in fields(value) for part in _parts(getattr(value, field.name)))
    elif isinstance(value, dict):
        yield from (part for pair in value.items() for item in pair for part in _parts(item))
    elif isinstance(value, list | tuple):
        yield from (part for item in value for part in _parts(item))
    elif isinstance(value, str | int | float | np.generic):
        yield repr(value).encode()
    else:
        raise TypeError(f"no cache key of {type(value).__name__}")
