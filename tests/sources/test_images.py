"""Images: known files give known grey levels, and messages name unusable files and the reason."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import tifffile
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.sources import images
from lipnet.sources.formats.grey_levels import GreySettings, of_page
from lipnet.sources.formats.raw import MAX_PIXELS
from lipnet.sources.images import count_pages, read_label_pages, read_mask, read_pages
from tests.sources.grey import AS_STORED, POOLED, STRETCHED

RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32)


def read_grey(path: Path, settings: GreySettings = AS_STORED) -> Any:
    return images.read_grey(path, settings)


def _png(path: Path, pixels: Any, mode: str | None = None) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


def _tiff(path: Path, pixels: Any, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **options)
    return path


def _mrc(path: Path, pixels: Any) -> Path:
    with mrcfile.new(path) as mrc:
        mrc.set_data(pixels)
    return path


def _palette(path: Path, **options: Any) -> Path:
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([200, 200, 200, 0, 0, 0, 0, 255, 0])
    image.save(path, **options)
    return path


def test_8_bit_png_is_kept_exactly(tmp_path: Path) -> None:
    found = read_grey(_png(tmp_path / "a.png", RAMP))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, RAMP)


def test_8_bit_levels_are_not_stretched(tmp_path: Path) -> None:
    assert read_grey(_png(tmp_path / "a.png", RAMP[3:4])).tolist() == [list(range(96, 128))]


def test_8_bit_tiff_is_kept_exactly(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_grey(_tiff(tmp_path / "a.tif", RAMP)), RAMP)


def test_suffixes_may_be_upper_case(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_grey(_png(tmp_path / "a.PNG", RAMP)), RAMP)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colour_becomes_luminance(tmp_path: Path, suffix: str) -> None:
    colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [90, 90, 90], [10, 200, 30]]
    pixels = np.array([colours], dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    found = read_grey(_png(path, pixels) if suffix == "png" else _tiff(path, pixels, photometric="rgb"))
    assert found.dtype == np.uint8
    # 0.2125 R + 0.7154 G + 0.0721 B
    assert found.tolist() == [[54, 182, 18, 255, 90, 147]]


def test_transparency_is_left_out(tmp_path: Path) -> None:
    colour = np.array([[[255, 0, 0, 0], [0, 255, 0, 128], [90, 90, 90, 255]]], dtype=np.uint8)
    assert read_grey(_png(tmp_path / "rgba.png", colour)).tolist() == [[54, 182, 90]]
    np.testing.assert_array_equal(read_grey(_png(tmp_path / "la.png", RAMP, "LA")), RAMP)


def test_palette_gives_the_luminance_of_its_colours(tmp_path: Path) -> None:
    assert read_grey(_palette(tmp_path / "a.png")).tolist() == [[200, 0, 182]]


def test_palette_with_transparency_gives_the_same(tmp_path: Path) -> None:
    assert read_grey(_palette(tmp_path / "a.png", transparency=b"\x00\x80\xff")).tolist() == [[200, 0, 182]]


def test_1_bit_is_black_and_white(tmp_path: Path) -> None:
    bits = np.array([[True, False, True], [False, False, True]])
    expected = [[255, 0, 255], [0, 0, 255]]
    assert read_grey(_png(tmp_path / "a.png", bits)).tolist() == expected
    assert read_grey(_tiff(tmp_path / "a.tif", bits)).tolist() == expected


def test_jpeg_is_read_within_its_compression(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(RAMP).save(path, quality=95)
    found = read_grey(path)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - RAMP).max() <= 8


def test_colour_jpeg_is_read_as_grey(tmp_path: Path) -> None:
    path = tmp_path / "a.jpeg"
    Image.fromarray(np.full((8, 8, 3), [0, 255, 0], np.uint8)).save(path, quality=95)
    assert np.abs(read_grey(path).astype(int) - 182).max() <= 3


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("a.png", np.array([[20, 60], [40, 100]], np.uint8)),
        ("a.png", np.array([[100, 300], [200, 500]], np.uint16)),
        ("a.tif", np.array([[100, 300], [200, 500]], np.uint16)),
        ("a.tiff", np.array([[-1.0, 1.0], [0.0, 3.0]], np.float32)),
        ("a.mrc", np.array([[-1.0, 1.0], [0.0, 3.0]], np.float32)),
        ("a.mrc", np.array([[-100, 100], [0, 300]], np.int16)),
    ],
    ids=["8-bit PNG", "16-bit PNG", "16-bit TIFF", "float TIFF", "float MRC", "signed MRC"],
)
def test_the_range_of_every_depth_is_stretched_between_percentiles(tmp_path: Path, name: str, pixels: Any) -> None:
    writers: dict[str, Callable[[Path, Any], Path]] = {".png": _png, ".mrc": _mrc}
    path = tmp_path / name
    found = read_grey(writers.get(path.suffix, _tiff)(path, pixels), STRETCHED)
    assert found.dtype == np.uint16
    # minimum -> 0, a quarter of the range -> 16384, half -> 32768, maximum -> 65535
    assert found.tolist() == [[0, 32768], [16384, 65535]]


def test_an_mrc_stack_of_one_section_is_that_section(tmp_path: Path) -> None:
    section = np.arange(48, dtype=np.int16).reshape(6, 8)
    found = read_grey(_mrc(tmp_path / "a.mrc", section[None]), STRETCHED)
    np.testing.assert_array_equal(found, np.round(section / 47 * 65535))


def test_16_bit_colour_is_stretched_luminance(tmp_path: Path) -> None:
    pixels = np.array([[[0, 0, 0], [0, 1000, 0], [1000, 1000, 1000]]], np.uint16)
    found = read_grey(_tiff(tmp_path / "a.tif", pixels, photometric="rgb"), STRETCHED)
    assert found.tolist() == [[0, round(0.7154 * 65535), 65535]]


def test_a_constant_16_bit_image_is_black(tmp_path: Path) -> None:
    found = read_grey(_tiff(tmp_path / "a.tif", np.full((3, 4), 700, np.uint16)), STRETCHED)
    assert (found.dtype, found.shape, found.max()) == (np.uint16, (3, 4), 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    pixels = np.ones((4, 4), np.float32)
    pixels[1, 2] = value
    with pytest.raises(InputError, match=r"a\.tif: has NaN or infinite values"):
        read_grey(_tiff(tmp_path / "a.tif", pixels))


@pytest.mark.parametrize("read", [read_grey, read_mask])
def test_several_pages_are_refused(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    path = _tiff(tmp_path / "a.tif", np.ones((5, 8, 9), np.uint8), photometric="minisblack")
    with pytest.raises(
        InputError, match=r"a\.tif: expected one grey or colour image, found 5; save each in its own file"
    ):
        read(path)


def test_an_mrc_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.mrc: expected one grey or colour image, found 5"):
        read_grey(_mrc(tmp_path / "a.mrc", np.ones((5, 8, 9), np.float32)))


@pytest.mark.parametrize("name", ["a.jp2", "a"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"any content")
    with pytest.raises(
        InputError, match=r"is not read; use PNG, JPEG, BMP, GIF, TIFF, MRC, \.npy, DM3, DM4, SER or EMD"
    ):
        read_grey(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^a\.png: no such file$"):
        read_grey(tmp_path / "a.png")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(InputError, match=r"^a\.png: no such file$"):
        read_grey(tmp_path / "a.png")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.8])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "zlib.tif", "a.mrc"])
def test_truncated_files_are_named_as_damaged(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    if path.suffix == ".tif":
        _tiff(path, noise, compression="zlib" if name == "zlib.tif" else None)
    elif path.suffix == ".mrc":
        _mrc(path, noise.astype(np.float32))
    else:
        _png(path, noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=rf"^{name}: damaged or not an image"):
        read_grey(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "mrc"])
def test_text_under_the_name_of_an_image_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text("id,image,class\n" * 100)
    with pytest.raises(InputError, match=rf"^a\.{suffix}: damaged or not an image"):
        read_grey(path)


def test_a_mask_is_true_wherever_the_file_is_not_zero(tmp_path: Path) -> None:
    levels = np.array([[0, 1, 255], [7, 0, 0]])
    expected = [[False, True, True], [True, False, False]]
    assert read_mask(_png(tmp_path / "a.png", levels.astype(np.uint8))).tolist() == expected
    assert read_mask(_png(tmp_path / "b.png", levels > 0)).tolist() == expected
    assert read_mask(_tiff(tmp_path / "a.tif", levels.astype(np.float32))).tolist() == expected
    assert read_mask(_mrc(tmp_path / "a.mrc", levels.astype(np.int16))).tolist() == expected


def test_a_mask_may_be_an_mrc_stack_of_one_section(tmp_path: Path) -> None:
    section = np.arange(48, dtype=np.int16).reshape(6, 8)
    np.testing.assert_array_equal(read_mask(_mrc(tmp_path / "a.mrc", section[None])), section > 0)


def test_a_mask_may_be_drawn_in_any_colour(tmp_path: Path) -> None:
    colours = np.array([[[0, 0, 1], [0, 0, 0], [255, 0, 0]]], dtype=np.uint8)
    assert read_mask(_png(tmp_path / "a.png", colours)).tolist() == [[True, False, True]]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_the_opacity_of_a_mask_does_not_count(tmp_path: Path, mode: str) -> None:
    levels = np.array([[0, 255], [255, 0]], np.uint8)
    assert read_mask(_png(tmp_path / "a.png", levels, mode)).tolist() == [[False, True], [True, False]]


def test_compressed_tiff_is_read(tmp_path: Path) -> None:
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    tifffile.imwrite(tmp_path / "lzw.tif", pixels, compression="lzw")
    np.testing.assert_array_equal(read_grey(tmp_path / "lzw.tif"), pixels)


def test_tiff_whose_zero_is_white_is_turned_round(tmp_path: Path) -> None:
    pixels = np.arange(200, dtype=np.uint8).reshape(10, 20)
    tifffile.imwrite(tmp_path / "negative.tif", pixels, photometric="miniswhite")
    np.testing.assert_array_equal(read_grey(tmp_path / "negative.tif"), 255 - pixels)


def test_tiff_with_several_images_of_different_sizes_is_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "two.tif") as two:
        two.write(RAMP)
        two.write(RAMP[:5])
    with pytest.raises(InputError, match=r"two\.tif: expected one grey or colour image, found 2"):
        read_grey(tmp_path / "two.tif")


def test_a_mask_saved_as_jpeg_is_cut_at_half_white(tmp_path: Path) -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[9:31, 11:38] = 255
    Image.fromarray(mask).save(tmp_path / "m.jpg", quality=75)
    assert (np.asarray(Image.open(tmp_path / "m.jpg")) > 0).sum() > (mask > 0).sum()  # why the threshold is needed
    np.testing.assert_array_equal(read_mask(tmp_path / "m.jpg"), mask > 0)


def _claim_png(path: Path) -> None:
    _png(path, RAMP)
    content = bytearray(path.read_bytes())
    header = struct.pack(">II", 70_000, 70_000) + bytes(content[24:29])
    content[16:29] = header
    content[29:33] = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    path.write_bytes(content)


def _claim_jpeg(path: Path) -> None:
    _png(path, RAMP)
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\xc0") + 5
    content[start : start + 4] = struct.pack(">HH", 65_000, 65_000)
    path.write_bytes(content)


def _claim_tiff(path: Path) -> None:
    _tiff(path, RAMP)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages.first.tags[name].overwrite(70_000)


def _claim_mrc(path: Path) -> None:
    _mrc(path, RAMP.astype(np.int16))
    content = bytearray(path.read_bytes())
    content[:8] = struct.pack("<ii", 70_000, 70_000)
    path.write_bytes(content)


CLAIMS = {"a.png": _claim_png, "a.jpg": _claim_jpeg, "a.tif": _claim_tiff, "a.mrc": _claim_mrc}


@pytest.mark.parametrize("name", list(CLAIMS))
def test_a_header_that_claims_an_absurd_size_is_refused_before_room_is_made(tmp_path: Path, name: str) -> None:
    CLAIMS[name](tmp_path / name)
    tracemalloc.start()
    for read in (read_grey, lambda path: list(read_pages(path))):
        with pytest.raises(InputError, match=rf"^{name}: (claims .* px; more than {MAX_PIXELS} are not read|damaged)"):
            read(tmp_path / name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


# Found by mutation: iterating over its pages never ends.
ENDLESS_TIFF = (
    "49492a00080000000e0000010400010000001a000000010104000100000018000000020103ff0101413500c8010001000000"
    "080000000301030001000000080000000601030001000000010000000e01020014000000b600000011010400010000000001"
    "00001501030001000000010000001601040001000000180000001701040001000000590200001a01050001000000da000000"
    "1b01050001000000e200000028010300960000ff01000000310102000c000000ea000000000000010000ff00ff2cff223a20"
)


@pytest.mark.parametrize("read", [read_grey, lambda path: list(read_pages(path))])
def test_a_tiff_whose_pages_never_end_is_refused(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    (tmp_path / "a.tif").write_bytes(bytes.fromhex(ENDLESS_TIFF))
    with pytest.raises(InputError, match=r"^a\.tif: "):
        read(tmp_path / "a.tif")


def _change_tag(path: Path, name: str, value: int) -> None:
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages.first.tags[name].overwrite(value)


def test_a_small_file_that_claims_a_large_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), compression="zlib")
    for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
        _change_tag(path, name, 10_000)
    with pytest.raises(InputError, match=r"a\.tif: claims 10000 x 10000 px, more than any compression packs into its"):
        read_grey(path)


def test_a_blank_image_that_packs_well_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((5_000, 5_000), np.uint8), compression="zstd")
    assert path.stat().st_size < 25e6 / 5_000
    assert read_grey(path).shape == (5_000, 5_000)


def test_a_tiff_that_claims_strips_that_it_does_not_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), compression="zlib")
    _change_tag(path, "ImageLength", 8_000)
    with pytest.raises(InputError, match=r"a\.tif: .* claims 1000 tiles or strips and lists 1"):
        read_grey(path)


def test_an_mrc_file_that_claims_an_absurd_extended_header_is_refused(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(np.zeros((4, 4), np.float32))
    content = bytearray((tmp_path / "a.mrc").read_bytes())
    content[92:96] = b"\x7f\x7f\x7f\x7f"
    (tmp_path / "a.mrc").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mrc: .* claims an extended header of 2139062143 bytes"):
        read_grey(tmp_path / "a.mrc")


def test_an_npy_file_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((10, 10), np.int32))
    path.write_bytes(path.read_bytes().replace(b"(10, 10), }      ", b"(99999, 99999), }"))
    with pytest.raises(InputError, match=r"a\.npy: "):
        list(read_label_pages(path))


def test_a_pickled_npy_is_refused_with_the_cure_and_runs_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    np.save(tmp_path / "a_seg.npy", np.array({"masks": Trap()}, dtype=object), allow_pickle=True)
    with pytest.raises(
        InputError, match=r"a_seg\.npy: holds pickled objects, .*; save plain label masks as TIFF or PNG"
    ):
        list(read_label_pages(tmp_path / "a_seg.npy"))
    assert not (tmp_path / "sprung").exists()


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = _tiff(tmp_path / "a.tif", np.stack([RAMP, RAMP]), photometric="minisblack")
    pages = read_pages(path)
    next(pages)
    with path.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(InputError, match=r"a\.tif: changed while it was read; wait until it is complete"):
        list(pages)


@pytest.mark.parametrize(("name", "n"), [("a.tif", 3), ("a.mrc", 3), ("a.png", 1)])
def test_pages_are_counted_and_read_in_order(tmp_path: Path, name: str, n: int) -> None:
    stack = np.stack([RAMP, RAMP // 2, 255 - RAMP])
    path = tmp_path / name
    if path.suffix == ".tif":
        _tiff(path, stack, photometric="minisblack")
    elif path.suffix == ".mrc":
        _mrc(path, stack.astype(np.int16))
    else:
        _png(path, RAMP)
    assert count_pages(path) == n
    found = list(read_pages(path))
    assert len(found) == n
    for page, expected in zip(found, stack, strict=False):
        assert np.corrcoef(page.values.ravel(), expected.ravel())[0, 1] == pytest.approx(1, abs=1e-6)


def test_pages_of_16_bit_are_stretched_between_percentiles(tmp_path: Path) -> None:
    values = np.arange(1000, dtype=np.uint16).reshape(20, 50)
    values[0, 0] = 60_000
    [samples] = read_pages(_tiff(tmp_path / "a.tif", values))
    found = of_page(samples, POOLED.model_copy(update={"low_percent": 1, "high_percent": 99}), "a.tif")
    low, high = np.percentile(values, [1, 99])
    expected = np.clip((values - low) / (high - low), 0, 1) * 65535
    np.testing.assert_allclose(found, expected, atol=1)


def test_labels_are_read_from_every_format_as_they_are(tmp_path: Path) -> None:
    labels = np.array([[0, 3, 3], [300, 300, 0]])
    _png(tmp_path / "a.png", labels.astype(np.uint16))
    _tiff(tmp_path / "a.tif", labels.astype(np.float32))
    _mrc(tmp_path / "a.mrc", labels.astype(np.int16))
    np.save(tmp_path / "a.npy", labels)
    for suffix in ("png", "tif", "mrc", "npy"):
        [found] = read_label_pages(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(found, labels)
        assert found.dtype == np.int64


def test_labels_in_a_colour_table_are_its_indices(tmp_path: Path) -> None:
    [found] = read_label_pages(_palette(tmp_path / "a.png"))
    assert found.tolist() == [[0, 1, 2]]


def test_what_is_no_label_mask_is_refused(tmp_path: Path) -> None:
    _tiff(tmp_path / "half.tif", np.array([[0.5, 1.0]], np.float32))
    _tiff(tmp_path / "minus.tif", np.array([[-1, 1]], np.int16))
    _tiff(tmp_path / "nan.tif", np.array([[np.nan, 1]], np.float32))
    _png(tmp_path / "rgb.png", np.zeros((4, 4, 3), np.uint8))
    for name in ("half.tif", "minus.tif", "nan.tif"):
        with pytest.raises(InputError, match=f"{name}: labels must be whole numbers from 0"):
            list(read_label_pages(tmp_path / name))
    with pytest.raises(InputError, match=r"rgb\.png: expected label masks of whole numbers"):
        list(read_label_pages(tmp_path / "rgb.png"))
    Image.fromarray(RAMP).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg: is compressed with loss, .*; save the label mask as PNG, or as"):
        list(read_label_pages(tmp_path / "a.jpg"))


def test_the_size_limit_of_pillow_is_lifted_only_while_an_image_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _png(tmp_path / "a.png", RAMP)
    damaged = tmp_path / "b.png"
    damaged.write_bytes(b"no image")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    np.testing.assert_array_equal(read_grey(path), RAMP)
    np.testing.assert_array_equal(next(read_label_pages(path)), RAMP)
    with pytest.raises(InputError):
        read_grey(damaged)
    assert Image.MAX_IMAGE_PIXELS == 10
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
