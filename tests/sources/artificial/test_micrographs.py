"""The artificial data: counts, optics, determinism, and what a particle must look like to the rest of the program."""

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lipnet.core.errors import InputError
from lipnet.samples.particles import Particle
from lipnet.sources.artificial.micrographs import (
    CLASSES,
    ArtificialSettings,
    class_counts,
    make_particles,
    plan_micrographs,
    render_examples,
    render_micrograph,
    restrict,
    shell_projection,
    transfer_function,
)

SETTINGS = ArtificialSettings(
    n_particles=60,
    proportions={
        "lamellarity": {"Unilamellar": 0.8729, "Multilamellar": 0.1212, "Uncertain": 0.0059},
        "encapsulation": {"Full": 0.9734, "Empty": 0.0065, "Uncertain": 0.0201},
    },
    min_per_class=10,
    particles_per_micrograph=5,
    padding_px=20,
    pixel_size_nm=(1.8, 2.3),
    defocus_um=(4.0, 16.0),
    noise_sd=(0.03, 0.1),
    lamella_gap_nm=(3.0, 12.0),
    filling_density=(0.25, 0.7),
)


def _with(**changes: object) -> ArtificialSettings:
    return ArtificialSettings.model_validate({**SETTINGS.model_dump(), **changes})


def _same(one: Particle, other: Particle) -> bool:
    return (
        (one.id, one.label, one.group, one.pixel_size_nm) == (other.id, other.label, other.group, other.pixel_size_nm)
        and np.array_equal(one.image, other.image)
        and np.array_equal(one.mask, other.mask)
    )


def _width_px(particle: Particle) -> int:
    return int(particle.image.shape[1]) - 2 * particle.padding_px


@given(st.sampled_from(list(CLASSES)), st.integers(1, 20_000), st.integers(0, 3_000))
def test_class_counts_sum_to_n_and_respect_the_floor(problem: str, n: int, floor: int) -> None:
    settings = _with(n_particles=n, min_per_class=floor)
    if floor * len(CLASSES[problem]) > n:
        with pytest.raises(InputError, match="min_per_class"):
            class_counts(problem, settings)
        return
    counts = class_counts(problem, settings)
    assert list(counts) == list(CLASSES[problem])
    assert sum(counts.values()) == n
    assert min(counts.values()) >= floor


def test_class_counts_without_a_floor_are_natural() -> None:
    settings = _with(n_particles=10_000, min_per_class=0)
    assert class_counts("lamellarity", settings) == {"Unilamellar": 8729, "Multilamellar": 1212, "Uncertain": 59}
    assert class_counts("encapsulation", settings) == {"Full": 9734, "Empty": 65, "Uncertain": 201}


def test_class_counts_take_the_difference_from_the_largest_class() -> None:
    settings = _with(n_particles=10_000, min_per_class=100)
    assert class_counts("encapsulation", settings) == {"Full": 9699, "Empty": 100, "Uncertain": 201}


def test_shell_projection_peaks_at_the_inner_radius_and_keeps_the_volume() -> None:
    outer, inner = 40.0, 35.0
    axis = np.arange(-45, 45.001, 0.25, dtype=np.float32)
    path = shell_projection(np.hypot(axis[:, None], axis[None, :]), outer, inner)
    assert path.sum() * 0.25**2 == pytest.approx(4 / 3 * np.pi * (outer**3 - inner**3), rel=2e-3)
    profile = shell_projection(axis, outer, inner)
    assert abs(axis[profile.argmax()]) == inner
    assert profile.max() == pytest.approx(2 * np.sqrt(outer**2 - inner**2), rel=1e-5)
    assert profile[np.abs(axis) >= outer].max() == 0


def test_transfer_function_keeps_amplitude_contrast_at_zero_frequency_and_crosses_zero() -> None:
    factors = transfer_function((128, 100), pixel_size_nm=2.0, defocus_nm=10_000.0)
    assert factors.shape == (128, 51)
    assert factors[0, 0] == pytest.approx(2 * 0.2)
    assert factors.min() < 0 < factors.max()


def test_every_particle_can_be_rendered_from_its_micrograph_alone() -> None:
    expected = list(make_particles("lamellarity", SETTINGS, seed=3))
    plans = pickle.loads(pickle.dumps(plan_micrographs("lamellarity", SETTINGS, seed=3)))
    backwards = {plan.number: render_micrograph(plan, SETTINGS) for plan in reversed(plans)}
    found = [particle for number in sorted(backwards) for particle in backwards[number]]
    assert len(found) == len(expected)
    assert all(map(_same, found, expected))


def test_another_seed_gives_other_images() -> None:
    one, other = (next(make_particles("lamellarity", SETTINGS, seed)) for seed in (1, 2))
    assert not np.array_equal(one.image, other.image)


@pytest.mark.parametrize("problem", CLASSES)
def test_particles_have_the_planned_classes_and_unique_ids(problem: str) -> None:
    particles = list(make_particles(problem, SETTINGS, seed=0))
    assert Counter(particle.label for particle in particles) == class_counts(problem, SETTINGS)
    ids = [particle.id for particle in particles]
    assert ids[0] == f"{problem[0].upper()}00001"
    assert ids == sorted(set(ids))


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
    settings = _with(pixel_size_nm=pixel_size_nm, padding_px=0)
    for particle in render_examples("encapsulation", "Uncertain", 8, settings, seed=0):
        assert min(particle.mask.shape) >= 10
        assert particle.mask.any(axis=0).all()
        assert particle.mask.any(axis=1).all()


def test_a_group_shares_its_pixel_size_and_has_about_the_wanted_size() -> None:
    settings = _with(n_particles=2_000, min_per_class=100, particles_per_micrograph=20)
    plans = plan_micrographs("lamellarity", settings, seed=0)
    sizes = [len(plan.labels) for plan in plans]
    assert np.mean(sizes) == pytest.approx(20, rel=0.1)
    assert len(set(sizes)) > 3
    assert sum("Uncertain" in plan.labels for plan in plans) > 30
    groups: dict[str, set[float]] = {}
    for particle in make_particles("lamellarity", SETTINGS, seed=0):
        groups.setdefault(particle.group, set()).add(particle.pixel_size_nm)
    assert all(len(sizes_nm) == 1 for sizes_nm in groups.values())
    assert len(set.union(*groups.values())) == len(groups)


def test_multilamellar_are_larger_on_average_but_overlap_in_size() -> None:
    one = [_width_px(p) for p in render_examples("lamellarity", "Unilamellar", 120, SETTINGS, seed=0)]
    many = [_width_px(p) for p in render_examples("lamellarity", "Multilamellar", 120, SETTINGS, seed=0)]
    assert np.median(one) == pytest.approx(45, abs=6)
    assert np.median(many) == pytest.approx(60, abs=8)
    assert np.quantile(one, 0.8) > np.quantile(many, 0.2)


def test_examples_are_of_one_class_and_share_nothing_with_the_data() -> None:
    data = list(make_particles("encapsulation", SETTINGS, seed=0))
    examples = [p for label in ("Empty", "Uncertain") for p in render_examples("encapsulation", label, 12, SETTINGS, 0)]
    assert Counter(p.label for p in examples) == {"Empty": 12, "Uncertain": 12}
    assert len({p.id for p in data + examples}) == len(data) + 24
    assert not {p.group for p in data} & {p.group for p in examples}
    assert len({p.image.tobytes() for p in data + examples}) == len(data) + 24
    assert render_examples("encapsulation", "Empty", 0, SETTINGS, 0) == []


def test_unknown_problem_and_class_are_named() -> None:
    with pytest.raises(InputError, match="draws the classes Full, Empty, Uncertain of encapsulation, not Half"):
        render_examples("encapsulation", "Half", 1, SETTINGS, seed=0)
    with pytest.raises(InputError, match=r"not 'shape', which needs source\.kind: table"):
        render_examples("shape", "Full", 1, SETTINGS, seed=0)
    with pytest.raises(InputError, match=r"not 'shape', which needs source\.kind: table"):
        plan_micrographs("shape", SETTINGS, seed=0)


@pytest.mark.parametrize("limits", [[0.2, 0.1], [-1.0, 1.0], [0.1]])
def test_ranges_are_low_and_high(limits: list[float]) -> None:
    with pytest.raises(ValidationError):
        _with(noise_sd=limits)
    with pytest.raises(ValidationError):
        _with(pixel_size_nm=[0.0, 1.0])


def test_proportions_of_ones_own_are_followed_and_need_not_sum_to_one():
    shares = {"Unilamellar": 2.0, "Multilamellar": 1.0, "Uncertain": 1.0}
    own = _with(n_particles=40, min_per_class=0, proportions={"lamellarity": shares})
    assert class_counts("lamellarity", own) == {"Unilamellar": 20, "Multilamellar": 10, "Uncertain": 10}


def test_a_class_without_a_share_is_not_drawn() -> None:
    own = _with(proportions={"lamellarity": {"Unilamellar": 3.0, "Multilamellar": 1.0}}, min_per_class=0)
    assert class_counts("lamellarity", own) == {"Unilamellar": 45, "Multilamellar": 15}


def test_proportions_must_name_classes_that_can_be_drawn() -> None:
    with pytest.raises(InputError, match=r"draws the classes Unilamellar, Multilamellar, Uncertain of lam.*, not X"):
        class_counts("lamellarity", _with(proportions={"lamellarity": {"X": 1.0}}))
    with pytest.raises(InputError, match=r"proportions\.lamellarity: give some class a share above 0"):
        class_counts("lamellarity", _with(proportions={"lamellarity": {"Unilamellar": 0.0}}))


def test_restricted_settings_draw_the_listed_classes_only() -> None:
    own = restrict(SETTINGS, "encapsulation", ["Full", "Empty"])
    assert set(class_counts("encapsulation", own)) == {"Full", "Empty"}
    with pytest.raises(InputError, match="not Half"):
        restrict(SETTINGS, "encapsulation", ["Full", "Half"])
    without_share = _with(proportions={"encapsulation": {"Full": 1.0}})
    with pytest.raises(InputError, match="give Empty a share"):
        restrict(without_share, "encapsulation", ["Full", "Empty"])
