"""Classes of new particles from exported models: crops and features in, an ensemble's opinion out; no training library.

Inference is ONNX Runtime. Crops and features are made by the code that made those of the training particles.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.deployment.model_files import Description, FeatureInput, ImageInput, Model, priors
from lipnet.evaluation.posteriors import shift_prior, unsmooth
from lipnet.evaluation.predictions import PROBABILITY
from lipnet.samples import crops, features, particles
from lipnet.samples.particles import Particle, ParticleStore
from lipnet.sources.rows import Rejected

TOLERANCE = 1.1  # pixels of the training particles may be so many times smaller or larger without a note


class Part(NamedTuple):
    """What one task of an input gives.

    Attributes:
        known: what is known of each of n particles beside its pixels (see ``particles.describe``).
        features: measured and given features, in nm where all pixel sizes of the part are known; None if left out.
        stated: what each model states, shape (n_models, n, K).
        rejected: rows that could not be used.
    """

    known: pd.DataFrame
    features: pd.DataFrame | None
    stated: NDArray[np.float64]
    rejected: list[Rejected]


def predict_part(
    task: Any,
    read: Callable[[Any], Sequence[Particle | Rejected]],
    models: Sequence[Model],
    pixel_size_nm: float | None,
    with_features: bool,
) -> Part:
    """Read the particles of one task and ask every model for their probabilities.

    Args:
        task: of an input.
        read: its function.
        models: of one classifier, at least one.
        pixel_size_nm: of particles of which the input does not say it.
        with_features: measure features even if no model needs them.

    Raises:
        InputError: a particle is larger than the field of the crops, or lacks a feature that the models need.
    """
    results = read(task)
    accepted = [item for item in results if isinstance(item, Particle)]
    rejected = [item for item in results if isinstance(item, Rejected)]
    description = models[0].description
    if not accepted:
        nothing = np.empty((len(models), 0, len(description.classes)))
        return Part(pd.DataFrame(), pd.DataFrame() if with_features else None, nothing, rejected)
    store, known = particles.pack(accepted), particles.describe(accepted)
    if pixel_size_nm is not None:
        known["pixel_size_nm"] = known["pixel_size_nm"].fillna(pixel_size_nm)
    measured = None
    if with_features or any(isinstance(item, FeatureInput) for item in description.inputs.values()):
        measured = _features(store, known, accepted, description)
    feeds = {name: _feed(item, store, known, measured) for name, item in description.inputs.items()}
    stated = np.stack([model.probabilities(feeds) for model in models])
    return Part(known, measured if with_features else None, stated, rejected)


def _features(
    store: ParticleStore, known: pd.DataFrame, accepted: Sequence[Particle], description: Description
) -> pd.DataFrame:
    measured = features.measure_all(store, description.measures)
    measured = features.in_nanometres(measured, known["pixel_size_nm"].to_numpy())
    given = pd.DataFrame([item.features for item in accepted])
    measured = measured.drop(columns=[name for name in given if name in measured])
    return pd.concat([known[["height_px", "width_px"]], given, measured], axis=1)


def _feed(
    item: ImageInput | FeatureInput, store: ParticleStore, known: pd.DataFrame, measured: pd.DataFrame | None
) -> NDArray[Any]:
    if isinstance(item, ImageInput):
        return crops.to_grey(crops.crop_all(store, item.crop, known["id"].tolist())[item.size_px])
    assert measured is not None
    missing = [name for name in item.names if name not in measured]
    if missing:
        raise InputError(
            f"particle '{known['id'][0]}' and those read with it: the model needs {', '.join(missing)}; it was trained "
            "on features " + ("in nm: give --pixel-size-nm" if "nm" in missing[0] else "in px: give no pixel sizes")
        )
    return measured[item.names].to_numpy(dtype=np.float64)


def prior_of(shares: dict[str, float], classes: Sequence[str]) -> NDArray[np.float64]:
    """A deployment prior, shape (K,), sum 1, from a share for each class; shares need not sum to 1.

    Raises:
        InputError: a class is unknown or missing, or the shares are not >= 0 with a sum above 0.
    """
    if set(shares) != set(classes):
        raise InputError(f"--deployment-prior names {', '.join(shares)}; give a share to each of {', '.join(classes)}")
    prior = np.array([shares[name] for name in classes])
    if not (np.isfinite(prior).all() and (prior >= 0).all() and prior.sum() > 0):
        raise InputError("--deployment-prior: shares must be numbers from 0, at least one of them above 0")
    return prior / prior.sum()


def shift(
    stated: NDArray[np.float64], models: Sequence[Model], prior: NDArray[np.float64] | None, strength: float
) -> NDArray[np.float64]:
    """Undo label smoothing and exchange the training prior of each model, as the decision rules of the pipeline do.

    Args:
        stated: by the models, shape (n_models, n, K).
        models: that stated it.
        prior: to shift to, shape (K,); None: the natural prior that each model recorded.
        strength: of the shift, in [0, 1]; 0 leaves all as it is stated, label smoothing included.
    """
    if strength == 0:
        return stated
    training, natural = priors(models)
    wanted = natural if prior is None else np.broadcast_to(prior, natural.shape)
    description = models[0].description
    unsmoothed = [unsmooth(one, description.label_smoothing, description.floor) for one in stated]
    return np.stack([shift_prior(*of_one, strength) for of_one in zip(unsmoothed, training, wanted, strict=True)])


def opinions(
    probabilities: NDArray[np.float64], ids: Sequence[str], classes: Sequence[str], abstain_below: float
) -> pd.DataFrame:
    """What an ensemble says of n particles, one row each.

    Args:
        probabilities: of each model, shape (n_models, n, K).
        ids: of the particles.
        classes: the K class names.
        abstain_below: a limit of the probability of the class named.

    Returns:
        Columns id; class, the most probable by the mean over models; p_<class>, those means; entropy of them in nats,
        from 0 to ln K; disagreement, the standard deviation over models of the probability of the class named, NaN for
        one model; abstain, 1 where that class is less probable than the limit.
    """
    mean = probabilities.mean(axis=0)
    named = mean.argmax(axis=1)
    of_named = probabilities[:, np.arange(len(named)), named]
    alone = len(probabilities) == 1
    table = pd.DataFrame({"id": ids, "class": np.array(classes)[named]})
    table[[PROBABILITY + name for name in classes]] = np.round(mean, 6)
    table["entropy"] = np.round(entropy(mean), 6)
    table["disagreement"] = np.nan if alone else np.round(of_named.std(axis=0), 6)
    table["abstain"] = (mean.max(axis=1) < abstain_below).astype(int)
    return table


def entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy of each row of probabilities (n, K) in nats, shape (n,); 0 ln 0 is 0."""
    logarithms = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.abs((probabilities * logarithms).sum(axis=1))


def join(
    parts: Sequence[Part],
    models: Sequence[Model],
    prior: NDArray[np.float64] | None,
    strength: float,
    abstain_below: float,
) -> pd.DataFrame:
    """The table of all parts, of which at least one holds a particle: opinions, then features if they were wanted.

    Features in nm where every particle has a pixel size; where only some have, both columns are filled in part.
    """
    filled = [part for part in parts if len(part.known)]
    stated = np.concatenate([part.stated for part in filled], axis=1)
    probabilities = shift(stated, models, prior, strength)
    ids = [name for part in filled for name in part.known["id"]]
    table = opinions(probabilities, ids, models[0].description.classes, abstain_below)
    measured = [part.features for part in filled if part.features is not None]
    return pd.concat([table, pd.concat(measured, ignore_index=True)], axis=1) if measured else table


def notes(parts: Sequence[Part], description: Description) -> list[str]:
    """What a user should know of the input: masks that were guessed, pixels unlike those of the training particles."""
    known = pd.concat([part.known for part in parts], ignore_index=True)
    images = [item for item in description.inputs.values() if isinstance(item, ImageInput)]
    found = []
    estimated = int(known["mask_estimated"].sum())
    if estimated and any(item.mode == "masked" for item in images):
        found.append(f"{estimated} particles came without the mask that the model expects; an ellipse stands for it")
    sizes_nm = known["pixel_size_nm"].dropna()
    if description.pixel_size_nm is not None and len(sizes_nm):
        low, high = description.pixel_size_nm
        unlike = int(((sizes_nm < low / TOLERANCE) | (sizes_nm > high * TOLERANCE)).sum())
        if unlike:
            seen = f"{low:.3g} to {high:.3g} nm"
            found.append(f"{unlike} particles have pixels unlike those of training ({seen}); images are not resampled")
    return found


def summarise(
    table: pd.DataFrame, rejected: Sequence[Rejected], models: Sequence[Model], noted: Sequence[str]
) -> dict[str, Any]:
    """Counts of what was classified and what was not, ready for JSON."""
    description = models[0].description
    counts = table["class"].value_counts()
    return {
        "problem": description.problem,
        "classifier": description.classifier,
        "models": [model.name for model in models],
        "particles": len(table),
        "classes": {name: int(counts.get(name, 0)) for name in description.classes},
        "abstained": int(table["abstain"].sum()),
        "rejected": [{"id": row.id, "file": row.file, "reason": row.reason} for row in rejected],
        "notes": list(noted),
    }
