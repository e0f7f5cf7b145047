"""C-SVC with an RBF kernel on particle features, one against one (thesis, sections 4.1 and 8.4)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from libsvm import svmutil
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from lipnet.classifiers.svm_files import LibsvmModel, to_text
from lipnet.classifiers.task import FeatureTask
from lipnet.core.seeds import derive
from lipnet.core.settings import Name, Settings, parse, pick, seed_of
from lipnet.evaluation.predictions import FoldOutput
from lipnet.samples import folds
from lipnet.samples.balance import natural_prior
from lipnet.samples.tables import Fold, Particles

Floats = NDArray[np.float64]
Library = Literal["libsvm", "scikit-learn"]
PAIRWISE = 20  # most classes whose 190 pairs are calibrated one by one
BLOCK = 256  # rows whose decision values are computed at once for more classes


def _not_the_network(name: str) -> str:
    if name == "cnn":
        raise ValueError("that is the network's name")
    return name


SvmName = Annotated[Name, AfterValidator(_not_the_network)]


class SvmSettings(Settings):
    """Section ``train_svm`` of params.yaml."""

    features: dict[SvmName, Annotated[list[str], Field(min_length=1)]] = Field(min_length=1)
    library: Library
    cost: float = Field(gt=0)
    gamma: float | None = Field(gt=0)
    class_weights: bool
    calibration_folds: int = Field(ge=2)
    cache_mb: int = Field(ge=1)

    def gamma_of(self, n_features: int) -> float:
        """Gamma of the kernel for this number of features."""
        return self.gamma or 1 / n_features


@dataclass(frozen=True)
class SvmTask(FeatureTask):
    """Input of training an SVM on one fold; picklable.

    Attributes:
        settings: of the SVM.
        calibrated_by: the setting that ``settings.calibration_folds`` comes from, for messages.
    """

    settings: SvmSettings
    calibrated_by: str = "train_svm.calibration_folds"


@dataclass(frozen=True)
class SvmResult:
    """Output of training an SVM on one fold.

    Attributes:
        model: content of a LIBSVM text model file.
        card: everything else that prediction needs: feature names, scaling, calibration; ready for JSON.
        output: classes by LIBSVM's vote, and calibrated probabilities; the most probable class may differ from the
            vote.
    """

    model: str
    card: dict[str, Any]
    output: FoldOutput


class Svm(NamedTuple):
    """A trained SVM, whatever library trained it.

    Attributes:
        labels: class indices of the training rows, ascending, shape (K,).
        decision_values: maps scaled features (n, n_features) to the decision values of all pairs of ``labels``,
            shape (n, K (K - 1) / 2); a positive value is a vote for the first class of the pair.
        to_libsvm: returns the model as LIBSVM stores it.
    """

    labels: list[int]
    decision_values: Callable[[Floats], Floats]
    to_libsvm: Callable[[], LibsvmModel]


def settings_of(params: dict[str, Any]) -> SvmSettings:
    """Section ``train_svm``."""
    return parse(SvmSettings, pick(params, "train_svm"), "train_svm")


def task_of(params: dict[str, Any], name: str, data: Particles, fold: Fold) -> SvmTask:
    """The task of training one SVM, a row of train_svm.features, on one fold."""
    settings = settings_of(params)
    values, columns = data.values(settings.features[name])
    return SvmTask(data.labels, data.groups, fold.train, fold.test, seed_of(params), values, columns, settings)


def train_fold(task: SvmTask) -> SvmResult:
    """Train on the training rows of one fold and predict its test rows; scaling and calibration use training rows only.

    LIBSVM's own probabilities (-b 1) depend on an unseeded random generator. Instead, a multinomial logistic regression
    maps the K (K - 1) / 2 pairwise decision values to probabilities. It is fitted on out-of-fold decision values of the
    training rows (inner cross-validation), hence at their natural class proportions. For more than PAIRWISE classes it
    maps K sums of the decision values instead (``_summing``).

    Raises:
        InputError: as ``check_features``, or no class has two training rows.
    """
    task.check_features()
    scaler = StandardScaler().fit(task.features[task.train])
    x, y = scaler.transform(task.features[task.train]), task.labels[task.train]
    n_classes = int(task.labels.max()) + 1
    summing = _summing(n_classes)
    calibration = LogisticRegression(max_iter=1000).fit(_inner_decisions(x, y, n_classes, task, summing), y)
    svm = fit(x, y, task.settings)
    predicted, decisions = _in_blocks(svm, scaler.transform(task.features[task.test]), n_classes, summing)
    probabilities = task.of_all_classes(calibration.predict_proba(decisions), calibration.classes_)
    coefficients = calibration.coef_ if summing is None else calibration.coef_ @ summing.T
    return SvmResult(
        model=to_text(svm.to_libsvm()),
        card={
            "features": list(task.names),
            "mean": scaler.mean_.tolist(),
            "scale": scaler.scale_.tolist(),
            "calibration_coefficients": coefficients.tolist(),
            "calibration_intercepts": calibration.intercept_.tolist(),
        },
        output=FoldOutput(predicted, probabilities, natural_prior(y, n_classes)),
    )


def _summing(n_classes: int) -> Floats | None:
    """Matrix from pairwise decision values to a value for each class, shape (K (K - 1) / 2, K); None up to PAIRWISE.

    The value of a class is the sum of the decision values of its pairs, with the sign that favours the class, over
    sqrt(K - 1), so that it spreads about as much as one decision value. The pairs of 121 classes are 7,260 columns,
    1.4 GB for 24,000 rows, and a regression on them would fit 878,000 numbers.
    """
    if n_classes <= PAIRWISE:
        return None
    pairs = np.array(list(combinations(range(n_classes), 2)))
    favour = np.eye(n_classes)
    return (favour[pairs[:, 0]] - favour[pairs[:, 1]]) / np.sqrt(n_classes - 1)


def _inner_decisions(x: Floats, y: NDArray[np.int64], n_classes: int, task: SvmTask, summing: Floats | None) -> Floats:
    """Out-of-fold decision values of the training rows, or their sums, shape (n_train, K (K - 1) / 2 or K)."""
    n_parts, seed = task.settings.calibration_folds, derive("calibration", task.seed)
    decisions = np.zeros((len(y), n_classes * (n_classes - 1) // 2 if summing is None else n_classes))
    for inner, held_out in folds.parts(y, task.groups[task.train], n_parts, seed, task.calibrated_by):
        if len(np.unique(y[inner])) > 1:
            svm = fit(x[inner], y[inner], task.settings)
            _, decisions[held_out] = _in_blocks(svm, x[held_out], n_classes, summing)
    return decisions


def _in_blocks(svm: Svm, x: Floats, n_classes: int, summing: Floats | None) -> tuple[NDArray[np.int64], Floats]:
    """As ``decide``, with the sums of decision values if asked for, some rows at a time to save memory."""
    if summing is None:
        return decide(svm, x, n_classes)
    blocks = [decide(svm, x[start : start + BLOCK], n_classes) for start in range(0, len(x), BLOCK)]
    return np.concatenate([votes for votes, _ in blocks]), np.concatenate([values @ summing for _, values in blocks])


def fit(x: Floats, y: NDArray[np.int64], settings: SvmSettings) -> Svm:
    """Train on scaled, finite features (n, n_features) and class indices (n,) of at least two classes.

    Both libraries train the same model. scikit-learn's SVC, a copy of LIBSVM with dense rows and BLAS, is faster
    (benchmarks/svm.py).
    """
    return (_fit_libsvm if settings.library == "libsvm" else _fit_scikit_learn)(x, y, settings)


def decide(svm: Svm, x: Floats, n_classes: int) -> tuple[NDArray[np.int64], Floats]:
    """Class index by vote, shape (n,), and the decision values of all pairs of classes, shape (n, K (K - 1) / 2).

    As in LIBSVM, a positive value is a vote for the first class of a pair. Ties go to the class with the lowest index.
    """
    # A pair of which the training rows lacked a class has no decision value: 0 is "undecided".
    decisions = np.zeros((len(x), n_classes * (n_classes - 1) // 2))
    votes = np.zeros((len(x), n_classes), np.int64)
    columns = {pair: column for column, pair in enumerate(combinations(range(n_classes), 2))}
    for value, (one, other) in zip(svm.decision_values(x).T, combinations(svm.labels, 2), strict=True):
        decisions[:, columns[one, other]] = value
        votes[np.arange(len(x)), np.where(value > 0, one, other)] += 1
    return votes.argmax(axis=1), decisions


def _fit_libsvm(x: Floats, y: NDArray[np.int64], settings: SvmSettings) -> Svm:
    # LIBSVM orders classes by their first row; sorted rows give ascending labels.
    order = np.argsort(y, kind="stable")
    labels, counts = np.unique(y, return_counts=True)
    gamma = settings.gamma_of(x.shape[1])
    options = ["-s", "0", "-t", "2", "-c", str(settings.cost), "-g", str(gamma), "-m", str(settings.cache_mb), "-q"]
    if settings.class_weights:
        weights = len(y) / (len(labels) * counts)
        options += [part for label, weight in zip(labels, weights, strict=True) for part in (f"-w{label}", str(weight))]
    with _one_thread():
        model = svmutil.svm_train(y[order].astype(np.float64), x[order], options)

    def decision_values(new: Floats) -> Floats:
        with _one_thread():
            return np.array(svmutil.svm_predict(np.zeros(len(new)), new, model, "-q")[2])

    def to_libsvm() -> LibsvmModel:
        n_classes = len(labels)
        return LibsvmModel(
            gamma=gamma,
            labels=model.get_labels(),
            n_support=model.nSV[:n_classes],
            rho=model.rho[: n_classes * (n_classes - 1) // 2],
            coefficients=np.array([model.sv_coef[row][: model.l] for row in range(n_classes - 1)]).T,
            vectors=x[order][np.array(model.get_sv_indices()) - 1],
        )

    return Svm(model.get_labels(), decision_values, to_libsvm)


def _one_thread() -> threadpool_limits:
    """LIBSVM is built with OpenMP and is several times slower with two threads than with one."""
    return threadpool_limits(1, user_api="openmp")


def _fit_scikit_learn(x: Floats, y: NDArray[np.int64], settings: SvmSettings) -> Svm:
    gamma, weights = settings.gamma_of(x.shape[1]), "balanced" if settings.class_weights else None
    rest: Any = {"cache_size": settings.cache_mb, "decision_function_shape": "ovo"}
    model = SVC(C=settings.cost, gamma=gamma, class_weight=weights, **rest).fit(x, y)
    sign = -1 if len(model.classes_) == 2 else 1  # scikit-learn flips the sign of the values of two classes

    def decision_values(new: Floats) -> Floats:
        return sign * model.decision_function(new).reshape(len(new), -1)

    def to_libsvm() -> LibsvmModel:
        return LibsvmModel(
            gamma=gamma,
            labels=model.classes_.tolist(),
            n_support=model.n_support_.tolist(),
            rho=(-sign * model.intercept_).tolist(),
            coefficients=sign * model.dual_coef_.T,
            vectors=model.support_vectors_,
        )

    return Svm(model.classes_.tolist(), decision_values, to_libsvm)
