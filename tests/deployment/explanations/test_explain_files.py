"""Explanations from the files of a run, and messages where the files do not fit together."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.settings import NetworkSettings, RegularisationSettings
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.deployment.explanations.explain_files import explain_particles

# Keras writes weights through a deprecated interface of NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

N = 40
PLAIN = {"dropout_block": 0.25, "dropout_dense": 0.5, "dropout_decay": 1.0, "weight_decay": 0.0, "batch_norm": False}
ROW = {"size_px": 8, "blocks": [[3], [4]], "halve": "stride", "top": "average"}


def _run(
    run: Path, n_folds: int = N, dead: bool = False, classes: str = "[Empty, Full]", row: dict[str, Any] = ROW
) -> Path:
    """A run of one network; the second half of the particles is the test set of fold 0."""
    (run / "params.yaml").write_text(f"classes: {{filling: {classes}}}\nrecipe: plain\nrecipes: {{plain: {{}}}}\n")
    keras.utils.set_random_seed(0)
    options = ModelOptions(RegularisationSettings.model_validate(PLAIN), 0.5)
    model = build(NetworkSettings.model_validate(row), 2, options)
    if dead:
        model.get_layer("conv1_1").bias.assign([-100] * 3)
    models = run / "data/models/filling/cnn"
    models.mkdir(parents=True)
    (models / "architecture.json").write_text(model.to_json())
    model.save_weights(models / "fold0.weights.h5")
    rng = np.random.default_rng(0)
    brightness = rng.integers(50, 200, N)
    images = (brightness[:, None, None] + rng.integers(-20, 20, (N, 8, 8))).astype(np.uint8)
    files.write_arrays(run / "data/crops/filling.npz", {"px8": images})
    table = {"id": [f"p{row}" for row in range(N)], "label": ["Full", "Empty"] * (N // 2), "group": "g"}
    particles = pd.DataFrame({**table, "padding_px": 5, "brightness": brightness})
    files.write_table(run / "data/particles/filling.csv", particles)
    assigned = [1] * (N // 2) + [0] * (n_folds - N // 2)
    files.write_table(run / "data/folds/filling.csv", pd.DataFrame({"id": range(n_folds), "repeat0": assigned}))
    return run


def test_a_folder_of_pictures_and_tables_is_written(tmp_path: Path) -> None:
    explain_particles(_run(tmp_path), "filling", [], tmp_path / "out")
    convolutions = ("conv1_1", "stride1", "conv2_1", "stride2")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("particles.png", "kernels.png", "activations.png", "agreement.png"),
        *(f"filters_{name}.png" for name in convolutions),
        *("agreement_by_feature.csv", "agreement_by_unit.csv"),
    }
    by_feature = pd.read_csv(tmp_path / "out" / "agreement_by_feature.csv")
    assert by_feature["feature"].tolist() == ["brightness"]  # neither the label nor the settings of the crop
    assert abs(by_feature["spearman"][0]) > 0.7  # the units of a random network depend on the brightness
    assert set(pd.read_csv(tmp_path / "out" / "agreement_by_unit.csv")["unit"]) <= set(range(4))


def _drawn(monkeypatch: pytest.MonkeyPatch, folder: Path, ids: list[str]) -> list[str]:
    labels: list[str] = []

    def attention_maps(crops: Any, of_particles: list[str], *_: Any) -> None:
        labels.extend(of_particles)
        raise InterruptedError

    monkeypatch.setattr("lipnet.deployment.explanations.explain_files.attention_maps", attention_maps)
    with pytest.raises(InterruptedError):
        explain_particles(_run(folder), "filling", ids, folder / "out")
    return [label.split("\n")[0] for label in labels]


def test_particles_are_the_first_of_each_class_of_the_test_fold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _drawn(monkeypatch, tmp_path, []) == ["p20, Full", "p21, Empty"]


def test_particles_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert _drawn(monkeypatch, tmp_path, ["p30", "p3"]) == ["p30, Full", "p3, Empty"]


@pytest.mark.parametrize(
    ("changes", "ids", "message"),
    [
        (
            {"n_folds": 39},
            [],
            r"filling.npz: holds 40 crops, but the table has 40 particles and the folds 39; run `dvc repro`",
        ),
        ({"classes": "[Empty, Full, Uncertain]"}, [], "cnn: a network of 2 classes, not 3; run `dvc repro`"),
        ({}, ["p1", "q1"], r"filling.csv: no particle 'q1'; an example of an id is 'p0'"),
    ],
)
def test_files_that_do_not_fit_together_are_refused_with_the_remedy(
    changes: dict[str, Any], ids: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        explain_particles(_run(tmp_path, **changes), "filling", ids, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_dead_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the network is dead: no unit before its last layer varies"):
        explain_particles(_run(tmp_path, dead=True), "filling", [], tmp_path / "out")


@pytest.mark.parametrize(
    "row",
    [
        {"size_px": 8, "stem": 4, "blocks": [[4, 4]], "halve": "entry", "residual": True, "batch_norm": True}
        | {"top": "average"},
        {"size_px": 32, "buckets_px": [16], "blocks": [[3]], "halve": "pool", "top": "masked"},
    ],
    ids=["resnet", "fcn"],
)
def test_a_network_that_is_not_a_chain_of_layers_is_refused(row: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only networks that are a chain of layers can be explained; this one has"):
        explain_particles(_run(tmp_path, row=row), "filling", [], tmp_path / "out")


def test_a_run_that_is_out_of_date_is_refused_or_marked(tmp_path: Path) -> None:
    run = _run(tmp_path)
    lock = "stages: {train_cnn@filling: {params: {params.yaml: {classes.filling: [Full, Empty]}}}}"
    (run / "dvc.lock").write_text(lock)
    with pytest.raises(InputError, match=r"out of date; changed since then: params\.yaml: classes\.filling"):
        explain_particles(run, "filling", [], tmp_path / "out")
    explain_particles(run, "filling", [], tmp_path / "out", stale=True)
    assert (
        tmp_path / "out" / "out_of_date.txt"
    ).read_text() == "Changed since the run:\nparams.yaml: classes.filling\n"
