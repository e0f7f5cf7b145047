"""What a finished run leaves on disk, with numbers that can be checked by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from lipnet.core import files
from lipnet.core.settings import read_params
from lipnet.samples import balance

ROOT = Path(__file__).parents[2]
PROBLEM, CLASSES = "vesicles", ["Dense", "Clear"]
LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 1])
FOLDS = np.array([0, 0, 0, 1, 1, 1, 0, 1])
SVMS = {"svm": ["area", "density"], "size_only": ["height_px"]}
MEASURES = {"macro_f1": 0.8, "balanced_accuracy": 0.7, "mcc": 0.6, "log_loss": 0.5, "average_precision": 0.9}


def make_run(folder: Path, **changes: Any) -> Path:
    """A run of eight particles in two folds, without its models; ``changes`` are made to params.yaml."""
    params = read_params(ROOT / "params.yaml")
    params |= {"problems": [PROBLEM], "classes": {PROBLEM: CLASSES}, "model": "tiny"}
    params["networks"] = {"tiny": {"size_px": 8, "blocks": [[2]], "halve": "pool", "top": "dense", "dense_units": 3}}
    params["source"] |= {"kind": "table", "feature_columns": ["density"]}
    params["train_svm"] |= {"features": SVMS}
    params |= changes
    write(folder / "params.yaml", yaml.safe_dump(params))
    files.write_table(folder / f"data/particles/{PROBLEM}.csv", particle_table())
    folds = pd.DataFrame({"id": particle_table()["id"], "repeat0": FOLDS})
    files.write_table(folder / f"data/folds/{PROBLEM}.csv", folds)
    files.write_arrays(folder / f"data/training_sets/{PROBLEM}.npz", balance.to_arrays(training_sets()))
    of_class = {
        name: {"particles": n, "groups": 2} for name, n in zip(CLASSES, np.bincount(LABELS).tolist(), strict=True)
    }
    counts = {"particles": 8, "groups": 4, "classes": of_class}
    write(folder / f"metrics/ingest/{PROBLEM}/counts.json", json.dumps(counts))
    write(folder / "metrics/metrics.json", json.dumps({PROBLEM: dict.fromkeys(("cnn", *SVMS), metrics())}))
    lock = {"stages": {"ingest": {"outs": [{"path": f"data/particles/{PROBLEM}.npz", "md5": "abc"}]}}}
    write(folder / "dvc.lock", yaml.safe_dump(lock))
    return folder


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


def training_sets() -> list[balance.TrainingSet]:
    """Oversampled: as many of the rare class as of the other; and in the second fold, the rare class weighs double."""
    return [
        balance.TrainingSet(
            rows=np.array([*np.flatnonzero((fold != FOLDS) & (LABELS == 0)), *[6 if fold else 7] * 3]),
            synthetic={8: np.empty((0, 8, 8), np.uint8)},
            synthetic_labels=np.empty(0, np.int64),
            class_weights=np.array([1.0, 1.0 + fold]),
            drop_fraction=0.0,
        )
        for fold in (0, 1)
    ]


def metrics() -> dict[str, Any]:
    of_class = {name: {"mean": 0.75, "sd": 0.25} for name in ("tpr", "ppv", "f1")}
    undefined = {"tpr": {"mean": 0.5, "sd": None}, "ppv": {"mean": None, "sd": None}, "f1": {"mean": 0.1, "sd": 0.0}}
    return {
        **{name: {"mean": mean, "sd": 0.01} for name, mean in MEASURES.items()},
        "Dense": of_class,
        "Clear": undefined,
    }
