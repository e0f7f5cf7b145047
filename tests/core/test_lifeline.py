"""Processes: no worker outlives its stage, no stage its `dvc`; a stopped stage says how to continue."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lipnet.core import lifeline

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30
# A stage with one long task for each of two workers, which write their process ids.
STAGE = """
import os, sys, time
from pathlib import Path
from lipnet.core.parallel import run_all
from lipnet.core.command import run

def work(number):
    Path(f"{os.getpid()}.worker").touch()
    time.sleep(120)

def main(params, arguments):
    Path(f"{os.getpid()}.stage").touch()
    run_all(work, range(2))

if __name__ == "__main__":
    run("A stage.", None, [], main)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text("seed: 1\nrecipe: plain\nrecipes: {plain: {}}\n")
    (tmp_path / "long_stage.py").write_text(STAGE)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("LIPNET_WORKERS", "2")
    return tmp_path


@pytest.fixture(autouse=True)
def terminal() -> Iterator[None]:
    """Restore the handling of Ctrl-C in a terminal: background jobs of a script, and their children, ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def started(folder: Path) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], dict[str, list[psutil.Process]]]]]:
    """Run a shell command in the folder, and wait until the stage and both workers are running."""
    running: list[subprocess.Popen[str]] = []
    found: dict[str, list[psutil.Process]] = {}

    def start(command: str) -> tuple[subprocess.Popen[str], dict[str, list[psutil.Process]]]:
        running.append(subprocess.Popen(["bash", "-c", command], cwd=folder, stderr=subprocess.PIPE, text=True))
        _wait(lambda: len(list(folder.glob("*.worker"))) == 2)
        for kind in ("stage", "worker"):
            found[kind] = [psutil.Process(int(path.stem)) for path in folder.glob(f"*.{kind}")]
        return running[0], found

    yield start
    for process in [*running, *(one for some in found.values() for one in some)]:
        if psutil.pid_exists(process.pid):
            process.kill()
    for process in running:
        process.communicate()


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def _gone(processes: list[psutil.Process]) -> bool:
    return not any(map(lifeline._alive, processes))


def test_workers_end_with_a_killed_stage(started) -> None:
    outer, found = started(f"exec {sys.executable} long_stage.py")
    assert not _gone(found["worker"])
    outer.kill()
    _wait(lambda: _gone(found["worker"]))


def test_a_worker_that_starts_after_the_end_of_its_stage_ends_without_work(folder: Path) -> None:
    code = "from lipnet.core.lifeline import end_with_parent; end_with_parent(1); print('at work')"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("after", ["", "; echo done"], ids=["shell that becomes the stage", "shell that stays"])
def test_a_stage_ends_with_the_program_that_called_it(started, folder: Path, after: str) -> None:
    (folder / "caller.py").write_text(
        f"import subprocess\nsubprocess.run(['bash', '-c', '{sys.executable} long_stage.py{after}'])\n"
    )
    outer, found = started(f"exec {sys.executable} caller.py")
    assert not _gone(found["stage"])
    outer.kill()
    _wait(lambda: _gone([*found["stage"], *found["worker"]]))


def test_a_stage_whose_dvc_was_killed_before_it_could_look_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "long_stage")
    # setsid --fork gives the stage another parent, as the death of dvc does.
    stage = f"echo $$ > pid; exec {sys.executable} long_stage.py"
    subprocess.run(["setsid", "--fork", "bash", "-c", stage], cwd=folder, check=True)
    _wait(lambda: (folder / "pid").is_file() and (folder / "pid").read_text() != "")
    _wait(lambda: not psutil.pid_exists(int((folder / "pid").read_text())) or bool(list(folder.glob("*.stage"))))
    assert not list(folder.glob("*.stage"))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stage_that_is_told_to_stop_ends_with_one_message_and_its_workers(started, sent: signal.Signals) -> None:
    outer, found = started(f"exec {sys.executable} long_stage.py")
    for process in [*(found["worker"] if sent == signal.SIGINT else []), outer]:  # Ctrl-C reaches all processes
        os.kill(process.pid, sent)
    _, said = outer.communicate(timeout=DEADLINE_S)
    assert outer.returncode == 130
    assert said == "long_stage.py: stopped; `dvc repro` continues from there\n"
    _wait(lambda: _gone(found["worker"]))


def test_a_killed_worker_ends_the_stage_with_the_likely_cause_and_the_cure(started) -> None:
    outer, found = started(f"exec {sys.executable} long_stage.py")
    found["worker"][0].kill()
    _, said = outer.communicate(timeout=DEADLINE_S)
    assert outer.returncode == 1
    assert "memory ran out" in said
    assert "set LIPNET_WORKERS=1, then run `dvc repro` again" in said
    assert "Traceback" not in said
    _wait(lambda: _gone(found["worker"]))
