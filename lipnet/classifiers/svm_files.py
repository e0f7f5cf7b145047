"""The two files of a trained SVM: a LIBSVM text model, and a JSON card with scaling and calibration."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings

Floats = NDArray[np.float64]
MAX_FEATURES = 10_000  # limit of a model file (``deployment.model_files.FeatureInput``)


class LibsvmModel(NamedTuple):
    """A C-SVC with RBF kernel, as a LIBSVM text model stores it.

    Attributes:
        gamma: of the kernel.
        labels: class indices, shape (K,).
        n_support: number of support vectors of each class, shape (K,).
        rho: offset of each pair of classes, shape (K (K - 1) / 2,).
        coefficients: shape (n_vectors, K - 1).
        vectors: support vectors, shape (n_vectors, n_features).
    """

    gamma: float
    labels: list[int]
    n_support: list[int]
    rho: list[float]
    coefficients: Floats
    vectors: Floats


class SvmCard(Settings):
    """Everything that prediction needs beside the LIBSVM model of a fold (see ``svm.SvmResult``)."""

    features: list[str]
    mean: list[float]
    scale: list[float]
    calibration_coefficients: list[list[float]]
    calibration_intercepts: list[float]


def to_text(model: LibsvmModel) -> str:
    """Write a model as LIBSVM text, readable by ``svm_load_model`` and by every tool that reads LIBSVM models.

    LIBSVM's own ``svm_save_model`` writes support vectors with 8 digits only; here every number keeps all its digits.
    """
    header = {
        "svm_type": "c_svc",
        "kernel_type": "rbf",
        "gamma": model.gamma,
        "nr_class": len(model.labels),
        "total_sv": len(model.vectors),
        "rho": _numbers(model.rho),
        "label": _numbers(model.labels),
        "nr_sv": _numbers(model.n_support),
    }
    rows = zip(model.coefficients.tolist(), model.vectors.tolist(), strict=True)
    lines = [f"{name} {value}" for name, value in header.items()]
    lines += ["SV", *(f"{_numbers(coefficients)} {_nodes(vector)}" for coefficients, vector in rows)]
    return "\n".join([*lines, ""])


def _nodes(vector: list[float]) -> str:
    return " ".join(f"{index}:{value!r}" for index, value in enumerate(vector, 1))


def _numbers(values: list[Any]) -> str:
    return " ".join(map(repr, values))


def parse_model(text: str, path: Path) -> LibsvmModel:
    """Read a LIBSVM text model.

    Raises:
        InputError: the text is damaged or not a C-SVC with RBF kernel; the message names the file.
    """
    header, _, body = text.partition("\nSV\n")
    fields = dict(line.partition(" ")[::2] for line in header.splitlines())
    if (fields.get("svm_type"), fields.get("kernel_type")) != ("c_svc", "rbf"):
        raise InputError(f"{path}: not a LIBSVM C-SVC with RBF kernel")
    try:
        model = _model(fields, body)
        _check(model)
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
    return model


def _model(fields: dict[str, str], body: str) -> LibsvmModel:
    rows = [line.split() for line in body.splitlines()]
    n_classes, n_support = int(fields["nr_class"]), [int(number) for number in fields["nr_sv"].split()]
    if not body.endswith("\n") or len(rows) != sum(n_support) or len(rows) != int(fields["total_sv"]):
        raise ValueError("truncated")
    return LibsvmModel(
        gamma=float(fields["gamma"]),
        labels=[int(label) for label in fields["label"].split()],
        n_support=n_support,
        rho=[float(value) for value in fields["rho"].split()],
        coefficients=np.array([row[: n_classes - 1] for row in rows], dtype=np.float64),
        vectors=_dense([[node.split(":") for node in row[n_classes - 1 :]] for row in rows]),
    )


def _check(model: LibsvmModel) -> None:
    n_classes = model.coefficients.shape[1] + 1
    n_pairs = n_classes * (n_classes - 1) // 2
    if [len(model.labels), len(model.n_support), len(model.rho)] != [n_classes, n_classes, n_pairs]:
        raise ValueError("labels, numbers of vectors and rho do not fit the number of classes")
    if not all(np.isfinite(values).all() for values in (model.gamma, model.rho, model.coefficients, model.vectors)):
        raise ValueError("a number is not finite")


def _dense(nodes: list[list[list[str]]]) -> Floats:
    """Support vectors of shape (n, n_features) from the pairs of index and value that LIBSVM writes; it omits zeros."""
    indices = [[int(index) for index, _ in row] for row in nodes]
    if not all(0 < index <= MAX_FEATURES for row in indices for index in row):  # a larger index would fill the memory
        raise ValueError(f"a feature's index is not from 1 to {MAX_FEATURES}")
    vectors = np.zeros((len(nodes), max(index for row in indices for index in row)))
    for vector, places, row in zip(vectors, indices, nodes, strict=True):
        vector[np.array(places, np.int64) - 1] = [float(value) for _, value in row]
    return vectors


def read_card(path: Path) -> SvmCard:
    """Read the card of an SVM.

    Raises:
        InputError: the file is missing or damaged; the message names the file and the field.
    """
    try:
        return SvmCard.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = "".join(f"{key}: " for key in fault["loc"])
        raise InputError(f"{path}: {where}{fault['msg']}; delete it and run `dvc repro`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
