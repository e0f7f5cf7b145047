"""Parallel processes for tasks such as the folds of a stage, on this machine or on a Dask cluster."""

import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from lipnet.core import lifeline, portable
from lipnet.core.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")

WORKERS_VARIABLE = "LIPNET_WORKERS"
SCHEDULER_VARIABLE = "LIPNET_DASK"
CONNECT_S = 10  # timeout of the connection to a scheduler


def run_all(function: Callable[[Task], Result], tasks: Iterable[Task], threads_per_task: int = 1) -> list[Result]:
    """All results of ``stream``, in the order of the tasks.

    Raises:
        InputError: as for ``stream``.
    """
    return list(stream(function, tasks, threads_per_task))


def stream(function: Callable[[Task], Result], tasks: Iterable[Task], threads_per_task: int = 1) -> Iterator[Result]:
    """Run a pure function over tasks in parallel processes; yield each result, in the order of the tasks, when ready.

    The number of processes follows from the number of cores; the environment variable LIPNET_WORKERS overrides it. If
    LIPNET_DASK holds the address of a Dask scheduler, the workers of that cluster run the tasks. The result of a task
    does not depend on the machine or on the number of processes. It can depend on the number of threads, so that number
    is fixed here for every library. Worker processes on this machine end when this process ends.

    Raises:
        InputError: LIPNET_WORKERS is not a positive number, the cluster of LIPNET_DASK cannot be used, or a worker
            process was killed.
    """
    waiting: dict[int, Result] = {}
    following = 0
    for number, result in stream_as_done(function, tasks, threads_per_task):
        waiting[number] = result
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def stream_as_done(
    function: Callable[[Task], Result], tasks: Iterable[Task], threads_per_task: int = 1
) -> Iterator[tuple[int, Result]]:
    """As ``stream``, but yield the number of a task and its result as soon as the task is done, in any order."""
    todo = list(enumerate(tasks))
    work = partial(_numbered, function, threads_per_task)
    address = os.environ.get(SCHEDULER_VARIABLE)
    if address:
        yield from _on_cluster(address, work, todo)
        return
    _fix_threads(threads_per_task)
    workers = min(_workers(threads_per_task), max(len(todo), 1))
    tied = {"initializer": _tie_to_leader, "initargs": (os.getpid(),)}
    # joblib replaces workers that use too much memory. This is intended: TensorFlow keeps every compiled step. The
    # filter holds for the rest of this process.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", **tied)
    try:
        yield from parallel(joblib.delayed(work)(one) for one in todo)
    except TerminatedWorkerError:
        raise InputError(
            "a worker process was killed, most often because memory ran out; close other programs or "
            f"set {WORKERS_VARIABLE}=1, then run `dvc repro` again: it continues where it stopped"
        ) from None


def _tie_to_leader(leader: int) -> None:
    """Initialise a worker; it runs even if no task is left for the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the leader ends the others
    lifeline.end_with_parent(leader)


def _numbered(function: Callable[[Task], Result], threads: int, task: tuple[int, Task]) -> tuple[int, Result]:
    _fix_threads(threads)  # workers of a cluster are not started by this module
    with threadpool_limits(threads):  # for libraries that are already loaded, as in this process
        return task[0], function(task[1])


def _on_cluster(address: str, function: Callable[[Task], Result], tasks: list[Task]) -> Iterator[Result]:
    # joblib's Dask backend is not used, because it hangs if a worker cannot import the function.
    try:
        import dask
        from distributed import Client, as_completed
    except ImportError:
        raise InputError(f"{SCHEDULER_VARIABLE} is set, and Dask is not installed; pip install distributed") from None
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{SCHEDULER_VARIABLE} is '{address}', where no Dask scheduler answers ({error}); start one with "
            "'dask scheduler', or unset the variable"
        ) from None
    # Tasks carry their images, hence the threshold. Data stored on a worker would be lost if the worker ended.
    with client, dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
        _check_workers(address, client)
        for future in as_completed(client.map(function, tasks, pure=False), loop=client.loop):
            yield future.result()
            future.release()


def _check_workers(address: str, client: Any) -> None:
    threads = [worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
    if not threads:
        raise InputError(f"the Dask scheduler at {address} has no workers; start some with 'dask worker {address}'")
    if portable.is_held() and not all(client.run(portable.is_held).values()):
        raise InputError(
            f"portable: true, but a Dask worker at {address} was started without `{portable.as_text()}`; start all "
            "workers with these variables, or set portable: false"
        )
    if max(threads) > 1:  # Keras has one graph and one random state per process
        raise InputError(f"a Dask worker at {address} runs several tasks at once; start it with '--nthreads 1'")


def is_local() -> bool:
    """Whether tasks run on this machine and can read its files."""
    return not os.environ.get(SCHEDULER_VARIABLE)


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
    # Libraries read these variables when they are loaded, so they are set before any worker starts. TensorFlow ignores
    # OMP_NUM_THREADS. XLA, and with it JAX, reads NPROC.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC"):
        os.environ[name] = str(threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # several folds share one GPU
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
