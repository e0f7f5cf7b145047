"""Whole stages, up to trained networks, without a network connection, a home folder and a GPU driver."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.stages.test_stages import make_params

ROOT = Path(__file__).parents[2]
OWN = {"picture", "counts"}  # several stages have an output with this name
STAGES = {
    "ingest": ["folder", "shared", "store", "table", "rejected", "duplicates", "counts", "pictures"],
    "crop": ["store", "table", "crops", "picture"],
    "split": ["table", "folds", "counts"],
    "balance": ["table", "crops", "folds", "training_sets", "picture"],
    "train_cnn": [
        *("table", "crops", "folds", "training_sets", "scratch", "models", "predictions", "priors", "history"),
    ],
}
# Reports every attempt of Python code to open a connection or to look up an address.
GUARD = """
import runpy, sys
def watch(event, given):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        print("NETWORK", event, given, file=sys.stderr, flush=True)
        raise OSError("no network")
sys.addaudithook(watch)
"""
CALL = "sys.argv = {argv!r}; runpy.run_module({module!r}, run_name='__main__')\n"
# Lines of epochs, and bars of tqdm, which appear on a machine that is busy with other tests.
PROGRESS = re.compile(r"lamellarity lipnet4  fold ./2 |\S.*: +\d+%\|")


def _code(out: Path) -> str:
    calls = []
    for stage, names in STAGES.items():
        paths = [
            word for name in names for word in (f"--{name}", str(out / stage / name if name in OWN else out / name))
        ]
        calls.append(CALL.format(argv=[stage, "lamellarity", *paths], module=f"stages.{stage}"))
    return GUARD + "".join(calls)


def _run(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a network namespace without connections if the system permits one; see also GUARD."""
    alone = ["unshare", "--net"]
    try:
        alone = alone if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0 else []
    except FileNotFoundError:
        alone = []
    # A minimal environment, without MPLCONFIGDIR, KERAS_HOME and TF_CPP_MIN_LOG_LEVEL.
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LIPNET_WORKERS": "1", **environment}
    command = [*alone, sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, check=False)


def test_stages_run_without_messages_without_network_home_and_gpu(tmp_path: Path) -> None:
    folder = tmp_path / "Größe in µm"
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(make_params(), allow_unicode=True), encoding="utf-8")
    done = _run(folder, _code(Path("out")), HOME="/proc/nonexistent", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    messages = [line for line in done.stderr.splitlines() if line and not PROGRESS.match(line)]
    # The only message is that of Matplotlib on the place of its cache.
    assert [line for line in messages if "matplotlib" not in line] == []
    assert any("MPLCONFIGDIR" in line for line in messages)
    assert len(list((folder / "out/models").glob("*.weights.h5"))) == 2
    assert (folder / "out/predictions/cnn.csv").exists()


def test_the_guard_reports_a_connection() -> None:
    code = GUARD + "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = _run(ROOT, code, HOME="/proc/nonexistent")
    assert done.returncode == 1 and "NETWORK socket.getaddrinfo" in done.stderr
