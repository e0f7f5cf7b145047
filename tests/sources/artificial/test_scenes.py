"""Artificial particles: size and place of the particle in its image."""

import numpy as np
import pytest

from lipnet.samples.particles import Particle
from lipnet.sources.artificial.micrographs import render_examples
from lipnet.sources.artificial.settings import CLASSES
from tests.sources.artificial.artificial_data import SETTINGS, changed, make_particles


def _width_px(particle: Particle) -> int:
    return int(particle.image.shape[1]) - 2 * particle.padding_px


@pytest.mark.parametrize("problem", CLASSES)
def test_images_are_the_box_of_the_mask_and_its_surrounding(problem: str) -> None:
    for particle in make_particles(problem, SETTINGS, seed=0):
        rows, columns = (np.flatnonzero(particle.mask.any(axis=axis)) for axis in (1, 0))
        assert particle.image.dtype == np.uint8
        assert particle.image.shape == particle.mask.shape
        assert (rows[0], columns[0]) == (20, 20)
        assert (rows[-1] + 21, columns[-1] + 21) == particle.image.shape
        assert min(len(rows), len(columns)) >= 10


@pytest.mark.parametrize("pixel_size_nm", [(0.6, 0.6), (20.0, 20.0)])
def test_unusual_pixel_sizes_still_give_whole_masks(pixel_size_nm: tuple[float, float]) -> None:
    settings = changed(pixel_size_nm=pixel_size_nm, padding_px=0)
    for particle in render_examples("encapsulation", "Uncertain", 8, settings, seed=0):
        assert min(particle.mask.shape) >= 10
        assert particle.mask.any(axis=0).all()
        assert particle.mask.any(axis=1).all()


def test_multilamellar_are_larger_on_average_but_overlap_in_size() -> None:
    one = [_width_px(p) for p in render_examples("lamellarity", "Unilamellar", 120, SETTINGS, seed=0)]
    many = [_width_px(p) for p in render_examples("lamellarity", "Multilamellar", 120, SETTINGS, seed=0)]
    assert np.median(one) == pytest.approx(45, abs=6)
    assert np.median(many) == pytest.approx(60, abs=8)
    assert np.quantile(one, 0.8) > np.quantile(many, 0.2)
