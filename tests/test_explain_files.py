"""From the files of a run to a folder of explanations, and what is said where the files do not fit."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from lipnet import files
from lipnet.errors import InputError
from lipnet.explain_files import explain_particles
from lipnet.networks import NetworkSettings, RegularisationSettings, build

# Keras writes weights through an interface of NumPy that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

N = 40
CLASSES = ["Empty", "Full"]
PLAIN = {"dropout_block": 0.25, "dropout_dense": 0.5, "dropout_decay": 1.0, "weight_decay": 0.0, "batch_norm": False}
ROW = {"size_px": 8, "blocks": [[3], [4]], "halve": "stride", "top": "average"}


def _run(folder: Path, n_folds: int = N, dead: bool = False) -> tuple[Path, ...]:
    """Files of a run of one network: fold 0 tests on the second half."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = build(NetworkSettings.model_validate(ROW), 2, RegularisationSettings.model_validate(PLAIN), 0.5)
    if dead:
        model.get_layer("conv1_1").bias.assign([-100] * 3)
    models = folder / "models"
    models.mkdir()
    (models / "architecture.json").write_text(model.to_json())
    model.save_weights(models / "fold0.weights.h5")
    brightness = rng.integers(50, 200, N)
    images = np.clip(brightness[:, None, None] + rng.integers(-20, 20, (N, 8, 8)), 0, 255).astype(np.uint8)
    files.write_arrays(folder / "crops.npz", {"px8": images})
    table = {"id": [f"p{row}" for row in range(N)], "label": ["Full", "Empty"] * (N // 2), "group": "g"}
    files.write_table(folder / "table.csv", pd.DataFrame({**table, "padding_px": 5, "brightness": brightness}))
    assigned = [1] * (N // 2) + [0] * (n_folds - N // 2)
    files.write_table(folder / "folds.csv", pd.DataFrame({"id": range(n_folds), "repeat0": assigned}))
    return models, folder / "crops.npz", folder / "table.csv", folder / "folds.csv"


def test_a_folder_of_pictures_and_tables_is_written(tmp_path: Path) -> None:
    explain_particles(*_run(tmp_path), CLASSES, [], tmp_path / "out")
    convolutions = ("conv1_1", "stride1", "conv2_1", "stride2")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("particles.png", "kernels.png", "activations.png", "agreement.png"),
        *(f"filters_{name}.png" for name in convolutions),
        *("agreement_by_feature.csv", "agreement_by_unit.csv"),
    }
    by_feature = files.read_table(tmp_path / "out" / "agreement_by_feature.csv")
    assert by_feature["feature"].tolist() == ["brightness"]  # neither the label nor what tells how the image was cut
    assert abs(by_feature["spearman"][0]) > 0.7  # brighter images excite random units more or less
    assert set(files.read_table(tmp_path / "out" / "agreement_by_unit.csv")["unit"]) <= set(range(4))


def _drawn(monkeypatch: pytest.MonkeyPatch, folder: Path, ids: list[str]) -> list[str]:
    labels: list[str] = []

    def attention_maps(crops: Any, of_particles: list[str], *_: Any) -> None:
        labels.extend(of_particles)
        raise InterruptedError

    monkeypatch.setattr("lipnet.explain_files.attention_maps", attention_maps)
    with pytest.raises(InterruptedError):
        explain_particles(*_run(folder), CLASSES, ids, folder / "out")
    return [label.split("\n")[0] for label in labels]


def test_particles_are_the_first_of_each_class_of_the_test_fold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _drawn(monkeypatch, tmp_path, []) == ["p20, Full", "p21, Empty"]


def test_particles_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert _drawn(monkeypatch, tmp_path, ["p30", "p3"]) == ["p30, Full", "p3, Empty"]


def test_files_that_do_not_fit_are_refused_with_the_cure(tmp_path: Path) -> None:
    paths = _run(tmp_path, n_folds=39)
    with pytest.raises(
        InputError, match=r"crops.npz: holds 40 crops, the table 40 particles and the folds 39; run `dvc"
    ):
        explain_particles(*paths, CLASSES, [], tmp_path / "out")
    files.write_table(paths[-1], pd.DataFrame({"repeat0": [0] * N}))
    with pytest.raises(InputError, match="a network of 2 classes, not 3; run `dvc repro`"):
        explain_particles(*paths, [*CLASSES, "Uncertain"], [], tmp_path / "out")
    with pytest.raises(InputError, match=r"table.csv: no particle 'q1'; ids are such as 'p0'"):
        explain_particles(*paths, CLASSES, ["p1", "q1"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_dead_network_is_called_dead(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the network is dead, no unit before its last layer varies"):
        explain_particles(*_run(tmp_path, dead=True), CLASSES, [], tmp_path / "out")
