"""Training in 16 bits is chosen where the processor is fast in it, and a processor that is slow in it is named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lipnet.classifiers import precision
from lipnet.classifiers.networks.task import task_of
from lipnet.core.portable import VARIABLES
from lipnet.samples.balance import TrainingSet
from lipnet.samples.tables import Fold, Particles
from tests.stages.test_stages import make_params

FAST = "model name\t: Xeon\nflags\t\t: fpu avx512f amx_bf16 amx_tile\n"
FAST_TOO = "model name\t: EPYC 4\nflags\t\t: fpu avx512_bf16\n"
SLOW = "model name\t: EPYC 2\nflags\t\t: fpu avx2\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


def _machine(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "cpuinfo").write_text(text)
    monkeypatch.setattr(precision, "CPU_INFO", folder / "cpuinfo")


@pytest.mark.parametrize(
    ("text", "expected"), [(FAST, "bfloat16"), (FAST_TOO, "bfloat16"), (SLOW, "float32"), (ARM, "float32")]
)
def test_auto_follows_the_processor_and_other_settings_do_not(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _machine(text, tmp_path, monkeypatch)
    assert precision.chosen("auto") == expected
    assert [precision.chosen(name) for name in ("float32", "bfloat16")] == ["float32", "bfloat16"]


@pytest.mark.parametrize(("text", "warns"), [(FAST, False), (FAST_TOO, False), (SLOW, True), (ARM, False)])
def test_a_warning_names_a_processor_that_is_slow_in_16_bits(
    text: str, warns: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _machine(text, tmp_path, monkeypatch)
    found = precision.warning("bfloat16")
    assert (found is not None) is warns
    assert not warns or "five times slower than float32 on this processor (EPYC 2)" in str(found)
    assert precision.warning("float32") is None


def test_no_processor_is_fast_in_16_bits_if_it_is_held_to_older_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _machine(FAST, tmp_path, monkeypatch)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert precision.chosen("auto") == "float32"
    assert "set portable: false" in str(precision.warning("bfloat16"))
    assert precision.warning("float32") is None


def test_a_machine_without_this_file_trains_in_32_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "none")
    assert precision.chosen("auto") == "float32"
    assert precision.warning("bfloat16") is None


@pytest.mark.parametrize(("text", "expected"), [(FAST, "bfloat16"), (SLOW, "float32")])
def test_a_task_holds_the_precision_that_was_chosen(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _machine(text, tmp_path, monkeypatch)
    rows = np.arange(4)
    data = Particles("p", pd.DataFrame({"id": ["a", "b", "c", "d"]}), ["A", "B"], rows % 2, rows)
    whole = TrainingSet(rows, {}, np.empty(0, np.int64), np.ones(2), 0.0)
    params = make_params(train_cnn__precision="auto")
    images = np.zeros((4, 8, 8), np.uint8)
    task = task_of(params, data, Fold(0, 0, 0, rows, rows), images, whole, lambda _: None)
    assert task.training.precision == expected
