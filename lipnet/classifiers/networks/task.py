"""What training the active network on one fold needs, from params.yaml."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.architecture import NetworkSettings
from lipnet.classifiers.networks.training import Head, NetworkTask, Report, TrainingSettings
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick, seed_of
from lipnet.samples import balance
from lipnet.samples.augment import AugmentSettings
from lipnet.samples.tables import Fold, Particles

NETWORK = "cnn"  # the classifier's name


def network_of(params: dict[str, Any]) -> NetworkSettings:
    """The row of the active network."""
    model = pick(params, "model")
    return parse(NetworkSettings, pick(params, "networks", model), f"networks.{model}")


def task_of(
    params: dict[str, Any],
    data: Particles,
    fold: Fold,
    images: NDArray[np.uint8],
    training_set: balance.TrainingSet,
    report: Report,
) -> NetworkTask:
    """What training the active network on one fold needs.

    Raises:
        InputError: params.yaml is not valid.
    """
    training = _training_of(params)
    return NetworkTask(
        fold=fold.number,
        images=images,
        labels=data.labels,
        groups=data.groups,
        train=fold.train,
        test=fold.test,
        training_set=training_set,
        network=network_of(params),
        training=training,
        augment=parse(AugmentSettings, pick(params, "augment"), "augment"),
        seed=seed_of(params),
        report=report,
        features=data.values(training.join.features)[0],
        heads={name: Head(*data.values(names)) for name, names in training.heads.svms.items()},
    )


def _training_of(params: dict[str, Any]) -> TrainingSettings:
    training = parse(TrainingSettings, pick(params, "train_cnn"), "train_cnn")
    if training.loss.kind == "logit_adjusted" and training.label_smoothing:
        raise InputError(
            "params.yaml: train_cnn.loss.kind logit_adjusted needs train_cnn.label_smoothing 0: smoothing gives every "
            "class the same part of each label, which this loss takes for evidence of the rare ones"
        )
    return training
