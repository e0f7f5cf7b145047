"""Processes: results come in the order of the tasks and do not depend on the number of processes."""

import inspect
import os
import time
import warnings
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest
from joblib.externals.loky import process_executor

from lipnet.core.errors import InputError
from lipnet.core.parallel import WORKERS_VARIABLE, run_all, stream


def _late_square(number: int) -> int:
    time.sleep(0.05 if number == 0 else 0.0)
    return number * number


def _draw(seed: int) -> list[float]:
    return np.random.default_rng(seed).normal(size=3).tolist()


def _process(number: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def _threads(_: int) -> list[str | None]:
    return [os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")]


def _fail(number: int) -> int:
    raise ValueError(f"task {number} failed")


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    with mock.patch.dict(os.environ):  # run_all sets environment variables that later tests must not see
        yield


@pytest.mark.parametrize("workers", ["1", "2"])
def test_results_come_in_the_order_of_the_tasks(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, workers)
    assert run_all(_late_square, range(8)) == [0, 1, 4, 9, 16, 25, 36, 49]


def test_the_number_of_processes_changes_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for workers in ("1", "2"):
        monkeypatch.setenv(WORKERS_VARIABLE, workers)
        results.append(run_all(_draw, iter([3, 1, 2])))
    assert results[0] == results[1] == [_draw(3), _draw(1), _draw(2)]


def test_one_worker_stays_in_this_process_and_two_leave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, "1")
    assert set(run_all(_process, range(2))) == {os.getpid()}
    monkeypatch.setenv(WORKERS_VARIABLE, "2")
    assert os.getpid() not in run_all(_process, range(2))


@pytest.mark.parametrize("threads", [1, 2])
def test_every_worker_gets_the_number_of_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert run_all(_threads, [0], threads_per_task=threads) == [[str(threads)] * 3]


def test_what_joblib_says_of_workers_that_it_replaces_is_silenced() -> None:
    run_all(_late_square, range(2))
    said = "A worker stopped while some jobs were given to the "
    assert said in inspect.getsource(process_executor)
    warnings.warn(f"{said}executor.", stacklevel=1)  # a warning that is not silenced is an error here


def test_no_tasks_give_no_results() -> None:
    assert run_all(_late_square, []) == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_failing_task_fails_the_run(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, workers)
    with pytest.raises(ValueError, match=r"task [45] failed"):
        run_all(_fail, [4, 5])


@pytest.mark.parametrize("wrong", ["abc", "0", "-1", "1.5", ""])
def test_a_wrong_number_of_workers_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("LIPNET_WORKERS", wrong)
    with pytest.raises(InputError, match=f"LIPNET_WORKERS is '{wrong}'"):
        run_all(abs, [1])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stream_yields_in_the_order_of_the_tasks(workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, workers)
    assert list(stream(_late_square, range(5))) == [0, 1, 4, 9, 16]
    assert list(stream(_late_square, [])) == []


def test_a_stream_hands_out_results_before_all_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, "1")
    done: list[int] = []
    results = stream(done.append, [1, 2, 3])
    next(results)
    assert done == [1]
    results.close()  # type: ignore[attr-defined]
