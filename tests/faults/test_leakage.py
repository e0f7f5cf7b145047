"""No leakage: predictions of a test fold do not depend on its data. Whole stages run on a tiny, changed problem.

docs/trust.md lists possible leaks, each with the tests that fail if the leak is built in.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from lipnet.classifiers import svm
from lipnet.core import files
from lipnet.samples import balance as balancing
from stages import balance, crop, decide, ingest, score_inner, split, train_cnn, train_svm, train_trees
from tests.stages.test_stages import make_params, run

# Keras writes weights through a deprecated interface of NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CLASSES = ["Unilamellar", "Multilamellar", "Uncertain"]
LEARNING = {  # everything that is chosen, fitted or standardised on training rows
    "train_cnn__epochs__choose": "early_stopping",
    "train_cnn__epochs__most": 2,
    "train_cnn__epochs__validation_parts": 2,
    "train_cnn__join__features": ["area"],
    "train_cnn__heads__svms": {"head": ["area"]},
    "train_cnn__heads__calibration_folds": 2,
    "train_trees__boosted__inner_folds": 2,
    "train_trees__boosted__max_iter": 4,
    "train_trees__boosted__min_samples_leaf": 2,
    "inner__folds": 2,
    "inner__classifiers": ["svm", "trees"],
    "decide__rules": {
        "cnn_shifted": {"shift": 1.0},
        "mean": {"shift": 0.5, "of": ["cnn", "svm", "trees"]},
        "calibrated": {"shift": 0.5, "of": ["svm", "trees"], "calibrated": True},
        "tuned": {"shift": 0.5, "of": ["trees"], "tuned": True},
    },
    "decide__choices": {"chosen": {"of": ["svm", "trees", "tuned"], "by": "log_loss"}},
}


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPNET_WORKERS", "1")


def _learn(folder: Path, params: dict[str, Any]) -> None:
    for stage in (balance, train_cnn, train_svm, train_trees, score_inner, decide):
        run(stage, folder, params)


def _change(folder: Path, rows: np.ndarray, seen: np.ndarray) -> None:
    """Change the class of all ``rows``, and also features and pixels of the rows in ``seen``."""
    table, crops = files.read_table(folder / "table"), files.read_arrays(folder / "crops")
    table.loc[rows, "label"] = [CLASSES[(CLASSES.index(name) + 1) % 3] for name in table.loc[rows, "label"]]
    measured = table.select_dtypes(float).columns
    table.loc[seen, measured] = 3 * table.loc[seen, measured] + 50
    for pixels in crops.values():
        pixels[seen] = 255 - pixels[seen]
    files.write_table(folder / "table", table)
    files.write_arrays(folder / "crops", crops)


def _predictions(folder: Path) -> dict[str, pd.DataFrame]:
    """Predictions of every classifier, rule and choice, by name."""
    paths = [*folder.glob("predictions/*/*.csv"), *folder.glob("decisions/*.csv")]
    return {path.stem: files.read_table(path).set_index("id").drop(columns=["repeat", "label"]) for path in paths}


def _models(folder: Path, fold: int) -> dict[str, bytes]:
    paths = [*folder.glob(f"cnn_models/fold{fold}.*"), *folder.glob(f"svm_models/*/fold{fold}.*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_models_rules_and_choices_of_a_fold_do_not_depend_on_its_test_rows(tmp_path: Path) -> None:
    params, before, after = make_params(**LEARNING), tmp_path / "before", tmp_path / "after"
    for stage in (ingest, crop, split):
        run(stage, before, params)
    shutil.copytree(before, after)
    table, folds = files.read_table(before / "table"), files.read_table(before / "folds")["repeat0"].to_numpy()
    rows = np.flatnonzero(folds == 0)
    _change(after, rows, rows[::2])
    for folder in (before, after):
        _learn(folder, params)

    assert _models(before, 0) == _models(after, 0) and len(_models(before, 0)) == 5
    assert all(_models(before, 1)[name] != content for name, content in _models(after, 1).items())
    one, other = (balancing.from_arrays(files.read_arrays(folder / "training_sets")) for folder in (before, after))
    assert_array_equal(one[0].rows, other[0].rows)

    predictions, changed = _predictions(before), _predictions(after)
    assert set(predictions) == {"cnn", "head", "svm", "size_only", "trees", *LEARNING["decide__rules"], "chosen"}
    same, others = table["id"][rows[1::2]], table["id"][folds == 1]
    for name, frame in predictions.items():
        # The other rows of the fold were changed, and the classes of these rows; the predictions are the same.
        pd.testing.assert_frame_equal(frame.loc[same], changed[name].loc[same], obj=name)
        # In the other fold they are training rows, and the predictions differ: so the test is able to find a leak.
        assert name == "size_only" or not frame.loc[others].equals(changed[name].loc[others]), name

    history = [files.read_table(folder / "history") for folder in (before, after)]  # with losses of early stopping
    pd.testing.assert_frame_equal(*(table[table["fold"] == 0] for table in history))
    choices = [files.read_table(folder / "choices") for folder in (before, after)]
    pd.testing.assert_frame_equal(*(table[table["fold"] == 0] for table in choices))


def test_no_group_and_no_image_is_in_two_folds(tmp_path: Path) -> None:
    """24 images in groups of two; every third image has a copy with another name and in another group."""
    folder, rng, lines = tmp_path / "folder", np.random.default_rng(0), ["id,image,class,group"]
    folder.mkdir()
    for number in range(24):
        pixels = rng.integers(1, 256, (12, 12), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(f"p{number},{number}.png,{CLASSES[number // 2 % 3]},g{number // 2}")
        if number % 3 == 0:
            Image.fromarray(pixels).save(folder / f"again{number}.tif")
            lines.append(f"q{number},again{number}.tif,{CLASSES[number // 2 % 3]},h{number}")
    (folder / "particles.csv").write_text("\n".join(lines) + "\n")
    params = make_params(source__kind="table")
    for stage in (ingest, split):
        run(stage, tmp_path, params)
    fold = files.read_table(tmp_path / "folds").set_index("id")["repeat0"]
    assert len(fold) == 32
    for number in range(0, 24, 2):
        assert fold[f"p{number}"] == fold[f"p{number + 1}"], "a group is in two folds"
    for number in range(0, 24, 3):
        assert fold[f"p{number}"] == fold[f"q{number}"], "an image is in two folds"


def test_a_group_is_not_split_over_the_inner_folds_that_calibrate_an_svm(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, parts = np.arange(60) // 2, list[tuple[np.ndarray, np.ndarray]]()
    real = svm.folds.parts
    monkeypatch.setattr(svm.folds, "parts", lambda *given: parts.extend(real(*given)) or parts)
    values, labels = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) // 2 % 2
    settings = svm.settings_of(make_params())
    train = np.arange(20, 60)
    shared = {"labels": labels, "groups": groups, "train": train, "test": np.arange(20), "seed": 1}
    svm.train_fold(svm.SvmTask(**shared, features=values, names=["a", "b"], settings=settings))
    assert parts and not any(set(groups[train][inner]) & set(groups[train][held]) for inner, held in parts)
