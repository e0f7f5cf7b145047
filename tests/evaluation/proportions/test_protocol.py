"""The artificial-prevalence protocol: what it draws, from which rows, and its summary."""

import numpy as np
import pandas as pd
import pytest

from lipnet.evaluation.proportions import protocol
from tests.evaluation.proportions.test_intervals import _classifier, _groups

SETTINGS = protocol.ProportionSettings(sizes=[30, 60], samples=3, replicates=20, confidence=0.9)


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
