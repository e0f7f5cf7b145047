"""Tree ensembles on particle features: gradient boosting on histograms (Ke 2017) and random forests (Breiman 2001).

Peers of the network and of the support vector machines. Their models are written as plain arrays (``tree_files``).
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from lipnet.classifiers import tree_files
from lipnet.classifiers.task import FeatureTask
from lipnet.classifiers.tree_files import TreeEnsemble
from lipnet.core.seeds import derive
from lipnet.core.settings import Name, Settings, parse, pick, seed_of
from lipnet.evaluation.predictions import FoldOutput
from lipnet.samples import folds
from lipnet.samples.balance import natural_prior
from lipnet.samples.tables import Fold, Particles

Kind = Literal["boosted", "forest"]
LEAST_PROBABILITY = 1e-12  # lower bound of probabilities in the log loss, for a class that an inner fold lacks


class TreesRow(Settings):
    """One classifier: its kind and its features."""

    kind: Kind
    features: Annotated[list[str], Field(min_length=1)]


class BoostedSettings(Settings):
    """Of kind boosted; names are those of scikit-learn's HistGradientBoostingClassifier, except ``inner_folds``."""

    learning_rate: float = Field(gt=0)
    max_iter: int = Field(ge=1)
    max_leaf_nodes: int = Field(ge=2)
    min_samples_leaf: int = Field(ge=1)
    l2_regularization: float = Field(ge=0)
    inner_folds: int = Field(ge=2)


class ForestSettings(Settings):
    """Of kind forest; names are those of scikit-learn's RandomForestClassifier."""

    n_estimators: int = Field(ge=1)
    min_samples_leaf: int = Field(ge=1)


class TreeSettings(Settings):
    """Section ``train_trees`` of params.yaml."""

    models: dict[Name, TreesRow] = Field(min_length=1)
    class_weights: bool
    boosted: BoostedSettings
    forest: ForestSettings


@dataclass(frozen=True)
class TreeTask(FeatureTask):
    """Input of training trees on one fold; picklable.

    Attributes:
        kind: of trees.
        settings: of all kinds.
    """

    kind: Kind
    settings: TreeSettings


@dataclass(frozen=True)
class TreeResult:
    """Output of training trees on one fold.

    Attributes:
        model: the trees.
        output: the most probable classes, and the probabilities.
    """

    model: TreeEnsemble
    output: FoldOutput


def settings_of(params: dict[str, Any]) -> TreeSettings:
    """Section ``train_trees``."""
    return parse(TreeSettings, pick(params, "train_trees"), "train_trees")


def task_of(params: dict[str, Any], name: str, data: Particles, fold: Fold) -> TreeTask:
    """The task of training the trees of one row of train_trees.models on one fold."""
    settings = settings_of(params)
    row = settings.models[name]
    values, columns = data.values(row.features)
    return TreeTask(
        data.labels, data.groups, fold.train, fold.test, seed_of(params), values, columns, row.kind, settings
    )


def train_fold(task: TreeTask) -> TreeResult:
    """Train on one fold's training rows and predict its test rows.

    Boosting becomes overconfident with many rounds. So the number of rounds is the one with the lowest log loss on
    inner folds of the training rows, with whole groups. The final model is then trained on all training rows.

    Raises:
        InputError: as ``check_features``, or no class has two training rows.
    """
    task.check_features()
    x, y = task.features[task.train], task.labels[task.train]
    names = list(task.names)
    model: HistGradientBoostingClassifier | RandomForestClassifier
    if task.kind == "forest":
        model = _forest(task).fit(x, y)
        kept = tree_files.of_forest(model, names)
    else:
        model = _boosted(task, best_rounds(task)).fit(x, y)
        kept = tree_files.of_boosted(model, names)
    probabilities = task.of_all_classes(model.predict_proba(task.features[task.test]), model.classes_)
    prior = natural_prior(y, probabilities.shape[1])
    return TreeResult(kept, FoldOutput(probabilities.argmax(axis=1), probabilities, prior))


def best_rounds(task: TreeTask) -> int:
    """Number of boosting rounds, from 1 to max_iter, with the lowest log loss on inner folds of the training rows."""
    x, y = task.features[task.train], task.labels[task.train]
    losses = np.zeros(task.settings.boosted.max_iter)
    n_parts, seed = task.settings.boosted.inner_folds, derive("rounds", task.seed)
    setting = "train_trees.boosted.inner_folds"
    for inner, held_out in folds.parts(y, task.groups[task.train], n_parts, seed, setting):
        if len(np.unique(y[inner])) > 1:
            model = _boosted(task, len(losses)).fit(x[inner], y[inner])
            for number, stated in enumerate(model.staged_predict_proba(x[held_out])):
                of_truth = task.of_all_classes(stated, model.classes_)[np.arange(len(held_out)), y[held_out]]
                losses[number] -= np.log(np.maximum(of_truth, LEAST_PROBABILITY)).sum()
    return int(losses.argmin()) + 1


def _boosted(task: TreeTask, rounds: int) -> HistGradientBoostingClassifier:
    numbers = task.settings.boosted.model_dump(exclude={"inner_folds", "max_iter"})
    # scikit-learn's early stopping would split groups.
    return HistGradientBoostingClassifier(
        **numbers,
        max_iter=rounds,
        class_weight=_weights(task),
        early_stopping=False,
        random_state=derive("boosted", task.seed),
    )


def _forest(task: TreeTask) -> RandomForestClassifier:
    numbers, seed = task.settings.forest.model_dump(), derive("forest", task.seed)
    return RandomForestClassifier(**numbers, class_weight=_weights(task), random_state=seed)


def _weights(task: TreeTask) -> str | None:
    return "balanced" if task.settings.class_weights else None
