"""Paired bootstrap over groups (micrographs): uncertainty of differences between classifiers due to the test particles.

A resample draws whole groups of the pooled out-of-fold predictions with replacement (Davison and Hinkley 1997, section
2.4), the same groups for every classifier. Particles of one micrograph may therefore be correlated. The intervals cover
the choice of the test micrographs. They do not cover other training rows, another split or another seed, which would
give other networks. The corrected test of ``comparison`` covers these, fold by fold, but ignores groups.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.evaluation.measures import POOLED
from lipnet.evaluation.predictions import Predictions

Floats = NDArray[np.float64]
COLUMNS = ["classifier", "measure", "difference", "low", "high", "defined"]
CELLS = 10**7  # size of the array of weights that is drawn at once; limits memory
CLIP = 1e-7  # of probabilities, as in ``metrics.log_loss``


def differences(
    predictions: Mapping[str, Predictions],
    groups: NDArray[np.int64],
    reference: str,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Differences from the reference classifier with percentile intervals.

    Counts are pooled over folds. With repeats, each resample averages a measure over the repeats.

    Args:
        predictions: by classifier, all of the same particles and repeats.
        groups: of ``groups_of``, shape (n_rows,).
        reference: name of one of the classifiers.
        confidence: level of the intervals.
        resamples: number of resamples; 0 gives no rows.
        rng: source of the draws.

    Returns:
        One row for each measure and each classifier except the reference: classifier, measure, difference (classifier
        minus reference, without resampling), low, high, defined (share of the resamples in which the measure is
        defined for both classifiers; some resamples lack a class with few groups).
    """
    others = [name for name in predictions if name != reference]
    if not resamples or not others:
        return pd.DataFrame(columns=COLUMNS)
    sums = {name: group_sums(one, groups) for name, one in predictions.items()}
    n_groups = int(groups.max()) + 1
    as_they_are = {name: measures(one, np.ones((1, n_groups))) for name, one in sums.items()}
    at_once = max(CELLS // n_groups, 1)
    parts = [
        {name: measures(one, weights) for name, one in sums.items()}
        for weights in (draw(min(at_once, resamples - done), n_groups, rng) for done in range(0, resamples, at_once))
    ]
    found = {name: np.concatenate([part[name] for part in parts], axis=1) for name in predictions}
    tail = 50 * (1 - confidence)
    rows = []
    for name in others:
        values, known = found[name] - found[reference], as_they_are[name] - as_they_are[reference]
        for measure, of_measure, [difference] in zip(POOLED, values, known, strict=True):
            defined = of_measure[np.isfinite(of_measure)]
            low, high = np.percentile(defined, [tail, 100 - tail]) if len(defined) else (np.nan, np.nan)
            rows.append((name, measure, difference, low, high, len(defined) / resamples))
    return pd.DataFrame(rows, columns=COLUMNS).round(6)  # further digits differ between processors


def groups_of(predictions: Predictions, particles: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """Group index of each row of a table of predictions, shape (n_rows,).

    Args:
        predictions: of any classifier of the problem; the rows of all have the same particles.
        particles: columns id and group.
        name: of the file of the particles, for messages.

    Raises:
        InputError: a particle of the predictions is not in the table.
    """
    group_of = dict(zip(particles["id"].to_numpy(dtype=np.str_), pd.factorize(particles["group"])[0], strict=True))
    unknown = sorted(set(predictions.ids) - set(group_of))
    if unknown:
        raise InputError(f"{name}: particle '{unknown[0]}' was predicted and is not there; run `dvc repro`")
    return np.array([group_of[one] for one in predictions.ids], dtype=np.int64)


def draw(n: int, n_groups: int, rng: np.random.Generator) -> Floats:
    """Number of times that each of n resamples draws each group, shape (n, n_groups); each draws n_groups times."""
    drawn = rng.integers(n_groups, size=(n, n_groups)) + n_groups * np.arange(n)[:, None]
    return np.bincount(drawn.ravel(), minlength=n * n_groups).reshape(n, n_groups).astype(np.float64)


def group_sums(predictions: Predictions, groups: NDArray[np.int64]) -> Floats:
    """Confusion counts and summed log losses of each repeat and group, shape (repeats, groups, K * K + 1)."""
    n_classes, n_groups = len(predictions.classes), int(groups.max()) + 1
    repeats, repeat = np.unique(predictions.repeat, return_inverse=True)
    place = repeat * n_groups + groups
    sums = np.zeros((len(repeats) * n_groups, n_classes**2 + 1))
    np.add.at(sums, (place, predictions.true * n_classes + predictions.predicted), 1)
    stated = predictions.probabilities[np.arange(len(place)), predictions.true]
    sums[:, -1] = np.bincount(place, -np.log(np.clip(stated, CLIP, 1.0)), len(sums))
    return sums.reshape(len(repeats), n_groups, -1)


def measures(sums: Floats, weights: Floats) -> Floats:
    """The measures ``POOLED`` of n resamples, averaged over repeats, shape (len(POOLED), n); NaN where undefined.

    Args:
        sums: of ``group_sums``.
        weights: of ``draw``, shape (n, n_groups).
    """
    return np.mean([_of_pooled(weights @ of_repeat) for of_repeat in sums], axis=0)


def _of_pooled(totals: Floats) -> Floats:
    n_classes = round((totals.shape[1] - 1) ** 0.5)
    confusion = totals[:, :-1].reshape(-1, n_classes, n_classes)
    true, named, n = confusion.sum(axis=2), confusion.sum(axis=1), confusion.sum(axis=(1, 2))
    right = np.diagonal(confusion, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):  # 0/0 is undefined, as in ``metrics``
        f1 = (2 * right / (true + named)).mean(axis=1)
        spread = (n**2 - (named**2).sum(axis=1)) * (n**2 - (true**2).sum(axis=1))
        mcc = (right.sum(axis=1) * n - (true * named).sum(axis=1)) / np.sqrt(spread)
        recall = (right / true).mean(axis=1)
        found = {"macro_f1": f1, "mcc": mcc, "balanced_accuracy": recall, "log_loss": totals[:, -1] / n}
    return np.stack([found[name] for name in POOLED])
