"""Inner out-of-fold scores: probabilities for the training rows of each fold by classifiers trained without them.

The table has one row for each fold, inner fold and training row: outer (number of the fold), part (number of the inner
fold), row (of the particle table), label (class), label_smoothing (of the training), and for each class p_<class> and
prior_<class>: its probability, with label smoothing, and the prior that the probabilities are for. It depends on no
decision rule, so no change of a rule trains anything.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.evaluation.posteriors import InnerScores, Posterior, posterior
from lipnet.evaluation.predictions import PRIOR, PROBABILITY, FoldOutput


def to_table(
    outer: int, part: int, rows: NDArray[np.int64], labels: NDArray[np.int64], output: FoldOutput, classes: list[str]
) -> pd.DataFrame:
    """The scores of one inner fold.

    Args:
        outer: number of the fold.
        part: number of the inner fold.
        rows: rows of the particle table that the training of this inner fold left out, shape (n,).
        labels: class index of every particle.
        output: of the classifier, for these rows.
        classes: the K class names.
    """
    table = pd.DataFrame({"outer": outer, "part": part, "row": rows, "label": np.array(classes)[labels[rows]]})
    table["label_smoothing"] = output.label_smoothing
    table[[PROBABILITY + name for name in classes]] = np.round(output.probabilities, 6)
    table[[PRIOR + name for name in classes]] = output.prior
    return table


def of_fold(tables: Sequence[pd.DataFrame], outer: int, classes: list[str], floor: float) -> InnerScores:
    """Inner scores of one fold by several classifiers.

    Args:
        tables: one for each classifier, of the same rows.
        outer: number of the fold.
        classes: the K class names.
        floor: see ``posteriors.unsmooth``.

    Raises:
        InputError: there are no scores of this fold, or the classifiers scored different rows.
    """
    own = [table[table["outer"] == outer].sort_values(["part", "row"]) for table in tables]
    places = [table[["part", "row"]].to_numpy() for table in own]
    if not len(places[0]) or any(not np.array_equal(places[0], place) for place in places):
        raise InputError(f"inner scores of fold {outer} are missing or differ in their rows; run `dvc repro` again")
    index = {name: number for number, name in enumerate(classes)}
    labels = np.array([index[name] for name in own[0]["label"]], dtype=np.int64)
    parts = [
        [_posterior(table[table["part"] == part], classes, floor) for table in own] for part in own[0]["part"].unique()
    ]
    return InnerScores(parts, labels)


def _posterior(table: pd.DataFrame, classes: list[str], floor: float) -> Posterior:
    probabilities = table[[PROBABILITY + name for name in classes]].to_numpy(dtype=np.float64)
    prior = table[[PRIOR + name for name in classes]].iloc[0].to_numpy(dtype=np.float64)
    smoothing = float(table["label_smoothing"].iloc[0])
    return posterior(FoldOutput(probabilities.argmax(axis=1), probabilities, prior, smoothing), floor)
