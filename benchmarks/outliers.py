"""How well do outlier scores tell foreign particles from test-fold particles? Area under the ROC curve (AUROC).

    python -m benchmarks.outliers [RUN ...]

RUN is a folder of the pipeline in which stage train_cnn is done for every problem; the default is this one. Each
problem is a set of particles. Foreign to it are the particles of the other sets, and its own test-fold particles after
a change: shown with half as many pixels a side, blurred, inverted. Everything is fitted on training folds. Writes
benchmarks/results/outliers.md. REAL in the results is a copy of the project with problems: [em_vesicles, liposomes],
source.kind: table, crop.mode: cropped, augment.fill: nearest and six epochs.
"""

import argparse
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from benchmarks.measure import ROOT, table, write_results
from lipnet.classifiers.networks.settings import NetworkSettings
from lipnet.core import files
from lipnet.core.recipes import with_recipe
from lipnet.core.settings import parse, read_params
from lipnet.deployment import outliers
from lipnet.samples import crops, features, particles
from lipnet.samples.crops import CropSettings
from lipnet.samples.features import FeatureSettings
from lipnet.samples.particles import ParticleStore, bounding_box

Floats = NDArray[np.float64]
Pixels = list[tuple[Floats, NDArray[np.bool_]]]  # grey levels from 0 to 1, and mask, of each particle

FOLDS = (0, 1)
MOST = 300  # foreign particles of another set
COMPONENTS = 32  # of the embedding; more are mostly noise
NEIGHBOURS = 5
BLUR_PX = 2.0
SCORES = ("outlier", "features", "nearest", "embedding", "both", "probability")
NOTE = [
    "- outlier: the score of `lipnet predict`, a share, so it stops at 1; features: the distance behind it,",
    "  Mahalanobis's in sizes, grey levels and features, with the covariance of Ledoit and Wolf;",
    f"- nearest: mean distance to the {NEIGHBOURS} nearest training particles in the same standardised quantities;",
    f"- embedding: Mahalanobis distance in the first {COMPONENTS} principal components of the network's embedding;",
    "- both: the larger of features and embedding, as logarithms that are standardised on training particles;",
    "- probability: 1 minus the largest probability of the network.",
    "",
    f"Found: share of the foreign particles with an outlier score of {outliers.LIMIT} or more. Noted: in how many of",
    f"{len(FOLDS)} folds `lipnet predict` says that these particles, as a set, are unlike the training particles.",
    "",
]


class Set(NamedTuple):
    """Particles of one problem: images, columns group and pixel_size_nm, test fold, and what is measured of each."""

    name: str
    pixels: Pixels
    known: pd.DataFrame
    fold: NDArray[np.int64]
    measured: pd.DataFrame
    run: Path
    params: dict[str, Any]


class Looked(NamedTuple):
    """n particles as scores see them: what is measured, the embedding, and the network's probabilities."""

    measured: pd.DataFrame
    embedding: Floats
    probabilities: Floats


def main() -> None:
    """Measure all pairs and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="*", default=[ROOT])
    runs = parser.parse_args().runs
    sets = [read(run, name) for run in runs for name in read_params(run / "params.yaml")["problems"]]
    measured = pd.DataFrame([row for one in sets for fold in FOLDS for row in of_fold(one, fold, sets)])
    at_home, abroad = (measured[(measured["foreign"] == "") == own] for own in (True, False))
    pairs = abroad.groupby(["trained on", "foreign"], sort=False).mean(numeric_only=True)
    rows = [[*pair, *_cells(values)] for pair, values in zip(pairs.index, pairs.to_dict("records"), strict=True)]
    rows.append(["mean", "", *_cells(pairs.mean().to_dict())])
    usual = at_home.groupby("trained on", sort=False)[["found", "noted"]].mean()
    parts = [
        *NOTE,
        table(["trained on", "foreign", *(f"AUROC {name}" for name in SCORES), "found", "noted"], rows),
        "The same for test-fold particles of the set itself; 1 % is the aim.",
        "",
        table(
            ["trained on", "found", "noted"],
            [[str(name), f"{row['found']:.1%}", f"{row['noted']:.0%}"] for name, row in usual.iterrows()],
        ),
    ]
    libraries = ["scikit-learn", "numpy", "scikit-image"]
    write_results("outliers", "Telling foreign particles", "outliers . REAL", libraries, parts)


def _cells(values: Mapping[Hashable, Any]) -> list[str]:
    return [*(f"{values[name]:.3f}" for name in SCORES), f"{values['found']:.0%}", f"{values['noted']:.0%}"]


def read(run: Path, problem: str) -> Set:
    """Particles of a run."""
    packed = run / f"data/particles/{problem}.npz"
    stores = [particles.from_arrays(block, str(packed)) for block in files.read_blocks(packed)]
    pixels = [(store.image(i) / store.white, store.mask(i)) for store in stores for i in range(len(store))]
    known = files.read_table(run / f"data/particles/{problem}.csv")[["group", "pixel_size_nm"]]
    fold = files.read_table(run / f"data/folds/{problem}.csv")["repeat0"].to_numpy(np.int64)
    params = with_recipe(read_params(run / "params.yaml"))
    return Set(problem, pixels, known, fold, measure(pixels, known, params), run, params)


def changed(pixels: Pixels, how: str) -> Pixels:
    """The particles with half as many pixels a side, blurred or inverted."""
    if how == "half":
        return [(_halved(grey), _halved(mask.astype(float)) >= 0.5) for grey, mask in pixels]
    if how == "blurred":
        return [(ndimage.gaussian_filter(grey, BLUR_PX), mask) for grey, mask in pixels]
    return [(1 - grey, mask) for grey, mask in pixels]


def _halved(grey: Floats) -> Floats:
    height, width = (max(side // 2, 1) for side in grey.shape)
    return np.asarray(Image.fromarray(grey.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))


def of_fold(one: Set, fold: int, sets: Sequence[Set]) -> list[dict[str, Any]]:
    """AUROC of each score for one fold of one set and all kinds of foreign particles, one row each."""
    training, test = one.fold != fold, np.flatnonzero(one.fold == fold)
    embed = embedder(one, fold)
    everything = Looked(one.measured, *embed(one.pixels))
    reference = outliers.summarise(one.measured[training], one.known["group"].to_numpy()[training])
    assert reference is not None
    scores_of = scorer(everything, training, reference)
    own = [one.pixels[index] for index in test]
    foreign = {"": Looked(one.measured.iloc[test], everything.embedding[test], everything.probabilities[test])}
    for how, factor in (("half", 2), ("blurred", 1), ("inverted", 1)):
        pixels = changed(own, how)
        known = one.known.iloc[test].assign(pixel_size_nm=one.known["pixel_size_nm"].iloc[test] * factor)
        kept = [index for index, (_, mask) in enumerate(pixels) if mask.any()]
        pixels = [pixels[index] for index in kept]
        foreign[how] = Looked(measure(pixels, known.iloc[kept], one.params), *embed(pixels))
    for other in sets:
        if other.name != one.name:
            some = np.flatnonzero(other.fold == fold)[:MOST]
            shown = embed([other.pixels[index] for index in some])
            foreign[other.name] = Looked(other.measured.iloc[some], *shown)
    scores = {name: scores_of(looked) for name, looked in foreign.items()}
    return [
        {"trained on": one.name, "foreign": name}
        | {key: _auroc(scores[""][key], found[key]) for key in SCORES}
        | {"found": np.mean(found["outlier"] >= outliers.LIMIT)}
        | {"noted": _noted(foreign[name].measured, found["outlier"], reference)}
        for name, found in scores.items()
    ]


def _auroc(usual: Floats, foreign: Floats) -> float:
    truth = np.repeat([0, 1], [len(usual), len(foreign)])
    return float(roc_auc_score(truth, np.concatenate([usual, foreign])))


def _noted(new: pd.DataFrame, scores: Floats, reference: outliers.Reference) -> float:
    return float(any("unlike" in note for note in outliers.notes(new, scores, [reference])))


def measure(pixels: Pixels, known: pd.DataFrame, params: dict[str, Any]) -> pd.DataFrame:
    """What `lipnet predict` compares, in nm if all particles have a pixel size."""
    store, boxes = _store(pixels), [bounding_box(mask) for _, mask in pixels]
    sides = pd.DataFrame([[side.stop - side.start for side in box] for box in boxes], columns=["height_px", "width_px"])
    measured = features.measure_all(store, parse(FeatureSettings, params["features"], "features"))
    converted = features.in_nanometres(measured, known["pixel_size_nm"].to_numpy(np.float64))
    return outliers.quantities_of(store, pd.concat([sides, converted], axis=1))


def _store(pixels: Pixels) -> ParticleStore:
    return ParticleStore(
        np.concatenate([np.round(np.clip(grey, 0, 1) * 65535).astype(np.uint16).ravel() for grey, _ in pixels]),
        np.concatenate([mask.ravel() for _, mask in pixels]),
        np.array([mask.shape for _, mask in pixels]),
    )


def embedder(one: Set, fold: int) -> Callable[[Pixels], tuple[Floats, Floats]]:
    """Function that shows particles to the network of a fold, and returns embedding and probabilities."""
    from lipnet.classifiers.networks.prediction import embed, predict
    from lipnet.deployment.graphs.networks import load_on_tensorflow

    folder = one.run / f"data/models/{one.name}/cnn"
    model = load_on_tensorflow(folder / "architecture.json", folder / f"fold{fold}.weights.h5")
    row = parse(NetworkSettings, one.params["networks"][one.params["model"]], "networks")
    settings = parse(CropSettings, one.params["crop"], "crop").model_copy(update={"sizes_px": [row.size_px]})

    def show(pixels: Pixels) -> tuple[Floats, Floats]:
        shown = crops.crop_all(_store(pixels), settings, [one.name] * len(pixels))[row.size_px]
        return embed(model, shown), predict(model, shown)

    return show


def scorer(
    looked: Looked, training: NDArray[np.bool_], reference: outliers.Reference
) -> Callable[[Looked], dict[str, Floats]]:
    """Function that computes all scores.

    Args:
        looked: all particles of a set.
        training: the ones to fit on.
        reference: their summary.
    """
    measured, embedding = looked.measured[training], looked.embedding[training]
    names, mean = list(measured), measured.mean()
    scale, axes = StandardScaler().fit(measured.to_numpy()), PCA(COMPONENTS, random_state=0).fit(embedding)
    standard, parts = scale.transform(measured.to_numpy()), axes.transform(embedding)
    in_features, in_embedding = LedoitWolf().fit(standard), LedoitWolf().fit(parts)
    near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(standard)
    logs = [np.log(space.mahalanobis(values)) for space, values in ((in_features, standard), (in_embedding, parts))]

    def of(new: Looked) -> dict[str, Floats]:
        values = scale.transform(new.measured.reindex(columns=names).fillna(mean).to_numpy())
        far = [in_features.mahalanobis(values), in_embedding.mahalanobis(axes.transform(new.embedding))]
        relative = [(np.log(d) - log.mean()) / log.std() for d, log in zip(far, logs, strict=True)]
        return {
            "outlier": outliers.score(new.measured, [reference]),
            "features": far[0],
            "nearest": near.kneighbors(values)[0].mean(axis=1),
            "embedding": far[1],
            "both": np.maximum(*relative),
            "probability": 1 - new.probabilities.max(axis=1),
        }

    return of


if __name__ == "__main__":
    main()
