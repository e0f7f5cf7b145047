"""Likely label errors: particles whose label disagrees with what classifiers say that never saw it.

Confident learning (Northcutt, Jiang and Chuang 2021) by cleanlab. It needs probabilities of natural proportions: those
of a network trained on balanced classes would take frequent classes for rare ones. Out-of-fold predictions are averaged
over repeats; nothing is fitted here but a threshold per class, the mean probability of a class among its own particles.
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
VOTERS = (
    "cnn_shifted",
    "trees",
    "svm",
)  # that state natural proportions; measured in benchmarks/results/label_errors.md


def voters(predictions: Mapping[str, Predictions]) -> list[str]:
    """Those of ``VOTERS`` that a run has.

    Raises:
        InputError: it has none.
    """
    found = [name for name in VOTERS if name in predictions]
    if not found:
        raise InputError(
            f"no classifier states natural proportions; add {' or '.join(VOTERS)} in params.yaml and run `dvc repro`"
        )
    return found


def mean_probabilities(predictions: Sequence[Predictions]) -> tuple[NDArray[np.str_], NDArray[np.int64], Floats]:
    """Out-of-fold probabilities of each particle, averaged over classifiers and repeats.

    Returns:
        Ids, shape (n,), in the order of the first repeat; labels, shape (n,); probabilities, shape (n, K).

    Raises:
        InputError: the classifiers are of different runs.
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
    """All particles, the most suspect label first.

    The score is cleanlab's self-confidence: the probability of the label itself.

    Args:
        labels: class indices, shape (n,).
        probabilities: out of fold, of natural proportions, shape (n, K).

    Returns:
        Columns row (of the arguments), score (in [0, 1], small where suspect), likely (cleanlab calls it an error),
        suggested (class index, the most probable class), n rows; those that are likely come first.
    """
    scores = get_label_quality_scores(labels, probabilities, method="self_confidence")
    likely = _likely(labels, probabilities)
    table = pd.DataFrame(
        {"row": np.arange(len(labels)), "score": scores, "likely": likely, "suggested": probabilities.argmax(axis=1)}
    )
    return table.sort_values(["likely", "score"], ascending=[False, True], kind="stable").reset_index(drop=True)


def _likely(labels: NDArray[np.int64], probabilities: Floats) -> NDArray[np.bool_]:
    """Shape (n,); classes without a particle are left out, of which cleanlab knows nothing."""
    present, codes = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return np.zeros(len(labels), bool)
    stated = probabilities[:, present]
    stated = stated / np.maximum(stated.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return np.asarray(find_label_issues(codes, stated, filter_by="prune_by_noise_rate", n_jobs=1), dtype=bool)
