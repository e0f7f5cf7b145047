"""The part that all ONNX graphs share: versions, the description in the metadata, and the bytes of the file."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lipnet.deployment.model_files import METADATA_KEY, PROBABILITIES, Description

if TYPE_CHECKING:
    import onnx

IR_VERSION, OPSET, ML_OPSET = 8, 15, 3  # versions that tf2onnx writes; ONNX Runtime reads them since 1.10
ML_DOMAIN = "ai.onnx.ml"
LABEL = "label"  # output of an SVM: class index by LIBSVM's vote


def of_features(
    description: Description, nodes: "list[onnx.NodeProto]", constants: dict[str, Any], with_label: bool = False
) -> bytes:
    """ONNX file of a classifier of features.

    Args:
        description: of the model; it has one input.
        nodes: of the graph; they make the output PROBABILITIES of 32 bits.
        constants: arrays that the nodes use, by name.
        with_label: whether the nodes also make the output LABEL.
    """
    from onnx import TensorProto, helper, numpy_helper

    [(name, item)] = description.inputs.items()
    n_classes = len(description.classes)
    outputs = [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", n_classes])]
    if with_label:
        outputs.append(helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["n"]))
    graph = helper.make_graph(
        nodes,
        description.architecture,
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n", *item.tensor[1]])],
        outputs,
        [numpy_helper.from_array(np.asarray(values, np.float64), key) for key, values in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML_DOMAIN, ML_OPSET)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lipnet")
    return finish(made, description)


def finish(model: "onnx.ModelProto", description: Description) -> bytes:
    """Content of the file of a checked graph, with its description."""
    import onnx

    onnx.helper.set_model_props(model, {METADATA_KEY: description.model_dump_json()})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
