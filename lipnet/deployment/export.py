"""Trained networks and SVMs as ONNX files that say themselves how to be used (see ``model_files.Description``).

Keras and ONNX are imported inside the functions that need them. Bytes depend on the model and its description alone.
"""

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.architecture import NetworkSettings
from lipnet.classifiers.svm_files import LibsvmModel, SvmCard, parse_model, read_card
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick
from lipnet.deployment.model_files import METADATA_KEY, PROBABILITIES, SUFFIX, Description, FeatureInput, ImageInput
from lipnet.deployment.runs import Run, read_text
from lipnet.evaluation.decisions import DecideSettings
from lipnet.samples.crops import CropSettings
from lipnet.samples.features import FeatureSettings
from lipnet.sources.micrographs import MicrographSettings

if TYPE_CHECKING:
    import keras
    import onnx

Floats = NDArray[np.float64]

IR_VERSION, OPSET, ML_OPSET = 8, 15, 3  # what tf2onnx writes; ONNX Runtime reads them since 1.10
LABEL = "label"  # output of an SVM: class index by LIBSVM's vote


def export_run(run: Run) -> Iterator[tuple[str, bytes]]:
    """File name and content of every model of a run, the networks first.

    Raises:
        InputError: a model is missing or damaged.
    """
    folds = range(len(run.natural_priors))
    for fold in folds:
        model = load_on_tensorflow(run.models / "cnn/architecture.json", run.models / f"cnn/fold{fold}.weights.h5")
        yield f"cnn_fold{fold}{SUFFIX}", network(model, describe_network(run, fold))
    for name in pick(run.params, "train_svm", "features"):
        for fold in folds:
            path = run.models / f"svm/{name}/fold{fold}.svm"
            card = read_card(path.with_suffix(".json"))
            description = describe_svm(run, name, fold, card.features)
            yield f"{name}_fold{fold}{SUFFIX}", svm(parse_model(read_text(path), path), card, description)


def describe_network(run: Run, fold: int) -> Description:
    """What the file of a network says of itself."""
    architecture = pick(run.params, "model")
    if pick(run.params, "train_cnn", "join", "features"):
        raise InputError(
            "networks with joined features (train_cnn.join.features) cannot be exported yet; export without"
        )
    row = parse(NetworkSettings, pick(run.params, "networks", architecture), f"networks.{architecture}")
    crop = parse(CropSettings, pick(run.params, "crop"), "crop")
    return _describe(
        run,
        fold,
        classifier="cnn",
        architecture=architecture,
        inputs={
            "image": ImageInput(size_px=row.size_px, mode=crop.mode, scale=crop.scale, field_px=crop.field_px),
        },
        label_smoothing=pick(run.params, "train_cnn", "label_smoothing"),
        floor=parse(DecideSettings, pick(run.params, "decide"), "decide").floor,
        training_prior=run.training_priors[fold].tolist(),
    )


def describe_svm(run: Run, name: str, fold: int, features: list[str]) -> Description:
    """What the file of an SVM says of itself; its calibration was fitted at natural proportions of the classes."""
    came_along = set(pick(run.params, "source", "feature_columns"))
    return _describe(
        run,
        fold,
        classifier=name,
        architecture="svm",
        inputs={
            "features": FeatureInput(names=features, given=[column for column in features if column in came_along])
        },
        label_smoothing=0.0,
        floor=1e-9,  # what rounds to 0 could not be shifted
        training_prior=run.natural_priors[fold].tolist(),
    )


def _describe(run: Run, fold: int, **of_kind: Any) -> Description:
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
    """Load a network on the TensorFlow backend, whichever trained it.

    ONNX Runtime rejects max-pooling as Keras on JAX exports it.

    Raises:
        InputError: Keras already runs on another backend in this process, or as for ``inspection.load``.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from lipnet.classifiers.networks.backend import start_keras
    from lipnet.classifiers.networks.weights import load

    start_keras()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(f"export needs Keras on TensorFlow, and it runs on {keras.backend.backend()}; start anew")
    return load(architecture, weights)


def network(model: "keras.Model", description: Description) -> bytes:
    """A network with one image as input, on the TensorFlow backend, as an ONNX file.

    Raises:
        InputError: the network is not the one that is described.
    """
    import keras
    import onnx

    [(name, item)] = description.inputs.items()
    shape, n_classes = item.tensor[1], len(description.classes)
    # A side that is free (None) is exported as the largest: what is said of a particle does not depend on it.
    free = [one if one is not None else most for one, most in zip(model.input_shape[1:], shape, strict=True)]
    trained = [*free, *model.output_shape[1:]]
    if trained != [*shape, n_classes]:
        raise InputError(
            f"the trained network has sides, channels and classes {trained}, but params.yaml asks for "
            f"{[*shape, n_classes]}; run `dvc repro`"
        )
    model(np.zeros((1, *shape), np.float32))  # Keras exports only what has been called
    signature = [keras.InputSpec(shape=(None, *shape), dtype="float32", name=name)]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tf2onnx and of Keras's way to it, about NumPy's and TensorFlow's future
        path = Path(folder) / "model.onnx"
        model.export(path, format="onnx", verbose=False, input_signature=signature)
        exported = onnx.load(path)
    _rename(exported, name)
    return _finish(exported, description)


def _rename(model: "onnx.ModelProto", input_name: str) -> None:
    """Name nodes and tensors by their order, and the output as all models do: tf2onnx counts over a whole process."""
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
    """An SVM as an ONNX file: scaling, LIBSVM's decision values, and the calibration that makes them probabilities.

    Outputs: probabilities, float32, shape (n, K), as ``svm.train_fold`` gives them; label, int64, shape (n,), the class
    index by LIBSVM's vote, which may differ from the most probable one.

    Raises:
        InputError: the model lacks a class, or model and card do not fit together.
    """
    from onnx import TensorProto, helper

    n_classes, n_features = len(description.classes), len(card.features)
    if model.labels != list(range(n_classes)) or model.vectors.shape[1] > n_features:
        raise InputError(f"{description.classifier}, fold {description.fold}: the SVM has not seen every class")
    _check_card(card, n_classes, f"{description.classifier}, fold {description.fold}")
    vectors = np.pad(model.vectors, ((0, 0), (0, n_features - model.vectors.shape[1])))  # LIBSVM leaves out zeros
    weights, intercepts = _calibration(card, n_classes)
    [(name, item)] = description.inputs.items()
    constants = {"mean": card.mean, "scale": card.scale, "weights": weights, "intercepts": intercepts}
    nodes = [
        helper.make_node("Sub", [name, "mean"], ["centred"]),
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
            rho=[-value for value in model.rho],  # ONNX adds it
            support_vectors=vectors.ravel().tolist(),
            vectors_per_class=model.n_support,
        ),
        helper.make_node("Cast", ["decisions"], ["decisions_double"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["decisions_double", "weights"], ["weighted"]),
        helper.make_node("Add", ["weighted", "intercepts"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["calibrated"], axis=1),
        helper.make_node("Cast", ["calibrated"], [PROBABILITIES], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "svm",
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n", *item.tensor[1]])],
        [
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", n_classes]),
            helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["n"]),
        ],
        [_tensor(key, np.asarray(values, np.float64)) for key, values in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lipnet")
    return _finish(made, description)


def _check_card(card: SvmCard, n_classes: int, where: str) -> None:
    n_logits = n_classes if n_classes > 2 else 1
    found = [[len(card.mean), len(card.scale)], [len(row) for row in card.calibration_coefficients]]
    if [*found, len(card.calibration_intercepts)] != [
        [len(card.features)] * 2,
        [n_classes * (n_classes - 1) // 2] * n_logits,
        n_logits,
    ]:
        raise InputError(f"{where}: scaling or calibration does not fit the SVM; delete its .json and run `dvc repro`")


def _tensor(name: str, values: Floats) -> "onnx.TensorProto":
    from onnx import numpy_helper

    return numpy_helper.from_array(values, name)


def _calibration(card: SvmCard, n_classes: int) -> tuple[Floats, Floats]:
    """Weights, shape (n_decisions, K), and intercepts, shape (K,), of the softmax over decision values."""
    coefficients, intercepts = np.array(card.calibration_coefficients), np.array(card.calibration_intercepts)
    if n_classes > 2:
        return coefficients.T, intercepts
    # Of two classes, scikit-learn states the logit of the second, and ONNX Runtime two decision values: minus LIBSVM's
    # and LIBSVM's.
    return np.array([[0.0, 0.0], [0.0, coefficients.item()]]), np.array([0.0, intercepts.item()])


def _finish(model: "onnx.ModelProto", description: Description) -> bytes:
    import onnx

    onnx.helper.set_model_props(model, {METADATA_KEY: description.model_dump_json()})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
