import importlib
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from lipnet.core import command
from lipnet.core.command import check_code, code_versions, run
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


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the project with two modules, of which one is loaded."""
    folder = tmp_path / f"code_of_{tmp_path.name}"  # modules stay loaded, so each test has its own
    folder.mkdir()
    for name in ("__init__", "loaded", "other"):
        (folder / f"{name}.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(command, "PACKAGES", (folder.name, "not_loaded"))
    importlib.invalidate_caches()
    importlib.import_module(f"{folder.name}.loaded")
    return folder / "loaded.py"


def test_code_that_was_edited_while_a_stage_ran_is_refused(module: Path) -> None:
    before = code_versions()
    module.write_text("A = 2\n")
    os.utime(module, ns=(before[module].time_ns + 10**9, before[module].time_ns + 10**9))
    with pytest.raises(InputError, match=r"^loaded\.py: edited while the stage ran; run `dvc repro` again$"):
        check_code(before)
    module.unlink()
    with pytest.raises(InputError, match="edited while"):
        check_code(before)


def test_code_that_was_saved_unchanged_or_is_not_loaded_is_no_fault(module: Path) -> None:
    before = code_versions()
    os.utime(module, ns=(before[module].time_ns + 10**9, before[module].time_ns + 10**9))
    (module.parent / "other.py").write_text("A = 3\n")
    check_code(before)
    assert set(before) == {module.parent / f"{name}.py" for name in ("__init__", "loaded", "other")}


def test_a_stage_fails_if_its_code_changes(call: Any, module: Path) -> None:
    def edit(_params: Any, _arguments: Namespace) -> None:
        module.write_text("A = 20\n")

    with pytest.raises(SystemExit, match=r"^stage lamellarity: loaded\.py: edited while the stage ran"):
        call("lamellarity", "--table", "t.csv", main=edit)
