"""Explain the network of one fold of a run: write pictures and tables into a folder."""

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
from lipnet.deployment.explanations import explain
from lipnet.deployment.explanations.agreement import agreement, strongest
from lipnet.deployment.explanations.explain_plots import agreement_map, attention_maps, exciting_patches
from lipnet.deployment.model_files import NETWORK
from lipnet.deployment.runs import check_up_to_date
from lipnet.plots import figure, networks
from lipnet.samples import crops
from lipnet.samples.feature_names import NOT_FEATURES

if TYPE_CHECKING:
    import keras

Crops = NDArray[np.uint8]
FOLD = 0
REACH_PX = 2  # the occluding square is 5 px wide, less than a fifth of the width of a crop
FILTERS, PATCHES = 12, 8  # maximum number of filters shown per convolution, and number of patches per filter
CHANNELS = 16  # maximum number of activation maps shown per layer


def explain_particles(run: Path, problem: str, ids: Sequence[str], to: Path, stale: bool = False) -> None:
    """Explain the network of fold 0 of a problem, and its predictions for some particles.

    Args:
        run: folder of the pipeline, with ``params.yaml`` and ``data``.
        problem: name of the problem in ``params.yaml``.
        ids: particles to explain, of any fold; if empty, the first particle of each class in the test fold.
        to: folder for ``particles.png``, ``activations.png``, ``kernels.png``, ``filters_CONVOLUTION.png``,
            ``agreement.png``, ``agreement_by_feature.csv`` and ``agreement_by_unit.csv``.
        stale: accept a run that is out of date; then ``out_of_date.txt`` lists what changed.

    Raises:
        InputError: the problem or a particle is unknown, a file is missing or damaged, the files are of different runs,
            the run is out of date, or the network is dead.
    """
    changed = check_up_to_date(run, problem, stale)
    classes = classes_of(read_params(run / "params.yaml"), problem)
    models, table = run / "data/models" / problem / NETWORK, run / "data/particles" / f"{problem}.csv"
    model = _load(models, classes)
    images, particles, assigned = _read(run, problem, model.input_shape[1])
    test = np.flatnonzero(assigned == FOLD)
    rows = _rows(particles, ids, table) if ids else _first_of_each_class(particles["label"], test)

    if changed:
        files.write_text(to / "out_of_date.txt", "Changed since the run:\n" + "\n".join(changed) + "\n")
    figure.save(_attention(model, images[rows], particles.loc[rows], classes), to / "particles.png")
    for name, picture in _of_filters(model, images[rows[0]], images[test]):
        figure.save(picture, to / f"{name}.png")
    features = particles.loc[test].drop(columns=list(NOT_FEATURES), errors="ignore")
    correlations = agreement(explain.embedding(model, images[test]), features)
    if correlations["spearman"].isna().all():
        raise InputError(
            f"{models}: the network is dead: no unit before its last layer varies; train it with another seed"
        )
    title = f"Agreement with features on {len(test)} particles"
    figure.save(agreement_map(correlations, title), to / "agreement.png")
    files.write_table(to / "agreement_by_feature.csv", strongest(correlations, "feature"))
    files.write_table(to / "agreement_by_unit.csv", strongest(correlations, "unit"))


def _load(models: Path, classes: Sequence[str]) -> "keras.Model":
    model = weights.load(models / "architecture.json", models / f"fold{FOLD}.weights.h5")
    try:
        explain.chain(model)
    except ValueError as error:
        raise InputError(f"{models}: {error}") from None
    if model.output_shape[1] != len(classes):
        raise InputError(f"{models}: a network of {model.output_shape[1]} classes, not {len(classes)}; run `dvc repro`")
    return model


def _read(run: Path, problem: str, size_px: int) -> tuple[Crops, pd.DataFrame, pd.Series]:
    """Crops, particle table, and fold of each particle in the first repeat."""
    crops_path = run / "data/crops" / f"{problem}.npz"
    images = crops.of_size(files.read_arrays(crops_path), size_px)
    particles = files.read_table(run / "data/particles" / f"{problem}.csv")
    assigned = files.read_table(run / "data/folds" / f"{problem}.csv")["repeat0"]
    if not len(images) == len(particles) == len(assigned):
        raise InputError(
            f"{crops_path}: holds {len(images)} crops, but the table has {len(particles)} particles and the folds "
            f"{len(assigned)}; run `dvc repro`"
        )
    return images, particles, assigned


def _rows(particles: pd.DataFrame, ids: Sequence[str], table: Path) -> NDArray[np.int64]:
    row_of = {name: row for row, name in enumerate(particles["id"])}
    unknown = [name for name in ids if name not in row_of]
    if unknown:
        raise InputError(f"{table}: no particle '{unknown[0]}'; an example of an id is '{particles['id'][0]}'")
    return np.array([row_of[name] for name in ids])


def _first_of_each_class(labels: pd.Series, test: NDArray[np.int64]) -> NDArray[np.int64]:
    return test[np.sort(np.unique(labels[test], return_index=True)[1])]


def _attention(model: "keras.Model", images: Crops, particles: pd.DataFrame, classes: Sequence[str]) -> Figure:
    probabilities = predict(model, images)
    predicted = probabilities.argmax(axis=1).tolist()
    logits = model.layers[-2].name
    maps = {
        "occlusion": np.stack([explain.occlusion(model, *one, REACH_PX) for one in zip(images, predicted, strict=True)])
    }
    for rule in explain.RULES:
        of_each = [explain.backproject(model, images, logits, label, rule) for label in range(len(classes))]
        maps[rule] = np.stack(of_each)[predicted, range(len(images))]
    labels = [
        f"{name}, {label}\n{classes[index]} {row[index]:.2f}"
        for name, label, index, row in zip(particles["id"], particles["label"], predicted, probabilities, strict=True)
    ]
    return attention_maps(images, labels, maps, "Evidence for the predicted class")


def _of_filters(model: "keras.Model", image: Crops, test: Crops) -> Iterator[tuple[str, Figure]]:
    kernels, dead = filters.kernels(model), filters.dead_filters(model, test)
    yield "kernels", networks.kernel_maps(kernels, dead, "Kernels")
    activations = filters.activations(model, image)
    yield "activations", networks.activation_maps(image, activations, CHANNELS, "Activations of the first particle")
    rule = explain.rule_for(model)
    for name in kernels:
        found = explain.excited_patches(model, test, f"{name}_relu", FILTERS, PATCHES, rule)
        yield f"filters_{name}", exciting_patches(found, f"{name}: {rule}")
