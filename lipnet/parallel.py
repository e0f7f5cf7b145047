"""One door to many processes: the folds of a stage run through it, on this machine or wherever joblib is told to."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import joblib
from threadpoolctl import threadpool_limits

from lipnet.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")

WORKERS_VARIABLE = "LIPNET_WORKERS"


def run_all(function: Callable[[Task], Result], tasks: Iterable[Task], threads_per_task: int = 1) -> list[Result]:
    """All results of ``stream``, in the order of the tasks.

    Raises:
        InputError: LIPNET_WORKERS is not a positive number.
    """
    return list(stream(function, tasks, threads_per_task))


def stream(function: Callable[[Task], Result], tasks: Iterable[Task], threads_per_task: int = 1) -> Iterator[Result]:
    """Run a pure function over tasks in parallel processes; yield results in the order of the tasks, as they are done.

    As many processes as the cores allow; the environment variable LIPNET_WORKERS sets another number. The number of
    processes never changes a result; the number of threads can, so it is fixed here for every library at work.

    Raises:
        InputError: LIPNET_WORKERS is not a positive number.
    """
    todo = list(tasks)
    _fix_threads(threads_per_task)
    workers = min(_workers(threads_per_task), max(len(todo), 1))
    with threadpool_limits(threads_per_task):  # for a single worker, which is this process: its libraries have started
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator")
        yield from parallel(joblib.delayed(function)(task) for task in todo)


def _workers(threads_per_task: int) -> int:
    wanted = os.environ.get(WORKERS_VARIABLE)
    if wanted is None:
        return max(joblib.cpu_count() // threads_per_task, 1)
    if not wanted.isdecimal() or int(wanted) < 1:
        raise InputError(
            f"environment variable {WORKERS_VARIABLE} is '{wanted}'; set a whole number from 1, or unset it"
        )
    return int(wanted)


def _fix_threads(threads: int) -> None:
    # Read by libraries when they start, hence set before any worker does. TensorFlow ignores OMP_NUM_THREADS.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # several folds share one GPU
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
