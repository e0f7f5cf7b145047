"""LIBSVM C-SVC with an RBF kernel on particle features, one against one (thesis, sections 4.1 and 8.4)."""

from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lipnet.classifiers.task import FeatureTask
from lipnet.core.seeds import derive
from lipnet.core.settings import Settings, parse, pick, seed_of
from lipnet.evaluation.predictions import FoldOutput
from lipnet.samples import folds
from lipnet.samples.balance import natural_prior
from lipnet.samples.tables import Fold, Particles


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
class SvmTask(FeatureTask):
    """All that one fold needs; picklable.

    Attributes:
        settings: of the SVM.
    """

    settings: SvmSettings


@dataclass(frozen=True)
class SvmResult:
    """What one fold gives.

    Attributes:
        model: content of a LIBSVM text model file.
        card: what else prediction needs: feature names, scaling, calibration; ready for JSON.
        output: predicted classes by LIBSVM's vote, and calibrated probabilities; their argmax may differ from the vote.
    """

    model: str
    card: dict[str, Any]
    output: FoldOutput


def settings_of(params: dict[str, Any]) -> SvmSettings:
    """Section ``train_svm``."""
    return parse(SvmSettings, pick(params, "train_svm"), "train_svm")


def task_of(params: dict[str, Any], name: str, data: Particles, fold: Fold) -> SvmTask:
    """What training one SVM, a row of train_features, on one fold needs."""
    settings = settings_of(params)
    values, columns = data.values(settings.features[name])
    return SvmTask(data.labels, data.groups, fold.train, fold.test, seed_of(params), values, columns, settings)


def train_fold(task: SvmTask) -> SvmResult:
    """Train on one fold's training rows and predict its test rows; scaling and calibration see training rows only.

    LIBSVM's own probabilities (-b 1) draw from an unseeded generator. Here a multinomial logistic regression turns the
    K (K - 1) / 2 pairwise decision values into probabilities; it is fitted on decision values that inner
    cross-validation gave for the training rows, so at their natural class proportions.

    Raises:
        InputError: a feature is not finite.
    """
    task.check_finite()
    scaler = StandardScaler().fit(task.features[task.train])
    x, y = scaler.transform(task.features[task.train]), task.labels[task.train]
    n_classes = int(task.labels.max()) + 1
    calibration = LogisticRegression(max_iter=1000).fit(_inner_decisions(x, y, n_classes, task), y)
    model = fit(x, y, task.settings)
    predicted, decisions = decide(model, scaler.transform(task.features[task.test]), n_classes)
    return SvmResult(
        model=to_text(model),
        card={
            "features": list(task.names),
            "mean": scaler.mean_.tolist(),
            "scale": scaler.scale_.tolist(),
            "calibration_coefficients": calibration.coef_.tolist(),
            "calibration_intercepts": calibration.intercept_.tolist(),
        },
        output=FoldOutput(predicted, calibration.predict_proba(decisions), natural_prior(y, n_classes)),
    )


def fit(x: NDArray[np.float64], y: NDArray[np.int64], settings: SvmSettings) -> SVC:
    """A model of scaled features (n, n_features) and class indices (n,) of at least two classes.

    scikit-learn's SVC is LIBSVM with dense rows and BLAS: the same model as from libsvm-official, sooner
    (benchmarks/svm.py).
    """
    gamma = settings.gamma or 1 / x.shape[1]
    weights = "balanced" if settings.class_weights else None
    shape: Any = {"cache_size": settings.cache_mb, "decision_function_shape": "ovo"}
    return SVC(C=settings.cost, gamma=gamma, class_weight=weights, **shape).fit(x, y)


def decide(model: SVC, x: NDArray[np.float64], n_classes: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class index by vote, shape (n,), and the decision values of all pairs of classes, shape (n, K (K - 1) / 2).

    As in LIBSVM, a positive value is a vote for the first class of a pair, and of classes with equal votes the first
    wins.
    """
    # A pair of which the training rows lacked a class has no decision value: 0 is "undecided".
    decisions = np.zeros((len(x), n_classes * (n_classes - 1) // 2))
    votes = np.zeros((len(x), n_classes), np.int64)
    columns = {pair: column for column, pair in enumerate(combinations(range(n_classes), 2))}
    values = _sign(model) * model.decision_function(x).reshape(len(x), -1)
    for value, (one, other) in zip(values.T, combinations(model.classes_, 2), strict=True):
        decisions[:, columns[one, other]] = value
        votes[np.arange(len(x)), np.where(value > 0, one, other)] += 1
    return votes.argmax(axis=1), decisions


def _sign(model: SVC) -> int:
    return -1 if len(model.classes_) == 2 else 1  # scikit-learn turns the values of two classes round


def _inner_decisions(
    x: NDArray[np.float64], y: NDArray[np.int64], n_classes: int, task: SvmTask
) -> NDArray[np.float64]:
    n_parts, seed = task.settings.calibration_folds, derive("calibration", task.seed)
    decisions = np.zeros((len(y), n_classes * (n_classes - 1) // 2))
    for inner, held_out in folds.parts(y, task.groups[task.train], n_parts, seed):
        if len(np.unique(y[inner])) > 1:
            _, decisions[held_out] = decide(fit(x[inner], y[inner], task.settings), x[held_out], n_classes)
    return decisions


def to_text(model: SVC) -> str:
    """A LIBSVM text model, as svm_load_model and every tool around LIBSVM read it."""
    head = {
        "svm_type": "c_svc",
        "kernel_type": "rbf",
        "gamma": model.gamma,
        "nr_class": len(model.classes_),
        "total_sv": len(model.support_),
        "rho": _numbers(-_sign(model) * model.intercept_),
        "label": _numbers(model.classes_),
        "nr_sv": _numbers(model.n_support_),
    }
    coefficients = map(_numbers, _sign(model) * model.dual_coef_.T)
    vectors = map(_nodes, model.support_vectors_)
    lines = [f"{name} {value}" for name, value in head.items()]
    lines += ["SV", *(f"{one} {other}" for one, other in zip(coefficients, vectors, strict=True))]
    return "\n".join([*lines, ""])


def _nodes(vector: NDArray[np.float64]) -> str:
    return " ".join(f"{number}:{value!r}" for number, value in enumerate(vector.tolist(), 1))


def _numbers(values: NDArray[Any]) -> str:
    return " ".join(map(repr, values.tolist()))
