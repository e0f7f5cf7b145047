"""What any classifier needs to be trained on one fold, by its name; for stages that train several kinds of them."""

from typing import Any

import numpy as np

from lipnet import balance, crops, svm
from lipnet.errors import InputError
from lipnet.hog import HogSettings, hog_features
from lipnet.settings import pick, seed_of
from lipnet.training import VIEWS, Output
from lipnet.trials import Task, Trial
from stages.tables import Fold, Particles
from stages.train_cnn import NETWORK, network_of, network_task
from stages.train_svm import settings_of, svm_task
from stages.train_trees import trees_task

HOG = "hog_svm"  # a peer: an SVM on histograms of oriented gradients of the crops


def trained_as(params: dict[str, Any], classifier: str) -> str:
    """The training that a classifier comes from: the network's for all that rests on it, otherwise its own.

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
    """The training that a classifier comes from, on one fold."""
    name = trained_as(params, classifier)
    if name == NETWORK:
        pixels = images[network_of(params).size_px]
        return network_task(params, data, fold, pixels, training_set, _silent)
    if name == HOG:
        return _hog_task(params, data, fold, images)
    return (svm_task if name in pick(params, "train_svm", "features") else trees_task)(params, name, data, fold)


def output_of(trial: Trial, classifier: str) -> Output:
    """What a classifier says, from the trial that it comes from."""
    return trial.others.get(classifier, Output(trial.predicted, trial.probabilities))


def _hog_task(params: dict[str, Any], data: Particles, fold: Fold, images: balance.Images) -> svm.SvmTask:
    values = hog_features(crops.first_channel(images[max(images)]), HogSettings())
    names = [f"hog_{number:04d}" for number in range(values.shape[1])]
    rows = (data.labels, data.groups, fold.train, fold.test)
    return svm.SvmTask(values.astype(np.float64), names, *rows, settings_of(params), seed_of(params))


def _silent(*_: object) -> None:
    """Takes the report of an epoch; who trains many folds shows one bar for all of them instead."""
