"""ONNX graphs of trees: one node of the operator TreeEnsembleRegressor, and the softmax or mean of scikit-learn."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.tree_files import LEAF, TreeEnsemble
from lipnet.core.errors import InputError
from lipnet.deployment.graphs.files import ML_DOMAIN, of_features
from lipnet.deployment.model_files import PROBABILITIES, Description

if TYPE_CHECKING:
    import onnx


def trees(model: TreeEnsemble, description: Description) -> bytes:
    """ONNX file of trees; a class that the training rows lacked gets the probability 0.

    Output: probabilities, float32, shape (n, K), as ``trees.train_fold`` computes them. Thresholds have 64 bits.

    Raises:
        InputError: trees and description have different features or classes.
    """
    from onnx import TensorProto, helper

    [(name, item)] = description.inputs.items()
    n_classes = len(description.classes)
    if [len(model.names)] != item.tensor[1] or model.labels[-1] >= n_classes:
        where = f"{description.classifier}, fold {description.fold}"
        raise InputError(f"{where}: the trees have other features or classes than params.yaml; run `dvc repro`")
    nodes, compared = list["onnx.NodeProto"](), name
    if model.single:
        nodes.append(helper.make_node("Cast", [name], ["rounded"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Cast", ["rounded"], ["compared"], to=TensorProto.DOUBLE))
        compared = "compared"
    nodes.append(
        helper.make_node("TreeEnsembleRegressor", [compared], ["sums"], domain=ML_DOMAIN, **_attributes(model))
    )
    nodes.append(helper.make_node("Cast", ["sums"], ["sums_double"], to=TensorProto.DOUBLE))
    if model.softmax:
        nodes.append(helper.make_node("Softmax", ["sums_double"], ["stated"], axis=1))
    stated = "stated" if model.softmax else "sums_double"
    nodes.append(helper.make_node("MatMul", [stated, "columns"], ["of_all_classes"]))
    nodes.append(helper.make_node("Cast", ["of_all_classes"], [PROBABILITIES], to=TensorProto.FLOAT))
    return of_features(description, nodes, {"columns": np.eye(n_classes)[model.labels]})


def _attributes(model: TreeEnsemble) -> dict[str, Any]:
    inner, starts = model.feature != LEAF, np.searchsorted(model.tree, model.tree)
    within = np.arange(len(model.tree)) - starts  # ONNX counts the nodes of each tree from 0
    used = ~inner[:, None] & (model.values != 0)
    used[:, 0] |= ~inner  # every leaf needs a value, if only 0
    leaves, targets = np.nonzero(used)
    return {
        "n_targets": len(model.labels),
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "base_values_as_tensor": _tensor(model.base),
        "nodes_treeids": model.tree.tolist(),
        "nodes_nodeids": within.tolist(),
        "nodes_modes": np.where(inner, "BRANCH_LEQ", "LEAF").tolist(),
        "nodes_featureids": np.where(inner, model.feature, 0).tolist(),
        "nodes_values_as_tensor": _tensor(model.threshold),
        "nodes_truenodeids": np.where(inner, model.left - starts, 0).tolist(),
        "nodes_falsenodeids": np.where(inner, model.right - starts, 0).tolist(),
        "nodes_missing_value_tracks_true": model.missing_left.astype(int).tolist(),
        "target_treeids": model.tree[leaves].tolist(),
        "target_nodeids": within[leaves].tolist(),
        "target_ids": targets.tolist(),
        "target_weights_as_tensor": _tensor(model.values[leaves, targets]),
    }


def _tensor(values: NDArray[np.float64]) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(values)
