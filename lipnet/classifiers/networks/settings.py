"""How to train a network: section ``train_cnn`` of params.yaml."""

from typing import Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from lipnet.classifiers.networks.architecture import RegularisationSettings
from lipnet.classifiers.networks.losses import LossSettings
from lipnet.classifiers.svm import Library, SvmName, SvmSettings
from lipnet.core.settings import Settings

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # train_cnn.precision -> dtype policy of Keras


class OptimiserSettings(Settings):
    """Section ``train_cnn.optimiser`` of params.yaml (thesis, section 4.5)."""

    name: Literal["adam", "sgd"]
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine", "step"]
    step_factor: float = Field(gt=0, le=1)
    momentum: float = Field(ge=0, lt=1)


class EpochSettings(Settings):
    """Section ``train_cnn.epochs`` of params.yaml (thesis, section 5.4)."""

    choose: Literal["fixed", "early_stopping"]
    fixed: int = Field(ge=1)
    most: int = Field(ge=1)
    patience: int = Field(ge=1)
    validation_parts: int = Field(ge=2)


class JoinSettings(Settings):
    """Section ``train_cnn.join`` of params.yaml: particle features as a second input (thesis, section 12)."""

    features: list[str]
    units: int = Field(ge=1)


class HeadSettings(Settings):
    """Section ``train_cnn.heads`` of params.yaml: SVMs on the embedding and on features; keys as in ``train_svm``."""

    svms: dict[SvmName, list[str]]
    library: Library
    cost: float = Field(gt=0)
    gamma: float | None = Field(gt=0)
    class_weights: bool
    calibration_folds: int = Field(ge=2)
    cache_mb: int = Field(ge=1)

    def of_svm(self) -> SvmSettings:
        """The settings that all these SVMs share."""
        return SvmSettings(features={"embedding": ["embedding"]}, **self.model_dump(exclude={"svms"}))


class TrainingSettings(Settings):
    """Section ``train_cnn`` of params.yaml."""

    batch_size: int = Field(ge=1)
    precision: Literal["float32", "bfloat16"]
    mid_grey: float = Field(ge=0, le=1)
    label_smoothing: float = Field(ge=0, lt=1)
    loss: LossSettings
    mixup: float = Field(ge=0)
    optimiser: OptimiserSettings
    average_epochs: int = Field(ge=0)
    epochs: EpochSettings
    regularisation: RegularisationSettings
    join: JoinSettings
    views: bool
    heads: HeadSettings
    threads_per_fold: int = Field(ge=1)

    @field_validator("loss")
    @classmethod
    def _without_label_smoothing(cls, loss: LossSettings, others: ValidationInfo) -> LossSettings:
        if loss.kind == "logit_adjusted" and others.data.get("label_smoothing"):
            raise ValueError(
                "train_cnn.loss.kind logit_adjusted needs train_cnn.label_smoothing 0: smoothing gives every class the "
                "same part of each label, which this loss mistakes for evidence of rare classes"
            )
        return loss


def learning_rate(settings: OptimiserSettings, epoch: int, epochs: int) -> float:
    """Learning rate of an epoch, counted from 0: constant, along half a cosine, or in steps at 1/2 and 3/4 of all."""
    if settings.schedule == "cosine":
        return settings.learning_rate * (1 + np.cos(np.pi * epoch / epochs)) / 2
    if settings.schedule == "step":
        return settings.learning_rate * settings.step_factor ** ((epoch >= epochs / 2) + (epoch >= 3 * epochs / 4))
    return settings.learning_rate
