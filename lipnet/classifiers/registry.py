"""Train any classifier on one fold, by its name; for stages that train several kinds of classifiers."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lipnet.classifiers import svm, trees
from lipnet.classifiers.hog import HOG, HogSettings, hog_features
from lipnet.classifiers.networks import filters, training, weights
from lipnet.classifiers.networks import task as network
from lipnet.classifiers.networks.settings import NETWORK, VIEWS
from lipnet.classifiers.networks.task import NetworkResult, NetworkTask, Progress
from lipnet.classifiers.svm import SvmTask
from lipnet.classifiers.trees import TreeTask
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.settings import pick, seed_of
from lipnet.evaluation.predictions import FoldOutput
from lipnet.samples import balance, crops
from lipnet.samples.tables import Fold, Particles

N_INSPECTED = 256  # number of training images for finding dead filters
Task = NetworkTask | SvmTask | TreeTask


@dataclass(frozen=True)
class Trial:
    """Result of one training on one test fold.

    Attributes:
        output: of the trained classifier.
        others: outputs of further classifiers of the same training (``NetworkResult.others``), by name.
        dead_filters: number of dead filters of the convolutions (thesis, 5.1); NaN unless a network was trained.
    """

    output: FoldOutput
    others: dict[str, FoldOutput]
    dead_filters: float


def train(task: Task) -> Trial:
    """Train and predict one fold."""
    if isinstance(task, NetworkTask):
        result = training.train_fold(task)
        return Trial(result.output, result.others, _count_dead(task, _rebuilt(result)))
    trained = svm.train_fold(task) if isinstance(task, SvmTask) else trees.train_fold(task)
    return Trial(trained.output, {}, np.nan)


def trial_of(model: Any, task: NetworkTask, history: list[dict[str, Any]]) -> Trial:
    """The trial of a task, from its trained network and its history; as ``training.result_of``."""
    result = training.result_of(model, task, history)
    return Trial(result.output, result.others, _count_dead(task, model))


def _rebuilt(result: NetworkResult) -> Any:
    with TemporaryDirectory() as name:  # Keras reads weights from files only
        architecture, path = Path(name) / "architecture.json", Path(name) / "fold.weights.h5"
        files.write_text(architecture, result.architecture)
        files.write_bytes(path, result.weights)
        return weights.load(architecture, path)


def _count_dead(task: NetworkTask, model: Any) -> float:
    # Evenly spaced rows, as the table may be sorted by class.
    rows = task.train[np.linspace(0, len(task.train) - 1, min(N_INSPECTED, len(task.train))).astype(np.int64)]
    return float(sum(dead.sum() for dead in filters.dead_filters(model, task.images[rows]).values()))


def trained_as(params: dict[str, Any], classifier: str) -> str:
    """The classifier to train for this one: the network for classifiers that use it, otherwise the classifier itself.

    Raises:
        InputError: no such classifier.
    """
    of_network = [NETWORK, VIEWS, *pick(params, "train_cnn", "heads", "svms")]
    others = [*pick(params, "train_svm", "features"), *pick(params, "train_trees", "models"), HOG]
    if classifier not in of_network + others:
        raise InputError(f"no classifier '{classifier}'; there are: {', '.join(of_network + others)}")
    if classifier == VIEWS and not pick(params, "train_cnn", "views"):
        raise InputError(f"'{VIEWS}' needs train_cnn.views: true")
    return NETWORK if classifier in of_network else classifier


def task_of(
    params: dict[str, Any],
    classifier: str,
    data: Particles,
    fold: Fold,
    images: balance.Images,
    training_set: balance.TrainingSet,
) -> Task:
    """The task of training a classifier, or the network that it uses, on one fold.

    Raises:
        InputError: no such classifier, or params.yaml is not valid.
    """
    name = trained_as(params, classifier)
    if name == NETWORK:
        pixels = images[network.network_of(params).size_px]
        return network.task_of(params, data, fold, pixels, training_set, _silent)
    if name == HOG:
        return _hog_task(params, data, fold, images)
    return (svm.task_of if name in pick(params, "train_svm", "features") else trees.task_of)(params, name, data, fold)


def output_of(trial: Trial, classifier: str) -> FoldOutput:
    """The output of a classifier, from the trial that trained it."""
    return trial.others.get(classifier, trial.output)


def _hog_task(params: dict[str, Any], data: Particles, fold: Fold, images: balance.Images) -> SvmTask:
    values = hog_features(crops.first_channel(images[max(images)]), HogSettings())
    names = [f"hog_{number:04d}" for number in range(values.shape[1])]
    rows = (data.labels, data.groups, fold.train, fold.test, seed_of(params))
    return SvmTask(*rows, values.astype(np.float64), names, svm.settings_of(params))


def _silent(_: Progress) -> None:
    """Ignore the progress of an epoch: studies show one progress bar for all folds instead."""
