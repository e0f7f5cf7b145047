"""Class shares of samples of new particles: which sample, which shares, and what is said of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from lipnet.core.errors import InputError
from lipnet.deployment.model_files import read_models
from lipnet.deployment.predict import PredictedBatch, ensemble_table
from lipnet.deployment.rules import Classifier
from lipnet.deployment.shares import samples
from lipnet.evaluation.predictions import Predictions
from lipnet.evaluation.proportions import corrections, records
from lipnet.sources.table import TableTask
from lipnet.sources.unlabelled import Opened
from tests.deployment.onnx_models import description, write

CLASSES = ["Bright", "Dark"]
PER_GROUP = 20


def _stated(true: np.ndarray, rng: np.random.Generator, strength: float = 3.0) -> np.ndarray:
    """Probabilities of Bright and Dark, right at equal shares."""
    score = rng.normal(np.where(true == 0, 1.0, -1.0), 1.0)
    bright = 1 / (1 + np.exp(-strength * score * 2 / 3))
    return np.stack([bright, 1 - bright], axis=1)


@pytest.fixture(scope="module")
def record() -> records.Record:
    rng, n = np.random.default_rng(0), 2000
    true = (rng.random(n) < 0.3).astype(np.int64)
    stated = _stated(true, rng)
    predictions = Predictions(
        CLASSES, np.arange(n).astype(str), np.zeros(n, np.int64), np.arange(n) % 5, true, stated.argmax(axis=1), stated
    )
    groups = np.arange(n) // PER_GROUP
    correction = corrections.fit(predictions, groups, np.ones(n, np.bool_), 40, rng)
    return records.record_of(predictions, groups, correction, 0.95, rng)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    folder = tmp_path_factory.mktemp("models")
    for fold in (0, 1):
        write(folder / f"cnn_fold{fold}.onnx", description(fold=fold))
    return Classifier("cnn", read_models(folder, None), [], 0.0)


def _batch(share: float, n: int, name: str, group: str = "field {}", seed: int = 1) -> PredictedBatch:
    """Particles of which ``share`` are Dark, predicted by two alike models."""
    rng = np.random.default_rng(seed)
    true = (np.arange(n) < share * n).astype(np.int64)
    stated = _stated(true, rng)
    known = pd.DataFrame(
        {"id": [f"{name}{k}" for k in range(n)], "group": [group.format(k // PER_GROUP) for k in range(n)]}
    )
    return PredictedBatch(known, None, np.stack([stated, stated]), [])


def _watch(names: Iterable[str], n: int) -> Iterable[str]:
    assert len(list(names)) == n
    return names


def _find(batches: list[PredictedBatch], chosen: Classifier, record: records.Record | None) -> samples.Found:
    stated = np.concatenate([batch.probabilities for batch in batches], axis=1)
    ids = [name for batch in batches for name in batch.known["id"]]
    table = ensemble_table(stated, ids, CLASSES, 0.0)
    return samples.find(batches, chosen, table, {name: f"sample {name[0]}" for name in ids}, record, _watch)


def test_every_sample_has_its_shares_with_intervals(chosen: Classifier, record: records.Record) -> None:
    found = _find([_batch(0.7, 400, "a"), _batch(0.1, 400, "b", seed=2)], chosen, record)
    table = samples.table_of(found.proportions)
    assert list(table) == samples.COLUMNS
    assert table["sample"].tolist() == ["sample a"] * 2 + ["sample b"] * 2
    assert table["class"].tolist() == CLASSES * 2
    assert (table["particles"] == 400).all() and (table["micrographs"] == 20).all()
    assert_allclose(table.groupby("sample")[["counted", "share"]].sum(), 1, atol=1e-5)
    for share, (_, row) in zip([0.7, 0.1], table[table["class"] == "Dark"].iterrows(), strict=True):
        assert row["low"] <= share <= row["high"] and abs(row["share"] - share) < 0.06
    assert found.notes == [samples.ASSUMPTION]


def test_the_same_input_gives_the_same_intervals(chosen: Classifier, record: records.Record) -> None:
    one, other = (_find([_batch(0.4, 200, "a")], chosen, record) for _ in range(2))
    assert one == other


def test_without_a_correction_there_are_counts_only(chosen: Classifier) -> None:
    found = _find([_batch(0.7, 100, "a")], chosen, None)
    table = samples.table_of(found.proportions)
    assert table["counted"].notna().all() and table[["share", "low", "high"]].isna().all(axis=None)
    assert found.notes == [samples.UNCORRECTED.format("cnn")]


@pytest.mark.parametrize(
    ("group", "micrographs", "words"),
    [
        ("row {}", None, "names no micrographs"),
        ("field", 1, "one micrograph"),
        ("field {}", 5, "fewer than 10 micrographs"),
    ],
)
def test_few_micrographs_are_said(
    chosen: Classifier, record: records.Record, group: str, micrographs: int | None, words: str
) -> None:
    found = _find([_batch(0.4, 100, "a", group)], chosen, record)
    assert found.proportions.samples["sample a"].micrographs == micrographs
    assert any(note.startswith("class shares of sample a: ") and words in note for note in found.notes)


def test_particles_of_another_kind_are_said(chosen: Classifier, record: records.Record) -> None:
    strange = _batch(0.4, 400, "a")
    strange = strange._replace(probabilities=np.full((2, 400, 2), 0.5))
    assert any("look different" in note for note in _find([strange], chosen, record).notes)


def test_classes_that_were_hardly_or_never_seen_are_said(chosen: Classifier, record: records.Record) -> None:
    few = record.model_copy(update={"confusion": [[900.0, 100.0], [2.0, 3.0]]})
    assert any(
        "only 5 labelled particles are Dark" in note for note in _find([_batch(0.4, 40, "a")], chosen, few).notes
    )
    none = record.model_copy(update={"confusion": [[900.0, 100.0], [0.0, 0.0]]})
    found = _find([_batch(0.4, 40, "a")], chosen, none)
    assert any("no labelled particle is Dark" in note for note in found.notes)
    sample = found.proportions.samples["sample a"]
    assert sample.low is not None and sample.high is not None
    assert (sample.low[1], sample.high[1]) == (0, 1)


def test_a_column_names_the_samples(tmp_path: Path) -> None:
    (tmp_path / "particles.csv").write_text("id,image,Batch\n1,a.png,x\n2,b.png,y\n3,c.png,x\n")
    opened = [_opened(tmp_path)]
    assert samples.samples_of(opened, [tmp_path], "Batch") == {"1": "x", "2": "y", "3": "x"}
    assert samples.samples_of(opened, [tmp_path], None) == dict.fromkeys("123", str(tmp_path))


def test_a_column_that_cannot_name_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the input must be a table"):
        samples.samples_of([_opened(tmp_path)], [tmp_path], "Batch")
    (tmp_path / "particles.csv").write_text("id,image,Batch\n1,a.png,x\n2,b.png,\n")
    with pytest.raises(InputError, match=r"particles.csv: row 3: column Batch is empty"):
        samples.samples_of([_opened(tmp_path)], [tmp_path], "Batch")
    with pytest.raises(InputError, match="column Day is missing"):
        samples.samples_of([_opened(tmp_path)], [tmp_path], "Day")


def _opened(folder: Path) -> Opened:
    rows = [(line, {"id": str(line - 1), "image": "a.png"}) for line in (2, 3, 4)]
    return Opened(folder, [TableTask(rows)], lambda _: [], [], [])


def test_both_files_are_written_beside_the_table(chosen: Classifier, record: records.Record, tmp_path: Path) -> None:
    found = _find([_batch(0.4, 100, "a")], chosen, record).proportions
    samples.write(tmp_path / "out.csv", found)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "out_proportions.csv").astype({"micrographs": "Int64"}), samples.table_of(found)
    )
    kept: dict[str, Any] = json.loads((tmp_path / "out_proportions.json").read_text())
    assert len(kept["samples"]["sample a"]["replicates"]) == 40


def test_corrections_travel_with_exported_models(record: records.Record, tmp_path: Path) -> None:
    assert not samples.carry(tmp_path, "vesicles", tmp_path / "models")
    assert samples.record_for(tmp_path / "models", "cnn") is None
    source = tmp_path / "data/proportions/vesicles.json"
    source.parent.mkdir(parents=True)
    source.write_text(json.dumps({"cnn": record.model_dump()}))
    assert samples.carry(tmp_path, "vesicles", tmp_path / "models")
    assert samples.record_for(tmp_path / "models", "cnn") == record
    assert samples.record_for(tmp_path / "models", "svm") is None
