"""Settings and helpers that several tests of the artificial data share."""

from lipnet.samples.particles import Particle
from lipnet.sources.artificial.micrographs import plan_micrographs, render_micrograph
from lipnet.sources.artificial.settings import ArtificialSettings

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


def changed(**changes: object) -> ArtificialSettings:
    """The settings with some values changed."""
    return ArtificialSettings.model_validate({**SETTINGS.model_dump(), **changes})


def make_particles(problem: str, settings: ArtificialSettings, seed: int) -> list[Particle]:
    """All particles of a problem, in the order of their ids."""
    plans = plan_micrographs(problem, settings, seed)
    return [particle for plan in plans for particle in render_micrograph(plan, settings)]
