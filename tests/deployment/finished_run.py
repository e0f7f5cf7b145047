"""Write the files of a finished run, with numbers that can be checked by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from lipnet.core import files
from lipnet.core.settings import read_params
from lipnet.samples import particles
from lipnet.samples.particles import Particle

ROOT = Path(__file__).parents[2]
PROBLEM, CLASSES = "vesicles", ["Dense", "Clear"]
LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 1])
FOLDS = np.array([0, 0, 0, 1, 1, 1, 0, 1])
SVMS = {"svm": ["area", "density"], "size_only": ["height_px"]}
MEASURES = {"macro_f1": 0.8, "balanced_accuracy": 0.7, "mcc": 0.6, "log_loss": 0.5, "average_precision": 0.9}


def make_run(folder: Path, **changes: Any) -> Path:
    """Write a run of eight particles in two folds, without models; ``changes`` replace sections of params.yaml."""
    params = read_params(ROOT / "params.yaml")
    params |= {"problems": [PROBLEM], "classes": {PROBLEM: CLASSES}, "model": "tiny"}
    params["networks"] = {"tiny": {"size_px": 8, "blocks": [[2]], "halve": "pool", "top": "dense", "dense_units": 3}}
    params["source"] |= {"kind": "table", "feature_columns": ["density"]}
    params["train_svm"] |= {"features": SVMS}
    params |= changes
    write(folder / "params.yaml", yaml.safe_dump(params))
    files.write_table(folder / f"data/particles/{PROBLEM}.csv", particle_table())
    files.write_blocks(folder / f"data/particles/{PROBLEM}.npz", [particles.to_arrays(store())])
    folds = pd.DataFrame({"id": particle_table()["id"], "repeat0": FOLDS})
    files.write_table(folder / f"data/folds/{PROBLEM}.csv", folds)
    files.write_table(folder / f"data/priors/{PROBLEM}/cnn.csv", priors())
    files.write_table(folder / f"data/history/{PROBLEM}.csv", history())
    of_class = {
        name: {"particles": n, "groups": 2} for name, n in zip(CLASSES, np.bincount(LABELS).tolist(), strict=True)
    }
    counts = {"particles": 8, "groups": 4, "classes": of_class}
    write(folder / f"metrics/ingest/{PROBLEM}/counts.json", json.dumps(counts))
    summary = pd.concat([metrics().assign(problem=PROBLEM, classifier=name) for name in ("cnn", *SVMS)])
    files.write_table(folder / "metrics/summary.csv", summary)
    files.write_table(folder / "metrics/per_fold.csv", scores())
    lock = {"stages": {"ingest": {"outs": [{"path": f"data/particles/{PROBLEM}.npz", "md5": "abc"}]}}}
    write(folder / "dvc.lock", yaml.safe_dump(lock))
    return folder


def scores(**means: float) -> pd.DataFrame:
    """Scores of five folds: every measure of a classifier is its mean, plus or minus up to 0.02."""
    means = {
        "cnn": 0.8,
        "cnn_shifted": 0.7,
        "cnn_half_shifted": 0.9,
        "svm": 0.6,
        "trees": 0.65,
        "size_only": 0.5,
    } | means
    spread = [-0.02, -0.01, 0.0, 0.01, 0.02]
    rows = [
        {"problem": PROBLEM, "classifier": name, "repeat": 0, "fold": fold, "n_train": 8, "n_test": 2, "class": ""}
        | {"measure": measure, "value": mean + spread[(fold + shift) % 5]}
        for shift, (name, mean) in enumerate(means.items())
        for measure in ("macro_f1", "mcc", "average_precision")
        for fold in range(5)
    ]
    return pd.DataFrame(rows)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def particle_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"p{number}" for number in range(8)],
            "label": np.array(CLASSES)[LABELS],
            "group": np.arange(8) // 2,
            "height_px": 10,
            "padding_px": [5, 5, 5, 5, 5, 5, 0, 0],
            "pixel_size_nm": [1.5, 2.0, np.nan, 2.0, 2.0, 2.0, 2.0, 2.0],
        }
    )


def store() -> particles.ParticleStore:
    """Images of the particles: particle n has the grey level 10 n inside a mask of 10 x 10 px, and 0 outside."""
    mask = np.pad(np.ones((10, 10), bool), 1)
    images = [np.where(mask, 10 * number, 0).astype(np.uint8) for number in range(8)]
    return particles.pack([Particle("", "", "", image, mask) for image in images])


def priors() -> pd.DataFrame:
    """Priors of the network, and of an SVM on its embedding. In the second fold, the rare class has weight 2."""
    return pd.DataFrame(
        {
            "classifier": ["cnn", "cnn", "head", "head"],
            "repeat": 0,
            "fold": [0, 1, 0, 1],
            "label_smoothing": [0.1, 0.1, 0.0, 0.0],
            "prior_Dense": [0.5, 1 / 3, 0.75, 0.75],
            "prior_Clear": [0.5, 2 / 3, 0.25, 0.25],
        }
    )


def history() -> pd.DataFrame:
    """Training history of two epochs in each fold."""
    table = pd.DataFrame({"fold": [0, 0, 1, 1], "phase": "training", "epoch": [1, 2, 1, 2]})
    return table.assign(loss=[0.9, 0.5, 0.8, 0.4], accuracy=0.5, validation_loss=np.nan)


def metrics() -> pd.DataFrame:
    """Measures of a classifier, which never predicts the rare class in one of two folds."""
    overall = [("", name, mean, 0.01, 2) for name, mean in MEASURES.items()]
    dense = [("Dense", name, 0.75, 0.25, 2) for name in ("tpr", "ppv", "f1")]
    clear = [("Clear", "tpr", 0.5, np.nan, 1), ("Clear", "ppv", np.nan, np.nan, 0), ("Clear", "f1", 0.1, 0.0, 2)]
    return pd.DataFrame(overall + dense + clear, columns=["class", "measure", "mean", "sd", "folds"])
