"""Reading and writing of the file formats that stages exchange: CSV, JSON, packed arrays, raw bytes.

Every function writes to a temporary file in the same folder and then renames it, so a killed stage leaves no
half-written file. If the system refuses to write, as on a full disk, the function raises InputError and the old file
stays.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from itertools import groupby
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
import pandas as pd

from lipnet.core.errors import InputError, reason

LARGE = 2**31 - 2**16  # bytes; the entries of arrays of this size and larger get the headers of large files
UNFINISHED = ".part"  # suffix of files while they are written
TEXT_COLUMNS = (
    *("id", "first_id", "label", "group", "predicted", "problem", "classifier", "class", "measure", "actual"),
    *("study", "arm", "quantity", "source", "choice", "candidate", "before", "phase", "feature", "shares"),
)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno is None:  # raised by the code that makes the content, not by the system
            raise
        raise InputError(f"{path}: cannot be written: {reason(error)}") from None
    finally:
        with suppress(OSError):  # a file that could not be created cannot be deleted
            temporary.unlink()


def _sweep(path: Path) -> None:
    """Delete unfinished versions of a file that killed processes left."""
    for left in path.parent.glob(f"{escape(path.name)}.*{UNFINISHED}"):
        owner = left.name.split(".")[-2]
        if os.name == "posix" and owner.isdecimal() and _has_ended(int(owner)):
            left.unlink(missing_ok=True)


def _has_ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # the process exists and belongs to another user
        return False
    return False


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Check that nobody changes a file of the user while the body of the ``with`` statement reads it.

    Raises:
        InputError: size, modification time or inode of the file changed meanwhile.
        OSError: the file does not exist.
    """
    before = path.stat()
    yield
    after = path.stat()
    if any(getattr(before, name) != getattr(after, name) for name in ("st_mtime_ns", "st_size", "st_ino")):
        raise InputError(f"{path.name}: changed while it was read; wait until it is complete and run `dvc repro` again")


def write_bytes(path: Path, content: bytes) -> None:
    """Write raw bytes, atomically."""
    with _replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, with Unix line ends on every system."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON with an indent of two; NaN and infinity raise ValueError because JSON has neither."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """The text that ``write_json`` writes."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index; floats keep all digits."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV that a stage wrote; the columns in TEXT_COLUMNS stay text, even if a class is named NA or 1.

    Raises:
        InputError: the file is missing, empty, truncated or otherwise damaged.
    """
    try:
        header = pd.read_csv(path, nrows=0).columns
        text = [name for name in header if name in TEXT_COLUMNS]
        numbers = {name: ["", "NaN", "nan"] for name in header if name not in text}
        table = pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=numbers)
        damaged = "" if _last_byte(path) == b"\n" else "the last row is not complete"
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`") from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: empty file; delete it and run `dvc repro`") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
    bad = [name for name in numbers if table[name].dtype.kind not in "iufb"] if len(table) else []
    if not isinstance(table.index, pd.RangeIndex):
        damaged = "rows have more cells than the header"
    elif bad:
        damaged = damaged or f"column {bad[0]} holds values that are not numbers"
    if damaged:
        raise InputError(f"{path}: damaged ({damaged}); delete it and run `dvc repro`")
    return table


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read()


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write named arrays as one .npz file; its bytes depend only on the arrays."""
    with _replacing(path) as temporary, ZipFile(temporary, "w") as archive:
        _add(archive, arrays)


def read_arrays(path: Path) -> dict[str, Any]:
    """Read all arrays of an .npz file; files with pickled objects raise InputError.

    Raises:
        InputError: the file is missing, truncated or not an .npz file of plain arrays.
    """
    with _open_arrays(path) as archive:
        return {name: archive[name] for name in archive.files}


def write_blocks(path: Path, blocks: Iterable[dict[str, Any]]) -> None:
    """Write a series of blocks of named arrays as one .npz file: 00000_pixels, 00000_masks ...

    Only one block is in memory at a time.
    """
    with _replacing(path) as temporary, ZipFile(temporary, "w") as archive:
        for number, block in enumerate(blocks):
            _add(archive, block, f"{number:05d}_")


def _add(archive: ZipFile, arrays: dict[str, Any], prefix: str = "") -> None:
    # numpy.savez asks for large-file headers, and different releases of Python write them in different bytes.
    for name, array in arrays.items():
        values = np.asanyarray(array)
        # A ZipInfo made here has a fixed date.
        entry = ZipInfo(f"{prefix}{name}.npy")
        with archive.open(entry, "w", force_zip64=values.nbytes >= LARGE) as member:
            np.lib.format.write_array(member, values, allow_pickle=False)


def read_blocks(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the blocks that ``write_blocks`` wrote, one in memory at a time.

    Raises:
        InputError: as for ``read_arrays``.
    """
    with _open_arrays(path) as archive:
        for _, names in groupby(archive.files, key=lambda name: name.split("_")[0]):
            yield {name.partition("_")[2]: archive[name] for name in names}


@contextmanager
def _open_arrays(path: Path) -> Iterator[Any]:
    try:
        # The file is opened here because NumPy does not close the file of a truncated archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            yield archive
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`") from None
    except (BadZipFile, ValueError, TypeError, OSError, EOFError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
