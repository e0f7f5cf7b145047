"""Likely label errors: particles whose label disagrees with their out-of-fold predictions.

The method is confident learning (Northcutt, Jiang and Chuang 2021), as cleanlab implements it. It needs probabilities
for the natural class proportions; a network trained on balanced classes over-predicts the rare ones. Out-of-fold
predictions are averaged over repeats. The only fitted value is a threshold for each class: the mean probability of the
class over its own particles.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.evaluation.predictions import Predictions

Floats = NDArray[np.float64]
# Classifiers with probabilities for natural proportions; see benchmarks/results/label_errors.md.
VOTERS = ("cnn_shifted", "trees", "svm")


def voters(predictions: Mapping[str, Predictions]) -> list[str]:
    """The classifiers of ``VOTERS`` that a run has.

    Raises:
        InputError: the run has none of them.
    """
    found = [name for name in VOTERS if name in predictions]
    if not found:
        raise InputError(
            "no classifier has probabilities for natural proportions; add "
            f"{' or '.join(VOTERS)} in params.yaml and run `dvc repro`"
        )
    return found


def mean_probabilities(predictions: Sequence[Predictions]) -> tuple[NDArray[np.str_], NDArray[np.int64], Floats]:
    """Out-of-fold probabilities of each particle, averaged over classifiers and repeats.

    Returns:
        Ids, shape (n,), in the order of the first repeat; labels, shape (n,); probabilities, shape (n, K).

    Raises:
        InputError: the predictions are of different particles or classes.
    """
    first = predictions[0]
    once = first.repeat == first.repeat.min()
    ids, labels = first.ids[once], first.true[once]
    row_of = {name: row for row, name in enumerate(ids.tolist())}
    sums = np.zeros((len(ids), len(first.classes)))
    for one in predictions:
        if one.classes != first.classes or set(one.ids.tolist()) != set(row_of):
            raise InputError("predictions of different particles or classes; run `dvc repro`")
        rows = [row_of[name] for name in one.ids.tolist()]
        np.add.at(sums, rows, one.probabilities * len(ids) / len(rows))
    return ids, labels, sums / sums.sum(axis=1, keepdims=True)


def rank(labels: NDArray[np.int64], probabilities: Floats) -> pd.DataFrame:
    """All particles, the most suspicious label first.

    The score is cleanlab's self-confidence: the probability of the given label.

    Args:
        labels: class indices, shape (n,).
        probabilities: out of fold, for natural proportions, shape (n, K).

    Returns:
        n rows with the columns row (index into the arguments), score (in [0, 1], small if suspicious), likely (cleanlab
        reports an error) and suggested (index of the most probable class). Likely errors come first.
    """
    scores = get_label_quality_scores(labels, probabilities, method="self_confidence")
    likely = _likely(labels, probabilities)
    table = pd.DataFrame(
        {"row": np.arange(len(labels)), "score": scores, "likely": likely, "suggested": probabilities.argmax(axis=1)}
    )
    return table.sort_values(["likely", "score"], ascending=[False, True], kind="stable").reset_index(drop=True)


def _likely(labels: NDArray[np.int64], probabilities: Floats) -> NDArray[np.bool_]:
    """Whether cleanlab reports a label error, shape (n,). Classes without particles are left out, as it requires."""
    present, codes = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return np.zeros(len(labels), bool)
    stated = probabilities[:, present]
    stated = stated / np.maximum(stated.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return np.asarray(find_label_issues(codes, stated, filter_by="prune_by_noise_rate", n_jobs=1), dtype=bool)
