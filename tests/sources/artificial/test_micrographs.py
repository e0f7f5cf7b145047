"""Artificial micrographs: counts of classes, plans, determinism, and separate extra examples."""

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipnet.core.errors import InputError
from lipnet.samples.particles import Particle
from lipnet.sources.artificial.micrographs import class_counts, plan_micrographs, render_examples, render_micrograph
from lipnet.sources.artificial.settings import CLASSES
from tests.sources.artificial.artificial_data import SETTINGS, changed, make_particles


def _same(one: Particle, other: Particle) -> bool:
    return (
        (one.id, one.label, one.group, one.pixel_size_nm) == (other.id, other.label, other.group, other.pixel_size_nm)
        and np.array_equal(one.image, other.image)
        and np.array_equal(one.mask, other.mask)
    )


@given(st.sampled_from(list(CLASSES)), st.integers(1, 20_000), st.integers(0, 3_000))
def test_class_counts_sum_to_n_and_respect_the_floor(problem: str, n: int, floor: int) -> None:
    settings = changed(n_particles=n, min_per_class=floor)
    if floor * len(CLASSES[problem]) > n:
        with pytest.raises(InputError, match="min_per_class"):
            class_counts(problem, settings)
        return
    counts = class_counts(problem, settings)
    assert list(counts) == list(CLASSES[problem])
    assert sum(counts.values()) == n
    assert min(counts.values()) >= floor


def test_class_counts_without_a_floor_are_natural() -> None:
    settings = changed(n_particles=10_000, min_per_class=0)
    assert class_counts("lamellarity", settings) == {"Unilamellar": 8729, "Multilamellar": 1212, "Uncertain": 59}
    assert class_counts("encapsulation", settings) == {"Full": 9734, "Empty": 65, "Uncertain": 201}


def test_class_counts_take_the_difference_from_the_largest_class() -> None:
    settings = changed(n_particles=10_000, min_per_class=100)
    assert class_counts("encapsulation", settings) == {"Full": 9699, "Empty": 100, "Uncertain": 201}


def test_every_particle_can_be_rendered_from_its_micrograph_alone() -> None:
    expected = make_particles("lamellarity", SETTINGS, seed=3)
    plans = pickle.loads(pickle.dumps(plan_micrographs("lamellarity", SETTINGS, seed=3)))
    backwards = {plan.number: render_micrograph(plan, SETTINGS) for plan in reversed(plans)}
    found = [particle for number in sorted(backwards) for particle in backwards[number]]
    assert len(found) == len(expected)
    assert all(map(_same, found, expected))


def test_another_seed_gives_other_images() -> None:
    one, other = (make_particles("lamellarity", SETTINGS, seed)[0] for seed in (1, 2))
    assert not np.array_equal(one.image, other.image)


@pytest.mark.parametrize("problem", CLASSES)
def test_particles_have_the_planned_classes_and_unique_ids(problem: str) -> None:
    particles = make_particles(problem, SETTINGS, seed=0)
    assert Counter(particle.label for particle in particles) == class_counts(problem, SETTINGS)
    ids = [particle.id for particle in particles]
    assert ids[0] == f"{problem[0].upper()}00001"
    assert ids == sorted(set(ids))


def test_a_group_shares_its_pixel_size_and_has_about_the_wanted_size() -> None:
    settings = changed(n_particles=2_000, min_per_class=100, particles_per_micrograph=20)
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


def test_examples_are_of_one_class_and_share_nothing_with_the_data() -> None:
    data = make_particles("encapsulation", SETTINGS, seed=0)
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


def test_proportions_of_ones_own_are_followed_and_need_not_sum_to_one():
    shares = {"Unilamellar": 2.0, "Multilamellar": 1.0, "Uncertain": 1.0}
    own = changed(n_particles=40, min_per_class=0, proportions={"lamellarity": shares})
    assert class_counts("lamellarity", own) == {"Unilamellar": 20, "Multilamellar": 10, "Uncertain": 10}


def test_a_class_without_a_share_is_not_drawn() -> None:
    own = changed(proportions={"lamellarity": {"Unilamellar": 3.0, "Multilamellar": 1.0}}, min_per_class=0)
    assert class_counts("lamellarity", own) == {"Unilamellar": 45, "Multilamellar": 15}
