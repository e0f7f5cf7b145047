"""Histograms of oriented gradients: edges fall into the bin of their orientation, wherever they are bright."""

import numpy as np
from numpy.testing import assert_allclose

from lipnet.hog import ORIENTATIONS, hog_features


def _edge(degrees: float) -> np.ndarray:
    y, x = np.mgrid[:28, :28] - 13.5
    across = x * np.cos(np.deg2rad(degrees)) + y * np.sin(np.deg2rad(degrees))
    return (255 / (1 + np.exp(-across))).astype(np.uint8)


def test_an_edge_falls_into_the_bin_of_its_orientation() -> None:
    found = hog_features(np.stack([_edge(10), _edge(90), _edge(150)])).reshape(3, -1, ORIENTATIONS).sum(axis=1)
    assert found.argmax(axis=1).tolist() == [0, 4, 7]  # bins of 20 degrees from 0


def test_features_do_not_depend_on_brightness_or_on_the_other_crops() -> None:
    crop = np.random.default_rng(0).integers(0, 120, (1, 28, 28), dtype=np.uint8)
    both = hog_features(np.concatenate([crop, 2 * crop]))
    assert both.shape == (2, 324)
    assert_allclose(both[1], both[0], atol=1e-3)
    assert_allclose(hog_features(crop)[0], both[0])
