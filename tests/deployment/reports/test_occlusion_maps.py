"""Occlusion maps of the report: which particles, which network, and reasons if there are none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from lipnet.classifiers.networks import weights
from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.settings import NetworkSettings, RegularisationSettings
from lipnet.core import files
from lipnet.deployment.explanations.explain import occlusion
from lipnet.deployment.reports.occlusion_maps import AGAINST, FOR, MOST, maps_of, overlaid, selected
from lipnet.deployment.reports.report import make_report
from lipnet.deployment.runs import Evidence, PipelineRun, read_run
from lipnet.evaluation.predictions import Predictions
from lipnet.plots.colours import rgb
from tests.deployment.finished_run import CLASSES, FOLDS, LABELS, PROBLEM, history, make_run
from tests.deployment.reports.looks import check

# Keras writes weights through a deprecated interface of NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PLAIN = {"dropout_block": 0.25, "dropout_dense": 0.5, "dropout_decay": 1.0, "weight_decay": 0.0, "batch_norm": False}
N, SIDE = len(LABELS), 8
WRONG = (0, 7)  # particles that the network mistakes


def _predictions() -> Predictions:
    predicted = LABELS.copy()
    predicted[list(WRONG)] = 1 - predicted[list(WRONG)]
    stated = np.linspace(0.6, 0.95, N)
    p = np.where(np.arange(2) == predicted[:, None], stated[:, None], 1 - stated[:, None])
    return Predictions(CLASSES, np.array([f"p{i}" for i in range(N)]), np.zeros(N, int), FOLDS, LABELS, predicted, p)


def _evidence() -> Evidence:
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    grey = np.arange(400, dtype=np.uint8).reshape(20, 20)
    empty = pd.DataFrame()
    return Evidence({"cnn": _predictions()}, empty, [grey] * N, [mask] * N, empty)


def _write_networks(run: PipelineRun, **options: Any) -> list[Any]:
    """Networks of two folds with different weights."""
    row = NetworkSettings.model_validate(run.params["networks"]["tiny"])
    models = []
    for fold in range(2):
        keras.utils.set_random_seed(fold)
        model = build(row, 2, ModelOptions(RegularisationSettings.model_validate(PLAIN), 0.5, **options))
        (run.models / "cnn").mkdir(parents=True, exist_ok=True)
        (run.models / "cnn/architecture.json").write_text(model.to_json())
        model.save_weights(run.models / f"cnn/fold{fold}.weights.h5")
        models.append(model)
    return models


@pytest.fixture
def run(tmp_path: Path) -> PipelineRun:
    crops = np.random.default_rng(0).integers(0, 255, (N, SIDE, SIDE)).astype(np.uint8)
    made = make_run(tmp_path)
    files.write_arrays(made / f"data/crops/{PROBLEM}.npz", {f"px{SIDE}": crops})
    return read_run(made, PROBLEM)


def test_typical_and_mistaken_particles_of_each_class_are_explained_by_the_network_that_did_not_see_them(
    run: PipelineRun,
) -> None:
    models, evidence = _write_networks(run), _evidence()
    found = maps_of(run, evidence)
    assert found.reason == "" and (found.crop_px, found.square_px) == (SIDE, 3)
    assert [(one.id, one.label, one.predicted) for one in found.typical] == [
        *(("p5", "Dense", "Dense"), ("p4", "Dense", "Dense")),
        ("p6", "Clear", "Clear"),
    ]
    assert [(one.id, one.label, one.predicted) for one in found.mistaken] == [
        ("p0", "Dense", "Clear"),
        ("p7", "Clear", "Dense"),
    ]
    crops = files.read_arrays(run.root / f"data/crops/{PROBLEM}.npz")[f"px{SIDE}"]
    for one in [*found.typical, *found.mistaken]:
        row = int(one.id[1:])
        values = occlusion(models[FOLDS[row]], crops[row], CLASSES.index(one.predicted), reach_px=1)
        assert one.drop == f"{max(values.max(), 0):.2f}" and one.rise == f"{max(-values.min(), 0):.2f}"
        assert one.map.outline.startswith("M") and one.particle.outline.startswith("M")


def test_the_page_shows_particles_beside_their_maps(run: PipelineRun, browser: Any) -> None:
    _write_networks(run)
    predictions = dict.fromkeys(["cnn", "cnn_shifted", "svm"], _predictions())
    no_corrections = pd.DataFrame({"id": [], "before": [], "label": []}, dtype=str)
    evidence = replace(_evidence(), predictions=predictions, history=history(), corrected=no_corrections)
    page = run.root / "report.html"
    files.write_text(page, make_report(run, evidence)[0])
    tab = check(browser, page, 390, "dark")
    shown = tab.locator("#occlusion .pairs li")
    assert shown.count() == 5 and tab.locator("#occlusion svg.crop").count() == 10
    assert shown.first.inner_text().startswith("p5, label Dense\npredicted Dense, 0.85\nlargest fall 0.")
    assert "There are no occlusion maps" in make_report(run, evidence, maps=False)[0]


def test_a_report_without_maps_has_the_reason(run: PipelineRun) -> None:
    evidence = _evidence()
    assert "architecture.json: no such file" in maps_of(run, evidence).reason
    assert maps_of(run, replace(evidence, predictions={})).reason == "the run has no predictions of cnn"
    _write_networks(run, n_features=2, feature_units=2)
    assert maps_of(run, evidence).reason == "the network takes particle features beside the crop"
    files.write_arrays(run.root / f"data/crops/{PROBLEM}.npz", {"px8": np.zeros((3, 8, 8), np.uint8)})
    assert "holds 3 crops of 8 particles" in maps_of(run, evidence).reason
    (run.root / f"data/crops/{PROBLEM}.npz").unlink()
    assert "no such file" in maps_of(run, evidence).reason


def test_without_tensorflow_there_are_no_maps(run: PipelineRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> None:
        raise ImportError("No module named 'tensorflow'")

    monkeypatch.setattr(weights, "load", missing)
    assert maps_of(run, _evidence()).reason == "TensorFlow cannot be imported (No module named 'tensorflow')"


def test_the_number_of_maps_is_limited_whatever_the_number_of_classes() -> None:
    n_classes = 30
    true = np.repeat(np.arange(n_classes), 4)
    predicted = np.where(np.arange(len(true)) % 4 < 2, true, (true + 1) % n_classes)
    p = np.full((len(true), n_classes), 1 / n_classes)
    zeros = np.zeros(len(true), int)
    names = [str(number) for number in range(n_classes)]
    typical, mistaken = selected(Predictions(names, true.astype(str), zeros, zeros, true, predicted, p))
    assert len(typical) == len(mistaken) == MOST // 2
    assert len(set(true[typical])) == MOST // 2  # one of each class, of the first classes


def test_only_the_first_repeat_is_explained() -> None:
    once = _predictions()
    twice = replace(
        once,
        **{
            key: np.concatenate([getattr(once, key)] * 2)
            for key in ("ids", "fold", "true", "predicted", "probabilities")
        },
    )
    twice = replace(twice, repeat=np.repeat([0, 1], N))
    assert selected(twice) == selected(once)


def test_colours_show_the_sign_and_the_strength_of_a_change() -> None:
    crop, values = np.full((4, 4), 100, np.uint8), np.array([[1.0, 0.0], [-0.5, 0.1]])
    shown = overlaid(crop, values)
    assert shown.shape == (4, 4, 3) and (shown[:2, 2:] == 100).all()
    assert (shown[0, 0] == np.round(0.25 * 100 + 0.75 * np.array(rgb(FOR)))).all()
    assert (shown[2, 1] == np.round(0.625 * 100 + 0.375 * np.array(rgb(AGAINST)))).all()
    assert (overlaid(crop, np.zeros((2, 2))) == 100).all()
    weak = overlaid(crop, values / 1000)  # noise must not look like evidence
    assert np.abs(weak.astype(int) - 100).max() < 3
