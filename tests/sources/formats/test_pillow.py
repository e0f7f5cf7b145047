"""PNG, JPEG, BMP and GIF: what a name hides, colours of masks, orientation, and depths that Pillow reduces."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.sources.formats import pillow
from lipnet.sources.images import count_pages, read_label_pages, read_mask
from tests.sources.formats.test_tiff import LABELS, RAMP, TURNED
from tests.sources.grey import read_grey, read_pages

MASK = np.zeros((40, 50), np.uint8)
MASK[9:31, 11:38] = 255


def _indexed(path: Path, indices: Any, colours: list[list[int]], **options: Any) -> Path:
    image = Image.fromarray(indices, "P")
    image.putpalette([level for colour in colours for level in colour])
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["m.png", "m.tif", "m.bmp", "m.npy"])
def test_jpeg_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    Image.fromarray(MASK).save(tmp_path / "m.jpg", quality=75)
    (tmp_path / name).write_bytes((tmp_path / "m.jpg").read_bytes())
    np.testing.assert_array_equal(read_mask(tmp_path / name), MASK > 0)
    with pytest.raises(InputError, match=rf"{name}: is compressed with loss"):
        next(read_label_pages(tmp_path / name))


@pytest.mark.parametrize(("suffix", "name"), [("webp", "WebP"), ("jp2", "JPEG 2000"), ("avif", "HEIF or AVIF")])
def test_a_format_that_is_not_read_is_named_under_any_suffix(tmp_path: Path, suffix: str, name: str) -> None:
    Image.fromarray(MASK).convert("RGB").save(tmp_path / f"a.{suffix}")
    (tmp_path / "a.png").write_bytes((tmp_path / f"a.{suffix}").read_bytes())
    with pytest.raises(InputError, match=rf"a\.png: its content is {name}, which is not read; use PNG"):
        read_grey(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.gif"])
def test_a_mask_in_a_colour_table_is_read_by_its_indices(tmp_path: Path, name: str) -> None:
    path = _indexed(tmp_path / name, LABELS, [[255, 255, 255], [0, 0, 0], [0, 0, 255]])  # an inverting table
    np.testing.assert_array_equal(read_mask(path), LABELS > 0)
    np.testing.assert_array_equal(next(read_label_pages(path)), LABELS)
    np.testing.assert_array_equal(read_grey(path), np.choose(LABELS, [255, 0, 18]))


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.gif"])
def test_a_mask_in_black_and_white_is_read_as_shown(tmp_path: Path, name: str) -> None:
    on = LABELS > 0
    inverse = _indexed(tmp_path / name, (~on).astype(np.uint8), [[255, 255, 255], [0, 0, 0]])
    np.testing.assert_array_equal(read_mask(inverse), on)
    np.testing.assert_array_equal(read_grey(inverse), np.where(on, 255, 0))
    np.testing.assert_array_equal(next(read_label_pages(inverse)), on)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("orientation", list(TURNED))
def test_images_are_turned_as_viewers_turn_them(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(RAMP).save(tmp_path / name, exif=exif, **({"quality": 98} if name == "a.jpg" else {}))
    found = read_grey(tmp_path / name)
    assert found.shape == TURNED[orientation].shape
    assert np.abs(found.astype(int) - TURNED[orientation]).max() <= (8 if name == "a.jpg" else 0)
    if name == "a.png":
        np.testing.assert_array_equal(next(read_label_pages(tmp_path / name)), TURNED[orientation])


def test_a_palette_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = _indexed(tmp_path / "a.png", LABELS, [[0] * 3, [9] * 3, [20] * 3], exif=exif)
    np.testing.assert_array_equal(next(read_label_pages(path)), LABELS[::-1].T)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_keeps_them_in_colour_and_with_opacity(tmp_path: Path, channels: int) -> None:
    grey = RAMP.astype(np.uint16) + 1000  # 8 bits would leave three levels
    pixels = np.dstack([grey] * channels) if channels > 1 else grey
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    [raw] = pillow.pages(tmp_path / "a.png")
    assert (raw.white, raw.pixels.dtype) == (65535, np.uint16)
    np.testing.assert_array_equal(raw.pixels, np.dstack([grey] * 3) if channels > 2 else grey)
    assert len(np.unique(read_grey(tmp_path / "a.png"))) == 256
    if channels < 3:
        np.testing.assert_array_equal(next(read_label_pages(tmp_path / "a.png")), grey)


def test_frames_of_a_gif_are_pages_and_an_animated_png_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP), Image.fromarray(RAMP // 2)]
    for name in ("a.gif", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    assert count_pages(tmp_path / "a.gif") == 3
    for page, frame in zip(read_pages(tmp_path / "a.gif"), frames, strict=True):
        np.testing.assert_array_equal(page, np.asarray(frame))
    with pytest.raises(InputError, match=r"a\.gif: expected one grey or colour image, found 3"):
        read_grey(tmp_path / "a.gif")
    with pytest.raises(InputError, match=r"a\.png: is an animated PNG; save its images as a TIFF stack"):
        list(read_pages(tmp_path / "a.png"))


def test_a_cmyk_jpeg_is_read_as_it_looks(tmp_path: Path) -> None:
    Image.fromarray(MASK).convert("RGB").convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_grey(tmp_path / "a.jpg").astype(int) - MASK).max() < 12
