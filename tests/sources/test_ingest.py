"""From tasks to the particle table: batches are joined without loss, given features replace measured ones."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lipnet.core.errors import InputError
from lipnet.samples.features import FeatureSettings
from lipnet.samples.particles import Particle, from_arrays
from lipnet.sources.ingest import corrected_table, join, read_batch, rejected_table
from lipnet.sources.rows import Rejected

MEASURES = FeatureSettings(
    histogram_bins=4, edge_inside_px=3, edge_outside_px=1, edge_bins=4, radial_bins=4, radial_reach=1.25
)
BAD = Rejected(7, "p7", "x.png", "image", "x.png: no such file")


def _particle(name: str, level: int = 0, **changes: Any) -> Particle:
    image = np.random.default_rng(level).integers(1, 256, (15, 14)).astype(np.uint8)
    mask = np.zeros((15, 14), bool)
    mask[3:11, 3:12] = True
    return Particle(**{"id": name, "label": "A", "group": name, "image": image, "mask": mask, **changes})


def _batch(*results: Particle | Rejected) -> Any:
    return read_batch(list(results), list, MEASURES, {})


def test_a_part_holds_images_tables_and_rejected_rows_of_its_task() -> None:
    batch = _batch(_particle("a"), BAD, _particle("b", 1))
    store = from_arrays(batch.arrays, "batch")
    np.testing.assert_array_equal(store.image(1), _particle("b", 1).image)
    assert batch.known["id"].tolist() == ["a", "b"]
    assert len(batch.measured) == 2
    assert batch.rejected == [BAD]


def test_a_task_without_a_good_row_gives_no_particles() -> None:
    batch = _batch(BAD)
    assert batch.arrays == {}
    assert batch.rejected == [BAD]
    table, _ = join([batch, _batch(_particle("a"))])
    assert table["id"].tolist() == ["a"]


def test_parts_are_joined_in_order() -> None:
    table, duplicates = join([_batch(_particle("b"), _particle("c", 1)), _batch(_particle("a", 2))])
    assert table["id"].tolist() == ["b", "c", "a"]
    assert table.index.tolist() == [0, 1, 2]
    assert duplicates.empty
    assert "fingerprint" not in table
    assert np.isfinite(table.drop(columns=["id", "label", "group", "pixel_size_nm"]).to_numpy(float)).all()


def test_duplicates_in_different_parts_share_a_group_and_are_listed() -> None:
    table, duplicates = join([_batch(_particle("a"), _particle("b", 1)), _batch(_particle("c", 1, label="B"))])
    assert table["group"].tolist() == ["a", "b", "b"]
    assert duplicates.to_dict("records") == [{"id": "c", "first_id": "b", "conflict": True}]


def test_given_features_replace_measured_ones_and_stand_beside_the_others() -> None:
    given = {"circularity": 0.5, "charge": 3.0}
    table, _ = join([_batch(_particle("a", features=given), _particle("b", 1, features=given))])
    assert table["circularity"].tolist() == [0.5, 0.5]
    assert table["charge"].tolist() == [3.0, 3.0]
    assert table.columns.is_unique
    assert "area_px2" in table


def test_features_are_in_nanometres_only_if_every_pixel_size_is_known() -> None:
    sized = [_batch(_particle("a", pixel_size_nm=2.0)), _batch(_particle("b", 1, pixel_size_nm=3.0))]
    table, _ = join(sized)
    assert table["area_nm2"].tolist() == [72 * 4.0, 72 * 9.0]
    table, _ = join([sized[0], _batch(_particle("b", 1))])
    assert table["area_px2"].tolist() == [72.0, 72.0]
    assert "area_nm2" not in table


def test_a_given_feature_may_not_take_the_name_of_a_column_of_ingest() -> None:
    with pytest.raises(InputError, match="ingest itself writes a column width_px; rename yours"):
        join([_batch(_particle("a", features={"width_px": 1.0}))])


def test_rejected_rows_are_printable_whatever_a_damaged_file_put_into_them() -> None:
    table = rejected_table([Rejected(2, "a\nb\ud800", "\x00.png", "image", "why \x1b[31m"), BAD])
    assert table.iloc[0].to_dict() == {
        "row": 2,
        "id": "a\\nb\\ud800",
        "file": "\\x00.png",
        "column": "image",
        "reason": "why \\x1b[31m",
        "fault": True,
    }
    table.to_csv().encode("utf-8")
    assert list(rejected_table([]).columns) == list(table.columns)
    assert isinstance(rejected_table([]), pd.DataFrame)


def test_corrected_labels_replace_those_of_the_source_and_what_they_were_is_kept() -> None:
    batch = read_batch([_particle("a"), _particle("b", 1), _particle("c", 2)], list, MEASURES, {"b": "B", "c": "A"})
    table, _ = join([batch, _batch(BAD)])
    assert table["label"].tolist() == ["A", "B", "A"]
    assert "label_before" not in table
    assert corrected_table([batch, _batch(BAD)]).to_dict("records") == [{"id": "b", "before": "A", "label": "B"}]
