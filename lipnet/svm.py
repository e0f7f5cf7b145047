"""LIBSVM C-SVC with an RBF kernel on particle features, one against one (thesis, sections 4.1 and 8.4)."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from libsvm import svmutil
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from lipnet.errors import InputError
from lipnet.seeds import derive
from lipnet.settings import Settings


def _not_the_network(name: str) -> str:
    if name == "cnn":
        raise ValueError("that is the network's name")
    return name


# A name becomes a file name and a key of the metrics.
SvmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$"), AfterValidator(_not_the_network)]


class SvmSettings(Settings):
    """Section ``train_svm`` of params.yaml."""

    features: dict[SvmName, Annotated[list[str], Field(min_length=1)]] = Field(min_length=1)
    cost: float = Field(gt=0)
    gamma: float | None = Field(gt=0)
    class_weights: bool
    calibration_folds: int = Field(ge=2)
    cache_mb: int = Field(ge=1)


@dataclass(frozen=True)
class SvmTask:
    """All that one fold needs; picklable.

    Attributes:
        features: of all particles, shape (n, n_features).
        names: of the features, for messages and for the model's card.
        labels: class index of every particle, shape (n,).
        groups: group index of every particle, shape (n,).
        train: training rows, shape (n_train,).
        test: test rows, shape (n_test,).
        settings: of the SVM.
        seed: of the inner folds.
    """

    features: NDArray[np.float64]
    names: Sequence[str]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    settings: SvmSettings
    seed: int


@dataclass(frozen=True)
class SvmResult:
    """What one fold gives.

    Attributes:
        model: content of a LIBSVM text model file.
        card: what else prediction needs: feature names, scaling, calibration; ready for JSON.
        predicted: class index by LIBSVM's vote for each test row, shape (n_test,).
        probabilities: calibrated, shape (n_test, K); their argmax may differ from the vote.
    """

    model: str
    card: dict[str, Any]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def train_fold(task: SvmTask) -> SvmResult:
    """Train on one fold's training rows and predict its test rows; scaling and calibration see training rows only.

    LIBSVM's own probabilities (-b 1) draw from an unseeded generator. Here a multinomial logistic regression turns the
    K (K - 1) / 2 pairwise decision values into probabilities; it is fitted on decision values that inner
    cross-validation gave for the training rows, so at their natural class proportions.

    Raises:
        InputError: a feature is not finite.
    """
    _check_finite(task)
    scaler = StandardScaler().fit(task.features[task.train])
    x, y = scaler.transform(task.features[task.train]), task.labels[task.train]
    n_classes = int(task.labels.max()) + 1
    calibration = LogisticRegression(max_iter=1000).fit(_inner_decisions(x, y, n_classes, task), y)
    model = fit(x, y, task.settings)
    predicted, decisions = decide(model, scaler.transform(task.features[task.test]), n_classes)
    return SvmResult(
        model=_to_text(model),
        card={
            "features": list(task.names),
            "mean": scaler.mean_.tolist(),
            "scale": scaler.scale_.tolist(),
            "calibration_coefficients": calibration.coef_.tolist(),
            "calibration_intercepts": calibration.intercept_.tolist(),
        },
        predicted=predicted,
        probabilities=calibration.predict_proba(decisions),
    )


def _check_finite(task: SvmTask) -> None:
    bad = np.flatnonzero(~np.isfinite(task.features).all(axis=0))
    if len(bad):
        names = ", ".join(task.names[int(column)] for column in bad)
        raise InputError(f"feature {names}: has NaN or infinite values; LIBSVM would accept them without a word")


def fit(x: NDArray[np.float64], y: NDArray[np.int64], settings: SvmSettings) -> Any:
    """A LIBSVM model of scaled features (n, n_features) and class indices (n,)."""
    order = np.argsort(y, kind="stable")  # LIBSVM numbers classes by first appearance
    gamma = settings.gamma or 1 / x.shape[1]
    options = f"-s 0 -t 2 -c {settings.cost} -g {gamma} -m {settings.cache_mb} -q"
    if settings.class_weights:
        counts = np.bincount(y)
        weights = {label: len(y) / (np.count_nonzero(counts) * counts[label]) for label in np.unique(y)}
        options += "".join(f" -w{label} {weight}" for label, weight in weights.items())
    return svmutil.svm_train(y[order].astype(np.float64), x[order], options)


def decide(model: Any, x: NDArray[np.float64], n_classes: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class index by vote, shape (n,), and the decision values of all pairs of classes, shape (n, K (K - 1) / 2)."""
    votes, _, values = svmutil.svm_predict(np.zeros(len(x)), x, model, "-q")
    labels = model.get_labels()
    found = {(a, b): column for column, (a, b) in enumerate(_pairs(labels))}
    # A pair of which the training rows lacked a class has no decision value: 0 is "undecided".
    decisions = np.zeros((len(x), n_classes * (n_classes - 1) // 2))
    for column, pair in enumerate(_pairs(list(range(n_classes)))):
        if pair in found:
            decisions[:, column] = np.asarray(values)[:, found[pair]]
    return np.asarray(votes).astype(np.int64), decisions


def _pairs(labels: list[int]) -> list[tuple[int, int]]:
    return [(a, b) for position, a in enumerate(labels) for b in labels[position + 1 :]]


def _inner_decisions(
    x: NDArray[np.float64], y: NDArray[np.int64], n_classes: int, task: SvmTask
) -> NDArray[np.float64]:
    groups = task.groups[task.train]
    if len(np.unique(groups)) == 1:  # nothing can be kept apart, so rows are
        groups = np.arange(len(groups))
    n_splits = min(task.settings.calibration_folds, len(np.unique(groups)))
    splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=derive("calibration", task.seed))
    decisions = np.empty((len(y), n_classes * (n_classes - 1) // 2))
    for inner, held_out in splitter.split(x, y, groups):
        _, decisions[held_out] = decide(fit(x[inner], y[inner], task.settings), x[held_out], n_classes)
    return decisions


def _to_text(model: Any) -> str:
    # LIBSVM writes models to files only.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fold.svm"
        svmutil.svm_save_model(str(path), model)
        return path.read_text(encoding="ascii")
