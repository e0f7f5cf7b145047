"""Settings of the artificial data, and the classes that the generator can draw."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings

CLASSES = {  # the classes of each problem; the ambiguous class comes last
    "lamellarity": ("Unilamellar", "Multilamellar", "Uncertain"),
    "encapsulation": ("Full", "Empty", "Uncertain"),
}


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= limits[0] <= limits[1]:
        raise ValueError("expected [low, high] with 0 <= low <= high")
    return limits


def _positive(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] <= 0:
        raise ValueError("expected limits above 0")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
PositiveRange = Annotated[Range, AfterValidator(_positive)]


class ArtificialSettings(Settings):
    """Section ``source.artificial``: size and difficulty of the artificial data.

    Ranges are [low, high]; values are drawn uniformly from them.

    Attributes:
        n_particles: number of particles of a problem, over all classes.
        proportions: share of each class of each problem; a class without a share is not drawn.
        min_per_class: minimum number of particles of a class; classes whose share gives fewer are raised to it.
        particles_per_micrograph: mean number of particles in a group.
        padding_px: width of the surrounding on each side of a particle's bounding box.
        pixel_size_nm: side of a pixel; one draw per micrograph.
        defocus_um: underfocus; more gives coarser Fresnel fringes along membranes; one draw per micrograph.
        noise_sd: standard deviation of the noise as a fraction of the brightness of ice; one draw per micrograph.
        lamella_gap_nm: width of the water between two lamellae; a gap near the pixel size is blurred away.
        filling_density: density of an encapsulated drug, relative to a membrane of density 1.
    """

    n_particles: int = Field(ge=1)
    proportions: dict[str, dict[str, Annotated[float, Field(ge=0)]]]
    min_per_class: int = Field(ge=0)
    particles_per_micrograph: int = Field(ge=1)
    padding_px: int = Field(ge=0)
    pixel_size_nm: PositiveRange
    defocus_um: Range
    noise_sd: Range
    lamella_gap_nm: PositiveRange
    filling_density: Range


def check_classes(problem: str, classes: Iterable[str]) -> None:
    """Check that the generator can draw some classes of a problem.

    Raises:
        InputError: the generator does not know the problem or one of the classes.
    """
    if problem not in CLASSES:
        known = ", ".join(CLASSES)
        raise InputError(f"source artificial draws {known}, not '{problem}', which needs source.kind: table")
    unknown = [name for name in classes if name not in CLASSES[problem]]
    if unknown:
        known = ", ".join(CLASSES[problem])
        raise InputError(f"source artificial draws the classes {known} of {problem}, not {', '.join(unknown)}")


def restrict(settings: ArtificialSettings, problem: str, classes: list[str]) -> ArtificialSettings:
    """Settings with the proportions of some classes of one problem only.

    Raises:
        InputError: the generator cannot draw a class, or a class has no share in the proportions.
    """
    check_classes(problem, classes)
    given = settings.proportions.get(problem, {})
    without = [name for name in classes if name not in given]
    if without:
        where = f"source.artificial.proportions.{problem}"
        raise InputError(f"params.yaml: {where}: give {', '.join(without)} a share")
    return settings.model_copy(update={"proportions": {problem: {name: given[name] for name in classes}}})


def class_shares(problem: str, settings: ArtificialSettings) -> dict[str, float]:
    """Share of each class that has one, in the order of ``CLASSES``; sum 1.

    Raises:
        InputError: the problem is unknown, its proportions name a class that the generator cannot draw, or all shares
            are 0.
    """
    given = settings.proportions.get(problem, {})
    check_classes(problem, given)
    total = sum(given.values())
    if total <= 0:
        raise InputError(f"params.yaml: source.artificial.proportions.{problem}: give some class a share above 0")
    return {name: given[name] / total for name in CLASSES[problem] if name in given}
