"""Export trained networks and SVMs as ONNX files that contain their own description (``model_files.Description``).

Keras and ONNX are imported inside the functions that use them. The bytes of a file depend only on the model and its
description.
"""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.settings import NetworkSettings
from lipnet.classifiers.svm_files import LibsvmModel, SvmCard, parse_model, read_card
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick
from lipnet.deployment.model_files import (
    METADATA_KEY,
    NETWORK,
    PROBABILITIES,
    SUFFIX,
    Description,
    FeatureInput,
    ImageInput,
)
from lipnet.deployment.runs import PipelineRun, read_text
from lipnet.evaluation.decisions import DecideSettings
from lipnet.samples.crops import CropSettings
from lipnet.samples.features import FeatureSettings
from lipnet.sources.micrographs import MicrographSettings

if TYPE_CHECKING:
    import keras
    import onnx

Floats = NDArray[np.float64]

BACKEND = "KERAS_BACKEND"  # environment variable that Keras reads when it is imported
SVM_FLOOR = 1e-9  # above 0, because a probability of 0 could not be shifted to other class shares
IR_VERSION, OPSET, ML_OPSET = 8, 15, 3  # versions that tf2onnx writes; ONNX Runtime reads them since 1.10
LABEL = "label"  # output of an SVM: class index by LIBSVM's vote


def export_run(run: PipelineRun) -> Iterator[tuple[str, bytes]]:
    """Yield file name and content of every model of a run, networks first.

    Raises:
        InputError: a model is missing or damaged.
    """
    folds = range(len(run.natural_priors))
    networks = run.models / NETWORK
    for fold in folds:
        model = load_on_tensorflow(networks / "architecture.json", networks / f"fold{fold}.weights.h5")
        yield f"{NETWORK}_fold{fold}{SUFFIX}", network(model, describe_network(run, fold))
    for name in pick(run.params, "train_svm", "features"):
        for fold in folds:
            path = run.models / f"svm/{name}/fold{fold}.svm"
            card = read_card(path.with_suffix(".json"))
            description = describe_svm(run, name, fold, card.features)
            yield f"{name}_fold{fold}{SUFFIX}", svm(parse_model(read_text(path), path), card, description)


def describe_network(run: PipelineRun, fold: int) -> Description:
    """Description of the network of a fold.

    Raises:
        InputError: the network takes features as a second input, which cannot be exported.
    """
    architecture = pick(run.params, "model")
    if pick(run.params, "train_cnn", "join", "features"):
        raise InputError(
            "networks with joined features (train_cnn.join.features) cannot be exported yet; train the network without "
            "them to export it"
        )
    row = parse(NetworkSettings, pick(run.params, "networks", architecture), f"networks.{architecture}")
    crop = parse(CropSettings, pick(run.params, "crop"), "crop")
    return _describe(
        run,
        fold,
        classifier=NETWORK,
        architecture=architecture,
        inputs={"image": ImageInput(size_px=row.size_px, mode=crop.mode, scale=crop.scale, field_px=crop.field_px)},
        label_smoothing=pick(run.params, "train_cnn", "label_smoothing"),
        floor=parse(DecideSettings, pick(run.params, "decide"), "decide").floor,
        training_prior=run.training_priors[fold].tolist(),
    )


def describe_svm(run: PipelineRun, name: str, fold: int, features: list[str]) -> Description:
    """Description of the SVM of a fold; its calibration was fitted at the natural class shares."""
    given = set(pick(run.params, "source", "feature_columns"))
    return _describe(
        run,
        fold,
        classifier=name,
        architecture="svm",
        inputs={"features": FeatureInput(names=features, given=[column for column in features if column in given])},
        label_smoothing=0.0,
        floor=SVM_FLOOR,
        training_prior=run.natural_priors[fold].tolist(),
    )


def _describe(run: PipelineRun, fold: int, **of_kind: Any) -> Description:
    sizes_nm = run.table["pixel_size_nm"].dropna()
    return Description(
        problem=run.problem,
        fold=fold,
        classes=run.classes,
        measures=parse(FeatureSettings, pick(run.params, "features"), "features"),
        micrographs=MicrographSettings(
            padding_px=int(run.table["padding_px"].mode()[0]),
            pixel_size_nm=None,
            clip_percent=pick(run.params, "source", "micrographs", "clip_percent"),
        ),
        pixel_size_nm=(float(sizes_nm.min()), float(sizes_nm.max())) if len(sizes_nm) else None,
        natural_prior=run.natural_priors[fold].tolist(),
        provenance=run.provenance,
        **of_kind,
    )


def load_on_tensorflow(architecture: Path, weights: Path) -> "keras.Model":
    """Load a network on the TensorFlow backend, whatever backend trained it.

    ONNX Runtime rejects the max-pooling that Keras exports on JAX.

    Raises:
        InputError: Keras already runs on another backend in this process, or as for ``weights.load``.
    """
    from lipnet.classifiers.networks.backend import start_keras
    from lipnet.classifiers.networks.weights import load

    with _keras_imports_tensorflow():
        start_keras()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"export needs Keras on TensorFlow, and it runs on {keras.backend.backend()}; run export in a new process"
        )
    return load(architecture, weights)


@contextmanager
def _keras_imports_tensorflow() -> Iterator[None]:
    """Make Keras start on TensorFlow if it is first imported inside this block."""
    before = os.environ.get(BACKEND)
    os.environ[BACKEND] = "tensorflow"
    try:
        yield
    finally:
        if before is None:
            del os.environ[BACKEND]
        else:
            os.environ[BACKEND] = before


def network(model: "keras.Model", description: Description) -> bytes:
    """ONNX file of a network that has one image as input and runs on the TensorFlow backend.

    Raises:
        InputError: input or output of the network differ from the description.
    """
    import keras
    import onnx

    [(name, item)] = description.inputs.items()
    shape, n_classes = item.tensor[1], len(description.classes)
    # A side of any length (None) is exported with the largest length; probabilities do not depend on it.
    sides = [side if side is not None else most for side, most in zip(model.input_shape[1:], shape, strict=True)]
    trained = [*sides, *model.output_shape[1:]]
    if trained != [*shape, n_classes]:
        raise InputError(
            f"the trained network has sides, channels and classes {trained}, but params.yaml asks for "
            f"{[*shape, n_classes]}; run `dvc repro`"
        )
    model(np.zeros((1, *shape), np.float32))  # Keras exports only models that were called
    signature = [keras.InputSpec(shape=(None, *shape), dtype="float32", name=name)]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of NumPy and TensorFlow that Keras and tf2onnx use
        path = Path(folder) / "model.onnx"
        model.export(path, format="onnx", verbose=False, input_signature=signature)
        exported = onnx.load(path)
    _rename(exported, name)
    return _finish(exported, description)


def _rename(model: "onnx.ModelProto", input_name: str) -> None:
    """Number nodes and tensors by their order in the graph, and give the output its common name.

    The numbers of tf2onnx depend on what the process exported before.
    """
    graph = model.graph
    names = {"": "", graph.input[0].name: input_name, graph.output[0].name: PROBABILITIES}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}{number}"
        for tensors in (node.input, node.output):
            tensors[:] = [names.setdefault(tensor, f"tensor{len(names)}") for tensor in tensors]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    graph.initializer.sort(key=lambda tensor: tensor.name)
    for item in (graph.input[0], graph.output[0]):
        item.name = names[item.name]
        item.type.tensor_type.shape.dim[0].dim_param = "n"
    del graph.value_info[:]
    graph.doc_string = ""


def svm(model: LibsvmModel, card: SvmCard, description: Description) -> bytes:
    """ONNX file of an SVM: scaling, LIBSVM's decision values, and calibration to probabilities.

    Outputs: probabilities, float32, shape (n, K), as ``svm.train_fold`` computes them; label, int64, shape (n,), the
    class index by LIBSVM's vote, which may differ from the most probable class.

    Raises:
        InputError: the model lacks a class, or model and card do not fit together.
    """
    from onnx import TensorProto, helper, numpy_helper

    n_classes, n_features = len(description.classes), len(card.features)
    where = f"{description.classifier}, fold {description.fold}"
    if model.labels != list(range(n_classes)) or model.vectors.shape[1] > n_features:
        raise InputError(f"{where}: the SVM was not trained on every class")
    _check_card(card, n_classes, where)
    vectors = np.pad(model.vectors, ((0, 0), (0, n_features - model.vectors.shape[1])))  # LIBSVM omits zeros at the end
    weights, intercepts = _calibration(card, n_classes)
    [(name, item)] = description.inputs.items()
    constants = {"mean": card.mean, "scale": card.scale, "weights": weights, "intercepts": intercepts}
    graph = helper.make_graph(
        _svm_nodes(name, model, vectors),
        "svm",
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n", *item.tensor[1]])],
        [
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", n_classes]),
            helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["n"]),
        ],
        [numpy_helper.from_array(np.asarray(values, np.float64), key) for key, values in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lipnet")
    return _finish(made, description)


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
            domain="ai.onnx.ml",
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


def _finish(model: "onnx.ModelProto", description: Description) -> bytes:
    import onnx

    onnx.helper.set_model_props(model, {METADATA_KEY: description.model_dump_json()})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
