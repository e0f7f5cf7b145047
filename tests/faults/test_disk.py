"""Failures of writing: one message that names the file, and the old file is kept."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lipnet.core import command, files
from lipnet.core.errors import InputError
from lipnet.plots import figure

NOISE = np.random.default_rng(0).integers(0, 256, 200_000).astype(np.uint8)
WRITERS: dict[str, Callable[[Path], None]] = {
    "bytes": lambda path: files.write_bytes(path, NOISE.tobytes()),
    "arrays": lambda path: files.write_arrays(path, {"x": NOISE}),
    "blocks": lambda path: files.write_blocks(path, [{"x": NOISE}]),
    "table": lambda path: files.write_table(path, pd.DataFrame({"n": NOISE})),
    "picture": lambda path: figure.save(_noise(), path),
}


def _noise() -> Figure:
    picture = Figure()
    picture.subplots().imshow(NOISE.reshape(400, 500))
    return picture


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_on_a_full_disk_the_file_is_named_and_the_old_file_is_kept(small_disk: Path, name: str) -> None:
    path = small_disk / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=r"out\.bin: cannot be written: the disk is full; make room"):
        WRITERS[name](path)
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]


@pytest.mark.parametrize("name", WRITERS)
def test_at_the_limit_of_file_sizes_the_file_is_named_and_the_old_file_is_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, hard))
    try:
        with pytest.raises(InputError, match=r"out\.bin: cannot be written: .*ulimit -f"):
            WRITERS[name](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_on_a_read_only_disk_the_file_is_named(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(InputError, match=r"t\.csv: cannot be written: the disk is read-only"):
        files.write_text(small_disk / "tables/t.csv", "x")


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in the way")
    with pytest.raises(InputError, match=r"t\.csv: cannot be written: a file is where a folder is needed"):
        files.write_text(tmp_path / "folder/t.csv", "x")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(InputError, match=r"t\.csv: cannot be written: a folder is where a file is needed"):
        files.write_text(tmp_path / "t.csv", "x")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write to every folder")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"t\.csv: cannot be written: permission is missing"):
        files.write_text(tmp_path / "t.csv", "x")


def test_the_next_write_deletes_the_partly_written_file_of_a_killed_process(tmp_path: Path) -> None:
    (tmp_path / "t.csv.99999.part").write_text("half")
    (tmp_path / "t.csv.other").write_text("of another process")
    files.write_text(tmp_path / "t.csv", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.csv.other"]


def test_a_write_error_outside_the_writers_ends_a_stage_with_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(_params: Any, _arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/weights.h5")

    (tmp_path / "params.yaml").write_text("seed: 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage", "mine", "--table", "t.csv"])
    with pytest.raises(SystemExit, match=r"^stage mine: .*/tmp/weights\.h5.*the disk is full; make room"):
        command.run("A stage.", "problem", ["table"], main, lambda _: {})
