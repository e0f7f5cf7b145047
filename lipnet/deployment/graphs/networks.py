"""ONNX graphs of networks, exported from Keras on TensorFlow."""

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipnet.classifiers.networks.epoch import as_input
from lipnet.core.errors import InputError
from lipnet.deployment.graphs.files import finish
from lipnet.deployment.model_files import PROBABILITIES, Description, FeatureInput

if TYPE_CHECKING:
    import keras
    import onnx

BACKEND = "KERAS_BACKEND"  # environment variable that Keras reads when it is imported
# Environment variable of TensorFlow, and its value for no messages of the C++ code; exceptions pass. Without it, every
# exported network writes lines about GPUs to stderr.
LOG_LEVEL, SILENT = "TF_CPP_MIN_LOG_LEVEL", "3"


def load_on_tensorflow(architecture: Path, weights: Path) -> "keras.Model":
    """Load a network on the TensorFlow backend, whatever backend trained it.

    ONNX Runtime rejects the max-pooling that Keras exports on JAX.

    Raises:
        InputError: Keras already runs on another backend in this process, or as for ``weights.load``.
    """
    from lipnet.classifiers.networks.backend import start_keras
    from lipnet.classifiers.networks.weights import load

    # Keras and TensorFlow read them when they are first imported, which is in this block unless it happened before.
    with _environment({BACKEND: "tensorflow", LOG_LEVEL: os.environ.get(LOG_LEVEL, SILENT)}):
        start_keras()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"export needs Keras on TensorFlow, and it runs on {keras.backend.backend()}; run export in a new process"
        )
    return load(architecture, weights)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables inside this block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def network(model: "keras.Model", description: Description) -> bytes:
    """ONNX file of a network that has an image, and perhaps features, as input and runs on the TensorFlow backend.

    Raises:
        InputError: inputs or output of the network differ from the description.
    """
    import keras
    import onnx

    shapes, n_classes = [item.tensor[1] for item in description.inputs.values()], len(description.classes)
    image, *others = [list(tensor.shape[1:]) for tensor in model.inputs]
    # A side of any length (None) is exported with the largest length; probabilities do not depend on it.
    sides = [side if side is not None else most for side, most in zip(image, shapes[0], strict=True)]
    if [sides, *others] != shapes or model.output_shape[1:] != (n_classes,):
        trained = [*sides, *(side for shape in others for side in shape), *model.output_shape[1:]]
        asked = [*(side for shape in shapes for side in shape), n_classes]
        raise InputError(
            f"the trained network has sides, channels, features and classes {trained}, but params.yaml asks for "
            f"{asked}; run `dvc repro`"
        )
    # Keras exports only models that were called.
    model(as_input([np.zeros((1, *shape), np.float32) for shape in shapes]))
    pairs = zip(description.inputs, shapes, strict=True)
    inputs = [keras.InputSpec(shape=(None, *shape), dtype="float32", name=name) for name, shape in pairs]
    signature = inputs if len(inputs) == 1 else [inputs]
    _with_constant_scaling(model)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of NumPy and TensorFlow that Keras and tf2onnx use
        path = Path(folder) / "model.onnx"
        model.export(path, format="onnx", verbose=False, input_signature=signature)
        exported = onnx.load(path)
    _rename(exported, list(description.inputs))
    _widen_features(exported, description)
    return finish(exported, description)


def _with_constant_scaling(model: "keras.Model") -> None:
    """Hold mean and variance of standardised features as NumPy arrays; tf2onnx would make inputs of tensors."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.mean, layer.variance = np.array(layer.mean), np.array(layer.variance)


def _widen_features(model: "onnx.ModelProto", description: Description) -> None:
    """Let the inputs of features have 64 bits, as in files of SVMs; the network's own precision is 32 bits."""
    from onnx import TensorProto, helper

    for item in model.graph.input:
        if isinstance(description.inputs[item.name], FeatureInput):
            narrow = f"{item.name}_float"
            for node in model.graph.node:
                node.input[:] = [narrow if tensor == item.name else tensor for tensor in node.input]
            item.type.tensor_type.elem_type = TensorProto.DOUBLE
            model.graph.node.insert(0, helper.make_node("Cast", [item.name], [narrow], to=TensorProto.FLOAT))


def _rename(model: "onnx.ModelProto", inputs: list[str]) -> None:
    """Number nodes and tensors by their order in the graph, and give inputs and output their common names.

    The numbers of tf2onnx depend on what the process exported before.
    """
    graph = model.graph
    found = [item.name for item in graph.input]
    names = {"": "", **dict(zip(found, inputs, strict=True)), graph.output[0].name: PROBABILITIES}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}{number}"
        for tensors in (node.input, node.output):
            tensors[:] = [names.setdefault(tensor, f"tensor{len(names)}") for tensor in tensors]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    graph.initializer.sort(key=lambda tensor: tensor.name)
    for item in (*graph.input, graph.output[0]):
        item.name = names[item.name]
        item.type.tensor_type.shape.dim[0].dim_param = "n"
    del graph.value_info[:]
    graph.doc_string = ""
