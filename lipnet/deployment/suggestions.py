"""Which unlabelled particles to label next: those from which a classifier is likely to learn most.

A score adds three reasons for labelling a particle. A greedy choice among the particles of high score avoids particles
that look like those already chosen, because two near-copies teach little more than one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.distance import cdist, pdist

from lipnet.core.seeds import generator
from lipnet.deployment.model_files import Model, priors
from lipnet.deployment.predict import PredictedBatch, entropy, shift
from lipnet.evaluation.predictions import PROBABILITY
from lipnet.plots.annotated import Shown, contact_sheet
from lipnet.samples.particles import Particle
from lipnet.sources.rows import Rejected

Floats = NDArray[np.float64]

CANDIDATES = 5  # particles of high score for each particle to choose
CLIP = 5.0  # limit of standardised features: single extreme values would dominate every distance
NOTABLE = 0.75  # a reason is stated for particles above this quantile of it
SAMPLE = 1000  # particles from which the typical distance is estimated


def suggest(batches: Sequence[PredictedBatch], models: Sequence[Model], n: int, seed: int) -> pd.DataFrame:
    """The particles to label next, the most useful first.

    Args:
        batches: predictions with features, at least one of them with a particle.
        models: models of one classifier.
        n: number of particles to suggest.
        seed: as in ``choose``.

    Returns:
        Columns id, class (empty, for the expert), suggested (the most probable class), p_<class> and why.
    """
    filled = [batch for batch in batches if len(batch.known)]
    classes = models[0].description.classes
    probabilities = shift(np.concatenate([batch.probabilities for batch in filled], axis=1), models, None, 1.0)
    features = pd.concat([batch.features for batch in filled if batch.features is not None], ignore_index=True)
    prior = priors(models)[1].mean(axis=0)
    reasons, mean = scores(probabilities, prior), probabilities.mean(axis=0)
    rows = choose(reasons["score"].to_numpy(), standardise(features.to_numpy(np.float64)), n, seed)
    table = pd.DataFrame({"id": pd.concat([batch.known["id"] for batch in filled]).to_numpy()[rows], "class": ""})
    table["suggested"] = np.array(classes)[mean[rows].argmax(axis=1)]
    table[[PROBABILITY + name for name in classes]] = mean[rows].round(6)
    return table.assign(why=np.array(in_words(reasons, mean, prior, classes), dtype=object)[rows])


def in_words(reasons: pd.DataFrame, mean: Floats, prior: Floats, classes: Sequence[str]) -> list[str]:
    """The main reasons for labelling each particle, in words, shape (n,).

    Args:
        reasons: of ``scores``.
        mean: mean probabilities over models, shape (n, K).
        prior: natural class shares, shape (K,).
        classes: the K class names.
    """
    names = ["uncertainty", "disagreement", "rarity"]
    limits = reasons[names].quantile(NOTABLE)
    notable = (reasons[names] >= limits) & (reasons[names] > 0)
    first, second = np.argsort(-mean, axis=1, kind="stable")[:, :2].T
    rarest = (mean * -np.log(np.maximum(prior, np.finfo(float).tiny))).argmax(axis=1)
    texts = []
    for row, (uncertain, disagree, rare) in enumerate(notable.to_numpy().tolist()):
        parts = [
            f"uncertain between {classes[first[row]]} and {classes[second[row]]}" if uncertain else "",
            "models disagree" if disagree else "",
            f"possibly {classes[rarest[row]]}, a rare class" if rare else "",
        ]
        texts.append("; ".join(filter(None, parts)) or "unlike the other suggestions")
    return texts


def scores(probabilities: Floats, prior: Floats) -> pd.DataFrame:
    """Reasons for labelling each particle, n rows, all numbers in [0, 1].

    Args:
        probabilities: of each model, at natural class proportions, shape (n_models, n, K).
        prior: natural class shares, shape (K,).

    Returns:
        Columns uncertainty, the entropy of the mean probabilities divided by ln K; disagreement, the mean over models
        of the total variation distance to the mean probabilities; rarity, the mean over classes of -ln(prior), weighted
        by probability and divided by that of the rarest class; score, the mean of the three.
    """
    mean = probabilities.mean(axis=0)
    surprise = -np.log(np.maximum(prior, np.finfo(float).tiny))
    table = pd.DataFrame(
        {
            "uncertainty": entropy(mean) / np.log(len(prior)),
            "disagreement": np.abs(probabilities - mean).sum(axis=2).mean(axis=0) / 2,
            "rarity": mean @ surprise / surprise.max(),
        }
    )
    return table.assign(score=table.mean(axis=1))


def standardise(features: NDArray[Any]) -> Floats:
    """Features as coordinates in which distances make sense, shape (n, d): mean 0, standard deviation 1, clipped.

    Missing and infinite values become the mean. Constant columns become 0.
    """
    values = np.where(np.isfinite(features), features, np.nan).astype(np.float64)
    known = np.isfinite(values)
    counts = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, values - np.where(known, values, 0).sum(axis=0) / counts, 0)
    deviation = np.sqrt((centred**2).sum(axis=0) / counts)
    constant = deviation <= 1e-12 * np.maximum(np.abs(np.where(known, values, 0)).max(axis=0, initial=0), 1)
    return np.clip(centred / np.where(constant, np.inf, deviation), -CLIP, CLIP)


def choose(score: Floats, embedding: Floats, n: int, seed: int) -> NDArray[np.int64]:
    """Rows of the particles to label, the most useful first.

    The first is the row with the highest score. Each further row has the highest product of its score and its distance
    to the nearest chosen row. Distances above the median distance between candidates count as that median.

    Args:
        score: usefulness of each particle, >= 0, shape (n_particles,).
        embedding: coordinates of each particle, shape (n_particles, d); similar particles have a small distance.
        n: number of rows to choose; all rows if there are fewer.
        seed: decides between rows with equal values.
    """
    shuffled = generator("suggestions", seed).permutation(len(score))
    pool = shuffled[np.argsort(-score[shuffled], kind="stable")][: CANDIDATES * n]
    places, weights = embedding[pool], score[pool]
    typical = float(np.median(pdist(places[:: max(1, len(pool) // SAMPLE)]))) if len(pool) > 1 else 0.0
    novelty, chosen = np.ones(len(pool)), list[int]()
    left = np.ones(len(pool), bool)
    for _ in range(min(n, len(pool))):
        best = int(np.where(left, weights * novelty, -1).argmax())  # the first, so the highest score, of equal values
        chosen.append(best)
        left[best] = False
        if typical > 0:
            novelty = np.minimum(novelty, cdist(places, places[[best]])[:, 0] / typical)
    return pool[chosen]


def sheet(items: Sequence[Particle | Rejected], table: pd.DataFrame) -> Image.Image:
    """Contact sheet of the suggested particles, each with its id, its most probable class and the probability.

    Args:
        items: what the source read, in any order; holds every suggested particle.
        table: of ``suggest``.
    """
    classes = [name.removeprefix(PROBABILITY) for name in map(str, table) if name.startswith(PROBABILITY)]
    by_id = {item.id: item for item in items if isinstance(item, Particle)}
    shown = []
    for row in table.to_dict("records"):
        lines = [str(row["id"]), f"{row['suggested']} {row[PROBABILITY + row['suggested']]:.2f}"]
        particle = by_id[row["id"]]
        shown.append(Shown(particle.image, particle.mask, classes.index(row["suggested"]), lines))
    return contact_sheet(shown)
