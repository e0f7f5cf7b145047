"""Simulated labelling: strategies, counts of labels that are needed, and a run on toy particles."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import suggest
from benchmarks.measure import ROOT
from lipnet.core.settings import read_params
from lipnet.samples.feature_names import NOT_FEATURES
from lipnet.samples.tables import Particles


def _toy() -> Particles:
    """400 particles, 8 of them of class C, whose feature tells the class."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [300, 92, 8])
    table = pd.DataFrame(dict.fromkeys(NOT_FEATURES, 0), index=range(400))
    table["area_px2"] = 3.0 * labels + random.normal(size=400)
    return Particles("toy", table, ["A", "B", "C"], labels, np.arange(400))


def test_every_round_adds_labels_and_test_particles_are_never_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggest, "START", 100)
    data, params = _toy(), read_params(ROOT / "params.yaml")
    params["train_svm"] |= {"library": "scikit-learn", "features": {"svm": ["area_px2"]}}
    curves = {name: suggest.simulate(data, params, 0, name, 200) for name in suggest.STRATEGIES}
    for curve in curves.values():
        assert curve["labels"].tolist() == [100, 150, 200]
        assert curve["rare"].is_monotonic_increasing and curve["macro_f1"].between(0, 1).all()
    starts = {(curve["macro_f1"][0], curve["rare"][0]) for curve in curves.values()}
    assert len(starts) == 1
    assert curves[suggest.SUGGEST]["rare"].iloc[-1] >= curves[suggest.RANDOM]["rare"].iloc[-1]
    pool, test = suggest.split(data, 0)
    assert not set(pool) & set(test) and len(pool) + len(test) == 400
    text = "\n".join(suggest.in_tables(pd.concat(curves.values()), data, [0.9]))
    assert "400 particles, 8 of them C; 1 runs" in text and "| lipnet suggest |" in text


def test_a_class_that_the_labels_lack_has_probability_0() -> None:
    data, params = _toy(), read_params(ROOT / "params.yaml")
    params["train_svm"] |= {"library": "scikit-learn", "features": {"svm": ["area_px2"]}}
    labelled = np.flatnonzero(data.labels != 1)[::3]
    probabilities = suggest.ensemble(data, params, labelled, np.arange(400), 0)
    assert probabilities.shape == (suggest.MODELS, 400, 3) and (probabilities[:, :, 1] == 0).all()
    assert np.allclose(probabilities.sum(axis=2), 1)
    assert probabilities[:, data.labels == 2, 2].mean() > 10 * probabilities[:, data.labels == 0, 2].mean()


def test_strategies_choose_what_their_names_say() -> None:
    probabilities = np.array([[[0.9, 0.1], [0.5, 0.5], [0.6, 0.4]]])
    order = suggest.pick_rows("highest entropy only", probabilities, np.array([0.5, 0.5]), np.zeros((3, 1)), 0)
    assert order.tolist() == [1, 2, 0]
    chosen = suggest.pick_rows(suggest.RANDOM, probabilities, np.array([0.5, 0.5]), np.zeros((3, 1)), 0)
    assert sorted(chosen.tolist()) == [0, 1, 2]


def test_labels_needed_are_those_of_the_first_round_that_is_good_enough() -> None:
    curve = pd.DataFrame({"labels": [200, 250, 300], "macro_f1": [0.5, 0.7, 0.6]})
    assert suggest.needed(curve, "macro_f1", 0.6) == 250
    assert np.isnan(suggest.needed(curve, "macro_f1", 0.8))


def test_macro_f1_counts_a_class_that_is_never_predicted_as_0() -> None:
    probabilities = np.array([[[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]]])
    assert suggest.macro_f1(np.array([0, 0, 1, 2]), probabilities, 3) == pytest.approx((0.8 + 1 + 0) / 3)


def test_without_the_data_it_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["suggest", "--folder", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match="no such folder; skipped"):
        suggest.main()
