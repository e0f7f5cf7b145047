"""ONNX graphs of SVMs."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.svm_files import LibsvmModel, SvmCard
from lipnet.core.errors import InputError
from lipnet.deployment.graphs.files import LABEL, ML_DOMAIN, of_features
from lipnet.deployment.model_files import PROBABILITIES, Description

if TYPE_CHECKING:
    import onnx

Floats = NDArray[np.float64]


def svm(model: LibsvmModel, card: SvmCard, description: Description) -> bytes:
    """ONNX file of an SVM: scaling, LIBSVM's decision values, and calibration to probabilities.

    Outputs: probabilities, float32, shape (n, K), as ``svm.train_fold`` computes them; label, int64, shape (n,), the
    class index by LIBSVM's vote, which may differ from the most probable class.

    Raises:
        InputError: the model lacks a class, or model and card do not fit together.
    """
    n_classes, n_features = len(description.classes), len(card.features)
    where = f"{description.classifier}, fold {description.fold}"
    if model.labels != list(range(n_classes)) or model.vectors.shape[1] > n_features:
        raise InputError(f"{where}: the SVM was not trained on every class")
    _check_card(card, n_classes, where)
    vectors = np.pad(model.vectors, ((0, 0), (0, n_features - model.vectors.shape[1])))  # LIBSVM omits zeros at the end
    weights, intercepts = _calibration(card, n_classes)
    [name] = description.inputs
    constants = {"mean": card.mean, "scale": card.scale, "weights": weights, "intercepts": intercepts}
    return of_features(description, _svm_nodes(name, model, vectors), constants, with_label=True)


def _svm_nodes(features: str, model: LibsvmModel, vectors: Floats) -> "list[onnx.NodeProto]":
    """Nodes of the graph of an SVM.

    Args:
        features: name of the input.
        model: of LIBSVM.
        vectors: support vectors of all features, shape (n_vectors, n_features).
    """
    from onnx import TensorProto, helper

    return [
        helper.make_node("Sub", [features, "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], ["scaled_float"], to=TensorProto.FLOAT),
        helper.make_node(
            "SVMClassifier",
            ["scaled_float"],
            [LABEL, "decisions"],
            domain=ML_DOMAIN,
            classlabels_ints=model.labels,
            coefficients=model.coefficients.T.ravel().tolist(),
            kernel_params=[model.gamma, 0.0, 0.0],
            kernel_type="RBF",
            post_transform="NONE",
            rho=[-value for value in model.rho],  # ONNX adds rho, LIBSVM subtracts it
            support_vectors=vectors.ravel().tolist(),
            vectors_per_class=model.n_support,
        ),
        helper.make_node("Cast", ["decisions"], ["decisions_double"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["decisions_double", "weights"], ["weighted"]),
        helper.make_node("Add", ["weighted", "intercepts"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["calibrated"], axis=1),
        helper.make_node("Cast", ["calibrated"], [PROBABILITIES], to=TensorProto.FLOAT),
    ]


def _check_card(card: SvmCard, n_classes: int, where: str) -> None:
    n_logits = n_classes if n_classes > 2 else 1
    found = [[len(card.mean), len(card.scale)], [len(row) for row in card.calibration_coefficients]]
    if [*found, len(card.calibration_intercepts)] != [
        [len(card.features)] * 2,
        [n_classes * (n_classes - 1) // 2] * n_logits,
        n_logits,
    ]:
        raise InputError(f"{where}: scaling or calibration does not fit the SVM; delete its .json and run `dvc repro`")


def _calibration(card: SvmCard, n_classes: int) -> tuple[Floats, Floats]:
    """Weights, shape (n_decisions, K), and intercepts, shape (K,), of the softmax of decision values."""
    coefficients, intercepts = np.array(card.calibration_coefficients), np.array(card.calibration_intercepts)
    if n_classes > 2:
        return coefficients.T, intercepts
    # For two classes, scikit-learn has the logit of the second class only, and ONNX Runtime has two decision values:
    # that of LIBSVM with the opposite sign, and that of LIBSVM.
    return np.array([[0.0, 0.0], [0.0, coefficients.item()]]), np.array([0.0, intercepts.item()])
