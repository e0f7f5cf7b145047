"""How like its training particles a new particle is: a summary of the training particles, and scores of new ones.

The summary travels in the metadata of a model file. It holds numbers only: ranges of each quantity (sizes, grey levels
and features), and the mean and covariance of all of them. The outlier score of a particle is the share of training
particles that lie nearer to that mean, by the Mahalanobis distance. For a fair scale, the distance of each training
particle is measured by a mean and a covariance that were estimated without its group.

benchmarks/outliers.py measures how well the score tells foreign particles; docs/predict.md has the figures.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy import stats

from lipnet.core.settings import Settings
from lipnet.samples.particles import ParticleStore

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
INSIDE, SHARE_OUTSIDE = slice(QUANTILES.index(0.01), QUANTILES.index(0.99) + 1), 0.02  # the usual range
GRID = np.concatenate([np.linspace(0, 0.98, 99), np.linspace(0.981, 1, 20)])  # shares at which distances are stored
LIMIT = 0.99  # a score above it is called an outlier
PARTS = 5  # parts of the training particles, groups kept whole, for the distances
MOST_COLUMNS = 500  # with more quantities, their correlations are left out: the matrix would fill the file
DIGITS = 7  # of stored numbers
LEAST_VARIANCE = 1e-6  # of standardised quantities, in any direction; more than rounding errors
# Chance alone gives a note for at most 2 of 50 sets of particles that are like the training particles. A small share is
# no reason for a note however sure it is, because each micrograph differs a little from all others.
LEVEL = 0.02
LEAST_OUTLIERS, LEAST_OUTSIDE = 0.05, 0.2
MOST_NAMED = 3  # quantities in a note
GREY = ("grey_mean", "grey_sd")
SIZES = ("height_px", "width_px", "area_px2", "area_nm2")

Floats = NDArray[np.float64]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Reference(Settings):
    """Summary of the training particles of a model.

    Attributes:
        particles: their number n.
        ranges: quantity -> its values at QUANTILES (the first is the smallest, the last the largest value). Quantities
            are ``grey_mean`` and ``grey_sd``, mean and standard deviation of the grey levels inside the mask, from 0 to
            1; ``height_px`` and ``width_px``; and all features.
        mean: of each quantity, in the order of ``ranges``.
        scale: 1 / standard deviation of each quantity; 0 for one that does not vary.
        whitening: lower triangle, row by row, of the matrix that makes (quantities - mean) x scale uncorrelated with
            variance 1. Empty if there are more than MOST_COLUMNS quantities.
        distances: of the training particles, at the shares GRID; ascending.
    """

    particles: int = Field(ge=3)
    ranges: dict[Annotated[str, Field(max_length=200)], list[Number]] = Field(max_length=20_000)
    mean: list[Number]
    scale: list[Annotated[Number, Field(ge=0)]]
    whitening: list[list[Number]]
    distances: list[Number]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        n = len(self.ranges)
        lengths = [] if n > MOST_COLUMNS else list(range(1, n + 1))
        if len(self.mean) != n or len(self.scale) != n or list(map(len, self.whitening)) != lengths:
            raise ValueError("mean, scale and whitening need a number for every quantity")
        rows = [*self.ranges.values(), self.distances]
        if any(np.any(np.diff(row) < 0) for row in rows):
            raise ValueError("quantiles must ascend")
        if any(len(row) != len(QUANTILES) for row in rows[:-1]) or len(self.distances) != len(GRID):
            raise ValueError("a quantile is missing or there is one too many")
        return self


class Space(NamedTuple):
    """Mean, 1 / standard deviation, and whitening of d standardised quantities: lower triangular (d, d), or None."""

    mean: Floats
    scale: Floats
    whitening: Floats | None

    def distances(self, values: Floats) -> Floats:
        """Squared Mahalanobis distance of each row of values (n, d) from the mean; missing values do not count."""
        found, finite = np.empty(len(values)), np.isfinite(values)
        for pattern in np.unique(finite, axis=0):
            rows = (finite == pattern).all(axis=1)
            space = self._of(pattern)
            standard = (values[np.ix_(rows, pattern)] - space.mean) * space.scale
            apart = standard if space.whitening is None else standard @ space.whitening.T
            found[rows] = (apart**2).sum(axis=1)
        return found

    def _of(self, known: NDArray[np.bool_]) -> "Space":
        """The space of some of the quantities, enlarged so that its distances compare with those of the whole."""
        if known.all():
            return self
        mean, scale = self.mean[known], self.scale[known] * np.sqrt(len(known) / max(int(known.sum()), 1))
        if self.whitening is None:
            return Space(mean, scale, None)
        inverse = np.linalg.inv(self.whitening)
        covariance = (inverse @ inverse.T)[np.ix_(known, known)]
        return Space(mean, scale, np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)), np.float64))


def quantities_of(store: ParticleStore, measured: pd.DataFrame) -> pd.DataFrame:
    """The numbers that describe particles: grey levels inside the mask, then sizes and features.

    Args:
        store: n particles.
        measured: n rows: ``height_px``, ``width_px`` and features.
    """
    inside = [store.image(index)[store.mask(index)] / store.white for index in range(len(store))]
    grey = {"grey_mean": [levels.mean() for levels in inside], "grey_sd": [levels.std() for levels in inside]}
    return pd.concat([pd.DataFrame(grey, index=measured.index), measured], axis=1)


def summarise(quantities: pd.DataFrame, groups: NDArray[Any]) -> Reference | None:
    """Summary of training particles; None for fewer than three of them.

    Args:
        quantities: as ``quantities_of`` gives them, n rows.
        groups: group of each particle, shape (n,); particles of a group are near-copies and stay together.
    """
    values = quantities.to_numpy(np.float64)
    if len(values) < 3:
        return None
    space, distances = _space(values), np.empty(len(values))
    for part in _parts(groups):
        distances[part] = _space(values[~part]).distances(values[part])
    rows = [] if space.whitening is None else [row[: at + 1] for at, row in enumerate(space.whitening)]
    return Reference(
        particles=len(values),
        ranges={
            str(name): _rounded(quantiles)
            for name, quantiles in zip(quantities, np.quantile(values, QUANTILES, axis=0).T, strict=True)
        },
        mean=_rounded(space.mean),
        scale=_rounded(space.scale),
        whitening=[_rounded(row) for row in rows],
        distances=_rounded(np.quantile(distances, GRID)),
    )


def _rounded(values: Sequence[Any] | Floats) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


def _parts(groups: NDArray[Any]) -> Iterator[NDArray[np.bool_]]:
    """Parts of the particles, each a mask of shape (n,): whole groups, dealt out from the largest to the smallest."""
    _, of_group, sizes = np.unique(groups.astype(str), return_inverse=True, return_counts=True)
    if sizes.max() > len(groups) - 2:  # nearly all are of one group: too few would be left
        of_group, sizes = np.arange(len(groups)), np.ones(len(groups), np.int64)
    filled = np.zeros(min(PARTS, len(sizes)), np.int64)
    part_of = np.empty(len(sizes), np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        part_of[group] = filled.argmin()
        filled[part_of[group]] += sizes[group]
    return (part_of[of_group] == part for part in range(len(filled)))


def _space(values: Floats) -> Space:
    """Mean and whitening by the covariance that Ledoit and Wolf (2004) shrink to that of independent quantities."""
    from sklearn.covariance import ledoit_wolf  # only export needs it

    mean, deviation = values.mean(axis=0), values.std(axis=0)
    # A quantity that does not vary among training particles says nothing about distance; its range does.
    scale = np.divide(1, deviation, out=np.zeros_like(mean), where=deviation > 1e-9 * np.abs(values).max(axis=0))
    if len(mean) > MOST_COLUMNS:
        return Space(mean, scale, None)
    covariance, _ = ledoit_wolf((values - mean) * scale, assume_centered=True)
    lower = np.linalg.cholesky(covariance + LEAST_VARIANCE * np.eye(len(mean)))
    return Space(mean, scale, np.linalg.inv(lower))


def score(quantities: pd.DataFrame, references: Sequence[Reference]) -> Floats:
    """Outlier score of n particles, from 0 to 1, shape (n,): the mean over the models of an ensemble.

    The score 0.99 means: further from the mean of the training particles than 99 % of them.

    Args:
        quantities: of the new particles, n rows; missing ones do not count.
        references: of one or more models.
    """
    scores = []
    for reference in references:
        values = quantities.reindex(columns=list(reference.ranges)).to_numpy(np.float64)
        scores.append(np.interp(_space_of(reference).distances(values), reference.distances, GRID))
    return np.asarray(np.mean(scores, axis=0))


def _space_of(reference: Reference) -> Space:
    mean, scale, n = np.array(reference.mean), np.array(reference.scale), len(reference.ranges)
    if not reference.whitening:
        return Space(mean, scale, None)
    whitening = np.zeros((n, n))
    whitening[np.tril_indices(n)] = np.concatenate([np.array(row) for row in reference.whitening])
    return Space(mean, scale, whitening)


def ranges_of(references: Sequence[Reference]) -> dict[str, Floats]:
    """Range of each quantity over the training particles of all models, at QUANTILES: the widest one."""
    middle = len(QUANTILES) // 2
    found = {}
    for name in references[0].ranges:
        of_all = np.array([one.ranges[name] for one in references if name in one.ranges])
        found[name] = np.concatenate([of_all[:, :middle].min(axis=0), of_all[:, middle:].max(axis=0)])
    return found


def in_words(reference: Reference) -> str:
    """Number of training particles, and the range of 98 % of them in sizes and grey levels."""
    usual = {name: quantiles[INSIDE] for name, quantiles in reference.ranges.items() if name in (*SIZES, *GREY)}
    said = [f"{name} {low:.4g} to {high:.4g}" for name, (low, *_, high) in usual.items()]
    return f"{reference.particles} particles; 98 % of them: {', '.join(said)}"


def plain(names: Sequence[str]) -> list[str]:
    """Quantities that a person can picture, sizes and grey levels first; no bins of profiles and histograms."""
    first = [name for name in (*SIZES, *GREY) if name in names]
    return [*first, *(name for name in names if name not in first and not name[-1:].isdigit())]


def outside(quantities: pd.DataFrame, references: Sequence[Reference]) -> list[str]:
    """For each of n particles, the plain quantities outside the range of the training particles; "" if none is."""
    ranges = ranges_of(references)
    names = [name for name in plain(list(ranges)) if name in quantities]
    values = quantities[names].to_numpy(np.float64)
    least, most = (np.array([ranges[name][at] for name in names]) for at in (0, -1))
    beyond = (values < least) | (values > most)
    return ["; ".join(name for name, one in zip(names, row, strict=True) if one) for row in beyond]


def notes(quantities: pd.DataFrame, scores: Floats, references: Sequence[Reference]) -> list[str]:
    """Sentences that say so when particles, as a set, are unlike the training particles; none if they are alike.

    Args:
        quantities: of the new particles, n rows.
        scores: their outlier scores, shape (n,).
        references: of the models.
    """
    ranges = ranges_of(references)
    names, found = plain(list(ranges)), []
    known = [name for name in names if name in quantities]
    absent = [name for name in names if name not in quantities]
    outliers, unusual = int((scores >= LIMIT).sum()), _unusual({name: ranges[name] for name in known}, quantities)
    if _too_many(outliers, len(scores), 1 - LIMIT, LEAST_OUTLIERS, LEVEL) or unusual:
        found.append(
            "the particles are unlike the training particles, so their classes may mean nothing: "
            + "; ".join(
                [f"{outliers} of {len(scores)} have an outlier score of {LIMIT} or more (usual: 1 %)", *unusual]
            )
        )
    if absent:
        found.append(f"not compared with the training particles, because it is not known here: {', '.join(absent)}")
    return found


def _unusual(ranges: Mapping[str, Floats], quantities: pd.DataFrame) -> list[str]:
    """In words, the quantities that lie outside the usual range in most particles; the worst ones only."""
    found = []
    for name, quantiles in ranges.items():
        values, (low, *_, high) = quantities[name].dropna(), quantiles[INSIDE]
        n_outside = int(((values < low) | (values > high)).sum())
        if _too_many(n_outside, len(values), SHARE_OUTSIDE, LEAST_OUTSIDE, LEVEL / len(ranges)):
            usual, here = f"{low:.4g} to {high:.4g}", f"{values.min():.4g} to {values.max():.4g}"
            found.append((-n_outside, f"{name} is outside {usual}, the usual range, for {n_outside} (here {here})"))
    return [words for _, words in sorted(found, key=lambda item: item[0])[:MOST_NAMED]]


def _too_many(count: int, n: int, share: float, least: float, level: float) -> bool:
    """Whether ``count`` of ``n`` particles is more than the share of the training particles, beyond chance and clearly.

    Args:
        count: particles with a property.
        n: all particles.
        share: of the training particles with the property.
        least: smallest share of the new particles that counts.
        level: probability of a wrong yes.
    """
    return count > 0 and count >= least * n and bool(stats.binom.sf(count - 1, n, share) <= level)
