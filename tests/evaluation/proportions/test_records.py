"""The record of a correction: what is written is what is read, and damaged files are refused by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lipnet.core.errors import InputError
from lipnet.evaluation.proportions import records
from tests.evaluation.proportions.test_intervals import _classifier, _groups, _learnt

N = 600


@pytest.fixture(scope="module")
def record() -> records.Record:
    predictions = _classifier([0.6, 0.3, 0.1], N)
    correction = _learnt(predictions, 20)._replace(widening=np.array([1.0, 1.5, 2.0]))
    return records.record_of(predictions, _groups(N), correction, 0.9, np.random.default_rng(0))


def test_a_record_gives_the_correction_back(record: records.Record, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"svm": record.model_dump()}))
    again = records.read(tmp_path / "p.json")["svm"]
    assert again == record and again.confidence == 0.9
    learnt, found = _learnt(_classifier([0.6, 0.3, 0.1], N), 20), again.correction
    for name, values in learnt.fitted._asdict().items():
        assert_allclose(getattr(found.fitted, name), values, rtol=1e-6, atol=1e-12)
    assert_allclose(found.confusion, learnt.confusion)
    assert found.widening.tolist() == [1.0, 1.5, 2.0]


def test_the_training_particles_themselves_are_usual(record: records.Record) -> None:
    predictions = _classifier([0.6, 0.3, 0.1], N)
    misfit, usual = record.misfit(predictions.probabilities)
    assert misfit < usual
    vague, _ = record.misfit(np.full((N, 3), 1 / 3))
    assert vague > usual


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": [[0.0, 0.0, 0.0]]}, "bias needs 21 rows of 3 numbers"),
        ({"confusion": [[1, 2], [3, 4]]}, "confusion needs 3 rows of 3"),
        ({"widening": [1.0]}, "widening or usual"),
        ({"temperature": [0.0] * 21}, "temperature: 0: .*greater than 0"),
        ({"usual": [float("nan")] * 3}, "usual: 0"),
        ({"format": 2}, "format"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_damaged_record_is_named(
    record: records.Record, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"svm": record.model_dump() | change}))
    with pytest.raises(InputError, match=f"p.json: svm: .*{message}"):
        records.read(tmp_path / "p.json")


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        records.read(tmp_path / "p.json")
    (tmp_path / "p.json").write_text("{")
    with pytest.raises(InputError, match=r"p.json: .*export the run again"):
        records.read(tmp_path / "p.json")
