"""Exported trees predict as scikit-learn does, on random values, on values equal to thresholds, and on missing ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from lipnet.classifiers import tree_files, trees
from lipnet.classifiers.tree_files import TreeEnsemble
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.deployment.graphs.trees import trees as to_onnx
from lipnet.deployment.model_files import Model, read_models
from tests.deployment.node import install, labels
from tests.deployment.onnx_models import description, features_of

NAMES = [f"x{number}" for number in range(6)]
CLASSES = ["A", "B", "C", "D", "E"]
N = 1000
KINDS = pytest.mark.parametrize("kind", ["boosted", "forest"])
Trained = tuple[Any, TreeEnsemble]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("node"))


def _data(n_classes: int, n: int = N) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Overlapping clusters of features of very different scales; some features are multiples of a coarse step."""
    y, rng = np.arange(n) % n_classes, np.random.default_rng(3)
    x = rng.normal(size=(n, 6)) + 0.7 * rng.normal(size=(n_classes, 6))[y]
    x[:, ::2] = np.round(x[:, ::2], 1)
    return x * np.geomspace(1e-4, 1e6, 6), y


def _trained(kind: str, n_classes: int, weighted: bool = False, only: list[int] | None = None) -> Trained:
    """A model of scikit-learn, and its trees as the stage keeps them; ``only``: class indices of the training rows."""
    x, y = _data(n_classes, 400)
    rows = np.isin(y, range(n_classes) if only is None else only)
    weight = "balanced" if weighted else None
    if kind == "boosted":
        boosted = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=8, class_weight=weight, random_state=0)
        boosted.fit(x[rows], y[rows])
        return boosted, tree_files.of_boosted(boosted, NAMES)
    forest = RandomForestClassifier(31, min_samples_leaf=3, class_weight=weight, random_state=0).fit(x[rows], y[rows])
    return forest, tree_files.of_forest(forest, NAMES)


def _inputs(kept: TreeEnsemble, n_classes: int) -> NDArray[np.float64]:
    """Random rows, rows of which every value is a threshold or one of its neighbours, and rows of extreme values."""
    x, _ = _data(n_classes)
    border, rng = x.copy(), np.random.default_rng(4)
    for column in range(6):
        at = kept.threshold[kept.feature == column]
        near = np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), at.astype(np.float32)])
        border[:, column] = rng.choice(near, len(border))
    return np.concatenate([x, border, 1e9 * np.eye(6), -1e9 * np.eye(6), np.zeros((1, 6))])


def _exported(kept: TreeEnsemble, n_classes: int, folder: Path) -> Model:
    priors = dict.fromkeys(("training_prior", "natural_prior"), [1 / n_classes] * n_classes)
    said = description(classifier="trees", inputs=features_of(*NAMES), classes=CLASSES[:n_classes], **priors)
    (folder / "model.onnx").write_bytes(to_onnx(kept, said))
    [model] = read_models(folder / "model.onnx", None)
    return model


def _of_all(model: Any, x: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    filled = np.zeros((len(x), n_classes))
    filled[:, model.classes_] = model.predict_proba(x)
    return filled


@KINDS
@pytest.mark.parametrize("weighted", [False, True], ids=["natural", "weighted"])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_trees_predict_the_same_in_onnx_runtime_in_scikit_learn_and_in_node(
    kind: str, n_classes: int, weighted: bool, node: Path, tmp_path: Path
) -> None:
    model, kept = _trained(kind, n_classes, weighted)
    x = _inputs(kept, n_classes)
    expected = _of_all(model, x, n_classes)
    found = _exported(kept, n_classes, tmp_path).probabilities({"features": x})
    assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    assert len(set(expected.argmax(axis=1))) == n_classes
    assert labels(node, tmp_path / "model.onnx", {"features": x}) == expected.argmax(axis=1).tolist()


@KINDS
@pytest.mark.parametrize("only", [[0, 2], [1, 2], [0, 1, 3]])
def test_a_class_that_the_training_rows_lack_has_probability_0(kind: str, only: list[int], tmp_path: Path) -> None:
    model, kept = _trained(kind, 4, only=only)
    x = _inputs(kept, 4)
    found = _exported(kept, 4, tmp_path).probabilities({"features": x})
    assert_allclose(found, _of_all(model, x, 4), rtol=0, atol=1e-6)
    assert (found[:, np.setdiff1d(range(4), only)] == 0).all()


@KINDS
def test_a_missing_value_takes_the_path_of_scikit_learn(kind: str, tmp_path: Path) -> None:
    x, y = _data(3, 400)
    x[::3, 1] = x[1::4, 4] = np.nan
    estimator = HistGradientBoostingClassifier(max_iter=9) if kind == "boosted" else RandomForestClassifier(9)
    model = estimator.fit(x, y)
    kept = (tree_files.of_boosted if kind == "boosted" else tree_files.of_forest)(model, NAMES)
    assert kept.missing_left.any() and not kept.missing_left[kept.feature >= 0].all()
    found = _exported(kept, 3, tmp_path).probabilities({"features": x})
    assert_allclose(found, model.predict_proba(x), rtol=0, atol=1e-6)


@KINDS
def test_the_stage_keeps_the_model_that_made_its_predictions(kind: Any, tmp_path: Path) -> None:
    x, y = _data(3, 300)
    settings = trees.TreeSettings.model_validate(
        {
            "models": {"trees": {"kind": kind, "features": ["x"]}},
            "class_weights": False,
            "boosted": {"learning_rate": 0.3, "max_iter": 9, "max_leaf_nodes": 4, "min_samples_leaf": 5}
            | {"l2_regularization": 0.0, "inner_folds": 2},
            "forest": {"n_estimators": 20, "min_samples_leaf": 2},
        }
    )
    task = trees.TreeTask(y, np.arange(300), np.arange(200), np.arange(200, 300), 1, x, NAMES, kind, settings)
    result = trees.train_fold(task)
    tree_files.write(tmp_path / "fold0.npz", result.model)
    read = tree_files.read(tmp_path / "fold0.npz")
    for name, array in result.model._asdict().items():
        assert_array_equal(getattr(read, name), array)
    found = _exported(read, 3, tmp_path).probabilities({"features": x[task.test]})
    assert_allclose(found, result.output.probabilities, rtol=0, atol=1e-6)
    assert_array_equal(found.argmax(axis=1), result.output.predicted)


def test_bytes_depend_on_the_trees_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tree_files.write(tmp_path / name, _trained("boosted", 3)[1])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda kept: {"left": np.zeros_like(kept.left)}, "a child does not follow its parent"),
        (lambda kept: {"right": kept.right + 10**6}, "a child does not follow its parent"),
        (lambda kept: {"tree": np.arange(len(kept.tree))}, "a child does not follow its parent"),
        (lambda kept: {"tree": kept.tree * 2}, "nodes do not belong to trees and features"),
        (lambda kept: {"feature": np.where(kept.feature == 5, 6, kept.feature)}, "nodes do not belong to trees"),
        (lambda kept: {"labels": kept.labels[::-1]}, "labels are not ascending class indices"),
        (lambda kept: {"threshold": np.full_like(kept.threshold, np.inf)}, "threshold has numbers that are not finite"),
        (lambda kept: {"values": kept.values[:, :1]}, "array values has another type or shape"),
        (lambda _: {"names": np.arange(6)}, "array names has another type or shape"),
        (lambda _: {"base": np.array(0.0)}, "array base has another type or shape"),
        (lambda kept: {"more": kept.base}, "other arrays than those of trees"),
    ],
)
def test_a_damaged_file_of_trees_is_named(change: Any, message: str, tmp_path: Path) -> None:
    kept = _trained("forest", 3)[1]
    files.write_arrays(tmp_path / "fold0.npz", kept._asdict() | change(kept))
    with pytest.raises(InputError, match=rf"fold0\.npz: damaged \(.*{message}"):
        tree_files.read(tmp_path / "fold0.npz")


def test_trees_of_other_features_or_classes_are_refused(tmp_path: Path) -> None:
    kept = _trained("forest", 3)[1]
    for other in (kept._replace(names=kept.names[:-1]), kept._replace(labels=np.array([0, 1, 3]))):
        with pytest.raises(InputError, match="trees, fold 0: the trees have other features or classes"):
            _exported(other, 3, tmp_path)


def replace_names(kept: TreeEnsemble) -> TreeEnsemble:
    return kept._replace(names=kept.names[:-1])
