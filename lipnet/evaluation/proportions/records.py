"""The correction of a classifier as a record: stage proportions writes it, and it travels with exported models.

The record is untrusted input when it is read.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from lipnet.core.errors import InputError
from lipnet.core.settings import Name, Settings
from lipnet.evaluation.predictions import Predictions
from lipnet.evaluation.proportions import mismatch
from lipnet.evaluation.proportions.corrections import Correction, Fitted

Floats = NDArray[np.float64]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

DIGITS = 7  # of stored numbers; further digits differ between processors
MAX_BYTES = 2**27  # limit of the file size; 100 replicates of 12 classes take 60 kB


class Record(Settings):
    """A correction, and what samples of mixed training classes look like.

    Attributes:
        format: version of this record.
        classes: the K class names.
        temperature: of every fit, shape (R + 1,).
        bias: shape (R + 1, K).
        prior: shape (R + 1, K).
        deviations: shape (n_folds, 1 + K).
        confusion: shape (K, K).
        mean_scores: shape (K, K).
        confidence: level of the intervals that the run measured.
        widening: of the correction, shape (K,).
        bins: of ``mismatch.class_bins``, shape (K, number of bins).
        usual: of ``mismatch.usual_misfits``.
    """

    format: Literal[1] = 1
    classes: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(min_length=2)
    temperature: list[Positive] = Field(min_length=2)
    bias: list[list[Number]]
    prior: list[list[Positive]]
    deviations: list[list[Number]] = Field(min_length=1)
    confusion: list[list[Annotated[Number, Field(ge=0)]]]
    mean_scores: list[list[Share]]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    widening: list[Positive]
    bins: list[list[Share]]
    usual: list[Share]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        n, n_fits = len(self.classes), len(self.temperature)
        shapes = {
            "bias": (n_fits, n),
            "prior": (n_fits, n),
            "deviations": (len(self.deviations), 1 + n),
            "confusion": (n, n),
            "mean_scores": (n, n),
            "bins": (n, n * (len(mismatch.EDGES) + 1)),
        }
        for name, (rows, columns) in shapes.items():
            table = getattr(self, name)
            if len(table) != rows or any(len(row) != columns for row in table):
                raise ValueError(f"{name} needs {rows} rows of {columns} numbers")
        if len(self.widening) != n or len(self.usual) != len(mismatch.SIZES):
            raise ValueError("widening or usual has too few or too many numbers")
        return self

    @property
    def correction(self) -> Correction:
        """The correction."""
        fitted = Fitted(*(np.array(getattr(self, name)) for name in Fitted._fields))
        tables = np.array(self.confusion), np.array(self.mean_scores)
        return Correction(self.classes, fitted, *tables, np.array(self.widening))

    def misfit(self, probabilities: Floats) -> tuple[float, float]:
        """Misfit of a sample from the best mixture of the training classes, and the largest usual one.

        Args:
            probabilities: of the classifier, shape (n, K).
        """
        bins = mismatch.bins_of(probabilities, self.correction)
        return mismatch.misfit(bins, np.array(self.bins)), mismatch.limit(len(bins), np.array(self.usual))


def record_of(
    predictions: Predictions,
    groups: NDArray[np.int64],
    correction: Correction,
    confidence: float,
    rng: np.random.Generator,
) -> Record:
    """The record of a correction that was learnt from all out-of-fold predictions of a classifier.

    Args:
        predictions: of the classifier.
        groups: of ``bootstrap.groups_of``, shape (n_rows,).
        correction: of the classifier.
        confidence: level of the intervals.
        rng: source of the draws.
    """
    rows = np.ones(len(predictions.true), np.bool_)
    bins = mismatch.class_bins(
        mismatch.bins_of(predictions.probabilities, correction), predictions.true, len(predictions.classes)
    )
    return Record(
        classes=predictions.classes,
        **{name: _rounded(values) for name, values in correction.fitted._asdict().items()},
        confusion=_rounded(correction.confusion),
        mean_scores=_rounded(correction.mean_scores),
        confidence=confidence,
        widening=_rounded(correction.widening),
        bins=_rounded(bins),
        usual=_rounded(mismatch.usual_misfits(predictions, groups, rows, correction, rng)),
    )


def read(path: Path) -> dict[str, Record]:
    """The records of all classifiers, by name.

    Raises:
        InputError: the file is missing or damaged; the message names it.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES} bytes; run `dvc repro` and export the run again")
        return TypeAdapter(dict[Name, Record]).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = "".join(f"{key}: " for key in fault["loc"])
        raise InputError(f"{path}: {where}{fault['msg']}; run `dvc repro` and export the run again") from None


def _rounded(values: Floats) -> Any:
    return np.vectorize(lambda value: float(f"{value:.{DIGITS}g}"))(values).tolist()
