"""Feature names: which columns they select."""

import pandas as pd
import pytest

from lipnet.core.errors import InputError
from lipnet.samples.feature_names import select_columns

TABLE = pd.DataFrame(columns=["id", "area_nm2", "area", "moment_mu20", "moment_mu02", "moments", "histogram_00"])


def test_a_feature_name_prefers_the_column_so_called() -> None:
    assert select_columns(TABLE, ["area"]) == ["area"]


def test_a_feature_name_stands_for_all_columns_that_begin_with_it() -> None:
    assert select_columns(TABLE, ["histogram", "moment"]) == ["histogram_00", "moment_mu20", "moment_mu02"]


@pytest.mark.parametrize("name", ["histo", "mu20", "Area", "area_", ""])
def test_a_feature_name_without_a_column_is_named_with_the_known_ones(name: str) -> None:
    known = "area_nm2, area, moment_mu20, moment_mu02, moments, histogram_00"
    with pytest.raises(
        InputError, match=rf"^params.yaml: feature '{name}' is not in the feature table; known: {known}$"
    ):
        select_columns(TABLE, ["moment", name])
