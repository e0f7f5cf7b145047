"""Section ``source`` of params.yaml: where particles come from."""

from typing import Any, Literal

from lipnet.core.settings import Name, Settings, parse, pick
from lipnet.sources.artificial.settings import ArtificialSettings
from lipnet.sources.formats.grey_levels import GreySettings, record
from lipnet.sources.micrographs import MicrographSettings


class ParticlesSettings(Settings):
    """Section ``source.particles``: the JSON layout of the thesis's data.

    Attributes:
        file: name of the JSON file.
        images: folder of the images.
        masks: folder of the masks, named as the images.
        class_codes: class name of each code in Class; any other value of Class is a name.
        given_features: True: use the features of the records; False: measure all features.
    """

    file: str
    images: str
    masks: str
    class_codes: dict[str, str]
    given_features: bool


Kind = Literal["artificial", "table", "particles", "micrographs"]


class ProblemSource(Settings):
    """A row of ``source.of``: what differs for one problem.

    Attributes:
        images_of: a folder of ``shared``, whose images and table the problem uses; None: the problem's own folder.
        class_column, kind: as in ``source``; None: no difference.
    """

    images_of: Name | None = None
    class_column: str | None = None
    kind: Kind | None = None


class SourceSettings(Settings):
    """Section ``source``; only kinds that read files use ``folder``, and most kinds have a section of their name.

    ``of`` holds what differs for some problems, by the name of the problem; see ``source_of``.
    """

    kind: Kind
    folder: str
    class_column: str
    feature_columns: list[str]
    grey: GreySettings
    of: dict[str, ProblemSource]
    particles: ParticlesSettings
    micrographs: MicrographSettings
    artificial: ArtificialSettings

    @property
    def made_by(self) -> dict[str, Any]:
        """What the particle store records: the rule of grey levels, or nothing of artificial particles."""
        return {} if self.kind == "artificial" else record(self.grey)

    def folder_of(self, problem: str) -> str:
        """Name of the folder with the images of a problem, inside ``folder``."""
        return self.shared_by(problem) or problem

    def shared_by(self, problem: str) -> str | None:
        """The folder of ``shared`` whose images a problem uses; None if it has its own."""
        return self.of[problem].images_of if problem in self.of else None

    def label_columns(self, images: str) -> list[str]:
        """The class columns of all problems that use a folder of ``shared``."""
        own = [row.class_column or self.class_column for row in self.of.values() if row.images_of == images]
        return list(dict.fromkeys(own))


def source_of(params: dict[str, Any], problem: str) -> SourceSettings:
    """Section ``source`` as it holds for one problem: its row of ``source.of`` overrides kind and class column.

    Raises:
        InputError: as for ``parse``.
    """
    settings = parse(SourceSettings, pick(params, "source"), "source")
    row = settings.of.get(problem, ProblemSource())
    return settings.model_copy(update=row.model_dump(exclude={"images_of"}, exclude_none=True))
