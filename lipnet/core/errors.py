"""The error class for users: its messages name the file, the row and the cure."""

import errno
from typing import Final

CURES: Final = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "your share of the disk is full; make room",
    errno.EFBIG: "the file grows larger than the disk or `ulimit -f` allows",
    errno.EROFS: "the disk is read-only; mount it for writing, or work in another folder",
    errno.EACCES: "permission is missing; `ls -l` shows the owner",
    errno.EPERM: "permission is missing; `ls -l` shows the owner",
    errno.ENOTDIR: "a file is where a folder is needed; move it away",
    errno.EEXIST: "a file is where a folder is needed; move it away",
    errno.EISDIR: "a folder is where a file is needed; move it away",
    errno.ENAMETOOLONG: "the name is too long; work in a folder with a shorter path",
    errno.EIO: "the disk has a fault; read the log of the system",
    errno.EMFILE: "too many files are open; raise `ulimit -n`",
}


class InputError(ValueError):
    """An input of the user (file, table row, parameter) cannot be used; the message says what to change."""


def reason(error: OSError) -> str:
    """Explain an error of the operating system, and say what to do."""
    cure = CURES.get(error.errno or 0, error.strerror or str(error) or type(error).__name__)
    return f"{cure}; then run it again"
