"""Read what a finished run of the pipeline wrote for one problem: the input of export, explanation and report."""

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

from lipnet.core import dvc_lock, files
from lipnet.core.errors import InputError
from lipnet.core.recipes import with_recipe
from lipnet.core.settings import read_params
from lipnet.deployment.model_files import NETWORK, Provenance
from lipnet.evaluation import prediction_files
from lipnet.evaluation.predictions import PRIOR, Predictions
from lipnet.samples import particles
from lipnet.samples.balance import natural_prior
from lipnet.samples.particles import Grey, Mask
from lipnet.samples.tables import Fold, read_folds, read_particles

LIBRARIES = ("keras", "numpy", "onnx", "scikit-learn", "tensorflow", "tf2onnx")


@dataclass(frozen=True)
class PipelineRun:
    """The outputs of a finished run of the pipeline for one problem.

    Attributes:
        root: folder of the pipeline.
        problem: name of the problem.
        classes: the K class names.
        params: params.yaml, with its recipe applied.
        models: folder that holds cnn/, svm/<name>/ and trees/<name>/.
        table: the particle table, one row per particle.
        folds: all folds of all repeats.
        training_priors: class shares that the probabilities of the network of each fold are for, shape (n_folds, K);
            folds are counted over all repeats.
        natural_priors: class shares among the training particles of each fold, shape (n_folds, K).
        counts: numbers of particles and groups, as counted by the stage ingest.
        metrics: classifier -> measure -> mean and standard deviation over folds.
        provenance: revision of the code, hash of the data, versions of the libraries.
    """

    root: Path
    problem: str
    classes: list[str]
    params: dict[str, Any]
    models: Path
    table: pd.DataFrame
    folds: Sequence[Fold]
    training_priors: NDArray[np.float64]
    natural_priors: NDArray[np.float64]
    counts: dict[str, Any]
    metrics: dict[str, Any]
    provenance: Provenance


@dataclass(frozen=True)
class Evidence:
    """The inputs of a report that are not part of ``PipelineRun``.

    Attributes:
        predictions: classifier -> out-of-fold predictions.
        history: training history of the network (columns: see ``plots.learning``).
        images: grey levels of each particle, in the order of the particle table.
        masks: mask of each particle, in the same order.
        corrected: labels that were corrected earlier: columns id, before, label.
    """

    predictions: Mapping[str, Predictions]
    history: pd.DataFrame
    images: Sequence[Grey]
    masks: Sequence[Mask]
    corrected: pd.DataFrame


def read_run(root: Path, problem: str) -> PipelineRun:
    """Read the finished run of a problem.

    Args:
        root: the folder that holds params.yaml.
        problem: a problem of the run.

    Raises:
        InputError: the problem is unknown, or a file is missing or damaged; the message names the file.
    """
    params = with_recipe(read_params(root / "params.yaml"))
    data = read_particles(params, problem, root / f"data/particles/{problem}.csv")
    folds = read_folds(root / f"data/folds/{problem}.csv")
    n_classes = len(data.classes)
    metrics = read_json(root / "metrics/metrics.json")
    if problem not in metrics:
        where = root / "metrics/metrics.json"
        raise InputError(f"{where}: no metrics of '{problem}'; list it in `problems` and run `dvc repro`")
    return PipelineRun(
        root=root,
        problem=problem,
        classes=data.classes,
        params=params,
        models=root / "data/models" / problem,
        table=data.table,
        folds=folds,
        training_priors=_training_priors(root / f"data/priors/{problem}/{NETWORK}.csv", folds, data.classes),
        natural_priors=np.array([natural_prior(data.labels[fold.train], n_classes) for fold in folds]),
        counts=read_json(root / f"metrics/ingest/{problem}/counts.json"),
        metrics=metrics[problem],
        provenance=Provenance(
            git_revision=_git_revision(root),
            data_md5=dvc_lock.read_outs(root / "dvc.lock").get(f"data/particles/{problem}.npz"),
            versions={name: version(name) for name in LIBRARIES},
        ),
    )


def _training_priors(path: Path, folds: Sequence[Fold], classes: Sequence[str]) -> NDArray[np.float64]:
    """Training priors of the network, shape (n_folds, K), from the table that the stage train_cnn wrote."""
    columns = [PRIOR + name for name in classes]
    table = files.read_table(path)
    missing = [name for name in ("classifier", "repeat", "fold", *columns) if name not in table]
    if missing:
        raise InputError(f"{path}: column {missing[0]} is missing; run `dvc repro`")
    network = table[table["classifier"] == NETWORK].set_index(["repeat", "fold"])
    places = [(fold.repeat, fold.fold) for fold in folds]
    if sorted(network.index) != places:
        raise InputError(f"{path}: the priors of '{NETWORK}' are not those of the folds of the run; run `dvc repro`")
    return network.sort_index()[columns].to_numpy(dtype=np.float64)


def read_scores(run: PipelineRun) -> pd.DataFrame:
    """Every measure of every classifier in every fold, as ``metrics.fold_table`` with a column classifier.

    Raises:
        InputError: the table is missing or damaged, or lacks the problem.
    """
    path = run.root / "metrics/per_fold.csv"
    table = files.read_table(path)
    own = table[table["problem"] == run.problem] if "problem" in table else table[:0]
    if not len(own):
        raise InputError(f"{path}: no scores of '{run.problem}'; list it in `problems` and run `dvc repro`")
    return own.drop(columns="problem")


def read_predictions(root: Path, problem: str) -> dict[str, Predictions]:
    """Out-of-fold predictions of all classifiers and decision rules of a problem, by name.

    Raises:
        InputError: as for ``prediction_files.read``.
    """
    return prediction_files.read([root / "data/predictions" / problem, root / "data/decisions" / problem])


def read_evidence(root: Path, problem: str) -> Evidence:
    """Read the inputs of a report that are not part of ``PipelineRun``.

    Raises:
        InputError: a file is missing or damaged; the message says what to do.
    """
    packed = root / f"data/particles/{problem}.npz"
    stores = [particles.from_arrays(block, str(packed)) for block in files.read_blocks(packed)]
    corrected = root / f"plots/particles/{problem}/corrected_labels.csv"
    no_corrections = pd.DataFrame({"id": [], "before": [], "label": []}, dtype=str)  # older runs lack the table
    return Evidence(
        predictions=read_predictions(root, problem),
        history=files.read_table(root / f"data/history/{problem}.csv"),
        images=[store.image(index) for store in stores for index in range(len(store))],
        masks=[store.mask(index) for store in stores for index in range(len(store))],
        corrected=files.read_table(corrected) if corrected.exists() else no_corrections,
    )


def read_text(path: Path) -> str:
    """Content of a text file that a stage wrote.

    Raises:
        InputError: the file is missing or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file that a stage wrote, which must hold an object.

    Raises:
        InputError: the file is missing or damaged.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object; delete it and run `dvc repro`")
    return content


def _git_revision(root: Path) -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git here, or no repository
        return None
