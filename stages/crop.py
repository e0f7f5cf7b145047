"""Cut network inputs from the particles of a problem, at every input size of the networks."""

from argparse import Namespace
from typing import Any

from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick
from lipnet.plots import figure
from lipnet.plots.particles import crop_examples, grid
from lipnet.samples import crops, particles


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the crops, and a picture with one example for each class and mode."""
    settings = parse(crops.CropSettings, pick(params, "crop"), "crop")
    table = files.read_table(arguments.table)
    made, examples = [], {}
    with bar(None, f"{arguments.problem}: crops", len(table)) as progress:
        for block in files.read_blocks(arguments.store):
            store = particles.from_arrays(block, str(arguments.store))
            rows = table.iloc[progress.n : progress.n + len(store)]
            made.append(crops.crop_all(store, settings, rows["id"].tolist()))
            for index, name in enumerate(rows["label"]):
                if name not in examples:
                    examples[name] = crop_examples(store, index, settings)
            progress.update(len(store))
    if progress.n != len(table):
        raise InputError(f"{arguments.store}: holds {progress.n} particles but the table {len(table)}; run `dvc repro`")
    files.write_arrays(arguments.crops, crops.to_arrays(crops.join(made)))
    figure.save(grid(list(examples.values()), list(examples), crops.MODES), arguments.picture)


if __name__ == "__main__":
    run(__doc__, "problem", ["store", "table", "crops", "picture"], main)
