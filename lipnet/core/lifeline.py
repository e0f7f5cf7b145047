"""A process that works for another one ends when that one does, however it died; nobody is left to burn the cores."""

import os
import threading
import time

import psutil

LOOK_S = 0.2  # between two looks at the others
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")
CALLED_BY_DVC = "DVC_STAGE"  # dvc sets it for every stage
DVC = ("dvc", "python")  # what its process is called


def end_with_parent(parent: int) -> None:
    """End this process at once when its parent has ended: for workers, which have nothing to put in order.

    Args:
        parent: the process that started this one; it may have ended already.
    """
    if os.getppid() != parent:
        os._exit(1)
    _watch([])


def end_with_ancestors() -> None:
    """End this process at once when what started it has ended: its parent and, where that is a shell, who called it.

    For stages: a shell may outlive the `dvc` that called it. What a stage writes is there whole or not at all.
    """
    ancestors = []
    for ancestor in psutil.Process().parents():
        ancestors.append(ancestor)
        if ancestor.name() not in SHELLS:
            break
    called_by = ancestors[-1].name().lower() if ancestors else ""
    if CALLED_BY_DVC in os.environ and not called_by.startswith(DVC):
        os._exit(1)  # it was killed while this process started, and left it to the system
    _watch(ancestors)


def _watch(others: list[psutil.Process]) -> None:
    parent = os.getppid()

    def watch() -> None:
        # A parent that died before the first look has handed this process on already.
        while os.getppid() == parent and all(map(_alive, others)):
            time.sleep(LOOK_S)
        os._exit(1)  # not through exceptions: the main thread may be deep in compiled code

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
