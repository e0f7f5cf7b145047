"""What a finished run of the pipeline left on disk for one problem, read for those who pass it on."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.classifiers.networks.losses import LossSettings, stated_prior
from lipnet.core import dvc_lock, files
from lipnet.core.errors import InputError
from lipnet.core.problems import classes_of, encode
from lipnet.core.recipes import with_recipe
from lipnet.core.settings import parse, pick, read_params
from lipnet.deployment.model_files import Provenance
from lipnet.evaluation import prediction_files
from lipnet.evaluation.predictions import Predictions
from lipnet.samples import balance, particles
from lipnet.samples.particles import Grey, Mask

LIBRARIES = ("keras", "numpy", "onnx", "scikit-learn", "tensorflow", "tf2onnx")


@dataclass(frozen=True)
class Run:
    """The outputs of one problem.

    Attributes:
        problem: its name.
        classes: its K classes.
        params: params.yaml with its recipe.
        models: folder with cnn/ and svm/<name>/.
        table: the particle table, a row a particle.
        training_priors: what balancing gave the network of each fold, shape (n_folds, K); folds count over repeats.
        natural_priors: of the training rows of each fold, shape (n_folds, K).
        counts: what ingest counted.
        metrics: classifier -> measure -> mean and sd over folds.
        provenance: where all this comes from.
    """

    problem: str
    classes: list[str]
    params: dict[str, Any]
    models: Path
    table: pd.DataFrame
    training_priors: NDArray[np.float64]
    natural_priors: NDArray[np.float64]
    counts: dict[str, Any]
    metrics: dict[str, Any]
    provenance: Provenance


@dataclass(frozen=True)
class Evidence:
    """What a report needs beside the run.

    Attributes:
        predictions: classifier -> out-of-fold predictions.
        history: of the learning curves (see plots.learning).
        images: grey levels of each particle, in the order of the particle table.
        masks: their masks.
        corrected: earlier corrections: columns id, before, label.
    """

    predictions: Mapping[str, Predictions]
    history: pd.DataFrame
    images: Sequence[Grey]
    masks: Sequence[Mask]
    corrected: pd.DataFrame


def read_run(root: Path, problem: str) -> Run:
    """Read the run of a problem.

    Args:
        root: the folder that holds params.yaml.
        problem: a problem of the run.

    Raises:
        InputError: the problem is unknown, or a file is missing; the message says which stage writes it.
    """
    params = with_recipe(read_params(root / "params.yaml"))
    classes = classes_of(params, problem)
    table = files.read_table(root / f"data/particles/{problem}.csv")
    labels = encode(table["label"], classes)
    trained = _training_rows(files.read_table(root / f"data/folds/{problem}.csv"))
    training_sets = balance.from_arrays(files.read_arrays(root / f"data/training_sets/{problem}.npz"))
    loss = parse(LossSettings, pick(params, "train_cnn", "loss"), "train_cnn.loss")
    metrics = read_json(root / "metrics/metrics.json")
    if problem not in metrics:
        where = root / "metrics/metrics.json"
        raise InputError(f"{where}: holds nothing of '{problem}'; list it in `problems` and run `dvc repro`")
    return Run(
        problem=problem,
        classes=classes,
        params=params,
        models=root / "data/models" / problem,
        table=table,
        training_priors=np.array([stated_prior(loss, balance.sampled_prior(one, labels)) for one in training_sets]),
        natural_priors=np.array([balance.natural_prior(labels[rows], len(classes)) for rows in trained]),
        counts=read_json(root / f"metrics/ingest/{problem}/counts.json"),
        metrics=metrics[problem],
        provenance=Provenance(
            git_revision=_git_revision(root),
            data_md5=dvc_lock.read_outs(root / "dvc.lock").get(f"data/particles/{problem}.npz"),
            versions={name: version(name) for name in LIBRARIES},
        ),
    )


def read_predictions(root: Path, problem: str) -> dict[str, Predictions]:
    """Out-of-fold predictions of all classifiers and decision rules of a problem, by name.

    Raises:
        InputError: as ``prediction_files.read``.
    """
    return prediction_files.read([root / "data/predictions" / problem, root / "data/decisions" / problem])


def read_evidence(root: Path, problem: str) -> Evidence:
    """What a report needs beside the run.

    Raises:
        InputError: a file is missing or damaged; the message says what to do.
    """
    packed = root / f"data/particles/{problem}.npz"
    stores = [particles.from_arrays(block, str(packed)) for block in files.read_blocks(packed)]
    corrected = root / f"plots/particles/{problem}/corrected_labels.csv"
    none = pd.DataFrame({"id": [], "before": [], "label": []}, dtype=str)
    return Evidence(
        predictions=read_predictions(root, problem),
        history=files.read_table(root / f"plots/learning/{problem}.csv"),
        images=[store.image(index) for store in stores for index in range(len(store))],
        masks=[store.mask(index) for store in stores for index in range(len(store))],
        corrected=files.read_table(corrected) if corrected.exists() else none,  # older runs have no such table
    )


def read_text(path: Path) -> str:
    """A text file that a stage wrote.

    Raises:
        InputError: it is missing or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that a stage wrote.

    Raises:
        InputError: it is missing or damaged.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object; delete it and run `dvc repro`")
    return content


def _training_rows(folds: pd.DataFrame) -> list[NDArray[np.int64]]:
    """Training rows of every fold of every repeat, as the stages after split number them."""
    assignments = folds.drop(columns="id").to_numpy().T
    return [np.flatnonzero(assigned != fold) for assigned in assignments for fold in range(assigned.max() + 1)]


def _git_revision(root: Path) -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git here, or no repository
        return None
