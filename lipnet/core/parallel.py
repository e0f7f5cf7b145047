"""One door to many processes: the folds of a stage run through it, on this machine or on a Dask cluster."""

import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from lipnet.core import lifeline
from lipnet.core.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")

WORKERS_VARIABLE = "LIPNET_WORKERS"
SCHEDULER_VARIABLE = "LIPNET_DASK"
CONNECT_S = 10  # to wait for a scheduler


def run_all(function: Callable[[Task], Result], tasks: Iterable[Task], threads_per_task: int = 1) -> list[Result]:
    """All results of ``stream``, in the order of the tasks.

    Raises:
        InputError: LIPNET_WORKERS is not a positive number.
    """
    return list(stream(function, tasks, threads_per_task))


def stream(function: Callable[[Task], Result], tasks: Iterable[Task], threads_per_task: int = 1) -> Iterator[Result]:
    """Run a pure function over tasks in parallel processes; yield results in the order of the tasks, as they are done.

    As many processes as the cores allow; the environment variable LIPNET_WORKERS sets another number. With LIPNET_DASK,
    the address of a Dask scheduler, the tasks go to the workers of that cluster instead. Where and beside how many
    others a task runs never changes its result; the number of threads can, so it is fixed here for every library. The
    processes of this machine end when this one does.

    Raises:
        InputError: LIPNET_WORKERS is not a positive number, the cluster of LIPNET_DASK cannot be used, or a process
            was killed.
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
    """As ``stream``, but each result comes as soon as it is there, with the number of its task: nothing waits."""
    todo = list(enumerate(tasks))
    work = partial(_numbered, function, threads_per_task)
    address = os.environ.get(SCHEDULER_VARIABLE)
    if address:
        yield from _on_cluster(address, work, todo)
        return
    _fix_threads(threads_per_task)
    workers = min(_workers(threads_per_task), max(len(todo), 1))
    tied = {"initializer": _tie_to_leader, "initargs": (os.getpid(),)}
    # Workers that grew are replaced, on purpose: TensorFlow keeps every step that it compiled.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", **tied)
    try:
        yield from parallel(joblib.delayed(work)(one) for one in todo)
    except TerminatedWorkerError:
        raise InputError(
            "a process that worked for this one was killed, most often because memory ran out; close other programs or "
            f"set {WORKERS_VARIABLE}=1, then run `dvc repro` again: it goes on where it stopped"
        ) from None


def _tie_to_leader(leader: int) -> None:
    """Run by a worker when it starts, whether or not a task is left for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the leader ends the others
    lifeline.end_with_parent(leader)


def _numbered(function: Callable[[Task], Result], threads: int, task: tuple[int, Task]) -> tuple[int, Result]:
    _fix_threads(threads)  # a worker of a cluster was started by others
    with threadpool_limits(threads):  # libraries that have started already, as in this process
        return task[0], function(task[1])


def _on_cluster(address: str, function: Callable[[Task], Result], tasks: list[Task]) -> Iterator[Result]:
    # Not through joblib's Dask backend, which waits for ever where a worker cannot import the function.
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
    # Tasks carry their images: what lies on a worker instead would be lost with that worker.
    with client, dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
        _check_workers(address, client.scheduler_info(n_workers=-1)["workers"].values())
        for future in as_completed(client.map(function, tasks, pure=False), loop=client.loop):
            yield future.result()
            future.release()


def _check_workers(address: str, workers: Iterable[Any]) -> None:
    threads = [worker["nthreads"] for worker in workers]
    if not threads:
        raise InputError(f"the Dask scheduler at {address} has no workers; start some with 'dask worker {address}'")
    if max(threads) > 1:  # Keras keeps one graph and one random state a process
        raise InputError(f"a Dask worker at {address} runs several tasks at once; start it with '--nthreads 1'")


def is_local() -> bool:
    """Whether tasks run on this machine, with its files."""
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
    # Read by libraries when they start, hence set before any worker does. TensorFlow ignores OMP_NUM_THREADS.
    # NPROC is read by XLA, hence by JAX.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC"):
        os.environ[name] = str(threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # several folds share one GPU
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
