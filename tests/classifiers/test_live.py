"""Live curves: written for each epoch if asked for, and not at all otherwise."""

from pathlib import Path

import pytest

from lipnet.classifiers import live
from lipnet.classifiers.networks.task import Progress
from stages import train_cnn


def _read(folder: Path) -> list[tuple[int, str, float]]:
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    events = [
        event_pb2.Event.FromString(record.numpy())
        for path in sorted(folder.glob("events.out.tfevents.*"))
        for record in tf.data.TFRecordDataset(str(path))
    ]
    return [(event.step, value.tag, round(value.simple_value, 3)) for event in events for value in event.summary.value]


def test_every_epoch_of_every_network_in_training_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(live.VARIABLE, str(tmp_path))
    live.record("p", "lipnet4", Progress(0, "choosing epochs", 1, 9, 0.9, 0.4))
    for fold in (0, 1):
        for epoch in (1, 2):
            live.record("p", "lipnet4", Progress(fold, "training", epoch, 2, 0.5 / epoch, 0.6 + 0.1 * fold))
    assert sorted(path.name for path in (tmp_path / "p" / "lipnet4").iterdir()) == [
        "fold0_choosing_epochs",
        "fold0_training",
        "fold1_training",
    ]
    found = _read(tmp_path / "p" / "lipnet4" / "fold1_training")
    assert found == [(1, "loss", 0.5), (1, "accuracy", 0.7), (2, "loss", 0.25), (2, "accuracy", 0.7)]


def test_the_stage_writes_them_beside_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(live.VARIABLE, str(tmp_path))
    train_cnn._report("p", "lipnet1", 5, Progress(3, "training", 2, 8, 0.5, 0.75))
    assert "p lipnet1  fold 4/5  training" in capsys.readouterr().err
    assert _read(tmp_path / "p" / "lipnet1" / "fold3_training") == [(2, "loss", 0.5), (2, "accuracy", 0.75)]


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_is_written_unless_asked_for(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if value is None:
        monkeypatch.delenv(live.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(live.VARIABLE, value)
    live.record("p", "lipnet4", Progress(0, "training", 1, 2, 0.5, 0.6))
    assert not list(tmp_path.iterdir())
