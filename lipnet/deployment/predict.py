"""Classify new particles with an ensemble of exported models, without any library for training.

ONNX Runtime runs the models. The code that made crops and features of the training particles makes those of new ones.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.deployment import outliers, rules
from lipnet.deployment.model_files import Description, FeatureInput, ImageInput, Model, priors, references
from lipnet.deployment.rules import FoldRule
from lipnet.evaluation.formatting import nanometres
from lipnet.evaluation.posteriors import shift_prior, unsmooth
from lipnet.evaluation.predictions import PROBABILITY
from lipnet.samples import crops, features, particles
from lipnet.samples.particles import Particle, ParticleStore
from lipnet.sources.formats import grey_levels
from lipnet.sources.rows import Rejected, Remark, reasons
from lipnet.sources.rows import summarise as reasons_in_words
from lipnet.sources.unlabelled import Opened

THREADS = 2  # more threads would wait for the lock of the Python interpreter
TOLERANCE = 1.1  # largest ratio of pixel sizes, to those of the training particles, without a note


class PredictedBatch(NamedTuple):
    """Result of one task: a batch of n particles.

    Attributes:
        known: properties of each particle other than its pixels (see ``particles.describe``), and ``brightest``.
        features: measured and given features, in nm if all pixel sizes of the batch are known; None if not wanted.
        probabilities: output of each model, shape (n_models, n, K).
        rejected: rows that could not be used.
        quantities: what is compared with the training particles (``outliers.quantities_of``); None if nothing is.
    """

    known: pd.DataFrame
    features: pd.DataFrame | None
    probabilities: NDArray[np.float64]
    rejected: list[Rejected]
    quantities: pd.DataFrame | None = None


def predict_batch(
    task: Any,
    read: Callable[[Any], Sequence[Particle | Rejected]],
    models: Sequence[Model],
    pixel_size_nm: float | None,
    with_features: bool,
    compare: bool = True,
) -> PredictedBatch:
    """Read the particles of one task and compute the probabilities of every model.

    Args:
        task: a task of the input.
        read: function that reads the particles of a task.
        models: models of one problem, at least one.
        pixel_size_nm: pixel size of particles for which the input has none.
        with_features: measure features even if no model needs them.
        compare: measure what ``outliers`` compares with the training particles, if the models have a summary of these.

    Raises:
        InputError: a particle is larger than the field of the crops, or a feature that the models need is missing.
    """
    results = read(task)
    accepted = [item for item in results if isinstance(item, Particle)]
    rejected = [item for item in results if isinstance(item, Rejected)]
    description = models[0].description
    if not accepted:
        nothing = np.empty((len(models), 0, len(description.classes)))
        return PredictedBatch(pd.DataFrame(), pd.DataFrame() if with_features else None, nothing, rejected)
    store, known = particles.pack(accepted), particles.describe(accepted)
    known["brightest"] = [grey_levels.brightest(item.image) for item in accepted]
    if pixel_size_nm is not None:
        known["pixel_size_nm"] = known["pixel_size_nm"].fillna(pixel_size_nm)
    table, compare = None, compare and bool(references(models))
    inputs = [item for model in models for item in model.description.inputs.values()]
    if with_features or compare or any(isinstance(item, FeatureInput) for item in inputs):
        given = pd.DataFrame([item.features for item in accepted])
        measured = features.measure_all(store, description.measures)
        measured = features.with_given(measured, given, known["pixel_size_nm"].to_numpy())
        table = pd.concat([known[["height_px", "width_px"]], measured], axis=1)
    tensors = {item.model_dump_json(): item for item in inputs}
    made = {key: _feed(item, store, known, table) for key, item in tensors.items()}
    feeds = [
        {name: made[item.model_dump_json()] for name, item in model.description.inputs.items()} for model in models
    ]
    probabilities = np.stack([model.probabilities(of_model) for model, of_model in zip(models, feeds, strict=True)])
    quantities = outliers.quantities_of(store, table) if compare and table is not None else None
    return PredictedBatch(known, table if with_features else None, probabilities, rejected, quantities)


def _feed(
    item: ImageInput | FeatureInput, store: ParticleStore, known: pd.DataFrame, table: pd.DataFrame | None
) -> NDArray[Any]:
    """Input tensor of the models; ``table`` holds all features and is needed for a ``FeatureInput``."""
    if isinstance(item, ImageInput):
        return crops.to_grey(crops.crop_all(store, item.crop, known["id"].tolist())[item.size_px])
    assert table is not None
    missing = [name for name in item.names if name not in table]
    if missing:
        raise InputError(
            f"particle '{known['id'][0]}' and those read with it: the model needs {', '.join(missing)}; it was trained "
            "on features " + ("in nm: give --pixel-size-nm" if "nm" in missing[0] else "in px: give no pixel sizes")
        )
    return table[item.names].to_numpy(dtype=np.float64)


def prior_of(shares: dict[str, float], classes: Sequence[str]) -> NDArray[np.float64]:
    """Deployment prior, shape (K,), sum 1.

    Args:
        shares: class -> share; the shares need not sum to 1.
        classes: the K class names.

    Raises:
        InputError: a class is unknown or missing, or the shares are not >= 0 with a sum above 0.
    """
    if set(shares) != set(classes):
        raise InputError(f"--deployment-prior names {', '.join(shares)}; give a share to each of {', '.join(classes)}")
    prior = np.array([shares[name] for name in classes])
    if not (np.isfinite(prior).all() and (prior >= 0).all() and prior.sum() > 0):
        raise InputError("--deployment-prior: shares must be finite numbers >= 0, at least one of them above 0")
    return prior / prior.sum()


def shift(
    probabilities: NDArray[np.float64], models: Sequence[Model], prior: NDArray[np.float64] | None, strength: float
) -> NDArray[np.float64]:
    """Undo label smoothing and replace the training prior of each model, as the decision rules of the pipeline do.

    Args:
        probabilities: output of the models, shape (n_models, n, K).
        models: the models.
        prior: class shares to shift to, shape (K,); None: the natural prior of each model.
        strength: strength of the shift, in [0, 1]; 0 returns the probabilities unchanged, with their label smoothing.
    """
    if strength == 0:
        return probabilities
    training, natural = priors(models)
    wanted = natural if prior is None else np.broadcast_to(prior, natural.shape)
    description = models[0].description
    unsmoothed = [unsmooth(one, description.label_smoothing, description.floor) for one in probabilities]
    return np.stack([shift_prior(*of_one, strength) for of_one in zip(unsmoothed, training, wanted, strict=True)])


def ensemble_table(
    probabilities: NDArray[np.float64],
    ids: Sequence[str],
    classes: Sequence[str],
    abstain_below: float,
    costs: NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """Prediction of an ensemble for n particles, one row per particle.

    Args:
        probabilities: probabilities of each model, or of the rule in each fold, shape (n_models, n, K).
        ids: names of the particles.
        classes: the K class names.
        abstain_below: limit of the probability of the predicted class.
        costs: of a rule in each fold, shape (n_models, K, K): predict the class of least mean expected cost; None:
            predict the most probable class.

    Returns:
        Columns id; class, by the mean over models; p_<class>, these means; entropy of these
        means in nats, from 0 to ln K; disagreement, the standard deviation over models of the probability of the
        predicted class, NaN for one model; abstain, 1 if the predicted class is less probable than the limit.
    """
    mean = probabilities.mean(axis=0)
    predicted = mean.argmax(axis=1) if costs is None else (probabilities @ costs).mean(axis=0).argmin(axis=1)
    of_predicted = probabilities[:, np.arange(len(predicted)), predicted]
    table = pd.DataFrame({"id": ids, "class": np.array(classes)[predicted]})
    table[[PROBABILITY + name for name in classes]] = np.round(mean, 6)
    table["entropy"] = np.round(entropy(mean), 6)
    table["disagreement"] = np.nan if len(probabilities) == 1 else np.round(of_predicted.std(axis=0), 6)
    table["abstain"] = (mean[np.arange(len(predicted)), predicted] < abstain_below).astype(int)
    return table


def entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy of each row of probabilities (n, K) in nats, shape (n,); 0 ln 0 is 0."""
    logarithms = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.abs((probabilities * logarithms).sum(axis=1))


def join(
    batches: Sequence[PredictedBatch],
    models: Sequence[Model],
    prior: NDArray[np.float64] | None,
    strength: float,
    abstain_below: float,
    of_folds: Sequence[FoldRule] = (),
) -> pd.DataFrame:
    """Table of all batches: the columns of ``ensemble_table``, and the features if they were wanted.

    Between these, if the particles were compared with the training particles: outlier, the score of ``outliers.score``,
    and outside, the quantities outside the range of the training particles.

    Features are in nm if every particle has a pixel size. If only some particles have one, the table has the columns in
    nm and those in px, and both are partly empty.

    Args:
        batches: results, at least one of them with a particle.
        models: models of one classifier, or of all classifiers that a rule uses.
        prior: as in ``shift``, or as in ``rules.apply``.
        strength: as in ``shift``; a rule does not use it.
        abstain_below: as in ``ensemble_table``.
        of_folds: the rule in each fold; empty: no rule.
    """
    filled = [batch for batch in batches if len(batch.known)]
    probabilities = np.concatenate([batch.probabilities for batch in filled], axis=1)
    costs = None
    if of_folds:
        shifted, costs = rules.apply(probabilities, models, of_folds, prior)
    else:
        shifted = shift(probabilities, models, prior, strength)
    ids = [name for batch in filled for name in batch.known["id"]]
    table = ensemble_table(shifted, ids, models[0].description.classes, abstain_below, costs)
    quantities = _quantities(batches)
    if quantities is not None:
        known = references(models)
        table["outlier"] = outliers.score(quantities, known).round(6)
        table["outside"] = outliers.outside(quantities, known)
    measured = [batch.features for batch in filled if batch.features is not None]
    return pd.concat([table, pd.concat(measured, ignore_index=True)], axis=1) if measured else table


def _quantities(batches: Sequence[PredictedBatch]) -> pd.DataFrame | None:
    found = [batch.quantities for batch in batches if batch.quantities is not None]
    return pd.concat(found, ignore_index=True) if found else None


def comparison(batches: Sequence[PredictedBatch], models: Sequence[Model], compare: bool) -> list[str]:
    """Notes on whether the particles, as a set, are like the training particles.

    Args:
        batches: at least one of them with a particle.
        models: that predicted.
        compare: as in ``predict_batch``.
    """
    quantities, known = _quantities(batches), references(models)
    if quantities is not None:
        return outliers.notes(quantities, outliers.score(quantities, known), known)
    if compare:
        return ["the models have no summary of their training particles, so it is unknown whether they can judge these"]
    return []


def notes(batches: Sequence[PredictedBatch], description: Description) -> list[str]:
    """Warnings about the input: faint images, estimated masks, pixel sizes other than in the file or in training."""
    known = pd.concat([batch.known for batch in batches], ignore_index=True)
    images = [item for item in description.inputs.values() if isinstance(item, ImageInput)]
    remarks = [row for batch in batches for row in batch.rejected if isinstance(row, Remark)]
    found = [f"{number} x {text}" for text, number in reasons(remarks)]
    found += grey_levels.faint(known["brightest"].tolist(), known["id"].tolist(), description.grey)
    estimated = int(known["mask_estimated"].sum())
    if estimated and any(item.mode == "masked" for item in images):
        found.append(f"{estimated} particles have no mask, which the model needs; an ellipse was used instead")
    padding_px = description.micrographs.padding_px
    if padding_px and images and not known["padding_px"].any():
        found.append(
            f"no particle has a surrounding, but the training particles had one of {padding_px} px; if your images "
            "show one, give --padding-px or the column padding_px"
        )
    sizes_nm = known["pixel_size_nm"].dropna()
    if description.pixel_size_nm is not None and len(sizes_nm):
        low, high = description.pixel_size_nm
        outside = int(((sizes_nm < low / TOLERANCE) | (sizes_nm > high * TOLERANCE)).sum())
        if outside:
            found.append(
                f"{outside} particles have other pixel sizes than the training particles ({nanometres(low, high)}); "
                "images are not resampled"
            )
    return found


def classify(
    opened: Sequence[Opened],
    models: Sequence[Model],
    pixel_size_nm: float | None,
    with_features: bool,
    watch: Callable[[Iterable[PredictedBatch], int], Iterable[PredictedBatch]],
    compare: bool = True,
) -> tuple[list[PredictedBatch], list[Rejected]]:
    """Predictions of all tasks of all inputs, and every row that was rejected or left out.

    Args:
        opened: the inputs, at least one.
        models: of one classifier, or of all classifiers of a rule.
        pixel_size_nm: for particles without a pixel size; None if unknown.
        with_features: measure features even if no model needs them.
        watch: (batches as they are done, number of tasks) -> the same batches; for a progress bar.
        compare: as in ``predict_batch``.

    Raises:
        InputError: no particle can be used.
    """
    work = partial(
        predict_batch,
        models=models,
        pixel_size_nm=pixel_size_nm,
        with_features=with_features,
        compare=compare,
    )
    # In threads: Python measures the features of one batch while ONNX Runtime runs the models on another.
    with ThreadPoolExecutor(THREADS) as pool:
        tasks = [task for one in opened for task in one.tasks]
        reads = [one.read for one in opened for _ in one.tasks]
        batches = list(watch(pool.map(work, tasks, reads), len(tasks)))
    listed = [row for one in opened for row in (*one.rejected, *one.left_out)]
    rejected = [*listed, *(row for batch in batches for row in batch.rejected if not isinstance(row, Remark))]
    if not any(len(batch.known) for batch in batches):
        places = ", ".join(dict.fromkeys(str(one.folder) for one in opened))
        raise InputError(f"{places}: no particle can be used\n{reasons_in_words(rejected)}")
    return batches, rejected


def summarise(
    table: pd.DataFrame,
    rejected: Sequence[Rejected],
    models: Sequence[Model],
    messages: Sequence[str],
    classifier: str | None = None,
) -> dict[str, Any]:
    """Summary of classified and rejected particles, ready for JSON; ``classifier`` names the rule, if there is one."""
    description = models[0].description
    counts = table["class"].value_counts()
    return {
        "problem": description.problem,
        "classifier": classifier or description.classifier,
        "models": [model.name for model in models],
        "particles": len(table),
        "classes": {name: int(counts.get(name, 0)) for name in description.classes},
        "abstained": int(table["abstain"].sum()),
        "outliers": int((table["outlier"] >= outliers.LIMIT).sum()) if "outlier" in table else None,
        "rejected": [{"id": row.id, "file": row.file, "reason": row.reason} for row in rejected],
        "notes": list(messages),
    }


def in_words(summary: dict[str, Any], to: Path) -> str:
    """The record of ``summarise`` as text."""
    counts = ", ".join(f"{name} {count}" for name, count in summary["classes"].items())
    lines = [
        f"{to}: {summary['particles']} particles by {len(summary['models'])} x {summary['classifier']}: {counts}; "
        f"{summary['abstained']} below the abstention limit",
        *(f"note: {note}" for note in summary["notes"]),
    ]
    if summary["outliers"] is not None:
        lines[0] += f", {summary['outliers']} with an outlier score of {outliers.LIMIT} or more"
    return "\n".join(lines)
