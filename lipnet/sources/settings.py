"""Section ``source`` of params.yaml: where particles come from."""

from typing import Any, Literal

from lipnet.core.settings import Settings
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


class SourceSettings(Settings):
    """Section ``source``; only kinds that read files use ``folder``, and most kinds have a section of their name."""

    kind: Literal["artificial", "table", "particles", "micrographs"]
    folder: str
    class_column: str
    feature_columns: list[str]
    grey: GreySettings
    particles: ParticlesSettings
    micrographs: MicrographSettings
    artificial: ArtificialSettings

    @property
    def made_by(self) -> dict[str, Any]:
        """What the particle store records: the rule of grey levels, or nothing of artificial particles."""
        return {} if self.kind == "artificial" else record(self.grey)
