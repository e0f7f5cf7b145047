"""Trees on particle features, peers of the networks: boosted (Friedman 2001), and random forests (Breiman 2001)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from lipnet.errors import InputError
from lipnet.seeds import derive
from lipnet.settings import Settings

TreesName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # becomes a file name and a key of the metrics


class TreesRow(Settings):
    """One row of ``train_trees.models``."""

    kind: Literal["boosted", "forest"]
    features: list[str] = Field(min_length=1)


class TreesSettings(Settings):
    """Section ``train_trees`` of params.yaml."""

    models: dict[TreesName, TreesRow]
    n_trees: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    max_leaf_nodes: int = Field(ge=2)
    min_samples_leaf: int = Field(ge=1)
    l2: float = Field(ge=0)


@dataclass(frozen=True)
class TreesTask:
    """All that one fold needs; picklable.

    Attributes:
        features: of all particles, shape (n, n_features).
        names: of the features, for messages.
        labels: class index of every particle, shape (n,).
        train: training rows, shape (n_train,).
        test: test rows, shape (n_test,).
        kind: boosted or forest.
        settings: of the trees.
        seed: of the draws of rows and features.
    """

    features: NDArray[np.float64]
    names: Sequence[str]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    kind: str
    settings: TreesSettings
    seed: int


@dataclass(frozen=True)
class TreesResult:
    """What one fold gives: class indices, shape (n_test,), and probabilities, shape (n_test, K)."""

    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def train_fold(task: TreesTask) -> TreesResult:
    """Train on one fold's training rows and predict its test rows.

    Rows have no weights: the probabilities are those of the proportions in the training rows. Nothing watches a held
    out part: the number of trees is a setting.

    Raises:
        InputError: a feature is not finite.
    """
    bad = np.flatnonzero(~np.isfinite(task.features).all(axis=0))
    if len(bad):
        raise InputError(f"feature {', '.join(task.names[int(column)] for column in bad)}: has NaN or infinite values")
    model = _model(task).fit(task.features[task.train], task.labels[task.train])
    probabilities = np.zeros((len(task.test), int(task.labels.max()) + 1))
    probabilities[:, model.classes_] = model.predict_proba(task.features[task.test])
    return TreesResult(probabilities.argmax(axis=1), probabilities)


def _model(task: TreesTask) -> Any:
    settings, state = task.settings, derive("trees", task.seed)
    if task.kind == "forest":
        return RandomForestClassifier(settings.n_trees, min_samples_leaf=settings.min_samples_leaf, random_state=state)
    return HistGradientBoostingClassifier(
        learning_rate=settings.learning_rate,
        max_iter=settings.n_trees,
        max_leaf_nodes=settings.max_leaf_nodes,
        min_samples_leaf=settings.min_samples_leaf,
        l2_regularization=settings.l2,
        early_stopping=False,
        random_state=state,
    )
