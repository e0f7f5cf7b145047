"""Balanced training sets of folds: repeated rows, synthetic examples, class weights (thesis, section 4.8)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings

Images = dict[int, NDArray[np.uint8]]  # size_px -> shape (n, size_px, size_px), or with a fourth axis of channels


class BalanceSettings(Settings):
    """Section ``balance`` of params.yaml."""

    method: Literal["none", "oversample", "undersample", "smote", "artificial", "artificial_only", "class_weights"]
    drop_fraction: float = Field(ge=0, lt=1)
    smote_neighbours: int = Field(ge=1)


@dataclass(frozen=True)
class TrainingSet:
    """The balanced training set of one fold.

    Attributes:
        rows: particle indices with repeats, shape (n_rows,); all are training rows of the fold.
        synthetic: synthetic examples by size: size_px -> shape (n_synthetic, size_px, size_px), uint8.
        synthetic_labels: their class indices, shape (n_synthetic,).
        class_weights: weight of a sample by its class, shape (K,).
        drop_fraction: share of the majority class to leave out, drawn again for every epoch (undersampling).
    """

    rows: NDArray[np.int64]
    synthetic: Images
    synthetic_labels: NDArray[np.int64]
    class_weights: NDArray[np.float64]
    drop_fraction: float

    def class_counts(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Examples per class in one epoch before any drop, shape (K,)."""
        everything = np.concatenate([labels[self.rows], self.synthetic_labels])
        return np.bincount(everything, minlength=len(self.class_weights))


def balance(
    train: NDArray[np.int64],
    labels: NDArray[np.int64],
    images: Images,
    settings: BalanceSettings,
    rng: np.random.Generator,
    make_artificial: Callable[[int, int], Images],
) -> TrainingSet:
    """Balance the training rows of one fold; data of other rows are not used.

    Args:
        train: indices of the training rows, shape (n_train,).
        labels: class index of every particle, shape (n,); classes are 0 .. K-1.
        images: crops of every particle by size; SMOTE interpolates between those of training rows.
        settings: the method and its parameters.
        rng: source of every draw.
        make_artificial: (class index, number of examples) -> new artificial examples by size.

    Raises:
        InputError: SMOTE has a class with a single training row, or artificial examples of a class cannot be made.
    """
    n_classes = int(labels.max()) + 1
    counts = np.bincount(labels[train], minlength=n_classes)
    rows, synthetic, synthetic_labels = train, _empty(images), np.empty(0, np.int64)
    if settings.method == "oversample":
        rows = oversample(train, labels, rng)
    elif settings.method == "smote":
        synthetic, synthetic_labels = _smote(train, labels, counts, images, settings.smote_neighbours, rng)
    elif settings.method == "artificial":
        synthetic, synthetic_labels = _artificial(counts.max() - counts, images, make_artificial)
    elif settings.method == "artificial_only":
        rows = train[:0]
        synthetic, synthetic_labels = _artificial(np.full(n_classes, counts.max()), images, make_artificial)
    weights = np.ones(n_classes)
    if settings.method == "class_weights":  # 0 for a class without training rows
        weights = np.divide(len(train), n_classes * counts, out=np.zeros(n_classes), where=counts > 0)
    return TrainingSet(
        rows=rows,
        synthetic=synthetic,
        synthetic_labels=synthetic_labels,
        class_weights=weights,
        drop_fraction=settings.drop_fraction if settings.method == "undersample" else 0.0,
    )


def _empty(images: Images) -> Images:
    return {size: pixels[:0] for size, pixels in images.items()}


def oversample(train: NDArray[np.int64], labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Repeat rows until every class present has as many rows as the largest (thesis, section 4.8.1).

    Each row of a class is repeated equally often; the remaining rows are drawn without replacement.
    """
    counts = np.bincount(labels[train])
    parts = []
    for label in np.flatnonzero(counts):
        members = train[labels[train] == label]
        whole, rest = divmod(int(counts.max()), int(counts[label]))
        parts += [np.tile(members, whole), rng.choice(members, rest, replace=False)]
    return np.concatenate(parts)


def _smote(
    train: NDArray[np.int64],
    labels: NDArray[np.int64],
    counts: NDArray[np.int64],
    images: Images,
    neighbours: int,
    rng: np.random.Generator,
) -> tuple[Images, NDArray[np.int64]]:
    from imblearn.over_sampling import SMOTE  # imported here because the import takes as long as all others of a stage

    if counts.min() < 2:
        raise InputError("balance.method 'smote' needs two training rows of every class; use 'oversample' instead")
    state = int(rng.integers(2**31))
    synthetic, new_labels = {}, np.empty(0, np.int64)
    for size, crops in images.items():
        sampler = SMOTE(k_neighbors=min(neighbours, int(counts.min()) - 1), random_state=state)
        # SMOTE subtracts neighbours, which wraps around in uint8.
        pixels, all_labels = sampler.fit_resample(
            crops[train].reshape(len(train), -1).astype(np.float32), labels[train]
        )
        # imbalanced-learn appends new examples after the given ones.
        synthetic[size] = np.round(pixels[len(train) :]).astype(np.uint8).reshape(-1, *crops.shape[1:])
        new_labels = all_labels[len(train) :]
    return synthetic, new_labels


def _artificial(
    missing: NDArray[np.int64], images: Images, make_artificial: Callable[[int, int], Images]
) -> tuple[Images, NDArray[np.int64]]:
    made = [make_artificial(label, int(n)) for label, n in enumerate(missing) if n]
    synthetic = {size: np.concatenate([_empty(images)[size], *(part[size] for part in made)]) for size in images}
    return synthetic, np.repeat(np.arange(len(missing)), missing)


def epoch_rows(training_set: TrainingSet, labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Examples of one epoch, shuffled: values below n are particles, n + i is the synthetic example i.

    Args:
        training_set: of one fold.
        labels: class index of every particle, shape (n,).
        rng: source of the drop and the shuffle.

    Returns:
        Shape (n_epoch,). With undersampling, other rows of the majority class are left out in each epoch (thesis,
        section 4.8.2).
    """
    synthetic = len(labels) + np.arange(len(training_set.synthetic_labels))
    everything = np.concatenate([training_set.rows, synthetic])
    if training_set.drop_fraction:
        majority = int(training_set.class_counts(labels).argmax())
        of_majority = np.flatnonzero(labels[training_set.rows] == majority)
        n_dropped = round(len(of_majority) * training_set.drop_fraction)
        everything = np.delete(everything, rng.choice(of_majority, n_dropped, replace=False))
    return rng.permutation(everything)


def sampled_prior(training_set: TrainingSet, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Effective class prior of training: examples of an epoch after the drop, times class weights, shape (K,).

    Args:
        training_set: of one fold.
        labels: class index of every particle, shape (n,); only labels of training rows are used.
    """
    counts = training_set.class_counts(labels).astype(np.float64)
    majority = counts.argmax()
    counts[majority] -= round(counts[majority] * training_set.drop_fraction)
    weighted = counts * training_set.class_weights
    return weighted / weighted.sum()


def natural_prior(labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Share of each class among the labels of the training rows, shape (K,)."""
    return np.bincount(labels, minlength=n_classes) / len(labels)


def to_arrays(training_sets: list[TrainingSet]) -> dict[str, Any]:
    """Training sets of all folds as named arrays for an .npz file."""
    arrays: dict[str, Any] = {"n_folds": np.array(len(training_sets))}
    for number, item in enumerate(training_sets):
        arrays |= {
            f"fold{number}_rows": item.rows,
            f"fold{number}_labels": item.synthetic_labels,
            f"fold{number}_weights": item.class_weights,
            f"fold{number}_drop": np.array(item.drop_fraction),
            **{f"fold{number}_px{size}": images for size, images in item.synthetic.items()},
        }
    return arrays


def from_arrays(arrays: dict[str, Any]) -> list[TrainingSet]:
    """Rebuild the training sets from the arrays of ``to_arrays``."""
    return [_one_from_arrays(arrays, f"fold{number}_") for number in range(int(arrays["n_folds"]))]


def _one_from_arrays(arrays: dict[str, Any], prefix: str) -> TrainingSet:
    sizes = {name: int(name.removeprefix(f"{prefix}px")) for name in arrays if name.startswith(f"{prefix}px")}
    return TrainingSet(
        rows=arrays[f"{prefix}rows"],
        synthetic={size: arrays[name] for name, size in sizes.items()},
        synthetic_labels=arrays[f"{prefix}labels"],
        class_weights=arrays[f"{prefix}weights"],
        drop_fraction=float(arrays[f"{prefix}drop"]),
    )
