"""End a process when the process that started it ends for any reason, so that no orphan processes remain."""

import os
import threading
import time

import psutil

LOOK_S = 0.2  # time between two checks of the other processes
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")
CALLED_BY_DVC = "DVC_STAGE"  # dvc sets it for every stage
DVC = ("dvc", "python")  # possible names of the process of dvc


def end_with_parent(parent: int) -> None:
    """End this process at once when its parent has ended; for workers, which need no cleanup.

    Args:
        parent: id of the process that started this one; it may have ended already.
    """
    if os.getppid() != parent:
        os._exit(1)
    _watch([])


def end_with_ancestors() -> None:
    """End this process at once when its parent or, if the parent is a shell, the caller of that shell has ended.

    For stages: a shell may outlive the `dvc` that called it. A sudden end is safe: stages write files atomically.
    """
    ancestors = []
    for ancestor in psutil.Process().parents():
        ancestors.append(ancestor)
        if ancestor.name() not in SHELLS:
            break
    called_by = ancestors[-1].name().lower() if ancestors else ""
    if CALLED_BY_DVC in os.environ and not called_by.startswith(DVC):
        os._exit(1)  # dvc was killed while this process started, and this process got another parent
    _watch(ancestors)


def _watch(others: list[psutil.Process]) -> None:
    parent = os.getppid()

    def watch() -> None:
        # If the parent ended before the first check, this process already has another parent.
        while os.getppid() == parent and all(map(_alive, others)):
            time.sleep(LOOK_S)
        os._exit(1)  # an exception would not do: the main thread may be in compiled code

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
