"""Explains the network of one fold from the files of a run: pictures and tables into a folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lipnet.classifiers.networks import filters, weights
from lipnet.classifiers.networks.prediction import predict
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.problems import classes_of
from lipnet.core.settings import read_params
from lipnet.deployment import explain
from lipnet.deployment.explain_plots import agreement_map, attention_maps, exciting_patches
from lipnet.plots import figure, networks
from lipnet.samples import crops
from lipnet.samples.feature_names import NOT_FEATURES

if TYPE_CHECKING:
    import keras

Crops = NDArray[np.uint8]
FOLD = 0
REACH_PX = 2  # the occluding square is 5 px wide, less than a fifth of a crop
FILTERS, PATCHES = 12, 8  # at most so many filters of a convolution are shown, with so many patches each
CHANNELS = 16


def explain_particles(run: Path, problem: str, ids: Sequence[str], to: Path) -> None:
    """Explain the network of fold 0 of a problem by particles that it was not trained on.

    Args:
        run: folder of the pipeline, with ``params.yaml`` and ``data``.
        problem: name, as in ``params.yaml``.
        ids: particles to explain, of any fold; none for the first of each class of the test fold.
        to: folder for ``particles.png``, ``activations.png``, ``kernels.png``, ``filters_CONVOLUTION.png``,
            ``agreement.png``, ``agreement_by_feature.csv`` and ``agreement_by_unit.csv``.

    Raises:
        InputError: no such problem or particle, a file is missing or damaged, the files are of different runs, or the
            network is dead.
    """
    classes = classes_of(read_params(run / "params.yaml"), problem)
    models, table = run / "data/models" / problem / "cnn", run / "data/particles" / f"{problem}.csv"
    cut = run / "data/crops" / f"{problem}.npz"
    model = weights.load(models / "architecture.json", models / f"fold{FOLD}.weights.h5")
    try:
        explain.chain(model)
    except ValueError as error:
        raise InputError(f"{models}: {error}") from None
    images = crops.of_size(files.read_arrays(cut), model.input_shape[1])
    particles = files.read_table(table)
    assigned = files.read_table(run / "data/folds" / f"{problem}.csv")["repeat0"]
    if not len(images) == len(particles) == len(assigned):
        raise InputError(
            f"{cut}: holds {len(images)} crops, the table {len(particles)} particles and the folds {len(assigned)}; "
            "run `dvc repro`"
        )
    if model.output_shape[1] != len(classes):
        raise InputError(f"{models}: a network of {model.output_shape[1]} classes, not {len(classes)}; run `dvc repro`")
    test = np.flatnonzero(assigned == FOLD)
    rows = _rows(particles, ids, table) if ids else _first_of_each_class(particles["label"], test)

    figure.save(_attention(model, images[rows], particles.loc[rows], classes), to / "particles.png")
    for name, picture in _of_filters(model, images[rows[0]], images[test]):
        figure.save(picture, to / f"{name}.png")
    features = particles.loc[test].drop(columns=list(NOT_FEATURES), errors="ignore")
    agreement = explain.agreement(explain.embedding(model, images[test]), features)
    if agreement["spearman"].isna().all():
        raise InputError(
            f"{models}: the network is dead, no unit before its last layer varies; train it with another seed"
        )
    figure.save(agreement_map(agreement, f"Agreement with features on {len(test)} particles"), to / "agreement.png")
    files.write_table(to / "agreement_by_feature.csv", explain.strongest(agreement, "feature"))
    files.write_table(to / "agreement_by_unit.csv", explain.strongest(agreement, "unit"))


def _rows(particles: pd.DataFrame, ids: Sequence[str], table: Path) -> NDArray[np.int64]:
    row_of = {name: row for row, name in enumerate(particles["id"])}
    unknown = [name for name in ids if name not in row_of]
    if unknown:
        raise InputError(f"{table}: no particle '{unknown[0]}'; ids are such as '{particles['id'][0]}'")
    return np.array([row_of[name] for name in ids])


def _first_of_each_class(labels: pd.Series, test: NDArray[np.int64]) -> NDArray[np.int64]:
    return test[np.sort(np.unique(labels[test], return_index=True)[1])]


def _attention(model: "keras.Model", images: Crops, particles: pd.DataFrame, classes: Sequence[str]) -> Figure:
    probabilities = predict(model, images)
    named = probabilities.argmax(axis=1).tolist()
    logits = model.layers[-2].name
    maps = {
        "occlusion": np.stack([explain.occlusion(model, *one, REACH_PX) for one in zip(images, named, strict=True)])
    }
    for rule in explain.RULES:
        of_each = [explain.backproject(model, images, logits, label, rule) for label in range(len(classes))]
        maps[rule] = np.stack(of_each)[named, range(len(images))]
    labels = [
        f"{name}, {label}\n{classes[index]} {row[index]:.2f}"
        for name, label, index, row in zip(particles["id"], particles["label"], named, probabilities, strict=True)
    ]
    return attention_maps(images, labels, maps, "What speaks for the class that the network named")


def _of_filters(model: "keras.Model", image: Crops, test: Crops) -> Iterator[tuple[str, Figure]]:
    kernels, dead = filters.kernels(model), filters.dead_filters(model, test)
    yield "kernels", networks.kernel_maps(kernels, dead, "Kernels")
    activations = filters.activations(model, image)
    yield "activations", networks.activation_maps(image, activations, CHANNELS, "Activations of the first particle")
    rule = explain.rule_for(model)
    for name in kernels:
        found = explain.excited_patches(model, test, f"{name}_relu", FILTERS, PATCHES, rule)
        yield f"filters_{name}", exciting_patches(found, f"{name}: {rule}")
