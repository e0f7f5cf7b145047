"""Tasks on a Dask cluster: a real scheduler and two worker processes on this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from lipnet.core.errors import InputError
from lipnet.core.parallel import SCHEDULER_VARIABLE, run_all, stream
from lipnet.core.portable import VARIABLES

distributed = pytest.importorskip("distributed")

ROOT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(*command: str) -> subprocess.Popen[bytes]:
    # Workers import the functions of this file, too.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _worker(address: str, folder: Path, threads: int = 1) -> subprocess.Popen[bytes]:
    options = ["--nthreads", str(threads), "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
    return _start("dask_worker", address, *options)


def _wait_for(address: str, n_workers: int) -> None:
    with distributed.Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(n_workers, timeout=60)


@pytest.fixture
def scheduler() -> Iterator[str]:
    port = _free_port()
    process = _start("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show")
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def workers(scheduler: str, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    started = [_worker(scheduler, tmp_path) for _ in range(2)]
    try:
        _wait_for(scheduler, 2)
        with mock.patch.dict(os.environ, {SCHEDULER_VARIABLE: scheduler}):
            yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def _draw(seed: int) -> tuple[int, list[float]]:
    time.sleep(0.3)
    return os.getpid(), np.random.default_rng(seed).normal(size=3).tolist()


def _draw_and_tell(task: tuple[int, str]) -> list[float]:
    seed, folder = task
    (Path(folder) / f"{os.getpid()}.{seed}").touch()
    return _draw(seed)[1]


def _threads(_: int) -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def test_tasks_run_on_the_workers_of_the_cluster_in_order(workers: list[subprocess.Popen[bytes]]) -> None:
    results = run_all(_draw, range(6))
    assert {process for process, _ in results} == {worker.pid for worker in workers}
    assert [values for _, values in results] == [_draw(seed)[1] for seed in range(6)]
    assert run_all(_threads, [0], threads_per_task=3) == ["3"]


def test_a_worker_killed_in_mid_task_is_survived_with_the_same_results(
    workers: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    results = stream(_draw_and_tell, [(seed, str(marks)) for seed in range(8)])
    first = next(results)
    busy = workers[0].pid
    while not list(marks.glob(f"{busy}.*")):
        time.sleep(0.01)
    started = len(list(marks.glob(f"{busy}.*")))
    while (
        len(list(marks.glob(f"{busy}.*"))) == started
    ):  # wait for the start of the next task, so that the worker dies during it
        time.sleep(0.01)
    os.kill(busy, signal.SIGKILL)
    assert [first, *results] == [_draw(seed)[1] for seed in range(8)]
    seeds = [mark.name.partition(".")[2] for mark in marks.iterdir()]
    assert len(seeds) > len(set(seeds))  # at least one task was started twice


def test_a_worker_with_several_threads_is_refused(scheduler: str, tmp_path: Path) -> None:
    worker = _worker(scheduler, tmp_path, threads=2)
    try:
        _wait_for(scheduler, 1)
        with (
            mock.patch.dict(os.environ, {SCHEDULER_VARIABLE: scheduler}),
            pytest.raises(InputError, match=r"several tasks at once; start it with '--nthreads 1'"),
        ):
            run_all(_draw, [1])
    finally:
        worker.kill()
        worker.wait()


def test_a_portable_run_needs_workers_that_were_started_with_its_variables(scheduler: str, tmp_path: Path) -> None:
    with mock.patch.dict(os.environ, {**VARIABLES, SCHEDULER_VARIABLE: scheduler}):
        started = [_worker(scheduler, tmp_path)]
        _wait_for(scheduler, 1)
        assert len(run_all(_draw, [1])) == 1
    try:
        started.append(_worker(scheduler, tmp_path))
        _wait_for(scheduler, 2)
        with (
            mock.patch.dict(os.environ, {**VARIABLES, SCHEDULER_VARIABLE: scheduler}),
            pytest.raises(InputError, match=r"was started without `TF_ENABLE_ONEDNN_OPTS=1 ONEDNN_MAX_CPU_ISA=AVX2 "),
        ):
            run_all(_draw, [1])
    finally:
        for worker in started:
            worker.kill()
            worker.wait()


def test_a_cluster_without_workers_is_refused(scheduler: str) -> None:
    with (
        mock.patch.dict(os.environ, {SCHEDULER_VARIABLE: scheduler}),
        pytest.raises(InputError, match=r"has no workers; start some with 'dask worker tcp://127"),
    ):
        run_all(_draw, [1])


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
def test_an_address_without_a_scheduler_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipnet.core.parallel.CONNECT_S", 0.5)
    with (
        mock.patch.dict(os.environ, {SCHEDULER_VARIABLE: address}),
        pytest.raises(InputError, match=r"LIPNET_DASK is '.*', where no Dask scheduler answers"),
    ):
        run_all(_draw, [1])
