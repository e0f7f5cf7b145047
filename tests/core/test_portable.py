"""With `portable: true`, every process of the pipeline holds the numerical libraries before it loads one of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lipnet.core import portable
from lipnet.core.errors import InputError
from lipnet.core.portable import EXCLUDED, VARIABLES
from lipnet.core.settings import portable_of

ROOT = Path(__file__).parents[2]
GRAPH = {
    name: stage
    for path in ("dvc.yaml", "studies/dvc.yaml")
    for name, stage in yaml.safe_load((ROOT / path).read_text())["stages"].items()
}
# Starts each stage in a process of its own, and stops it at its first import of a numerical library.
WATCH = """
import json, os, runpy, sys
NUMERICAL = {"numpy", "scipy", "pandas", "sklearn", "skimage", "libsvm", "keras", "tensorflow", "jax", "torch"}
class Watch:
    def find_spec(name, path=None, target=None):
        if name in NUMERICAL:
            print(json.dumps([stage, name, dict(os.environ)]), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch)
for stage in json.loads(sys.argv[1]):
    if os.fork() == 0:
        sys.argv = [stage, "--help"]
        runpy.run_module(f"stages.{stage}", run_name="__main__")
        os._exit(0)
    os.wait()
"""
WORKERS = """
import stages
from lipnet.core.parallel import run_all
def state(_):
    from numpy._core._multiarray_umath import __cpu_features__
    from threadpoolctl import threadpool_info
    import os, scipy.linalg
    kernels = [one["architecture"] for one in threadpool_info() if "architecture" in one]
    return os.getpid(), __cpu_features__["X86_V4"], kernels
print(json.dumps([os.getpid(), run_all(state, range(4))]))
"""


def _python(folder: Path, code: str, *words: str, setting: Any = True, **variables: str) -> list[Any]:
    """What code prints, line by line, in a folder whose params.yaml has this setting."""
    (folder / "params.yaml").write_text(yaml.safe_dump({"portable": setting}))
    bare = {name: value for name, value in os.environ.items() if name not in {*VARIABLES, EXCLUDED}}
    command = [sys.executable, "-c", "import json, os\n" + code, *words]
    environment = {**bare, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_stage_sets_the_variables_before_it_loads_a_numerical_library(tmp_path: Path) -> None:
    found = {stage: given for stage, _, given in _python(tmp_path, WATCH, json.dumps(list(GRAPH)))}
    assert set(found) == set(GRAPH)
    for stage, given in found.items():
        assert {name: given.get(name) for name in VARIABLES} == VARIABLES, stage


@pytest.mark.parametrize("setting", [False, "yes"])
def test_without_the_setting_the_variables_of_the_user_stay(setting: Any, tmp_path: Path) -> None:
    own = {"OPENBLAS_CORETYPE": "Zen", EXCLUDED: "X86_V4"}
    [(_, _, given)] = _python(tmp_path, WATCH, '["split"]', setting=setting, **own)
    assert {name: given.get(name) for name in (*VARIABLES, EXCLUDED)} == {**dict.fromkeys(VARIABLES), **own}


def test_variables_of_the_user_do_not_weaken_the_setting(tmp_path: Path) -> None:
    [(_, _, given)] = _python(tmp_path, WATCH, '["split"]', OPENBLAS_CORETYPE="Zen", NPY_DISABLE_CPU_FEATURES="X86_V4")
    assert given["OPENBLAS_CORETYPE"] == "Haswell" and EXCLUDED not in given


def test_every_command_of_the_graph_starts_a_module_of_the_package_that_sets_them() -> None:
    for name, stage in GRAPH.items():
        assert stage["cmd"].startswith(f"python -m stages.{name} "), name


def test_worker_processes_use_the_kernels_that_the_variables_name(tmp_path: Path) -> None:
    [(leader, states)] = _python(tmp_path, WORKERS, LIPNET_WORKERS="2")
    assert all(process != leader for process, _, _ in states)
    for _, newer, kernels in states:
        assert not newer and kernels and set(kernels) == {"Haswell"}


def test_a_stage_that_is_not_held_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "numpy", sys)
    portable.hold()  # too late
    assert not portable.is_held()
    with pytest.raises(InputError, match="start the stage with `python -m stages"):
        portable.check({"portable": True})
    portable.check({"portable": False})
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    portable.check({"portable": True})


@pytest.mark.parametrize("wrong", ["yes", 1, None])
def test_the_setting_is_true_or_false(wrong: Any) -> None:
    assert portable_of({"portable": True}) is True
    with pytest.raises(InputError, match=r"portable = .*it must be true or false"):
        portable_of({"portable": wrong})
