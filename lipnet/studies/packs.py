"""Packs: trials in one zip file, so that another machine need not train them again.

Members are KEY.npz, the files of ``trials``. Beside a pack is its SHA-256, in a file that ``sha256sum --check`` reads.
Nothing in a pack is trusted: members are read into memory and never extracted; their names, sizes and checksums are
checked, and they hold plain arrays only.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import pandas as pd

from lipnet.core import files
from lipnet.core.errors import InputError

KEY = re.compile(r"[0-9a-f]{32}")  # of cache_keys.cache_key
NAME = re.compile(rf"({KEY.pattern})\.npz")
LARGEST = 2**24  # bytes of a trial; one of 100,000 particles in two folds and four classes has an eighteenth of that
STEP = 4096  # compressed bytes to read at once; zipfile decompresses all of them, however large the result is
METHOD = ZIP_DEFLATED  # LZMA is a sixth smaller, but some builds of Python lack it
CURE = (
    "restore the pack and its .sha256 from where you got them (`git checkout`); or delete both: `make studies` then "
    "trains what is not in data/trials, and `make pack-trials` writes them. If `make pack-trials` was "
    "interrupted, write the digest again: `cd studies && sha256sum trials.zip > trials.sha256`"
)
FAULTS = (
    *(ValueError, TypeError, EOFError, OSError, RuntimeError, MemoryError, OverflowError),
    *(BadZipFile, zlib.error, struct.error, TokenError),
)


def digest_path(pack: Path) -> Path:
    """The file with the digest of a pack."""
    return pack.with_suffix(".sha256")


def write(pack: Path, trials: Mapping[str, bytes]) -> None:
    """Write a pack and its digest; their bytes depend only on the trials, and on the release of zlib.

    Args:
        pack: the file to write; an existing one is replaced.
        trials: key -> content of its .npz file.

    Raises:
        InputError: a trial is one that ``read`` would refuse; nothing is written then.
    """
    content = BytesIO()
    with ZipFile(content, "w") as archive:
        for key in sorted(trials):
            arrays_of(trials[key], f"{key}.npz")
            entry = ZipInfo(f"{key}.npz")  # a ZipInfo made here has a fixed date
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, on every system
            archive.writestr(entry, trials[key], METHOD)
    files.write_bytes(pack, content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    files.write_text(digest_path(pack), f"{digest}  {pack.name}\n")


def keys_in(pack: Path) -> set[str]:
    """The keys of all trials of a pack; none if there is no such file.

    Raises:
        InputError: as for ``read``.
    """
    if not pack.exists():
        return set()
    with _opened(pack) as archive:
        return {_key_of(entry) for entry in archive.infolist()}


def read(pack: Path, keys: Collection[str]) -> dict[str, bytes]:
    """The content of the .npz files of some trials, by key; keys that are not in the pack are left out.

    Args:
        pack: a file that need not exist.
        keys: of the trials to read.

    Raises:
        InputError: the pack does not fit its digest or has none, or is not what ``write`` writes.
    """
    if not pack.exists():
        return {}
    with _opened(pack) as archive:
        return {key: _content(archive, entry) for entry in archive.infolist() if (key := _key_of(entry)) in keys}


@contextmanager
def _opened(pack: Path) -> Iterator[ZipFile]:
    content = _checked(pack)
    try:
        with ZipFile(BytesIO(content)) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise BadZipFile("a name occurs twice")
            yield archive
    except FAULTS as error:
        raise InputError(f"{pack}: damaged ({error}); {CURE}") from None


def _checked(pack: Path) -> bytes:
    content, beside = pack.read_bytes(), digest_path(pack)
    if not beside.exists():
        raise InputError(f"{beside}: no such file, but {pack.name} needs its digest; {CURE}")
    if beside.read_bytes().split()[:1] != [hashlib.sha256(content).hexdigest().encode()]:
        raise InputError(f"{pack}: does not fit its digest in {beside.name}; {CURE}")
    return content


def _key_of(entry: ZipInfo) -> str:
    name = NAME.fullmatch(entry.filename)
    if not name:
        raise BadZipFile(f"member {entry.filename!r} is not named as a trial")
    return name[1]


def _content(archive: ZipFile, entry: ZipInfo) -> bytes:
    if entry.file_size > LARGEST:
        raise BadZipFile(f"{entry.filename} has {entry.file_size} bytes; the limit is {LARGEST}")
    if entry.compress_type != METHOD:
        raise BadZipFile(f"{entry.filename} is compressed in another way")
    with archive.open(entry) as stream:  # gives no more than file_size bytes and checks the CRC
        return b"".join(iter(lambda: stream.read(STEP), b""))


def arrays_of(content: bytes, where: str, cure: str = "delete this file and run `make studies`") -> dict[str, Any]:
    """The arrays of a trial, from the content of its .npz file.

    Args:
        content: of the file.
        where: what messages call it.
        cure: what messages advise.

    Raises:
        InputError: too large, damaged, compressed, or with pickled objects.
    """
    if len(content) > LARGEST:
        raise InputError(f"{where}: has {len(content)} bytes; the limit of a trial is {LARGEST}")
    try:
        with ZipFile(BytesIO(content)) as archive:
            if any(entry.compress_type != ZIP_STORED for entry in archive.infolist()):
                raise BadZipFile("its arrays are compressed")  # and could be of any size
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FAULTS as error:
        raise InputError(f"{where}: damaged ({error}); {cure}") from None


def keys_needed(table: Path) -> list[str]:
    """The keys that a study names in its trials.csv, which ``arms.trial_table`` made.

    Raises:
        InputError: the table is damaged.
    """
    try:
        keys = pd.read_csv(table, dtype=str, keep_default_na=False)["key"].tolist()
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{table}: damaged ({error}); run `make studies`") from None
    for row, key in enumerate(keys):
        if not KEY.fullmatch(str(key)):
            raise InputError(f"{table}, row {row + 2}: '{key}' is no key of a trial; run `make studies`")
    return keys
