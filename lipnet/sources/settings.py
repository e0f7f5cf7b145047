"""Section ``source`` of params.yaml: where particles come from."""

from typing import Literal

from lipnet.artificial import ArtificialSettings
from lipnet.settings import Settings


class SourceSettings(Settings):
    """Section ``source``; ``folder`` and the columns serve kind ``table``, ``artificial`` its namesake."""

    kind: Literal["artificial", "table"]
    folder: str
    class_column: str
    feature_columns: list[str]
    artificial: ArtificialSettings
