"""ONNX graphs of networks, exported from Keras on TensorFlow."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipnet.core.errors import InputError
from lipnet.deployment.graphs.files import finish
from lipnet.deployment.model_files import PROBABILITIES, Description, FeatureInput, ImageInput

if TYPE_CHECKING:
    import keras
    import onnx

BACKEND = "KERAS_BACKEND"  # environment variable that Keras reads when it is imported


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
    return finish(exported, description)


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
