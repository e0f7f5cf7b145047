"""Hand-made model files with known output: the softmax of given weights times the mean of the input."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lipnet.deployment.model_files import METADATA_KEY, Description

MEASURES = {
    "histogram_bins": 2,
    "edge_inside_px": 2,
    "edge_outside_px": 1,
    "edge_bins": 2,
    "radial_bins": 2,
    "radial_reach": 1.0,
}
IMAGE = {"kind": "image", "size_px": 4, "mode": "surrounding", "scale": "fit", "field_px": 64}
WEIGHTS, BIASES = (20.0, -20.0), (-10.0, 10.0)  # Bright if the mean grey level is above one half, else Dark


def description(**changes: Any) -> Description:
    plain = {
        "classifier": "cnn",
        "architecture": "by_hand",
        "problem": "brightness",
        "fold": 0,
        "classes": ["Bright", "Dark"],
        "inputs": {"image": IMAGE},
        "measures": MEASURES,
        "micrographs": {"padding_px": 3, "pixel_size_nm": None},
        "grey": {"rule": "as_stored", "bits": None, "per": "micrograph", "low_percent": 0.1, "high_percent": 99.9},
        "pixel_size_nm": None,
        "label_smoothing": 0.0,
        "floor": 1e-6,
        "training_prior": [0.5, 0.5],
        "natural_prior": [0.5, 0.5],
        "provenance": {"git_revision": None, "data_md5": None, "versions": {}},
    }
    return Description.model_validate({**plain, **changes})


def features_of(*names: str, given: list[str] | None = None) -> dict[str, Any]:
    return {"features": {"kind": "features", "names": list(names), "given": given or []}}


def graph(said: Description, weights: Any = WEIGHTS, biases: Any = BIASES) -> onnx.ModelProto:
    """The softmax of weights times the mean of the input, plus biases."""
    [(name, item)] = said.inputs.items()
    double = item.kind == "features"
    shape: list[Any] = ["n", *item.tensor[1]]
    nodes = [
        helper.make_node("Cast", [name], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=list(range(1, len(shape)))[:-1] or [1], keepdims=1),
        helper.make_node("Reshape", ["mean", "shape"], ["column"]),
        helper.make_node("MatMul", ["column", "weights"], ["weighted"]),
        helper.make_node("Add", ["weighted", "biases"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {"shape": np.array([-1, 1]), "weights": np.array([weights], "f"), "biases": np.array(biases, "f")}
    made = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE if double else TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(weights)])],
        [numpy_helper.from_array(values, key) for key, values in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def write(
    path: Path,
    said: Description | None = None,
    metadata: str | None = None,
    weights: Any = WEIGHTS,
    biases: Any = BIASES,
) -> Path:
    """Save a model. ``metadata`` replaces the description; an empty text omits it."""
    said = said or description()
    model = graph(said, weights, biases)
    text = said.model_dump_json() if metadata is None else metadata
    if text:
        helper.set_model_props(model, {METADATA_KEY: text})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path
