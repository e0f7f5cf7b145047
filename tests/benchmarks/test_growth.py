"""Commands and arithmetic of the growth benchmark."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.growth import _copy_network, _rows, stage_commands, write_params
from benchmarks.measure import Usage
from lipnet.core import files
from lipnet.core.settings import read_params


def test_commands_are_those_of_the_graph_with_every_placeholder_filled(tmp_path: Path) -> None:
    params = write_params(tmp_path, **{"source.folder": "elsewhere", "split.folds": 2})
    commands = stage_commands(params, "lamellarity")
    assert [command[0] for command in commands.values()] == [f"stages.{name}" for name in commands]
    assert commands["ingest"][:4] == ["stages.ingest", "lamellarity", "--folder", "elsewhere/lamellarity"]
    assert not any("$" in word for command in commands.values() for word in command)
    assert read_params(tmp_path / "params.yaml") == params
    assert params["split"]["folds"] == 2


def test_a_misspelt_change_of_a_section_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="splitt"):
        write_params(tmp_path, **{"splitt.folds": 2})


def test_a_further_particle_costs_the_difference_from_the_size_before() -> None:
    usages = {"crop": {1000: Usage(9.0, 4.0, 0.5), 3000: Usage(9.0, 5.0, 0.7)}}
    assert _rows(usages) == [
        ["crop", "1000", "9.0", "4.0", "4.00", "0.50", ""],
        ["crop", "3000", "9.0", "5.0", "1.67", "0.70", "0.50"],
    ]


def test_copies_of_the_network_stand_for_svms_that_are_not_trained(tmp_path: Path) -> None:
    predictions, priors = tmp_path / "predictions/p", tmp_path / "priors/p"
    files.write_text(predictions / "cnn/cnn.csv", "id\na\n")
    table = pd.DataFrame({"classifier": ["cnn", "cnn_views"], "fold": 0, "prior_A": [0.25, 0.75]})
    files.write_table(priors / "cnn.csv", table)
    _copy_network(tmp_path, "p", ["svm", "size_only"])
    assert (predictions / "svm/size_only.csv").read_text() == "id\na\n"
    expected = pd.DataFrame({"classifier": ["svm", "size_only"], "fold": 0, "prior_A": 0.25})
    pd.testing.assert_frame_equal(files.read_table(priors / "svm.csv"), expected)
