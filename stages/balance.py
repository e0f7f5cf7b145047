"""Write what the training set of each fold is, and preview the augmentation that training draws on the fly."""

from argparse import Namespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.training_sets import training_set
from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.problems import classes_of, encode
from lipnet.core.seeds import generator
from lipnet.core.settings import parse, pick, seed_of
from lipnet.plots import figure
from lipnet.plots.particles import grid
from lipnet.samples import augment, balance, crops
from lipnet.samples.tables import read_folds

N_PREVIEWS = 9


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


def _preview(
    train: NDArray[np.int64],
    labels: NDArray[np.int64],
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
