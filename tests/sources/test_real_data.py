"""The table source on a real public data set, if present: every row is read or rejected with a reason."""

from pathlib import Path

import pytest

from lipnet.samples.particles import Particle
from lipnet.sources.rows import Rejected
from lipnet.sources.table import list_tasks, read_task
from tests.sources.grey import AS_STORED

FOLDER = Path(__file__).parents[3] / "shared" / "realdata" / "em_vesicles"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the real data are not part of the project")
def test_every_row_of_the_vesicles_is_either_read_or_rejected_for_its_empty_mask() -> None:
    tasks, _ = list_tasks(FOLDER, "class", [], AS_STORED)
    results = [
        item for task in tasks for item in read_task(task, FOLDER, ["Dense", "Clear", "Halo"], "class", [], AS_STORED)
    ]
    rejected = [item for item in results if isinstance(item, Rejected)]
    accepted = [item for item in results if isinstance(item, Particle)]
    assert len(accepted) + len(rejected) == 1966
    assert {item.reason.split(": ")[1] for item in rejected} == {"the mask is empty"}
    assert all(item.image.shape == (31, 31) and item.pixel_size_nm == 8.0 for item in accepted)
    assert not any(item.mask_estimated for item in accepted)
