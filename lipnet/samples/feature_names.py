"""Which columns of a particle table are features, and which columns a feature name in params.yaml selects.

This is a module apart from ``features``, which measures features: stages that only read the table do not depend on it.
"""

from collections.abc import Iterable

import pandas as pd

from lipnet.core.errors import InputError

NOT_FEATURES = ("id", "label", "group", "padding_px", "pixel_size_nm", "mask_estimated", "cut_by_edge")


def select_columns(table: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Columns of a particle table that feature names select: the column of that name, or all that begin with ``name_``.

    Raises:
        InputError: a name matches no column.
    """
    known = [column for column in table.columns if column not in NOT_FEATURES]
    selected: list[str] = []
    for name in names:
        matches = [name] if name in known else [column for column in known if column.startswith(f"{name}_")]
        if not matches:
            raise InputError(f"params.yaml: feature '{name}' is not in the feature table; known: {', '.join(known)}")
        selected += [column for column in matches if column not in selected]
    return selected
