"""Write what the training set of each fold is, and preview the augmentation that training draws on the fly."""

from argparse import Namespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipnet import augment, balance, crops, files, particles
from lipnet.plots import figure
from lipnet.plots.particles import grid
from lipnet.problems import classes_of, encode
from lipnet.seeds import derive, generator
from lipnet.settings import parse, pick, seed_of
from stages.command import bar, run
from stages.tables import Fold, read_folds

N_PREVIEWS = 9
Labels = NDArray[np.int64]


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the training sets of all folds, and the preview (thesis, Figure 11)."""
    problem, classes, seed = arguments.problem, classes_of(params, arguments.problem), seed_of(params)
    policy = parse(augment.AugmentSettings, pick(params, "augment"), "augment")
    labels = encode(files.read_table(arguments.table)["label"], classes)
    arrays = files.read_arrays(arguments.crops)
    images = {int(name.removeprefix("px")): pixels for name, pixels in arrays.items()}
    folds = read_folds(arguments.folds)
    training_sets = [
        training_set(params, problem, fold, labels, images) for fold in bar(folds, f"{problem}: balancing")
    ]
    files.write_arrays(arguments.training_sets, balance.to_arrays(training_sets))
    shown = crops.first_channel(images[min(images)])
    figure.save(_preview(folds[0].train, labels, shown, classes, policy, seed), arguments.picture)
    counts = zip(classes, training_sets[0].class_counts(labels).tolist(), strict=True)
    print(f"{problem}: examples in an epoch of fold 0: {', '.join(f'{name} {count}' for name, count in counts)}")


def training_set(
    params: dict[str, Any], problem: str, fold: Fold, labels: Labels, images: balance.Images
) -> balance.TrainingSet:
    """The balanced training set of one fold of a problem."""
    settings = parse(balance.BalanceSettings, pick(params, "balance"), "balance")
    classes, seed = classes_of(params, problem), seed_of(params)
    # Another seed than ingest's: examples that are test rows there must not come back here as training examples.
    maker = _artificial_maker(params, problem, classes, derive("artificial examples", seed, fold.number))
    return balance.balance(fold.train, labels, images, settings, generator("balance", seed, fold.number), maker)


def _artificial_maker(params: dict[str, Any], problem: str, classes: list[str], seed: int) -> Any:
    def make(label: int, n: int) -> balance.Images:
        from lipnet import artificial  # slow to import, and most methods make no examples

        drawn = parse(artificial.ArtificialSettings, pick(params, "source", "artificial"), "source.artificial")
        cropping = parse(crops.CropSettings, pick(params, "crop"), "crop")
        made = artificial.render_examples(problem, classes[label], n, drawn, seed)
        return crops.crop_all(particles.pack(made), cropping, [item.id for item in made])

    return make


def _preview(
    train: Labels,
    labels: Labels,
    images: Any,
    classes: list[str],
    policy: augment.AugmentSettings,
    seed: int,
) -> Any:
    rng = generator("preview", seed)
    rows = []
    for label in range(len(classes)):
        original = images[train[labels[train] == label][0]].astype(np.float32) / 255
        maps = augment.draw_maps(N_PREVIEWS, original.shape[0], policy, rng)
        rows.append([original, *augment.warp(np.stack([original] * N_PREVIEWS), maps, policy)])
    return grid(rows, classes, ["original"])


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "crops", "folds", "training_sets", "picture"], main)
