"""The file of trained trees: plain arrays in an .npz file, from which ``lipnet export`` builds an ONNX graph.

The file holds no Python objects. scikit-learn's own format would need pickle, and reading a pickle runs code.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from lipnet.core import files
from lipnet.core.errors import InputError

LEAF = -1  # feature of a leaf


class TreeEnsemble(NamedTuple):
    """Trees of one classifier; nodes of all trees follow each other.

    Every tree adds the values of the leaf that a particle reaches to ``base``. For boosting, the softmax of the sums
    gives the probabilities; for a forest, the sums are the probabilities.

    Attributes:
        names: of the features, shape (F,).
        labels: class indices of the training rows, ascending, shape (C,).
        softmax: whether the sums are logits.
        single: whether features are rounded to 32 bits before they are compared with thresholds.
        base: start of the sums, shape (C,).
        tree: number of the tree of each node, ascending from 0, shape (n,).
        feature: index of the feature that a node compares; LEAF in a leaf; shape (n,).
        threshold: a node leads to its left child if feature <= threshold; shape (n,).
        left: node of the left child, counted over all trees; 0 in a leaf; shape (n,).
        right: as ``left``.
        missing_left: whether a missing value leads to the left child, shape (n,).
        values: of a leaf, shape (n, C); 0 in other nodes.
    """

    names: NDArray[np.str_]
    labels: NDArray[np.int64]
    softmax: NDArray[np.bool_]
    single: NDArray[np.bool_]
    base: NDArray[np.float64]
    tree: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    values: NDArray[np.float64]


TYPES = {"names": "U", "softmax": "b", "single": "b", "missing_left": "b", "base": "f", "threshold": "f", "values": "f"}


def of_boosted(model: HistGradientBoostingClassifier, names: list[str]) -> TreeEnsemble:
    """The trees of gradient boosting; of two classes, scikit-learn has the logit of the second class only."""
    n_classes = len(model.classes_)
    places = [1] if n_classes == 2 else range(n_classes)
    base = np.zeros(n_classes)
    base[places] = model._baseline_prediction.ravel()
    trees = []
    for of_round in model._predictors:
        for place, predictor in zip(places, of_round, strict=True):
            nodes, values = predictor.nodes, np.zeros((len(predictor.nodes), n_classes))
            leaf = nodes["is_leaf"].astype(bool)
            values[leaf, place] = nodes["value"][leaf]
            columns = (nodes["num_threshold"], nodes["left"], nodes["right"], nodes["missing_go_to_left"], values)
            trees.append((np.where(leaf, LEAF, nodes["feature_idx"]), *columns))
    return _joined(model.classes_, names, trees, base, softmax=True)


def of_forest(model: RandomForestClassifier, names: list[str]) -> TreeEnsemble:
    """The trees of a random forest: probabilities are the mean over trees of the class shares in leaves."""
    trees = []
    for estimator in model.estimators_:
        nodes = estimator.tree_
        leaf = nodes.children_left < 0
        values = np.where(leaf[:, None], nodes.value[:, 0], 0) / len(model.estimators_)
        columns = (nodes.threshold, nodes.children_left, nodes.children_right, nodes.missing_go_to_left, values)
        trees.append((np.where(leaf, LEAF, nodes.feature), *columns))
    return _joined(model.classes_, names, trees, np.zeros(len(model.classes_)), softmax=False)


def _joined(labels: Any, names: list[str], trees: list[Any], base: NDArray[np.float64], softmax: bool) -> TreeEnsemble:
    sizes = [len(tree[0]) for tree in trees]
    feature, threshold, left, right, missing_left, values = (
        np.concatenate(parts) for parts in zip(*trees, strict=True)
    )
    starts = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    inner = feature != LEAF
    return TreeEnsemble(
        names=np.array(names),
        labels=np.asarray(labels, np.int64),
        softmax=np.array(softmax),
        single=np.array(not softmax),  # scikit-learn's forests compare float32, its boosting float64
        base=base,
        tree=np.repeat(np.arange(len(sizes)), sizes),
        feature=feature.astype(np.int64),
        threshold=np.where(inner, threshold, 0.0),
        left=np.where(inner, left + starts, 0).astype(np.int64),
        right=np.where(inner, right + starts, 0).astype(np.int64),
        missing_left=inner & missing_left.astype(bool),
        values=values,
    )


def write(path: Path, trees: TreeEnsemble) -> None:
    """Write trees as an .npz file; its bytes depend only on the trees."""
    files.write_arrays(path, trees._asdict())


def read(path: Path) -> TreeEnsemble:
    """Read and check the file of trees.

    Raises:
        InputError: the file is missing or damaged; the message names it.
    """
    arrays = files.read_arrays(path)
    if set(arrays) != set(TreeEnsemble._fields):
        raise InputError(f"{path}: damaged (other arrays than those of trees); delete it and run `dvc repro`")
    trees = TreeEnsemble(**arrays)
    fault = _fault(trees)
    if fault:
        raise InputError(f"{path}: damaged ({fault}); delete it and run `dvc repro`")
    return trees


def _fault(trees: TreeEnsemble) -> str:
    """What is wrong with trees; empty if nothing is."""
    n, n_classes = len(np.atleast_1d(trees.tree)), len(np.atleast_1d(trees.labels))
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
        ("tree", "feature", "threshold", "left", "right", "missing_left"), (n,)
    )
    shapes |= {"labels": (n_classes,), "base": (n_classes,), "values": (n, n_classes), "softmax": (), "single": ()}
    shapes |= {"names": (np.size(trees.names),)}
    for name, array in trees._asdict().items():
        if array.dtype.kind != TYPES.get(name, "i") or array.shape != shapes[name]:
            return f"array {name} has another type or shape"
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"array {name} has numbers that are not finite"
    inner, own = trees.feature != LEAF, np.arange(n)
    children = np.stack([trees.left, trees.right])
    if (
        not n
        or not np.isin(np.diff(trees.tree, prepend=-1), (0, 1)).all()
        or not np.isin(trees.feature[inner], range(np.size(trees.names))).all()
    ):
        return "nodes do not belong to trees and features"
    if not (n_classes and trees.labels[0] >= 0 and (np.diff(trees.labels) > 0).all()):
        return "labels are not ascending class indices"
    # A child follows its parent within the same tree, so a path never returns.
    if (
        not ((children < n) & (children > own))[:, inner].all()
        or (trees.tree[children % n] != trees.tree)[:, inner].any()
    ):
        return "a child does not follow its parent"
    return ""
