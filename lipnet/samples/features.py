"""Hand-crafted particle features (thesis, sections 3 and 4.1), measured from an image and its mask.

All features are measured in px, one particle at a time. If every particle of a problem has a pixel size,
``in_nanometres`` converts the lengths and areas that the thesis gives in nm. The names contain the units.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage import filters, measure

from lipnet.core.settings import Settings
from lipnet.samples.particles import Mask, ParticleStore, bounding_box

Floats = NDArray[np.float64]

IN_NANOMETRES = {  # column in px -> column in nm, and the exponent of the pixel size
    "area_px2": ("area_nm2", 2),
    "perimeter_px": ("perimeter_nm", 1),
    "maximum_width_px": ("maximum_width_nm", 1),
    "length_px": ("length_nm", 1),
}
SMOOTHING_PX = 2.0  # standard deviation; a smaller one leaves pixel steps, a larger one rounds off narrow ends
SMOOTHING_SHARE = 0.1  # of the square root of the area; SMOOTHING_PX would shrink particles of fewer than 400 pixels
MAX_SIGNAL_TO_NOISE = 1e6  # the value if there is no variance along the membrane
SIGNIFICANT_DIGITS = 12  # of every feature; processors and releases of the C library can differ in the last of 17


class FeatureSettings(Settings):
    """Section ``features`` of params.yaml."""

    histogram_bins: int = Field(ge=2)
    edge_inside_px: float = Field(ge=1)
    edge_outside_px: float = Field(ge=0)
    edge_bins: int = Field(ge=2)
    radial_bins: int = Field(ge=2)
    radial_reach: float = Field(gt=0)


class Outline(NamedTuple):
    """Outline of a mask: closed curves around the mask and its holes, each (n_points, 2) in px; the smoothing used."""

    curves: list[Floats]
    smoothing_px: float


class EdgeBand(NamedTuple):
    """Bins of the distance to the outline: number of pixels, mean and variance of grey in each; 0 in empty bins."""

    counts: Floats
    means: Floats
    variances: Floats


def measure_all(store: ParticleStore, settings: FeatureSettings) -> pd.DataFrame:
    """Features of the particles of a store, one row a particle, all in px, rounded to SIGNIFICANT_DIGITS.

    Returns:
        Columns area_px2, perimeter_px, circularity, maximum_width_px, diameter_px, length_px, moment_mu20_px2,
        moment_mu02_px2, moment_mu30_px3, moment_mu03_px3, signal_to_noise, internal_segmentation_variance,
        radial_density_profile_00 ..., edge_density_profile_00 ..., histogram_00 ...
    """
    measured = (_measure_one(store, index, settings) for index in range(len(store)))
    return pd.DataFrame([{name: rounded(value) for name, value in row.items()} for row in measured])


def rounded(value: float) -> float:
    """The number with SIGNIFICANT_DIGITS decimal digits that is nearest."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def in_nanometres(features: pd.DataFrame, pixel_sizes_nm: Floats) -> pd.DataFrame:
    """Convert lengths and areas to nm if every particle has a pixel size; otherwise return the table unchanged.

    As in the thesis, the diameter stays in px and the length is the same quantity in nm. Moments stay in px too.

    Args:
        features: columns of ``measure_all``, n rows.
        pixel_sizes_nm: shape (n,), NaN if unknown.
    """
    if not np.isfinite(pixel_sizes_nm).all():
        return features
    converted = {old: features[old] * pixel_sizes_nm**power for old, (_, power) in IN_NANOMETRES.items()}
    return features.assign(**converted).rename(columns={old: new for old, (new, _) in IN_NANOMETRES.items()})


def with_given(measured: pd.DataFrame, given: pd.DataFrame, pixel_sizes_nm: Floats) -> pd.DataFrame:
    """Given features, then the measured ones that no given feature of the same name replaces.

    Args:
        measured: columns of ``measure_all`` (in px), n rows.
        given: features that came with the particles, n rows; may have no columns.
        pixel_sizes_nm: shape (n,), NaN if unknown; converts the measured features as ``in_nanometres`` does.
    """
    converted = in_nanometres(measured, pixel_sizes_nm)
    replaced = [name for name in given if name in converted]
    return pd.concat([given, converted.drop(columns=replaced)], axis=1)


def _measure_one(store: ParticleStore, index: int, settings: FeatureSettings) -> dict[str, float]:
    image, mask = _with_margin(store, index, settings)
    distance_px = distance_to_outline(mask)
    band = edge_band(image, distance_px, settings)
    area_px2, perimeter_px = float(mask.sum()), perimeter(outline(mask))
    diameter_px = diameter(mask)
    radial = radial_density_profile(image, mask)
    return {
        "area_px2": area_px2,
        "perimeter_px": perimeter_px,
        "circularity": circularity(area_px2, perimeter_px),
        "maximum_width_px": maximum_width(mask),
        "diameter_px": diameter_px,
        "length_px": diameter_px,
        **{f"moment_{name}": value for name, value in central_moments(image, mask).items()},
        "signal_to_noise": signal_to_noise(band),
        "internal_segmentation_variance": internal_segmentation_variance(image, distance_px, settings),
        **numbered("radial_density_profile", resample(*radial, radial_grid_px(area_px2, settings))),
        **numbered("edge_density_profile", edge_density_profile(band)),
        **numbered("histogram", grey_histogram(image, mask, settings.histogram_bins)),
    }


def _with_margin(store: ParticleStore, index: int, settings: FeatureSettings) -> tuple[Floats, Mask]:
    # Features need only the particle and a narrow rim, not the 50 px around it. Cropping saves most of the time.
    mask = store.mask(index)
    rows, columns = bounding_box(mask)
    reach = (settings.radial_reach - 1) * max(rows.stop - rows.start, columns.stop - columns.start) / 2
    margin = int(np.ceil(max(settings.edge_outside_px, reach))) + 2
    rows, columns = (slice(max(side.start - margin, 0), side.stop + margin) for side in (rows, columns))
    return store.image(index)[rows, columns] / store.white, mask[rows, columns]


def numbered(name: str, values: Floats) -> dict[str, float]:
    """Name values as columns: name_00, name_01 ..."""
    return {f"{name}_{number:02d}": float(value) for number, value in enumerate(values)}


def outline(mask: Mask) -> Outline:
    """Outline of a mask in sub-pixel coordinates.

    The mask is smoothed a little first, because the pixel steps are longer than the true curve.
    """
    smoothing_px = min(SMOOTHING_PX, SMOOTHING_SHARE * float(np.sqrt(mask.sum())))
    padded = np.pad(mask.astype(np.float64), 4)
    curves = measure.find_contours(ndimage.gaussian_filter(padded, smoothing_px), 0.5)
    if curves:
        return Outline(curves, smoothing_px)
    return Outline(measure.find_contours(padded, 0.5), 0.0)  # smoothing would remove single pixels


def perimeter(around: Outline) -> float:
    """Length of an outline in px, within 1 % on discs and ellipses with half axes from 15 px, 2.5 % from 8 px."""
    lengths = np.array([np.hypot(*np.diff(curve, axis=0).T).sum() for curve in around.curves])
    # Smoothing moves a curve towards the centre of its curvature: a circle loses 2 pi^2 sd^2 / length.
    return float((lengths + 2 * np.pi**2 * around.smoothing_px**2 / lengths).sum())


def maximum_width(mask: Mask) -> float:
    """Greatest distance between two points of the edge of a mask in px (maximum Feret diameter).

    The edge is not smoothed, because smoothing rounds off narrow ends. It passes through the midpoints of pixel sides.
    """
    points = np.concatenate(measure.find_contours(np.pad(mask.astype(np.float64), 1), 0.5))
    return float(pdist(points[ConvexHull(points).vertices]).max())


def diameter(mask: Mask) -> float:
    """Major axis in px of the ellipse with the second moments of the mask."""
    return float(measure.regionprops(mask.astype(np.uint8))[0].axis_major_length)


def circularity(area_px2: float, perimeter_px: float) -> float:
    """4 pi area / perimeter^2: 1 for a disc, less for any other shape."""
    return 4 * np.pi * area_px2 / perimeter_px**2


def central_moments(image: Floats, mask: Mask) -> dict[str, float]:
    """Central moments mu20, mu02 (px2), mu30, mu03 (px3) of grey levels under the mask; the first index is for rows."""
    names = {(2, 0): "mu20_px2", (0, 2): "mu02_px2", (3, 0): "mu30_px3", (0, 3): "mu03_px3"}
    grey = np.where(mask, image, 0.0)
    if not grey.any():  # a black particle has no centre of mass
        return dict.fromkeys(names.values(), 0.0)
    moments = measure.moments_central(grey, order=3)
    return {name: float(moments[order]) for order, name in names.items()}


def distance_to_outline(mask: Mask) -> Floats:
    """Distance of every pixel's centre to the outline in px, same shape; negative inside the mask."""
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return np.where(mask, 0.5 - inside, ndimage.distance_transform_edt(~mask) - 0.5)


def edge_grid_px(settings: FeatureSettings) -> Floats:
    """Distances to the outline of the bins of the edge density profile, shape (edge_bins,); negative inside."""
    edges = _edges(settings)
    return (edges[:-1] + edges[1:]) / 2


def _edges(settings: FeatureSettings) -> Floats:
    return np.linspace(-settings.edge_inside_px, settings.edge_outside_px, settings.edge_bins + 1)


def edge_band(image: Floats, distance_px: Floats, settings: FeatureSettings) -> EdgeBand:
    """Sort the pixels near the outline into bins of equal distance, each of shape (edge_bins,), from inside to outside.

    Args:
        image: grey levels in [0, 1].
        distance_px: result of ``distance_to_outline``, same shape.
        settings: the bins run from -edge_inside_px to edge_outside_px.
    """
    bins = np.digitize(distance_px.ravel(), _edges(settings)) - 1
    inside = (bins >= 0) & (bins < settings.edge_bins)
    bins, grey = bins[inside], image.ravel()[inside]
    counts = np.bincount(bins, minlength=settings.edge_bins).astype(np.float64)
    filled = np.maximum(counts, 1)
    means = np.bincount(bins, weights=grey, minlength=settings.edge_bins) / filled
    variances = np.bincount(bins, weights=(grey - means[bins]) ** 2, minlength=settings.edge_bins) / filled
    return EdgeBand(counts, means, variances)


def edge_density_profile(band: EdgeBand) -> Floats:
    """Mean grey level against the distance to the outline, shape (edge_bins,), from inside to outside.

    Bins deeper than the centre of a small particle, or beyond the image, hold no pixel. An empty bin repeats the value
    of the nearest bin with pixels.
    """
    filled = np.flatnonzero(band.counts)
    nearest = filled[np.abs(np.arange(len(band.counts))[:, None] - filled[None, :]).argmin(axis=1)]
    return band.means[nearest]


def signal_to_noise(band: EdgeBand) -> float:
    """Variance of grey across the membrane divided by the variance along it, near the outline.

    Across: the variance of the edge density profile. Along: the variance among pixels at the same distance to the
    outline, averaged over distances. The result is 0 for a flat image, and at most MAX_SIGNAL_TO_NOISE.
    """
    filled = band.counts > 0
    across, along = float(band.means[filled].var()), float(band.variances[filled].mean())
    if across < 1e-12:  # rounding errors of a flat image
        return 0.0
    return min(across / max(along, 1e-12), MAX_SIGNAL_TO_NOISE)


def internal_segmentation_variance(image: Floats, distance_px: Floats, settings: FeatureSettings) -> float:
    """Variance between the two parts into which Otsu's threshold segments the interior of a particle.

    The thesis names this feature but does not define it (section 4.1), and its data lacked it. This definition is our
    interpretation. The interior is the area deeper than edge_outside_px under the outline. The result is 0 if the
    interior is empty or flat.

    Args:
        image: grey levels in [0, 1].
        distance_px: result of ``distance_to_outline``, same shape.
        settings: edge_outside_px is used.
    """
    interior = image[distance_px < -settings.edge_outside_px]
    if not interior.size or interior.min() == interior.max():
        return 0.0
    dark = interior <= filters.threshold_otsu(interior)
    share = dark.mean()
    return float(share * (1 - share) * (interior[dark].mean() - interior[~dark].mean()) ** 2)


def radial_grid_px(area_px2: float, settings: FeatureSettings) -> Floats:
    """Distances to the centre at which the radial density profile is sampled, shape (radial_bins,).

    They run from 0 to radial_reach times the radius of a disc of the same area, so profiles of particles of different
    sizes can be compared.
    """
    return np.linspace(0, settings.radial_reach * np.sqrt(area_px2 / np.pi), settings.radial_bins)


def radial_density_profile(image: Floats, mask: Mask) -> tuple[Floats, Floats]:
    """Mean grey level in rings of 1 px around the centre of mass of the mask, from the centre outwards.

    Returns:
        Mean grey levels, and mean distances of the pixels of each ring to the centre in px; both of shape (n_rings,).
        The last ring passes through the farthest corner of the image.
    """
    y, x = np.argwhere(mask).mean(axis=0)
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    distance_px = np.hypot(rows - y, columns - x).ravel()
    rings = np.rint(distance_px).astype(np.int64)
    counts = np.asarray(np.bincount(rings))
    filled = counts > 0
    values = np.asarray(np.bincount(rings, weights=image.ravel()))[filled] / counts[filled]
    return values, np.asarray(np.bincount(rings, weights=distance_px))[filled] / counts[filled]


def resample(values: Floats, distances: Floats, grid: Floats) -> Floats:
    """A profile at the distances of a grid, linearly interpolated; beyond either end it keeps the value of that end.

    Args:
        values: shape (n,).
        distances: shape (n,), in any order; values at equal distances are averaged.
        grid: shape (m,).
    """
    unique, place, counts = np.unique(distances, return_inverse=True, return_counts=True)
    return np.interp(grid, unique, np.bincount(place, weights=values) / counts)


def grey_histogram(image: Floats, mask: Mask, bins: int) -> Floats:
    """Share of the particle's pixels in each of ``bins`` equal ranges of grey between 0 and 1, shape (bins,), sum 1."""
    counts, _ = np.histogram(image[mask], bins=bins, range=(0.0, 1.0))
    return counts / mask.sum()
