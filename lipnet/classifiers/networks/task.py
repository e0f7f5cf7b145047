"""Input and output of training the active network on one fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers import precision
from lipnet.classifiers.networks.prediction import NO_FEATURES
from lipnet.classifiers.networks.settings import NetworkSettings, TrainingSettings
from lipnet.classifiers.task import FoldTask
from lipnet.core.settings import parse, pick, seed_of
from lipnet.evaluation.predictions import FoldOutput
from lipnet.samples.augment import AugmentSettings
from lipnet.samples.balance import TrainingSet
from lipnet.samples.tables import Fold, Particles


class Head(NamedTuple):
    """Features of all particles that an SVM uses beside the embedding.

    Attributes:
        features: shape (n, n_features); n_features may be 0.
        names: of the features.
    """

    features: NDArray[np.float64]
    names: list[str]


class Progress(NamedTuple):
    """State of training after an epoch.

    Attributes:
        fold: number of the fold over all repeats.
        phase: "choosing epochs" or "training".
        epoch: number of epochs done in this phase.
        epochs: number of epochs of this phase; the maximum while choosing epochs.
        loss: mean training loss of the epoch.
        accuracy: training accuracy of the epoch, weighted by the sample weights.
    """

    fold: int
    phase: str
    epoch: int
    epochs: int
    loss: float
    accuracy: float


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class NetworkTask(FoldTask):
    """Input of training a network on one fold; picklable.

    Attributes:
        fold: number of the fold over all repeats; part of every seed.
        images: crops of all particles, shape (n, size_px, size_px) or (n, size_px, size_px, n_channels), uint8.
        training_set: the balanced training set.
        network: row of the table of networks.
        training: how to train; its precision is never ``auto``.
        augment: augmentation policy.
        report: called after every epoch.
        features: of all particles to join to the images, shape (n, n_features); NO_FEATURES to join none.
        feature_names: of these features, for messages.
        heads: SVMs to train on the embedding, by name.
        checkpoint: path of the checkpoints, without a suffix; None to write none.
    """

    fold: int
    images: NDArray[np.uint8]
    training_set: TrainingSet
    network: NetworkSettings
    training: TrainingSettings
    augment: AugmentSettings
    report: Report
    features: NDArray[np.float64] = field(default_factory=lambda: NO_FEATURES)
    feature_names: Sequence[str] = ()
    heads: dict[str, Head] = field(default_factory=dict)
    checkpoint: Path | None = None

    @property
    def is_stacked(self) -> bool:
        """Whether it is trained in one program with others."""
        return self.training.engine == "vectorised"


@dataclass(frozen=True)
class NetworkResult:
    """Output of training a network on one fold.

    Attributes:
        weights: content of a ``.weights.h5`` file.
        architecture: content of the architecture JSON file.
        output: of the network, for the test rows.
        others: outputs of classifiers that use the same network, by name: its views, and the SVMs on its embedding.
        history: one record per epoch: fold, phase, epoch, loss, accuracy, validation_loss (while choosing epochs), and
            precision_bits (16 for bfloat16, 32 for float32).
    """

    weights: bytes
    architecture: str
    output: FoldOutput
    others: dict[str, FoldOutput]
    history: list[dict[str, Any]]


def network_of(params: dict[str, Any]) -> NetworkSettings:
    """The row of the active network."""
    model = pick(params, "model")
    return parse(NetworkSettings, pick(params, "networks", model), f"networks.{model}")


def task_of(
    params: dict[str, Any],
    data: Particles,
    fold: Fold,
    images: NDArray[np.uint8],
    training_set: TrainingSet,
    report: Report,
) -> NetworkTask:
    """The task of training the active network on one fold.

    Raises:
        InputError: params.yaml is not valid.
    """
    training = parse(TrainingSettings, pick(params, "train_cnn"), "train_cnn")
    training = training.model_copy(update={"precision": precision.chosen(training.precision)})
    features, columns = data.values(training.join.features)
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
        features=features,
        feature_names=columns,
        heads={name: Head(*data.values(names)) for name, names in training.heads.svms.items()},
    )
