"""Whole stages, from nothing to trained networks, where there is no network, no home folder and no GPU driver."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.stages.test_stages import make_params

ROOT = Path(__file__).parents[2]
OWN = {"picture", "counts"}  # written by several stages
STAGES = {
    "ingest": ["folder", "store", "table", "rejected", "duplicates", "counts", "pictures"],
    "crop": ["store", "table", "crops", "picture"],
    "split": ["table", "folds", "counts"],
    "balance": ["table", "crops", "folds", "training_sets", "picture"],
    "train_cnn": [
        *("table", "crops", "folds", "training_sets", "scratch", "models", "predictions", "history", "picture"),
    ],
}
# No Python code can open a connection or ask for an address unnoticed.
GUARD = """
import runpy, sys
def watch(event, given):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        print("NETWORK", event, given, file=sys.stderr, flush=True)
        raise OSError("no network")
sys.addaudithook(watch)
"""
CALL = "sys.argv = {argv!r}; runpy.run_module({module!r}, run_name='__main__')\n"
PROGRESS = re.compile(r"lamellarity lipnet4  fold ./2 ")


def _code(out: Path) -> str:
    calls = []
    for stage, names in STAGES.items():
        paths = [
            word for name in names for word in (f"--{name}", str(out / stage / name if name in OWN else out / name))
        ]
        calls.append(CALL.format(argv=[stage, "lamellarity", *paths], module=f"stages.{stage}"))
    return GUARD + "".join(calls)


def _run(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a network of its own, which leads nowhere, where the system lets us make one; see also GUARD."""
    alone = ["unshare", "--net"]
    try:
        alone = alone if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0 else []
    except FileNotFoundError:
        alone = []
    # Nothing of ours but the path of the code: neither MPLCONFIGDIR, nor KERAS_HOME, nor TF_CPP_MIN_LOG_LEVEL.
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LIPNET_WORKERS": "1", **environment}
    command = [*alone, sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, check=False)


def test_stages_work_quietly_without_a_network_a_home_or_a_gpu(tmp_path: Path) -> None:
    folder = tmp_path / "Größe in µm"
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(make_params(), allow_unicode=True), encoding="utf-8")
    done = _run(folder, _code(Path("out")), HOME="/proc/nonexistent", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if not PROGRESS.match(line)]
    # Matplotlib says that it keeps its cache elsewhere, and how to choose the place; nothing else says anything.
    assert [line for line in said if "matplotlib" not in line] == []
    assert any("MPLCONFIGDIR" in line for line in said)
    assert len(list((folder / "out/models").glob("*.weights.h5"))) == 2
    assert (folder / "out/predictions/cnn.csv").exists()


def test_the_guard_notices() -> None:
    code = GUARD + "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = _run(ROOT, code, HOME="/proc/nonexistent")
    assert done.returncode == 1 and "NETWORK socket.getaddrinfo" in done.stderr
