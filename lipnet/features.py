"""Hand-crafted particle features (thesis, sections 3 and 4.1), measured from an image and its mask.

The area is in nm2 where every particle has a pixel size, and in px2 otherwise; its name says which. Moments and the
distances of the edge density profile are in px.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage
from skimage import measure

from lipnet.errors import InputError
from lipnet.particles import Mask, ParticleStore, bounding_box
from lipnet.settings import Settings


class FeatureSettings(Settings):
    """Section ``features`` of params.yaml."""

    histogram_bins: int = Field(ge=2)
    edge_inside_px: float = Field(ge=1)
    edge_outside_px: float = Field(ge=0)
    edge_bins: int = Field(ge=2)


def measure_all(
    store: ParticleStore, pixel_sizes_nm: NDArray[np.float64], settings: FeatureSettings, order: Iterable[int]
) -> pd.DataFrame:
    """Features of the particles of a store, one row a particle.

    Args:
        store: n particles.
        pixel_sizes_nm: shape (n,), NaN where unknown; a single NaN makes every area an area in px2.
        settings: bins and ranges.
        order: the particles to measure; ``range(n)``, or the same inside a progress bar.

    Returns:
        Columns area_nm2 (or area_px2), circularity, moment_mu20, moment_mu02, moment_mu30, moment_mu03,
        edge_density_profile_00 ..., histogram_00 ...
    """
    known = bool(np.isfinite(pixel_sizes_nm).all())
    unit, sizes = ("nm", pixel_sizes_nm) if known else ("px", np.ones(len(store)))
    return pd.DataFrame([_measure_one(store, index, float(sizes[index]), unit, settings) for index in order])


def _measure_one(
    store: ParticleStore, index: int, pixel_size: float, unit: str, settings: FeatureSettings
) -> dict[str, float]:
    image, mask = _with_margin(store, index, int(np.ceil(settings.edge_outside_px)) + 1)
    return {
        f"area_{unit}2": float(mask.sum()) * pixel_size**2,
        "circularity": circularity(mask),
        **{f"moment_{name}": value for name, value in central_moments(image, mask).items()},
        **_numbered("edge_density_profile", edge_density_profile(image, mask, settings)),
        **_numbered("histogram", grey_histogram(image, mask, settings.histogram_bins)),
    }


def _with_margin(store: ParticleStore, index: int, margin_px: int) -> tuple[NDArray[np.float64], Mask]:
    # The measures need the particle and a narrow rim, not the 50 px around it: most of the time is saved here.
    mask = store.mask(index)
    rows, columns = (slice(max(side.start - margin_px, 0), side.stop + margin_px) for side in bounding_box(mask))
    return store.image(index)[rows, columns] / store.white, mask[rows, columns]


def _numbered(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    return {f"{name}_{number:02d}": float(value) for number, value in enumerate(values)}


def circularity(mask: Mask) -> float:
    """4 pi area / perimeter^2: 1 for a disc, less for any other shape; the perimeter is Crofton's (4 directions)."""
    perimeter = float(measure.perimeter_crofton(np.pad(mask, 1), directions=4))
    return 4 * np.pi * float(mask.sum()) / perimeter**2


def central_moments(image: NDArray[np.float64], mask: Mask) -> dict[str, float]:
    """Central image moments mu20, mu02, mu30, mu03 of the grey levels under the mask (first index: rows), in px."""
    grey = np.where(mask, image, 0.0)
    if not grey.any():  # a black particle has no centre of mass
        return dict.fromkeys(("mu20", "mu02", "mu30", "mu03"), 0.0)
    moments = measure.moments_central(grey, order=3)
    return {f"mu{p}{q}": float(moments[p, q]) for p, q in ((2, 0), (0, 2), (3, 0), (0, 3))}


def edge_density_profile(image: NDArray[np.float64], mask: Mask, settings: FeatureSettings) -> NDArray[np.float64]:
    """Mean grey level against the distance to the outline of the mask, shape (edge_bins,), from inside to outside.

    Distances run from -edge_inside_px to edge_outside_px. Bins deeper than a small particle's centre, or beyond the
    image, hold no pixel: they repeat the nearest bin that does.
    """
    distance = np.where(mask, 0.5 - ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1], 0.0)
    distance += np.where(mask, 0.0, ndimage.distance_transform_edt(~mask) - 0.5)
    edges = np.linspace(-settings.edge_inside_px, settings.edge_outside_px, settings.edge_bins + 1)
    bins = np.digitize(distance.ravel(), edges) - 1
    inside = (bins >= 0) & (bins < settings.edge_bins)
    counts = np.bincount(bins[inside], minlength=settings.edge_bins)
    sums = np.bincount(bins[inside], weights=image.ravel()[inside], minlength=settings.edge_bins)
    filled = np.flatnonzero(counts)
    nearest = filled[np.abs(np.arange(settings.edge_bins)[:, None] - filled[None, :]).argmin(axis=1)]
    return np.asarray(sums[nearest] / counts[nearest])


def grey_histogram(image: NDArray[np.float64], mask: Mask, bins: int) -> NDArray[np.float64]:
    """Share of the particle's pixels in each of ``bins`` equal ranges of grey between 0 and 1, shape (bins,), sum 1."""
    counts, _ = np.histogram(image[mask], bins=bins, range=(0.0, 1.0))
    return counts / mask.sum()


NOT_FEATURES = ("id", "label", "group", "padding_px", "pixel_size_nm", "mask_estimated")


def select_columns(table: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Columns of a particle table that feature names stand for: the column so called, or all that begin with ``name_``.

    Raises:
        InputError: a name matches no column.
    """
    known = [column for column in table.columns if column not in NOT_FEATURES]
    selected: list[str] = []
    for name in names:
        matches = [name] if name in known else [column for column in known if column.startswith(f"{name}_")]
        if not matches:
            raise InputError(f"params.yaml: feature '{name}' is not in the feature table; known: {', '.join(known)}")
        selected += [column for column in matches if column not in selected]
    return selected
