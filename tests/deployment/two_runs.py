"""Results of runs with known differences between folds, in memory and as files."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from lipnet.core import files
from lipnet.core.settings import read_params
from lipnet.deployment.revisions import RunResults

ROOT = Path(__file__).parents[2]
MEASURES = ("macro_f1", "mcc", "log_loss", "average_precision")
BASE = np.array([0.80, 0.82, 0.78, 0.81, 0.79])
NOISE = np.array([0.001, -0.001, 0.0, 0.0005, -0.0005])  # a change that varies as little is shown by five folds


def fold_table(values: dict[tuple[str, str, str], Any], problems: tuple[str, ...] = ("one",)) -> pd.DataFrame:
    """Table of five folds; ``values``: (problem, classifier, measure) -> values that replace ``BASE``."""
    rows = [
        (problem, classifier, 0, fold, 80, 20, "", measure, value)
        for problem in problems
        for classifier in ("cnn", "svm")
        for measure in MEASURES
        for fold, value in enumerate(values.get((problem, classifier, measure), BASE))
    ]
    names = ["problem", "classifier", "repeat", "fold", "n_train", "n_test", "class", "measure", "value"]
    return pd.DataFrame(rows, columns=names)


def params(**changes: Any) -> dict[str, dict[str, Any]]:
    """The project's parameters, of a run on one's own data; ``changes`` replace sections."""
    read = read_params(ROOT / "params.yaml")
    read["source"]["kind"] = "table"
    return {"params.yaml": {**read, **changes}}


def results(
    name: str, values: dict[tuple[str, str, str], Any], problems: tuple[str, ...] = ("one",), **changes: Any
) -> RunResults:
    """A run; all runs have the same folds and particles."""
    md5 = {f"data/{kind}": "abc" for p in problems for kind in (f"folds/{p}.csv", f"particles/{p}.npz")}
    return RunResults(name, params(**changes), fold_table(values, problems), md5)


def write(folder: Path, run: RunResults) -> None:
    """Write the files that a comparison reads."""
    files.write_table(folder / "metrics/per_fold.csv", run.folds)
    outs = [{"path": path, "md5": md5} for path, md5 in run.md5.items()]
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": {"split": {"outs": outs}, "frozen": {}}}))
    for name, content in run.params.items():
        (folder / name).write_text(yaml.safe_dump(content))
