"""Draw kernels and activations of the network of fold 0, and the log loss as a function."""

from argparse import Namespace
from typing import Any

from lipnet.classifiers.networks import filters
from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick, read_params
from lipnet.plots import figure
from lipnet.plots.networks import activation_maps, kernel_maps, log_loss_curve
from lipnet.samples import crops


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write kernels.png, activations.png and log_loss.png (thesis, Figures 14, 15 and 9)."""
    settings = parse(filters.FigureSettings, pick(read_params(arguments.settings), "figures"), "figures")
    heading = f"{arguments.problem}, {pick(params, 'model')}, fold 0"
    table = files.read_table(arguments.table)
    model = filters.load(arguments.models / "architecture.json", arguments.models / "fold0.weights.h5")
    images = crops.of_size(files.read_arrays(arguments.crops), model.input_shape[1])
    if len(images) != len(table):
        raise InputError(f"{arguments.crops}: holds {len(images)} crops but the table {len(table)}; run `dvc repro`")

    dead = filters.dead_filters(model, images)
    figure.save(kernel_maps(filters.kernels(model), dead, f"Kernels: {heading}"), arguments.pictures / "kernels.png")

    row = filters.row_of(table, settings.particle)
    activations = filters.activations(model, images[row])
    title = f"Activations: {heading}, particle {table['id'][row]}, {table['label'][row]}"
    drawn = activation_maps(images[row], activations, settings.channels, title)
    figure.save(drawn, arguments.pictures / "activations.png")

    figure.save(log_loss_curve(), arguments.pictures / "log_loss.png")


if __name__ == "__main__":
    run(__doc__, "problem", ["settings", "models", "crops", "table", "pictures"], main)
