"""Make the balanced training set of a fold, and the inner folds of its training rows, as params.yaml asks."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lipnet.core.problems import classes_of
from lipnet.core.seeds import derive, generator
from lipnet.core.settings import Name, Settings, parse, pick, seed_of
from lipnet.samples import balance, crops, folds, particles
from lipnet.samples.balance import BalanceSettings, Images, TrainingSet
from lipnet.samples.crops import CropSettings
from lipnet.samples.tables import Fold, Particles


class InnerSettings(Settings):
    """Section ``inner`` of params.yaml."""

    folds: int = Field(ge=2)
    classifiers: list[Name]


def training_set(
    params: dict[str, Any], problem: str, fold: Fold, labels: NDArray[np.int64], images: Images
) -> TrainingSet:
    """The balanced training set of one fold of a problem.

    Args:
        params: params.yaml with its recipe.
        problem: name of the problem.
        fold: a fold of its particles.
        labels: class index of every particle, shape (n,).
        images: crops of every particle by size.

    Raises:
        InputError: params.yaml is not valid, or the method cannot balance these rows.
    """
    settings = parse(BalanceSettings, pick(params, "balance"), "balance")
    classes, seed = classes_of(params, problem), seed_of(params)
    # Not the seed of ingest, which would repeat its examples: test rows would come back as training examples.
    maker = _artificial_maker(params, problem, classes, derive("artificial examples", seed, fold.number))
    return balance.balance(fold.train, labels, images, settings, generator("balance", seed, fold.number), maker)


def _artificial_maker(
    params: dict[str, Any], problem: str, classes: list[str], seed: int
) -> Callable[[int, int], Images]:
    def make(label: int, n: int) -> Images:
        # Slow to import, and most methods make no examples.
        from lipnet.sources.artificial.micrographs import render_examples
        from lipnet.sources.artificial.settings import ArtificialSettings

        drawn = parse(ArtificialSettings, pick(params, "source", "artificial"), "source.artificial")
        cropping = parse(CropSettings, pick(params, "crop"), "crop")
        made = render_examples(problem, classes[label], n, drawn, seed)
        return crops.crop_all(particles.pack(made), cropping, [item.id for item in made])

    return make


def inner_folds(
    params: dict[str, Any], data: Particles, outer: Fold, images: Images
) -> Iterator[tuple[Fold, TrainingSet]]:
    """The inner folds of the training rows of a fold, each with its balanced training set.

    Args:
        params: params.yaml with its recipe.
        data: all particles of the problem.
        outer: the fold.
        images: crops of every particle by size.

    Raises:
        InputError: as ``training_set``; or a class lies in too few groups.
    """
    n_folds = parse(InnerSettings, pick(params, "inner"), "inner").folds
    seed = derive("inner folds", seed_of(params), outer.number)
    for number, (train, held_out) in enumerate(folds.inner(outer.train, data.labels, data.groups, n_folds, seed)):
        # Seeds depend on the number of a fold, so inner folds have other numbers than outer folds, which count from 0.
        fold = Fold(1000 * (outer.number + 1) + number, outer.repeat, number, train, held_out)
        yield fold, training_set(params, data.problem, fold, data.labels, images)
