"""Macro F1 of the network by strength of the shift, with test particles weighted to other class shares."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmarks.class_shares import of_run
from lipnet.core import files
from lipnet.core.settings import read_params
from tests.deployment.finished_run import ROOT


def test_test_particles_are_weighted_and_the_shift_uses_the_training_shares(tmp_path: Path) -> None:
    """Eight of ten particles are A. One B and one A are uncertain: the full shift calls both A, no shift both B."""
    params = read_params(ROOT / "params.yaml")
    params |= {"problems": ["x"], "classes": {"x": ["A", "B"]}}
    params["train_cnn"]["label_smoothing"] = 0.0
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    said = [0.99] * 7 + [0.4] + [0.01, 0.4]
    table = pd.DataFrame({"id": [f"{fold}{n}" for fold in (0, 1) for n in range(10)], "repeat": 0})
    table["fold"], table["label"] = np.repeat([0, 1], 10), (["A"] * 8 + ["B"] * 2) * 2
    table["p_A"] = said * 2
    table["p_B"] = 1 - table["p_A"]
    table["predicted"] = np.where(table["p_A"] > 0.5, "A", "B")
    files.write_table(tmp_path / "data/predictions/x/cnn.csv", table)
    (tmp_path / "data/decisions/x").mkdir(parents=True)
    priors = pd.DataFrame({"classifier": "cnn", "repeat": 0, "fold": [0, 1], "prior_A": 0.5, "prior_B": 0.5})
    files.write_table(tmp_path / "data/priors/x/cnn.csv", priors)
    rows = {row["shares"]: row for row in of_run(tmp_path)}
    # As in training. No shift: A 7 right, 1 missed; B 2 right, 1 false. Full shift: A 8 right, 1 false; B 1 of 2.
    assert rows["as in training"][0.0] == pytest.approx((14 / 15 + 4 / 5) / 2)
    assert rows["as in training"][1.0] == rows["as in training"][0.5] == pytest.approx((16 / 17 + 2 / 3) / 2)
    # Equal shares: an A counts 1 / 0.8, a B 1 / 0.2.
    a, b = 1.25, 5.0
    assert rows["equal"][0.0] == pytest.approx((14 * a / 15 / a + 4 * b / (4 * b + a)) / 2)
