import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from lipnet.core.command import run
from lipnet.core.errors import InputError


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command line of a stage in a folder with a params.yaml; return the arguments of main."""
    (tmp_path / "params.yaml").write_text(
        "seed: 7\nrecipe: mine\nrecipes: {mine: {crop.mode: masked}}\ncrop: {mode: cropped}\n"
    )
    monkeypatch.chdir(tmp_path)

    def with_arguments(*words: str, main: Any = None) -> list[Any]:
        given: list[Any] = []
        monkeypatch.setattr(sys, "argv", ["stage", *words])
        run("A stage.", "problem", ["table"], main or (lambda *arguments: given.extend(arguments)))
        return given

    return with_arguments


def test_main_gets_the_params_with_their_recipe_and_the_paths(call: Any) -> None:
    params, arguments = call("lamellarity", "--table", "a folder/t.csv")
    assert (params["seed"], params["crop"]) == (7, {"mode": "masked"})
    assert (arguments.problem, arguments.table) == ("lamellarity", Path("a folder/t.csv"))


def test_an_input_error_becomes_one_message_that_names_stage_and_problem(call: Any) -> None:
    def refuse(_params: Any, _arguments: Namespace) -> None:
        raise InputError("row 3: the cure")

    with pytest.raises(SystemExit, match=r"^stage lamellarity: row 3: the cure$"):
        call("lamellarity", "--table", "t.csv", main=refuse)


def test_a_missing_path_is_refused(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        call("lamellarity")
    assert "--table" in capsys.readouterr().err
