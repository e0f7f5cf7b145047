"""Predictions of an ensemble for new particles, with models of known output; no library of training is imported."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.deployment.model_files import Model, read_models
from lipnet.deployment.predict import (
    PredictedBatch,
    classify,
    ensemble_table,
    entropy,
    join,
    notes,
    predict_batch,
    prior_of,
    shift,
    summarise,
)
from lipnet.evaluation import decisions, posteriors
from lipnet.samples import crops, features, particles
from lipnet.samples.particles import Particle
from lipnet.sources.rows import Rejected, Remark
from lipnet.sources.unlabelled import Opened
from tests.deployment.onnx_models import IMAGE, description, features_of, write

HEAVY = (
    "tensorflow",
    "keras",
    "sklearn",
    "imblearn",
    "joblib",
    "matplotlib",
    "pyfastnoiselite",
    "onnx",
    "tf2onnx",
    "rsciio",
)
REJECTED = Rejected(3, "bad", "bad.png", "image", "bad.png: damaged")


def _particle(level: int, name: str = "p", **known: Any) -> Particle:
    mask = np.zeros((12, 14), bool)
    mask[3:9, 4:11] = True
    return Particle(id=name, label="", group=name, image=np.full((12, 14), level, np.uint8), mask=mask, **known)


def _models(folder: Path, n: int = 1, **changes: Any) -> list[Model]:
    for fold in range(n):
        biases = (-10.0 + fold, 10.0 - fold)
        write(folder / f"fold{fold}.onnx", description(fold=fold, **changes), biases=biases)
    return read_models(folder, None)


def _batch(
    models: list[Model], *results: Any, pixel_size_nm: float | None = None, with_features: bool = False
) -> PredictedBatch:
    return predict_batch(None, lambda _: results, models, pixel_size_nm, with_features)


def _bright(grey: float, fold: int = 0) -> float:
    return float(1 / (1 + np.exp(-(40 * grey - 20 + 2 * fold))))


def test_every_model_is_asked_about_every_particle(tmp_path: Path) -> None:
    part = _batch(_models(tmp_path, 2), _particle(51, "dark"), REJECTED, _particle(153, "bright"))
    assert part.known["id"].tolist() == ["dark", "bright"]
    assert part.rejected == [REJECTED] and part.features is None
    expected = [[_bright(0.2, fold), _bright(0.6, fold)] for fold in (0, 1)]
    assert_allclose(part.probabilities[:, :, 0], expected, rtol=1e-5)


def test_a_part_without_a_usable_particle_is_empty(tmp_path: Path) -> None:
    part = _batch(_models(tmp_path, 2), REJECTED, with_features=True)
    assert part.probabilities.shape == (2, 0, 2) and part.known.empty and part.rejected == [REJECTED]


@pytest.mark.parametrize("mode", crops.MODES)
def test_crops_are_those_of_the_pipeline(tmp_path: Path, mode: crops.Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    models = _models(tmp_path, inputs={"image": {**IMAGE, "mode": mode, "size_px": 6}})
    image = np.random.default_rng(0).integers(0, 256, (12, 14)).astype(np.uint8)
    particle = Particle("p", "", "g", image, _particle(0).mask)
    seen: list[NDArray[Any]] = []

    def record(_: Model, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        seen.append(feeds["image"])
        return np.array([[0.5, 0.5]])

    monkeypatch.setattr(Model, "probabilities", record)
    _batch(models, particle)
    settings = crops.CropSettings(mode=mode, scale="fit", field_px=64, sizes_px=[6])
    assert_array_equal(seen[0], crops.to_grey(crops.crop_all(particles.pack([particle]), settings, ["p"])[6]))


def test_a_particle_larger_than_the_field_of_a_constant_scale_is_named(tmp_path: Path) -> None:
    models = _models(tmp_path, inputs={"image": {**IMAGE, "scale": "constant", "field_px": 13}})
    with pytest.raises(InputError, match="particle 'wide': 14 px across"):
        _batch(models, _particle(9, "wide"))


def test_features_are_those_of_ingest_and_given_ones_take_precedence(tmp_path: Path) -> None:
    particle = _particle(100, features={"density": 7.0, "circularity": 0.25})
    table = _batch(_models(tmp_path), particle, with_features=True).features
    assert table is not None
    measured = features.measure_all(particles.pack([particle]), description().measures)
    assert table["area_px2"][0] == measured["area_px2"][0] == 42
    assert (table["height_px"][0], table["width_px"][0]) == (6, 7)
    assert (table["density"][0], table["circularity"][0]) == (7.0, 0.25)
    assert table.columns.is_unique and set(measured) <= set(table)


@pytest.mark.parametrize(("own", "default", "area"), [(2.0, None, 168.0), (np.nan, 3.0, 378.0), (2.0, 3.0, 168.0)])
def test_an_svm_gets_its_features_in_nm(tmp_path: Path, own: float, default: float | None, area: float) -> None:
    weights, biases = (1e-3, 0.0), (0.0, 0.0)
    said = description(classifier="svm", inputs=features_of("area_nm2"))
    models = read_models(write(tmp_path / "svm.onnx", said, weights=weights, biases=biases), None)
    part = _batch(models, _particle(100, pixel_size_nm=own), pixel_size_nm=default)
    assert_allclose(part.probabilities[0, 0, 0], 1 / (1 + np.exp(-area / 1000)), rtol=1e-6)
    assert part.features is None


@pytest.mark.parametrize(
    ("name", "size_nm", "message"),
    [
        ("area_nm2", np.nan, "needs area_nm2; .* in nm: give --pixel-size-nm"),
        ("area_px2", 2.0, "needs area_px2; .* in px"),
    ],
)
def test_features_in_the_wrong_unit_are_refused(tmp_path: Path, name: str, size_nm: float, message: str) -> None:
    models = _models(tmp_path, classifier="svm", inputs=features_of(name))
    with pytest.raises(InputError, match=f"particle 'p' and those read with it: the model {message}"):
        _batch(models, _particle(100, pixel_size_nm=size_nm))


def test_the_class_is_the_most_probable_by_the_mean_of_the_models() -> None:
    stated = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.5, 0.5], [0.1, 0.9]]])
    table = ensemble_table(stated, ["a", "b"], ["Full", "Empty"], abstain_below=0.72)
    assert table["class"].tolist() == ["Full", "Empty"]
    assert_allclose(table[["p_Full", "p_Empty"]], [[0.7, 0.3], [0.25, 0.75]])
    assert_allclose(table["entropy"], [0.610864, 0.562335])
    assert_allclose(table["disagreement"], [0.2, 0.15])
    assert table["abstain"].tolist() == [1, 0]


def test_one_model_cannot_disagree_with_itself() -> None:
    assert ensemble_table(np.array([[[0.9, 0.1]]]), ["a"], ["Full", "Empty"], 0)["disagreement"].isna().all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda weights: sum(weights) > 1e-3))
def test_entropy_lies_between_certainty_and_ignorance(weights: list[float]) -> None:
    probabilities = np.array([weights]) / sum(weights)
    assert 0 <= entropy(probabilities)[0] <= np.log(len(weights)) + 1e-9
    k = len(weights)
    assert_allclose(entropy(np.vstack([np.eye(k), np.full((1, k), 1 / k)])), [0.0] * k + [np.log(k)], atol=1e-12)


def test_the_shift_is_that_of_the_decision_rules_with_the_priors_of_each_model(tmp_path: Path) -> None:
    said = {"label_smoothing": 0.1, "floor": 0.01}
    write(tmp_path / "a.onnx", description(natural_prior=[0.9, 0.1], **said))
    write(tmp_path / "b.onnx", description(fold=1, training_prior=[0.6, 0.4], natural_prior=[0.8, 0.2], **said))
    models = read_models(tmp_path, None)
    stated = np.array([[[0.6, 0.4], [0.02, 0.98]]] * 2)
    shifted = shift(stated, models, None, 0.5)
    for row, one in zip(shifted, models, strict=True):
        rule = decisions.Rule(0.5, 1 - np.eye(2), None)
        prior, natural = np.array(one.description.training_prior), np.array(one.description.natural_prior)
        given = posteriors.Posterior(posteriors.unsmooth(stated[0], 0.1, 0.01), prior)
        expected = rule.apply([given], natural).probabilities
        assert_allclose(row, expected)
    assert_array_equal(shift(stated, models, None, 0), stated)


def test_a_deployment_prior_takes_the_place_of_the_natural_one(tmp_path: Path) -> None:
    models = _models(tmp_path, natural_prior=[0.9, 0.1])
    shifted = shift(np.array([[[0.5, 0.5]]]), models, prior_of({"Dark": 3, "Bright": 1}, ["Bright", "Dark"]), 1)
    assert_allclose(shifted, [[[0.25, 0.75]]])


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"Full": 1.0}, "give a share to each of Full, Empty"),
        ({"Full": 1.0, "Empty": 1.0, "Half": 1.0}, "names Full, Empty, Half; give a share to each of Full, Empty"),
        ({"Full": -1.0, "Empty": 2.0}, "shares must be finite numbers >= 0"),
        ({"Full": 0.0, "Empty": 0.0}, "at least one of them above 0"),
        ({"Full": np.nan, "Empty": 1.0}, "shares must be finite numbers >= 0"),
    ],
)
def test_an_invalid_deployment_prior_is_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prior_of(shares, ["Full", "Empty"])


def test_parts_are_joined_in_order_with_their_features(tmp_path: Path) -> None:
    models = _models(tmp_path, 2)
    made = [[_particle(0, "a")], [REJECTED], [_particle(255, "b"), _particle(10, "c")]]
    parts = [_batch(models, *results, with_features=True) for results in made]
    table = join(parts, models, None, 1, 0.5)
    assert table["id"].tolist() == ["a", "b", "c"]
    assert table["class"].tolist() == ["Dark", "Bright", "Dark"]
    assert list(table)[:7] == ["id", "class", "p_Bright", "p_Dark", "entropy", "disagreement", "abstain"]
    assert table["area_px2"].tolist() == [42, 42, 42]
    bare = [_batch(models, *results) for results in made]
    pd.testing.assert_frame_equal(join(bare, models, None, 1, 0.5), table.iloc[:, :7])


def test_the_summary_counts_every_class_and_names_what_was_rejected(tmp_path: Path) -> None:
    models = _models(tmp_path)
    table = join([_batch(models, _particle(0, "a"), _particle(128, "b"))], models, None, 1, 0.9)
    assert summarise(table, [REJECTED], models, ["mind"]) == {
        "problem": "brightness",
        "classifier": "cnn",
        "models": ["fold0.onnx"],
        "particles": 2,
        "classes": {"Bright": 1, "Dark": 1},
        "abstained": 1,
        "outliers": None,
        "rejected": [{"id": "bad", "file": "bad.png", "reason": "bad.png: damaged"}],
        "notes": ["mind"],
    }


def test_estimated_masks_and_other_pixel_sizes_are_noted(tmp_path: Path) -> None:
    cut = {"padding_px": 0, "pixel_size_nm": None}  # as the particles of this test
    masked = {"inputs": {"image": {**IMAGE, "mode": "masked"}}, "pixel_size_nm": (1.0, 2.0), "micrographs": cut}
    models = _models(tmp_path, **masked)
    estimated = _batch(models, _particle(0, mask_estimated=True, pixel_size_nm=2.1))
    assert [note.partition(" particles")[0] for note in notes([estimated], models[0].description)] == ["1"]
    outside = _batch(models, _particle(0, pixel_size_nm=2.3), _particle(0, pixel_size_nm=0.8), _particle(0))
    assert notes([outside], models[0].description) == [
        "2 particles have other pixel sizes than the training particles (1 to 2 nm); images are not resampled"
    ]
    assert notes([estimated], description(pixel_size_nm=(1.0, 2.0), micrographs=cut)) == []


def test_a_surrounding_that_only_the_training_particles_had_is_noted(tmp_path: Path) -> None:
    models = _models(tmp_path)
    [note] = notes([_batch(models, _particle(0))], models[0].description)
    assert "the training particles had one of 3 px" in note and "--padding-px" in note
    assert notes([_batch(models, _particle(0, padding_px=3))], models[0].description) == []


def test_remarks_on_rows_that_were_used_become_notes(tmp_path: Path) -> None:
    models, names = _models(tmp_path), ("first.dm4", "second.dm4")
    remarks = [Remark(2, f"in {name}", name, "pixel_size_nm", f"{name}: differs", fault=False) for name in names]
    found = notes([_batch(models, _particle(0, padding_px=3), *remarks)], models[0].description)
    assert found == ["2 x ...: differs"]


def test_remarks_reject_nothing(tmp_path: Path) -> None:
    models, remark = _models(tmp_path), Remark(2, "p", "a.dm4", "pixel_size_nm", "a.dm4: differs", fault=False)
    opened = [Opened(tmp_path, [None], lambda _: [_particle(0), remark], [], [])]
    batches, rejected = classify(opened, models, None, False, lambda results, _: results)
    assert rejected == [] and len(batches[0].known) == 1


def test_prediction_imports_no_library_of_training() -> None:
    """In a process of its own: this one has imported all of them."""
    modules = (
        "lipnet.cli, lipnet.deployment.predict, lipnet.deployment.model_files, lipnet.sources.unlabelled, onnxruntime"
    )
    code = f"import sys, {modules}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
