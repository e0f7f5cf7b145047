"""Cross-validation folds: stratified by class, groups kept whole, drawn from a seed (thesis, section 8.1).

scikit-learn is slow to import, so only the functions that draw folds import it; most stages only read folds.
"""

import warnings
from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from lipnet.core.errors import InputError
from lipnet.core.seeds import derive
from lipnet.core.settings import Settings

CANDIDATES = 10  # number of shuffles; StratifiedGroupKFold is greedy, so the most even result is kept


class SplitSettings(Settings):
    """Section ``split`` of params.yaml."""

    folds: int = Field(ge=2)
    repeats: int = Field(ge=1)
    protocol: Literal["grouped", "shuffled", "thesis"]


def assign(
    labels: NDArray[np.int64], groups: NDArray[np.int64], classes: list[str], settings: SplitSettings, seed: int
) -> NDArray[np.int64]:
    """Assign every particle to a fold, in every repeat of the cross-validation.

    Protocols: ``grouped`` keeps particles of one group in one fold; ``shuffled`` ignores groups; ``thesis`` cuts each
    class into contiguous blocks in the order of the table, as the thesis's author did, without randomness, so only one
    repeat makes sense.

    Args:
        labels: class index of each particle, shape (n,).
        groups: group index of each particle, shape (n,).
        classes: the K class names.
        settings: number of folds and repeats, protocol.
        seed: of the run; each repeat derives its own seed from it.

    Returns:
        Fold indices in [0, folds), shape (repeats, n).

    Raises:
        InputError: a class has fewer particles or groups than there are folds, or a class is missing from a fold.
    """
    check_classes(labels, groups, classes, settings)
    if settings.protocol == "thesis":
        if settings.repeats > 1:
            raise InputError("params.yaml: split.protocol 'thesis' draws nothing, so split.repeats must be 1")
        return _contiguous(labels, settings.folds)[None, :]
    grouped = settings.protocol == "grouped" and len(np.unique(groups)) < len(groups)
    folds = np.stack(
        [
            _most_even(labels, groups, settings.folds, seed, repeat)
            if grouped
            else _shuffled(labels, settings.folds, seed, repeat)
            for repeat in range(settings.repeats)
        ]
    )
    _check_folds(labels, folds, classes, settings.folds)
    return folds


def check_classes(
    labels: NDArray[np.int64], groups: NDArray[np.int64], classes: list[str], settings: SplitSettings
) -> None:
    """Check that every class has enough particles and groups for the folds; arguments as of ``assign``.

    Raises:
        InputError: a class has fewer particles or groups than there are folds.
    """
    for fault in too_few(labels, groups, classes, settings).values():
        raise InputError(fault)


def too_few(
    labels: NDArray[np.int64], groups: NDArray[np.int64], classes: list[str], settings: SplitSettings
) -> dict[str, str]:
    """A message for every class with fewer particles or groups than there are folds; arguments as of ``assign``.

    The message says what helps, also which number of folds all classes allow.
    """
    of_class = [labels == index for index in range(len(classes))]
    particles = [int(members.sum()) for members in of_class]
    places = [len(np.unique(groups[members])) for members in of_class]
    folds, grouped = settings.folds, settings.protocol == "grouped"
    most = min(places if grouped else particles)
    lower = f"set split.folds to {most}, " if most >= 2 else ""
    join = "write another class in its rows, or delete its rows; in both cases leave the class out of `classes`"
    faults = {}
    for name, n, n_groups in zip(classes, particles, places, strict=True):
        if n < folds:
            faults[name] = (
                f"class '{name}' has {n} particles, fewer than the {folds} folds; "
                f"add at least {folds - n} of it, {lower}{join}"
            )
        elif grouped and n_groups < folds:
            faults[name] = (
                f"class '{name}' lies in {n_groups} groups, fewer than the {folds} folds, so some fold would have none "
                f"of it; use finer groups, add particles of it from at least {folds - n_groups} more, {lower}"
                "set split.protocol: shuffled, which ignores groups, or join it with another class"
            )
    return faults


def _shuffled(labels: NDArray[np.int64], n_folds: int, seed: int, repeat: int) -> NDArray[np.int64]:
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=derive("shuffled folds", seed, repeat))
    return _to_assignment(splitter.split(labels, labels), len(labels))


def _most_even(
    labels: NDArray[np.int64], groups: NDArray[np.int64], n_folds: int, seed: int, repeat: int
) -> NDArray[np.int64]:
    from sklearn.model_selection import StratifiedGroupKFold

    candidates = []
    for attempt in range(CANDIDATES):
        splitter = StratifiedGroupKFold(
            n_folds, shuffle=True, random_state=derive("grouped folds", seed, repeat, attempt)
        )
        candidates.append(_to_assignment(splitter.split(labels, labels, groups), len(labels)))
    return min(candidates, key=lambda folds: unevenness(labels, folds, n_folds))


def inner(
    train: NDArray[np.int64], labels: NDArray[np.int64], groups: NDArray[np.int64], n_folds: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Split the training rows of a fold into inner folds, with groups kept whole: rows to train on, rows held out.

    Args:
        train: training rows of the outer fold, shape (n_train,).
        labels: class index of every particle, shape (n,); only labels of training rows are used.
        groups: group index of every particle, shape (n,).
        n_folds: number of inner folds.
        seed: of the shuffle.

    Raises:
        InputError: a class lies in fewer groups than there are inner folds.
    """
    own = _kept_apart(groups[train])
    in_groups = {int(label): len(np.unique(own[labels[train] == label])) for label in np.unique(labels[train])}
    rarest = min(in_groups, key=lambda label: in_groups[label])
    if in_groups[rarest] < n_folds:
        raise InputError(
            f"inner.folds: class {rarest} (counted from 0, as in `classes`) lies in {in_groups[rarest]} groups of the "
            f"training rows of a fold, fewer than the {n_folds} inner folds; lower inner.folds or use finer groups"
        )
    pairs = parts(labels[train], own, n_folds, seed, "inner.folds")
    return [(train[fitting], train[held_out]) for fitting, held_out in pairs]


def parts(
    labels: NDArray[np.int64], groups: NDArray[np.int64], most: int, seed: int, setting: str
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Split training rows into parts, stratified, with groups kept whole: positions to fit on, positions held out.

    Args:
        labels: class index of each row, shape (n,).
        groups: group index of each row, shape (n,).
        most: number of parts; fewer, if there are fewer groups or if the largest class has fewer rows.
        seed: of the shuffle.
        setting: that ``most`` comes from, for the message.

    Returns:
        Pairs of positions, each ascending.

    Raises:
        InputError: no class has two rows.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = _kept_apart(groups)
    counts = np.bincount(labels)
    if counts.max() < 2:
        raise InputError(
            f"{setting}: {', '.join(f'class {label}' for label in np.flatnonzero(counts))} (counted from 0, as in "
            "`classes`) have one training row each, which cannot be split into parts; add particles or lower "
            "split.folds"
        )
    n_parts = min(most, len(np.unique(groups)), int(counts.max()))
    splitter = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer rows than parts is missing from some parts. This is acceptable: nothing is judged on them.
        warnings.filterwarnings("ignore", message="The least populated class")
        return list(splitter.split(labels, labels, groups))


def _kept_apart(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    # A single group cannot be split, so each row becomes a group.
    return groups if len(np.unique(groups)) > 1 else np.arange(len(groups))


def unevenness(labels: NDArray[np.int64], folds: NDArray[np.int64], n_folds: int) -> float:
    """Sum over classes and folds of (count - expected)^2 / expected^2; 0 if every fold has its share of each class."""
    counts = np.zeros((labels.max() + 1, n_folds))
    np.add.at(counts, (labels, folds), 1)
    expected = counts.sum(axis=1, keepdims=True) / n_folds
    return float((((counts - expected) / expected) ** 2).sum())


def _to_assignment(splits: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]], n: int) -> NDArray[np.int64]:
    folds = np.full(n, -1, dtype=np.int64)
    for fold, (_, test) in enumerate(splits):
        folds[test] = fold
    return folds


def _contiguous(labels: NDArray[np.int64], n_folds: int) -> NDArray[np.int64]:
    folds = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        folds[members] = np.arange(len(members)) * n_folds // len(members)
    return folds


def _check_folds(labels: NDArray[np.int64], folds: NDArray[np.int64], classes: list[str], n_folds: int) -> None:
    for repeat, assignment in enumerate(folds):
        for fold in range(n_folds):
            absent = [name for index, name in enumerate(classes) if not (labels[assignment == fold] == index).any()]
            if absent:
                raise InputError(
                    f"fold {fold} of repeat {repeat} has no {' and no '.join(absent)}: the groups are too coarse; "
                    "lower split.folds, change the seed, or set split.protocol: shuffled"
                )


def count_table(labels: NDArray[np.int64], folds: NDArray[np.int64], classes: list[str]) -> pd.DataFrame:
    """Number of particles of each class in each fold; columns repeat, fold, one per class, and total."""
    rows = [
        {
            "repeat": repeat,
            "fold": fold,
            **{name: int((labels[assignment == fold] == index).sum()) for index, name in enumerate(classes)},
            "total": int((assignment == fold).sum()),
        }
        for repeat, assignment in enumerate(folds)
        for fold in range(assignment.max() + 1)
    ]
    return pd.DataFrame(rows)


def giant_group(groups: NDArray[np.int64], n_folds: int) -> float | None:
    """Share of particles in the largest group if it exceeds the size of a fold; otherwise None."""
    share = float(np.bincount(groups).max() / len(groups))
    return share if share > 1 / n_folds else None
