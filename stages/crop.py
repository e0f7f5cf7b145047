"""Cut network inputs from the particles of a problem, at every size that some network needs."""

from argparse import Namespace
from typing import Any

import numpy as np

from lipnet import crops, files, particles
from lipnet.plots import figure
from lipnet.plots.particles import grid
from lipnet.settings import parse, pick
from stages.command import bar, run


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the crops, and a picture with one example per class and mode."""
    settings = parse(crops.CropSettings, pick(params, "crop"), "crop")
    store = particles.from_arrays(files.read_arrays(arguments.store), str(arguments.store))
    table = files.read_table(arguments.table)
    order = bar(range(len(store)), f"{arguments.problem}: crops")
    made = crops.crop_all(store, settings, order, table["id"].tolist())
    files.write_arrays(arguments.crops, crops.to_arrays(made))
    figure.save(_examples(store, table["label"].tolist(), settings), arguments.picture)


def _examples(store: particles.ParticleStore, labels: list[str], settings: crops.CropSettings) -> Any:
    classes = sorted(set(labels), key=labels.index)
    firsts = [labels.index(name) for name in classes]
    rows = [[_shown(store, index, mode, settings) for mode in crops.MODES] for index in firsts]
    return grid(rows, classes, crops.MODES)


def _shown(store: particles.ParticleStore, index: int, mode: crops.Mode, settings: crops.CropSettings) -> Any:
    grey = (crops.cut(store.image(index), store.mask(index), mode) / store.white).astype(np.float32)
    fit = settings.model_copy(update={"scale": "fit"})  # the surrounding need not fit the field of the crops
    return crops.to_size(grey, max(settings.sizes_px), fit)


if __name__ == "__main__":
    run(__doc__, True, ["store", "table", "crops", "picture"], main)
