"""The table of experiments: model and recipe first, at most 160 characters, the parameters that vary at the end."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from lipnet.evaluation.score_tables import NETWORK

SCRIPT = Path(__file__).parents[1] / ".ci" / "experiments.py"


@pytest.fixture(scope="module")
def experiments() -> ModuleType:
    spec = importlib.util.spec_from_file_location("experiments", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown() -> pd.DataFrame:
    table = pd.DataFrame(
        {"Experiment": ["", "", "blue-owl"], "rev": ["workspace", "main", "1234567"], "typ": "baseline"}
    )
    for problem in ("lamellarity", "encapsulation"):
        for measure in ("macro_f1_up", "mcc_up", "log_loss_down", "rarest_recall_up"):
            table[f"{problem}.{NETWORK}.{measure}"] = ["0.9047", "0.9047", "0.8580"]
        table[f"{problem}.svm.macro_f1_up"] = "0.7528"
    table["model"], table["recipe"], table["seed"] = ["lipnet4", "lipnet4", "lipnet1"], "plain", "2017"
    table["decide.rules.cnn_half_shifted.shift"] = ["0.5", "0.5", "0.7"]
    table["recipes.best.decide.rules.mean_of_three.shift"] = ["1", "1", "2"]
    table["lipnet/core"] = ["a", "b", "c"]  # a dependency
    return table


def test_model_and_recipe_follow_the_name_and_every_line_fits(experiments: ModuleType) -> None:
    lines = experiments.table(shown()).splitlines()
    assert max(map(len, lines)) <= 160
    below = [line for line in lines[3:] if "=" in line.split()[0]]
    lines = [line for line in lines if line not in below]
    assert len(lines) == 3 + 3
    assert lines[2].split()[:4] == ["experiment", "model", "recipe", "macro_f1_up"]
    assert lines[5].split()[:4] == ["blue-owl", "lipnet1", "plain", "0.8580"]
    assert [line.split()[0] for line in lines[3:]] == ["workspace", "main", "blue-owl"]
    assert "svm" not in lines[1] and "mcc" not in lines[2]


def test_parameters_that_vary_follow_the_row_and_none_is_cut(experiments: ModuleType) -> None:
    line = " ".join(experiments.table(shown()).split("blue-owl")[1].split())
    assert line.endswith("recipes.best.decide.rules.mean_of_three.shift=2")
    assert " decide.rules.cnn_half_shifted.shift=0.7" in line
    assert "seed" not in line and "lipnet/core" not in line and "model=" not in line
