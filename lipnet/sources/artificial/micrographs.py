"""Artificial micrographs of liposomes in vitreous ice, drawn from simple optics instead of from data.

A liposome is a set of spherical shells (lamellae) with an optional filling. To first order, an electron microscope
records the projection of these bodies through the contrast transfer function of a defocused lens, on a background of
Perlin noise, with shot noise. The idea comes from the thesis (section 4.8.4, Figure 10), which drew circles on Perlin
noise. No parameter is fitted to real images, neither here nor in the thesis. Results on these images show how the
programs behave; they do not show how well real liposomes are classified.

This module plans micrographs and renders them; ``scenes`` composes a particle, ``drawing`` draws it.
"""

from typing import NamedTuple

import numpy as np

from lipnet.core.errors import InputError
from lipnet.core.seeds import derive, generator
from lipnet.samples.particles import Particle
from lipnet.sources.artificial.drawing import draw_optics, render
from lipnet.sources.artificial.settings import CLASSES, ArtificialSettings, check_classes, class_shares


class MicrographPlan(NamedTuple):
    """Everything needed to render one artificial micrograph on its own.

    Attributes:
        problem: name of the problem.
        number: number of the micrograph, from 0.
        labels: class of each of its particles.
        first_number: number of its first particle, from 1.
        seed: of its random generator.
        prefix: start of ids and groups; keeps the names of extra examples apart from those of the data.
    """

    problem: str
    number: int
    labels: tuple[str, ...]
    first_number: int
    seed: int
    prefix: str = ""


def class_counts(problem: str, settings: ArtificialSettings) -> dict[str, int]:
    """Number of particles of each class: the proportions, rounded by largest remainder, with a minimum per class.

    Particles that raise a small class are taken, one by one, from the largest class at that moment. The counts sum to
    n_particles.

    Raises:
        InputError: the problem is unknown, its proportions name a class that the generator cannot draw, or n_particles
            is too small for min_per_class particles of every class.
    """
    shares = class_shares(problem, settings)
    if settings.min_per_class * len(shares) > settings.n_particles:
        raise InputError(
            f"artificial: {settings.n_particles} particles cannot hold {settings.min_per_class} of each of the "
            f"{len(shares)} classes of {problem}; raise n_particles or lower min_per_class"
        )
    exact = settings.n_particles * np.array(list(shares.values()))
    counts = np.floor(exact).astype(int)
    left_over = settings.n_particles - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:left_over]] += 1
    while counts.min() < settings.min_per_class:
        smallest, largest = counts.argmin(), counts.argmax()
        counts[smallest] += 1
        counts[largest] -= 1
    return dict(zip(shares, counts.tolist(), strict=True))


def plan_micrographs(problem: str, settings: ArtificialSettings, seed: int) -> list[MicrographPlan]:
    """Distribute the particles of a problem, in a random order of classes, over micrographs of random sizes.

    Each plan can be rendered on its own, in any order and by any worker, with the same result. Rendered in order, the
    particles come in the order of their ids.

    Args:
        problem: a key of ``CLASSES``.
        settings: size and difficulty.
        seed: of the run.

    Raises:
        InputError: as for ``class_counts``.
    """
    counts = class_counts(problem, settings)
    stream = (seed, list(CLASSES).index(problem))
    rng = generator("order of classes", *stream)
    labels = rng.permutation(np.repeat(list(counts), list(counts.values()))).tolist()
    return _plan(problem, labels, settings, stream, prefix="")


def render_examples(problem: str, label: str, n: int, settings: ArtificialSettings, seed: int) -> list[Particle]:
    """Draw n further particles of one class, all different from those of ``plan_micrographs`` with the same seed.

    Raises:
        InputError: the generator does not know the problem or the class.
    """
    check_classes(problem, [label])
    number = 1 + CLASSES[problem].index(label)
    stream = (seed, list(CLASSES).index(problem), number)
    plans = _plan(problem, [label] * n, settings, stream, prefix=f"X{number}")
    return [particle for plan in plans for particle in render_micrograph(plan, settings)]


def render_micrograph(plan: MicrographPlan, settings: ArtificialSettings) -> list[Particle]:
    """Render the particles of one micrograph; a pure function of its arguments.

    Returns:
        Particles with uint8 images of shape (mask height + 2 padding_px, mask width + 2 padding_px).
    """
    rng = np.random.default_rng(plan.seed)
    optics = draw_optics(settings, rng)
    particles = []
    for number, label in enumerate(plan.labels, start=plan.first_number):
        image, mask = render(plan.problem, label, optics, settings, rng)
        particles.append(
            Particle(
                id=f"{plan.prefix}{plan.problem[0].upper()}{number:05d}",
                label=label,
                group=f"{plan.prefix}m{plan.number:04d}",
                image=image,
                mask=mask,
                padding_px=settings.padding_px,
                pixel_size_nm=optics.pixel_size_nm,
            )
        )
    return particles


def _plan(
    problem: str, labels: list[str], settings: ArtificialSettings, stream: tuple[int, ...], prefix: str
) -> list[MicrographPlan]:
    rng = generator("sizes of micrographs", *stream)
    plans: list[MicrographPlan] = []
    start = 0
    while start < len(labels):
        stop = start + 1 + int(rng.poisson(settings.particles_per_micrograph - 1))
        number = len(plans)
        seed = derive("micrograph", *stream, number)
        plans.append(MicrographPlan(problem, number, tuple(labels[start:stop]), start + 1, seed, prefix))
        start = stop
    return plans
