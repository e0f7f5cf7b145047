"""Write the training set of each fold, and a preview of the augmentation that training applies in every epoch."""

from argparse import Namespace
from typing import Any

from lipnet.classifiers.training_sets import training_set
from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.problems import classes_of, encode
from lipnet.core.seeds import generator
from lipnet.core.settings import parse, pick, seed_of
from lipnet.plots import figure
from lipnet.plots.particles import augmentation_preview
from lipnet.samples import augment, balance, crops
from lipnet.samples.tables import read_folds


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the training sets of all folds, and the preview (thesis, Figure 11)."""
    problem, classes = arguments.problem, classes_of(params, arguments.problem)
    policy = parse(augment.AugmentSettings, pick(params, "augment"), "augment")
    labels = encode(files.read_table(arguments.table)["label"], classes)
    arrays = files.read_arrays(arguments.crops)
    images = {int(name.removeprefix("px")): pixels for name, pixels in arrays.items()}
    folds = read_folds(arguments.folds)
    training_sets = [
        training_set(params, problem, fold, labels, images) for fold in bar(folds, f"{problem}: balancing")
    ]
    files.write_arrays(arguments.training_sets, balance.to_arrays(training_sets))
    train, smallest = folds[0].train, crops.first_channel(images[min(images)])
    rng = generator("preview", seed_of(params))
    figure.save(augmentation_preview(smallest[train], labels[train], classes, policy, rng), arguments.picture)
    counts = zip(classes, training_sets[0].class_counts(labels).tolist(), strict=True)
    print(f"{problem}: examples in an epoch of fold 0: {', '.join(f'{name} {count}' for name, count in counts)}")


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "crops", "folds", "training_sets", "picture"], main)
