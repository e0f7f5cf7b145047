"""Two samples compared: differences with intervals, and inputs that cannot be compared."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipnet.core.errors import InputError
from lipnet.deployment.shares import differences, samples
from lipnet.deployment.shares.samples import Proportions, SampleShares


def _sample(dark: float, sd: float = 0.02, seed: int = 0, **changes: Any) -> SampleShares:
    drawn = np.clip(np.random.default_rng(seed).normal(dark, sd, 200), 0, 1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    plain = {
        "particles": 500,
        "micrographs": 20,
        "counted": [1 - dark, dark],
        "share": [1 - dark, dark],
        "low": [1 - high, low],
        "high": [1 - low, high],
        "replicates": np.stack([1 - drawn, drawn], axis=1).tolist(),
    }
    return SampleShares.model_validate({**plain, **changes})


def _write(path: Path, of: dict[str, SampleShares], **changes: Any) -> str:
    plain = {
        "problem": "brightness",
        "classifier": "cnn",
        "classes": ["Bright", "Dark"],
        "correction": "abc",
        "confidence": 0.95,
        "widening": [1.0, 1.0],
        "samples": of,
    }
    samples.write(path, Proportions.model_validate({**plain, **changes}))
    return str(path.with_name(f"{path.stem}_proportions.csv"))


def test_a_difference_beyond_chance_is_shown(tmp_path: Path) -> None:
    file = _write(tmp_path / "o.csv", {"before": _sample(0.2), "after": _sample(0.4, seed=1)})
    before, after = (differences.choose(f"{file}::{name}") for name in ("before", "after"))
    table = differences.compare(before, after).set_index("class")
    assert table.loc["Dark", "difference"] == pytest.approx(0.2)
    assert 0.1 < table.loc["Dark", "low"] < 0.2 < table.loc["Dark", "high"] < 0.3
    said = differences.in_words(differences.compare(before, after), before, after)
    assert "after compared with before, 95% intervals" in said
    assert "Dark: 20.0% to 40.0%, +20.0 percentage points" in said and said.count("differs") == 2


def test_a_slash_at_the_end_of_an_input_does_not_matter(tmp_path: Path) -> None:
    file = _write(tmp_path / "o.csv", {"batch1": _sample(0.2), "batch2": _sample(0.4)})
    assert differences.choose(f"{file}::batch2/").name == "batch2"


def test_equal_samples_do_not_differ(tmp_path: Path) -> None:
    one, other = (_write(tmp_path / f"{name}.csv", {"x": _sample(0.2, seed=seed)}) for seed, name in enumerate("ab"))
    first, second = differences.choose(one), differences.choose(other)
    table = differences.compare(first, second)
    assert (table["difference"] == 0).all() and (table["low"] < 0).all() and (table["high"] > 0).all()
    assert differences.in_words(table, first, second).count("no difference shown") == 2


def test_what_both_share_cancels(tmp_path: Path) -> None:
    """The same errors of the correction in both: the difference is much surer than either share."""
    one, other = _sample(0.2, 0.05), _sample(0.3, 0.05)  # the same draws
    file = _write(tmp_path / "o.csv", {"a": one, "b": other})
    table = differences.compare(*(differences.choose(f"{file}::{name}") for name in "ab")).set_index("class")
    assert table.loc["Dark", "high"] - table.loc["Dark", "low"] < 0.02


def test_a_class_that_can_have_any_share_can_differ_by_anything(tmp_path: Path) -> None:
    anything = _sample(0.2, low=[0.7, 0.0], high=[0.9, 1.0])
    file = _write(tmp_path / "o.csv", {"a": anything, "b": _sample(0.4)})
    table = differences.compare(*(differences.choose(f"{file}::{name}") for name in "ab")).set_index("class")
    assert (table.loc["Dark", "low"], table.loc["Dark", "high"]) == (-1, 1)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("none_proportions.csv", "no such file"),
        ("o_proportions.csv", "has several samples: a, b; give .*::SAMPLE"),
        ("o_proportions.csv::c", "has no sample 'c'; it has a, b"),
        ("counted_proportions.csv", "counts without intervals"),
        ("broken_proportions.csv", "broken_proportions.json: .*run `lipnet predict` again"),
    ],
)
def test_samples_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "o.csv", {"a": _sample(0.2), "b": _sample(0.3)})
    counted = _sample(0.2, share=None, low=None, high=None, replicates=[])
    _write(tmp_path / "counted.csv", {"a": counted}, confidence=None)
    (tmp_path / "broken_proportions.json").write_text("[]")
    with pytest.raises(InputError, match=message):
        differences.choose(argument)


@pytest.mark.parametrize(("key", "value"), [("classifier", "svm"), ("correction", "other"), ("problem", "size")])
def test_samples_of_other_models_are_not_compared(tmp_path: Path, key: str, value: str) -> None:
    one = _write(tmp_path / "a.csv", {"x": _sample(0.2)})
    other = _write(tmp_path / "b.csv", {"y": _sample(0.2)}, **{key: value})
    with pytest.raises(InputError, match=f"x and y differ in {key}"):
        differences.compare(differences.choose(one), differences.choose(other))
