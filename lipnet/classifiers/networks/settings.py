"""The networks and their training: rows of ``networks`` and section ``train_cnn`` of params.yaml; without Keras."""

from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator

from lipnet.classifiers.svm import Library, SvmName, SvmSettings
from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.samples.buckets import STEP_PX

NETWORK = "cnn"  # classifier: the network
VIEWS = "cnn_views"  # classifier: mean of the network's probabilities over the eight views of a square
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # train_cnn.precision -> dtype policy of Keras


class NetworkSettings(Settings):
    """One row of the table ``networks``.

    Attributes:
        size_px: side of the square input; with buckets, side of the largest input.
        blocks: channels of the 3 x 3 convolutions, block by block.
        halve: how each block halves the side: at its end by 2 x 2 max-pooling (``pool``) or a 3 x 3 convolution of
            stride 2 (``stride``; Springenberg et al. 2015); or at its ``entry``, where the first convolution of every
            block except the first block has stride 2 (He et al. 2016).
        top: ``dense`` flattens into one hidden layer; ``average`` is a 1 x 1 convolution to K channels, averaged;
            ``masked`` averages over the particle mask only, and black pixels are masked in every layer.
        dense_units: width of that hidden layer; for the top ``dense`` only.
        residual: a shortcut connection adds the input of every two convolutions to their output (He et al. 2016).
        stem: channels of one more convolution before the blocks; None for no such convolution.
        batch_norm: use batch normalisation even if ``train_cnn.regularisation`` does not.
        buckets_px: sides of smaller inputs. A particle is cut to the smallest side that holds it (``buckets``), which
            saves computation for small particles. The prediction of a particle does not depend on the side.
    """

    size_px: int = Field(ge=4)
    blocks: list[Annotated[list[PositiveInt], Field(min_length=1)]] = Field(min_length=1)
    halve: Literal["pool", "stride", "entry"]
    top: Literal["dense", "average", "masked"]
    dense_units: PositiveInt | None = None
    residual: bool = False
    stem: PositiveInt | None = None
    batch_norm: bool = False
    buckets_px: list[PositiveInt] = Field(default=[])

    @property
    def n_halvings(self) -> int:
        """Number of halvings of the side."""
        return len(self.blocks) - (self.halve == "entry")

    @property
    def sides_px(self) -> list[int]:
        """Sides of all inputs, ascending."""
        return [*self.buckets_px, self.size_px]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        least = 2**self.n_halvings
        if self.size_px < least:
            raise ValueError(f"{len(self.blocks)} blocks halve the side to nothing; size_px must be at least {least}")
        if (self.top == "dense") != (self.dense_units is not None):
            raise ValueError("dense_units is needed with top: dense, and not allowed with another top")
        if self.residual and any(len(channels) % 2 for channels in self.blocks):
            raise ValueError("residual connects pairs of convolutions; give every block an even number of convolutions")
        if self.buckets_px:
            self._check_buckets()
        return self

    def _check_buckets(self) -> None:
        if self.top != "masked":
            raise ValueError("buckets_px needs top: masked, which ignores padding")
        if any(one >= other for one, other in pairwise(self.sides_px)):
            raise ValueError("buckets_px must ascend and be smaller than size_px")
        # A cut from the middle of a field removes the same width at all edges, so every halving meets the same pixels.
        if any(side % STEP_PX for side in self.sides_px) or 2 * 2**self.n_halvings > STEP_PX:
            raise ValueError(f"with buckets_px all sides are multiples of {STEP_PX} and halved three times at most")


class RegularisationSettings(Settings):
    """Section ``train_cnn.regularisation`` of params.yaml (thesis, section 5)."""

    dropout_block: float = Field(ge=0, lt=1)
    dropout_dense: float = Field(ge=0, lt=1)
    dropout_decay: float = Field(gt=0, le=1)
    weight_decay: float = Field(ge=0)
    batch_norm: bool


class LossSettings(Settings):
    """Section ``train_cnn.loss`` of params.yaml."""

    kind: Literal["cross_entropy", "focal", "logit_adjusted"]
    focal_gamma: float = Field(ge=0)
    logit_strength: float = Field(ge=0, le=1)


class OptimiserSettings(Settings):
    """Section ``train_cnn.optimiser`` of params.yaml (thesis, section 4.5)."""

    name: Literal["adam", "sgd"]
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine", "step"]
    step_factor: float = Field(gt=0, le=1)
    momentum: float = Field(ge=0, lt=1)


class BudgetSettings(Settings):
    """Section ``train_cnn.epochs.budget`` of params.yaml: optimiser steps to train for, in whole epochs.

    Attributes:
        steps: as many epochs as are needed for at least this many steps.
        least: minimum number of epochs.
        most: maximum number of epochs.
    """

    steps: int = Field(ge=1)
    least: int = Field(ge=1)
    most: int = Field(ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"least ({self.least}) must not exceed most ({self.most})")
        return self

    def epochs(self, steps_per_epoch: int) -> int:
        """Number of epochs for this many steps in each."""
        return min(max(-(-self.steps // steps_per_epoch), self.least), self.most)


class EpochSettings(Settings):
    """Section ``train_cnn.epochs`` of params.yaml (thesis, section 5.4)."""

    choose: Literal["budget", "fixed", "early_stopping"]
    budget: BudgetSettings
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
    precision: Literal["float32", "bfloat16", "auto"]
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
    engine: Literal["processes", "vectorised"]
    most_networks: int | None = Field(ge=1)

    @field_validator("loss")
    @classmethod
    def _without_label_smoothing(cls, loss: LossSettings, others: ValidationInfo) -> LossSettings:
        if loss.kind == "logit_adjusted" and others.data.get("label_smoothing"):
            raise ValueError(
                "train_cnn.loss.kind logit_adjusted needs train_cnn.label_smoothing 0: smoothing gives every class the "
                "same part of each label, which this loss mistakes for evidence of rare classes"
            )
        return loss


def check_engine(network: NetworkSettings, training: TrainingSettings) -> None:
    """Check that the engine can train this network.

    Raises:
        InputError: it cannot.
    """
    if training.engine == "vectorised" and network.buckets_px:
        raise InputError(
            "train_cnn.engine vectorised trains on images of one side only, and this network has buckets_px; use "
            "engine processes or another model"
        )


def learning_rate(settings: OptimiserSettings, epoch: int, epochs: int) -> float:
    """Learning rate of an epoch, counted from 0: constant, along half a cosine, or in steps at 1/2 and 3/4 of all."""
    if settings.schedule == "cosine":
        return settings.learning_rate * (1 + np.cos(np.pi * epoch / epochs)) / 2
    if settings.schedule == "step":
        return settings.learning_rate * settings.step_factor ** ((epoch >= epochs / 2) + (epoch >= 3 * epochs / 4))
    return settings.learning_rate
