"""TIFF: tags that say what numbers mean, stacks with one header, metadata that are stale or about other files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from lipnet.core.errors import InputError
from lipnet.sources.formats import tiff
from lipnet.sources.formats.raw import shown
from lipnet.sources.images import count_pages, read_label_pages, read_mask
from tests.sources.grey import read_grey, read_pages

RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32)
LABELS = np.zeros((8, 32), np.uint8)
LABELS[2:4, 3:9], LABELS[5:7, 20:30] = 1, 2
# What a viewer does with rows and columns for each value of the tag.
TURNED = {
    1: RAMP,
    2: RAMP[:, ::-1],
    3: RAMP[::-1, ::-1],
    4: RAMP[::-1],
    5: RAMP.T,
    6: RAMP[::-1].T,
    7: RAMP[::-1, ::-1].T,
    8: RAMP[:, ::-1].T,
}


def _write(path: Path, pixels: Any, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **({"metadata": None} | options))
    return path


def _photometric(path: Path) -> Any:
    with tifffile.TiffFile(path) as file:
        return file.pages.first.photometric


def _set(path: Path, name: str, value: int) -> None:
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags[name].overwrite(value)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_masks_are_read_by_their_numbers_whatever_is_white(tmp_path: Path, dtype: Any) -> None:
    path = _write(tmp_path / "a.tif", LABELS.astype(dtype), photometric="miniswhite")
    np.testing.assert_array_equal(read_mask(path), LABELS > 0)
    np.testing.assert_array_equal(next(read_label_pages(path)), LABELS)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.uint8, 255 - RAMP),
        (np.uint16, 65535 - RAMP.astype(int)),
        (np.int16, -1 - RAMP.astype(int)),
        (np.float32, 1.0 - RAMP),
    ],
)
def test_images_whose_0_is_white_are_shown_as_negatives_in_every_type(
    tmp_path: Path, dtype: Any, expected: Any
) -> None:
    path = _write(tmp_path / "a.tif", RAMP.astype(dtype), photometric="miniswhite")
    [raw] = tiff.pages(path)
    np.testing.assert_array_equal(shown(raw).pixels, expected)
    assert shown(raw).pixels.dtype == raw.pixels.dtype


def test_black_and_white_is_read_as_viewers_show_it_but_for_arrays_of_bool_that_tifffile_wrote(tmp_path: Path) -> None:
    on = LABELS > 0
    negative = _write(tmp_path / "fax.tif", on, software="scanner")  # the library names 0 white
    assert _photometric(negative) == tifffile.PHOTOMETRIC.MINISWHITE
    np.testing.assert_array_equal(read_mask(negative), ~on)
    np.testing.assert_array_equal(read_grey(negative), np.where(on, 0, 255))
    np.testing.assert_array_equal(next(read_label_pages(negative)), ~on)
    np.testing.assert_array_equal(read_mask(_write(tmp_path / "bool.tif", on)), on)


@pytest.mark.parametrize("orientation", list(TURNED))
def test_images_and_masks_are_turned_as_viewers_turn_them(tmp_path: Path, orientation: int) -> None:
    tag = [(274, 3, 1, orientation, True)]
    path = _write(tmp_path / "a.tif", RAMP, extratags=tag)
    np.testing.assert_array_equal(read_grey(path), TURNED[orientation])
    np.testing.assert_array_equal(read_mask(path), TURNED[orientation] > 0)
    np.testing.assert_array_equal(next(read_label_pages(path)), TURNED[orientation])
    colours = _write(tmp_path / "b.tif", np.dstack([RAMP] * 3), photometric="rgb", extratags=tag)
    np.testing.assert_array_equal(read_grey(colours), TURNED[orientation])


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14, 16])
def test_the_record_says_which_number_is_white(tmp_path: Path, bits: int) -> None:
    _write(tmp_path / "a.tif", LABELS.astype(np.uint8 if bits < 9 else np.uint16), bitspersample=bits)
    [raw] = tiff.pages(tmp_path / "a.tif")
    assert raw.white == 2**bits - 1
    assert shown(raw).white == max(255, 2**bits - 1)


def test_fewer_bits_than_8_are_scaled_to_8(tmp_path: Path) -> None:
    _write(tmp_path / "a.tif", np.array([[0, 1, 2, 3]], np.uint8), bitspersample=2)
    assert read_grey(tmp_path / "a.tif").tolist() == [[0, 85, 170, 255]]


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint32, np.float32])
def test_types_without_an_agreed_white_have_none(tmp_path: Path, kind: Any) -> None:
    [raw] = tiff.pages(_write(tmp_path / "a.tif", LABELS.astype(kind)))
    assert raw.white is None


def test_a_colour_table_gives_colours_to_images_and_indices_to_masks(tmp_path: Path) -> None:
    table = np.zeros((3, 256), np.uint16)
    table[:, 0], table[:, 1], table[0, 2] = 65535, 257 * 10, 65535
    path = _write(tmp_path / "a.tif", LABELS, photometric="palette", colormap=table)
    np.testing.assert_array_equal(read_grey(path), np.choose(LABELS, [255, 10, 54]))
    np.testing.assert_array_equal(read_mask(path), LABELS > 0)
    np.testing.assert_array_equal(next(read_label_pages(path)), LABELS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"photometric": "separated"}, "its colours are CMYK, which is not read; save grey levels, or red, green and"),
        ({"photometric": "minisblack", "planarconfig": "contig"}, "has 4 samples a pixel, which are not named"),
        ({"photometric": "rgb", "extrasamples": ["unassalpha", "unspecified"]}, "has 5 samples a pixel"),
        ({"photometric": "minisblack", "extrasamples": ["unspecified"]}, "has 2 samples a pixel, which are not named"),
    ],
)
def test_samples_that_are_no_colours_are_refused_by_name(tmp_path: Path, options: Any, message: str) -> None:
    n = {"separated": 4, "rgb": 5, "minisblack": 2 if "extrasamples" in options else 4}[options["photometric"]]
    path = _write(tmp_path / "a.tif", np.dstack([RAMP] * n), **options)
    for read in (read_grey, read_mask, lambda path: next(read_label_pages(path))):
        with pytest.raises(InputError, match=rf"a\.tif: {message}"):
            read(path)


def test_jpeg_in_a_tiff_is_known_as_lossy_and_its_colours_are_converted(tmp_path: Path) -> None:
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[:, 8:] = [0, 200, 0]
    path = _write(tmp_path / "a.tif", colours, photometric="rgb", compression="jpeg")
    assert _photometric(path) == tifffile.PHOTOMETRIC.YCBCR
    assert np.abs(read_grey(path)[:, 8:].astype(int) - 143).max() < 12
    mask = _write(tmp_path / "m.tif", np.where(LABELS, 255, 0).astype(np.uint8), compression="jpeg")
    np.testing.assert_array_equal(read_mask(mask), LABELS > 0)
    with pytest.raises(InputError, match=r"m\.tif: is compressed with loss"):
        next(read_label_pages(mask))


def _ome(name: str) -> str:
    data = "".join(
        f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1"><UUID FileName="f{c}.ome.tif">urn:uuid:{c}</UUID></TiffData>'
        for c in (0, 1)
    )
    return (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{name}">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="32" SizeY="8" SizeC="2" '
        f'SizeZ="1" SizeT="1"><Channel ID="C:0"/><Channel ID="C:1"/>{data}</Pixels></Image></OME>'
    )


def test_a_file_of_an_ome_set_is_read_alone(tmp_path: Path) -> None:
    for number, pixels in enumerate((RAMP, 255 - RAMP)):
        _write(tmp_path / f"f{number}.ome.tif", pixels, description=_ome(str(number)), photometric="minisblack")
    assert count_pages(tmp_path / "f1.ome.tif") == 1
    np.testing.assert_array_equal(read_grey(tmp_path / "f1.ome.tif"), 255 - RAMP)
    (tmp_path / "f0.ome.tif").unlink()
    np.testing.assert_array_equal(next(read_pages(tmp_path / "f1.ome.tif")), 255 - RAMP)


def _one_header(path: Path, n: int, description: str, **options: Any) -> Path:
    """A file whose page describes the first of n images that follow each other."""
    _write(path, np.concatenate([RAMP // number for number in range(1, n + 1)]), description=description, **options)
    _set(path, "ImageLength", 8)
    _set(path, "RowsPerStrip", 8)
    _set(path, "StripByteCounts", 256)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("description", ["ImageJ=1.54f\nimages=3\nslices=3\n", '{"shape": [3, 8, 32]}'])
def test_all_images_behind_one_header_are_pages(tmp_path: Path, description: str, order: str) -> None:
    path = _one_header(tmp_path / "a.tif", 3, description, byteorder=order)
    assert count_pages(path) == 3
    for number, page in enumerate(read_pages(path), start=1):
        np.testing.assert_array_equal(page, RAMP // number)
    with pytest.raises(InputError, match=r"a\.tif: expected one grey or colour image, found 3"):
        read_grey(path)


def test_images_behind_one_header_have_the_byte_order_of_the_file(tmp_path: Path) -> None:
    for order in ("<", ">"):
        path = _write(
            tmp_path / "a.tif", np.full((16, 32), 258, np.uint16), byteorder=order, description="ImageJ=\nimages=2\n"
        )
        for name, value in (("ImageLength", 8), ("RowsPerStrip", 8), ("StripByteCounts", 512)):
            _set(path, name, value)
        assert [np.unique(labels).tolist() for labels in read_label_pages(path)] == [[258], [258]]


@pytest.mark.parametrize("description", ["ImageJ=1.54f\nimages=5\nslices=5\n", '{"shape": [5, 8, 32]}'])
def test_a_number_of_images_left_from_another_file_is_not_believed(tmp_path: Path, description: str) -> None:
    path = _write(tmp_path / "a.tif", RAMP, description=description)
    assert count_pages(path) == 1
    np.testing.assert_array_equal(read_grey(path), RAMP)


def test_a_stack_cut_short_is_refused(tmp_path: Path) -> None:
    path = _one_header(tmp_path / "a.tif", 3, "ImageJ=1.54f\nimages=5\nslices=5\n")
    with pytest.raises(InputError, match=r"a\.tif: damaged .* claims 5 images and holds 3"):
        count_pages(path)


def test_pages_of_different_kinds_are_read_each_as_it_is(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(RAMP, metadata=None)
        file.write(np.dstack([RAMP] * 3)[:4], photometric="rgb", compression="zlib", metadata=None)
        file.write(RAMP, photometric="miniswhite", metadata=None)
    found = list(read_pages(tmp_path / "a.tif"))
    for page, expected in zip(found, (RAMP, RAMP[:4], 255 - RAMP), strict=True):
        np.testing.assert_array_equal(page, expected)


def test_a_stack_of_metamorph_has_all_its_planes(tmp_path: Path) -> None:
    # Tags UIC1 and UIC2; the count of the latter is the number of planes, and six numbers belong to each.
    tags = [(33628, 4, 6, [1] * 6, False), (33629, 5, 3, [1] * 6, False), (65000, 4, 12, [1] * 12, False)]
    path = _one_header(tmp_path / "a.tif", 3, "MetaMorph", extratags=tags)
    assert count_pages(path) == 3
    np.testing.assert_array_equal(list(read_pages(path))[2], RAMP // 3)
