"""Classifiers that use a trained network: the mean over views, and SVMs on its embedding."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers import svm
from lipnet.classifiers.networks.losses import stated_prior
from lipnet.classifiers.networks.prediction import embed, features_of, predict_views
from lipnet.classifiers.networks.settings import VIEWS
from lipnet.classifiers.networks.task import NetworkTask
from lipnet.classifiers.svm import SvmTask
from lipnet.evaluation.predictions import FoldOutput
from lipnet.samples.balance import sampled_prior

if TYPE_CHECKING:
    import keras


def network_output(task: NetworkTask, probabilities: NDArray[np.float64]) -> FoldOutput:
    """Output of the network for these probabilities of the test rows, shape (n_test, K)."""
    prior = stated_prior(task.training.loss, sampled_prior(task.training_set, task.labels))
    return FoldOutput(probabilities.argmax(axis=1), probabilities, prior, task.training.label_smoothing)


def other_outputs(model: "keras.Model", task: NetworkTask) -> dict[str, FoldOutput]:
    """Outputs of the views, if the settings ask for them, and of the SVMs on the embedding, by classifier."""
    outputs = dict[str, FoldOutput]()
    if task.training.views:
        features = features_of(task.features, task.test)
        outputs[VIEWS] = network_output(task, predict_views(model, task.images[task.test], features))
    return outputs | _head_outputs(model, task)


def _head_outputs(model: "keras.Model", task: NetworkTask) -> dict[str, FoldOutput]:
    if not task.heads:
        return {}
    embedding, settings = embed(model, task.images, task.features), task.training.heads.of_svm()
    units = [f"embedding_{unit:03d}" for unit in range(embedding.shape[1])]
    # The network and the SVMs are trained on the training rows only; the test rows are new to both.
    train, outputs = np.unique(task.training_set.rows), {}
    for name, head in task.heads.items():
        values = np.concatenate([embedding, head.features], axis=1)
        rows = (task.labels, task.groups, train, task.test, task.seed)
        task_of_head = SvmTask(*rows, values, units + head.names, settings, "train_cnn.heads.calibration_folds")
        outputs[name] = svm.train_fold(task_of_head).output
    return outputs
