"""MRC: what its bytes mean, stacks, and headers of the past."""

import struct
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from lipnet.core.errors import InputError
from lipnet.sources.formats import mrc
from lipnet.sources.images import count_pages, read_label_pages, read_mask
from tests.sources.formats.test_tiff import LABELS, RAMP
from tests.sources.grey import read_grey, read_pages

IMOD = 1146047817


def _write(path: Path, pixels: Any, flags: int | None = None, order: str = "<") -> Path:
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(pixels)
    if flags is not None:
        content = bytearray(path.read_bytes())
        struct.pack_into(f"{order}2i", content, 152, IMOD, flags)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("flags", [0, 1, 2, 3, 16, 17])  # other bits of the word mean other things
def test_the_stamp_of_imod_says_how_bytes_are_stored(tmp_path: Path, flags: int, order: str) -> None:
    signed = flags & 1
    path = _write(tmp_path / "a.mrc", (RAMP ^ np.uint8(128 if signed else 0)).view(np.int8), flags, order)
    np.testing.assert_array_equal(read_grey(path), RAMP)
    labels = _write(tmp_path / "l.mrc", (LABELS ^ np.uint8(128 if signed else 0)).view(np.int8), flags, order)
    np.testing.assert_array_equal(read_mask(labels), LABELS > 0)
    np.testing.assert_array_equal(next(read_label_pages(labels)), LABELS)


def test_bytes_without_a_stamp_are_signed(tmp_path: Path) -> None:
    [raw] = mrc.pages(_write(tmp_path / "a.mrc", RAMP.view(np.int8)))
    assert (raw.pixels.min(), raw.pixels.max(), raw.white) == (-128, 127, None)


def test_a_stamp_changes_nothing_but_bytes(tmp_path: Path) -> None:
    [raw] = mrc.pages(_write(tmp_path / "a.mrc", LABELS.astype(np.int16), flags=1))
    np.testing.assert_array_equal(raw.pixels, LABELS)


@pytest.mark.parametrize("name", ["a.mrc", "a.mrcs", "a.MRCS"])
def test_sections_are_pages(tmp_path: Path, name: str) -> None:
    path = _write(tmp_path / name, np.stack([LABELS, LABELS * 2]).astype(np.uint16))
    assert count_pages(path) == 2
    first, second = read_label_pages(path)
    np.testing.assert_array_equal(second, 2 * first)
    assert len(list(read_pages(path))) == 2


def test_the_sections_outlive_the_open_file(tmp_path: Path) -> None:
    first, second = list(mrc.pages(_write(tmp_path / "a.mrc", np.stack([RAMP, RAMP]).astype(np.float32))))
    np.testing.assert_array_equal(first.pixels, second.pixels)


@pytest.mark.parametrize("shape", [(66, 19778), (70, 18765)])
def test_a_width_that_reads_as_the_name_of_another_format_is_a_width(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = _write(tmp_path / "a.mrc", np.zeros(shape, np.int8))
    assert path.read_bytes()[:2] in (b"BM", b"MI")
    assert read_grey(path).shape == shape


def test_a_header_of_the_past_is_named_with_the_cure(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mrc", RAMP.astype(np.float32))
    content = bytearray(path.read_bytes())
    content[208:216] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mrc: .* before 2000 .* lacks the word MAP.*: newstack OLD\.mrc NEW\.mrc"):
        read_grey(path)


@pytest.mark.parametrize("mode", [3, 16, 101])
def test_modes_that_are_no_grey_levels_are_named(tmp_path: Path, mode: int) -> None:
    path = _write(tmp_path / "a.mrc", RAMP.view(np.int8))
    content = bytearray(path.read_bytes())
    struct.pack_into("<i", content, 12, mode)
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.mrc: .*mode '{mode}'"):
        read_grey(path)


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mrc", RAMP.astype(np.complex64))
    for read in (read_grey, read_mask, lambda path: next(read_label_pages(path))):
        with pytest.raises(InputError, match=r"a\.mrc: its pixels are complex numbers"):
            read(path)
