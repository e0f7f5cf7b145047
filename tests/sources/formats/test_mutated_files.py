"""Mutated files of every kind: an image, a mask, labels, or one clear message; never a traceback, never pages lost."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.sources.images import count_pages, pixel_sizes_nm, read_label_pages, read_mask
from tests.sources.formats.file_kinds import KINDS, Kind
from tests.sources.formats.test_mrc import _write as write_mrc
from tests.sources.formats.test_tiff import RAMP, _one_header
from tests.sources.grey import read_grey, read_pages
from tests.sources.microscope_files import NM, write_berkeley, write_dm, write_ser, write_velox
from tests.sources.test_mutations import IMAGE, MASK, ingested, mutated_bytes

few = settings(max_examples=settings().max_examples // 5)  # because there are so many kinds
STACK = np.stack([RAMP, 255 - RAMP, RAMP // 2])
IMAGEJ = "ImageJ=1.54f\nimages=3\nslices=3\n"


def _gif(path: Path) -> Any:
    first, *others = [Image.fromarray(page) for page in STACK]
    first.save(path, save_all=True, append_images=others)


STACKS: dict[str, Callable[[Path], Any]] = {
    "pages.tif": lambda path: tifffile.imwrite(path, STACK, photometric="minisblack", compression="zlib"),
    "imagej.tif": lambda path: _one_header(path, 3, IMAGEJ),
    "frames.gif": _gif,
    "array.npy": lambda path: np.save(path, STACK),
    "stack.dm3": lambda path: write_dm(path, STACK, axes=((1.0, "s"), *NM)),
    "images.dm4": lambda path: write_dm(path, *STACK),
    "series.ser": lambda path: write_ser(path, *STACK),
    "velox.emd": lambda path: write_velox(path, *STACK.astype("i2")),
    "berkeley.emd": lambda path: write_berkeley(path, STACK, axes=((1.0, "s"), *NM)),
}


def _tried(read: Callable[[], Any], path: Path) -> Any:
    """What it returns; None after an InputError, which must name the file."""
    try:
        return read()
    except InputError as error:
        assert str(error).startswith(f"{path.name}: ") and "\n" not in str(error).strip()
        return None


def _check(path: Path) -> None:
    """Read a file in every way."""
    n_pages = _tried(lambda: count_pages(path), path)
    grey = _tried(lambda: read_grey(path), path)
    assert grey is None or (grey.ndim == 2 and grey.dtype in (np.uint8, np.uint16) and n_pages == 1)
    mask = _tried(lambda: read_mask(path), path)
    assert mask is None or (mask.ndim == 2 and mask.dtype == np.bool_ and n_pages == 1)
    for read in (lambda: list(read_pages(path)), lambda: list(read_label_pages(path))):
        pages = _tried(read, path)
        assert pages is None or len(pages) == n_pages
    sizes = _tried(lambda: pixel_sizes_nm(path), path)
    assert not sizes or len(sizes) == n_pages


def _written(folder: Path, name: str, write: Callable[[Path], Any]) -> tuple[Path, bytes]:
    path = folder / name
    write(path)
    return path, path.read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def _first_way(kind: Kind) -> Iterator[Any]:
    """One way to write each mix of samples and compression of a kind."""
    for colours in kind.colours:
        yield kind.bits[-1], colours, kind.orders[-1], kind.compressions[-1]


ONE = [(kind, way) for kind in KINDS for way in _first_way(kind) if kind.suffix not in (".webp", ".jp2", ".npz")]


@pytest.mark.parametrize(("kind", "way"), ONE, ids=lambda value: value.suffix if isinstance(value, Kind) else value[1])
@few
@given(data=st.data())
def test_a_mutated_file_is_read_or_refused(folder: Path, kind: Kind, way: Any, data: st.DataObject) -> None:
    path, content = _written(folder, f"a{kind.suffix}", lambda path: kind.write(path, *way))
    path.write_bytes(data.draw(mutated_bytes(content)))
    _check(path)


@pytest.mark.parametrize("name", list(STACKS))
@few
@given(data=st.data())
def test_a_mutated_stack_is_read_whole_or_refused(folder: Path, name: str, data: st.DataObject) -> None:
    path, content = _written(folder, name, STACKS[name])
    path.write_bytes(data.draw(mutated_bytes(content)))
    _check(path)


@pytest.mark.parametrize("name", list(STACKS))
def test_the_stacks_are_sound_before_they_are_mutated(tmp_path: Path, name: str) -> None:
    path, _ = _written(tmp_path, name, STACKS[name])
    assert count_pages(path) == len(list(read_pages(path))) == len(STACK)


INGESTED: dict[str, Callable[[Path, Any], Any]] = {
    "a.bmp": lambda path, pixels: Image.fromarray(pixels).save(path),
    "a.gif": lambda path, pixels: Image.fromarray(pixels).save(path),
    "a.npy": np.save,
    "a.mrcs": lambda path, pixels: write_mrc(path, pixels.astype(np.float32)),
    "a.dm3": write_dm,
    "a.dm4": write_dm,
    "a.ser": write_ser,
    "a.emd": write_velox,
}


@pytest.mark.parametrize("name", list(INGESTED))
@pytest.mark.parametrize("part", ["image", "mask"])
@few
@given(data=st.data())
def test_a_mutated_file_rejects_its_own_row_only(folder: Path, part: str, name: str, data: st.DataObject) -> None:
    np.save(folder / "good_image.npy", IMAGE)
    np.save(folder / "good_mask.npy", MASK)
    path, content = _written(
        folder, f"bad_{name}", lambda path: INGESTED[name](path, {"image": IMAGE, "mask": MASK}[part])
    )
    path.write_bytes(data.draw(mutated_bytes(content)))
    bad = {"image": "good_image.npy", "mask": "good_mask.npy"} | {part: path.name}
    rows = ["id,image,mask,class", f"1,{bad['image']},{bad['mask']},Full", "2,good_image.npy,good_mask.npy,Empty"]
    (folder / "particles.csv").write_text("\n".join(rows), encoding="utf-8")
    assert ingested(folder, "table") in {(2, 0), (1, 1)}
