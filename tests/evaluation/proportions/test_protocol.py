"""The artificial-prevalence protocol: what it draws, from which rows, and its summary."""

import numpy as np
import pandas as pd
import pytest

from lipnet.evaluation.proportions import protocol
from tests.evaluation.proportions.test_intervals import _classifier, _groups

SETTINGS = protocol.ProportionSettings(sizes=[30, 60], samples=3, replicates=20, confidence=0.9, headline=["svm"])


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    predictions = _classifier([0.6, 0.3, 0.1], 800)
    tasks = protocol.tasks_of("svm", predictions, _groups(800), SETTINGS, 7)
    return pd.concat([protocol.run_task(task) for task in tasks], ignore_index=True)


def test_every_fold_size_and_kind_of_shares_has_its_samples(samples: pd.DataFrame) -> None:
    counts = samples.groupby(["fold", "shares", "size"])["sample"].nunique()
    assert len(counts) == 4 * 2 * 2 and (counts == 3).all()


def test_shares_sum_to_one(samples: pd.DataFrame) -> None:
    sums = samples.groupby(["fold", "shares", "size", "sample"])[["true", *protocol.ESTIMATORS]].sum()
    np.testing.assert_allclose(sums, 1)


def test_natural_shares_lie_around_those_of_the_data() -> None:
    rng, natural = np.random.default_rng(0), np.array([0.9, 0.08, 0.02])
    drawn = np.array([protocol.draw_shares(protocol.NATURAL, natural, rng) for _ in range(200)])
    assert (drawn[:, 0] > 0.7).all()
    assert drawn[:, 2].max() < 0.1
    uniform = np.array([protocol.draw_shares(protocol.UNIFORM, natural, rng) for _ in range(500)])
    np.testing.assert_allclose(uniform.mean(axis=0), 1 / 3, atol=0.05)


def test_a_fold_without_a_class_gives_no_samples() -> None:
    predictions = _classifier([0.6, 0.3, 0.1], 800)
    lacking = predictions.true.copy()
    lacking[(predictions.fold == 2) & (lacking == 2)] = 0
    predictions.true[:] = lacking
    tasks = protocol.tasks_of("svm", predictions, _groups(800), SETTINGS, 7)
    assert [task.fold for task in tasks] == [0, 1, 3]


def test_the_summary_averages_errors_and_coverage(samples: pd.DataFrame) -> None:
    summary = protocol.summarise(samples).set_index(["classifier", "shares", "size", "class"])
    part = samples[(samples["shares"] == "uniform") & (samples["size"] == 30) & (samples["class"] == "c1")]
    row = summary.loc[("svm", "uniform", 30, "c1")]
    assert row["n_samples"] == 12
    assert row["error_counted"] == pytest.approx((part["counted"] - part["true"]).abs().mean(), abs=1e-6)
    inside = (part["low"] <= part["true"]) & (part["true"] <= part["high"])
    assert row["coverage"] == pytest.approx(inside.mean(), abs=1e-6)
    of_all = summary.loc[("svm", "uniform", 30, "all")]
    own = summary.loc[("svm", "uniform", 30)]
    assert of_all["width"] == pytest.approx(own.drop("all")["width"].mean(), abs=1e-5)


def test_the_headline_is_the_mean_over_sizes_and_shares(samples: pd.DataFrame) -> None:
    summary = protocol.summarise(samples)
    own = summary[summary["class"] == "all"]
    assert protocol.headline(summary, "svm") == {
        "proportion_error": pytest.approx(own["error_corrected"].mean(), abs=1e-6),
        "proportion_coverage": pytest.approx(own["coverage"].mean(), abs=1e-6),
    }


def test_the_same_seed_gives_the_same_samples(samples: pd.DataFrame) -> None:
    predictions = _classifier([0.6, 0.3, 0.1], 800)
    task = protocol.tasks_of("svm", predictions, _groups(800), SETTINGS, 7)[0]
    again = protocol.run_task(task)
    pd.testing.assert_frame_equal(again, samples[samples["fold"] == 0].reset_index(drop=True))


def _missing(fold: int, true: float, half: float) -> dict[str, object]:
    """A sample of class a whose interval is 0.5 plus and minus ``half``."""
    known = {"repeat": 0, "fold": fold, "class": "a", "true": true, "corrected": 0.5}
    return {**known, "low": 0.5 - half, "high": 0.5 + half}


def test_intervals_are_widened_until_they_hold_in_the_other_folds() -> None:
    samples = pd.DataFrame([_missing(0, 0.6, 0.1), _missing(1, 0.8, 0.1), _missing(2, 0.5, 0.1)])
    assert protocol.widening_of(samples, 0.999)[0] == pytest.approx(3, rel=0.01)
    found = protocol.widened(samples, 0.999).set_index("fold")
    assert found.loc[0, "high"] == pytest.approx(0.8, abs=0.001)  # three times as wide, because of fold 1
    assert found.loc[1, "high"] == pytest.approx(0.6, abs=0.001)  # its own miss changes nothing
    assert found.loc[1, "low"] == pytest.approx(0.4, abs=0.001)


def test_intervals_that_hold_stay_as_they_are() -> None:
    samples = pd.DataFrame([_missing(fold, 0.55, 0.1) for fold in range(3)])
    assert protocol.widening_of(samples, 0.95).tolist() == [1.0]
    pd.testing.assert_frame_equal(protocol.widened(samples, 0.95), samples)
