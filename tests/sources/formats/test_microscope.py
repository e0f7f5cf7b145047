"""Files of microscopes: values and pixel sizes, several images as pages, and what is refused by name."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lipnet.core.errors import InputError
from lipnet.sources.formats import microscope
from lipnet.sources.images import count_pages, pixel_sizes_nm, read_mask
from tests.sources.grey import read_grey, read_pages
from tests.sources.microscope_files import NM, WRITERS, Axis, write_berkeley, write_dm, write_ser, write_velox

VENDOR = Path(__file__).parents[4] / "shared" / "vendor"
GREY = (np.arange(48) - 10).reshape(6, 8)
SECONDS: Axis = (1.0, "s")


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("name", list(WRITERS))
def test_numbers_and_pixel_size_are_those_of_the_file(tmp_path: Path, name: str, kind: str) -> None:
    path = WRITERS[name](tmp_path / name, GREY.astype(kind))
    [raw] = microscope.pages(path)
    np.testing.assert_array_equal(raw.pixels, GREY.astype(kind))
    assert raw.pixels.dtype == np.dtype(kind)
    assert raw.white == {"u1": 255, "u2": 65535}.get(kind)
    assert pixel_sizes_nm(path) == pytest.approx([0.5])
    assert read_grey(path).shape == (6, 8)


@pytest.mark.parametrize(
    ("unit", "size", "expected_nm"),
    [("nm", 0.4, 0.4), ("A", 4.0, 0.4), ("Å", 4.0, 0.4), ("µm", 0.25, 250.0), ("um", 0.25, 250.0), ("", 1.0, None)],
)
def test_pixel_sizes_are_given_in_nm_whatever_the_unit(
    tmp_path: Path, unit: str, size: float, expected_nm: float | None
) -> None:
    [found] = pixel_sizes_nm(write_dm(tmp_path / "a.dm4", GREY.astype("i2"), axes=((size, unit),) * 2))
    assert found == (None if expected_nm is None else pytest.approx(expected_nm))


def test_other_formats_state_no_pixel_size(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", GREY)
    assert pixel_sizes_nm(tmp_path / "a.npy") == []


@pytest.mark.parametrize(
    "write",
    [
        lambda folder, images: write_dm(folder / "a.dm3", images, axes=(SECONDS, *NM)),
        lambda folder, images: write_dm(folder / "a.dm4", *images),
        lambda folder, images: write_ser(folder / "a.ser", *images),
        lambda folder, images: write_velox(folder / "a.emd", images),
        lambda folder, images: write_velox(folder / "a.emd", *images),
        lambda folder, images: write_berkeley(folder / "a.emd", images, axes=(SECONDS, *NM)),
        lambda folder, images: write_berkeley(folder / "a.emd", *images),
    ],
    ids=["dm stack", "dm images", "ser series", "velox stack", "velox images", "berkeley stack", "berkeley images"],
)
def test_several_images_are_pages(tmp_path: Path, write: Callable[[Path, Any], Path]) -> None:
    images = np.stack([GREY, GREY * 2, GREY * -1]).astype("i2")
    path = write(tmp_path, images)
    assert count_pages(path) == len(list(read_pages(path))) == 3
    assert pixel_sizes_nm(path) == pytest.approx([0.5] * 3)
    for raw, expected in zip(microscope.pages(path), images, strict=True):
        np.testing.assert_array_equal(raw.pixels, expected)
    with pytest.raises(InputError, match=r"expected one grey or colour image, found 3"):
        read_grey(path)


def test_colours_become_luminance(tmp_path: Path) -> None:
    blue, green, red = np.zeros((6, 8, 3), np.uint8), np.full((6, 8), 200, np.uint8), np.zeros((6, 8), np.uint8)
    bgra = np.dstack([blue[:, :, 0], green, red, red])
    np.testing.assert_array_equal(read_grey(write_dm(tmp_path / "a.dm3", bgra)), 143)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda folder: write_dm(folder / "a.dm3", GREY.astype("f4")[0], axes=((0.1, "eV"),)),
            r"a\.dm3: holds a spectrum and no image \(x in eV\); save the image alone",
        ),
        (
            lambda folder: write_dm(
                folder / "a.dm3", np.stack([GREY] * 2).astype("f4"), axes=(SECONDS, *NM), tags={"spim": {"eels": 1}}
            ),
            r"a\.dm3: holds a spectrum and no image",
        ),
        (
            lambda folder: write_dm(
                folder / "a.dm3",
                np.stack([GREY] * 2).astype("f4"),
                axes=(SECONDS, *NM),
                tags={"Meta Data": {"Format": "Spectrum image"}},
            ),
            r"a\.dm3: holds a spectrum and no image",
        ),
        (lambda folder: write_ser(folder / "a.ser", GREY[0].astype("f4"), spectrum=True), r"a\.ser: holds a spectrum"),
        (
            lambda folder: write_dm(folder / "a.dm4", GREY.astype("f4"), axes=((0.1, "1/nm"),) * 2),
            r"a\.dm4: holds a diffraction pattern or transform and no image \(y in 1/nm, x in 1/nm\)",
        ),
        (
            lambda folder: write_dm(folder / "a.dm4", GREY.astype("f4"), axes=((0.1, "mrad"),) * 2),
            r"a\.dm4: holds a diffraction pattern",
        ),
        (
            lambda folder: write_velox(folder / "a.emd", GREY.astype("f4"), pixel=(1e8, 1e8), unit="1/m"),
            r"a\.emd: holds a diffraction pattern",
        ),
        (
            lambda folder: write_dm(folder / "a.dm3", np.ones((2, 2, 6, 8), "f4"), axes=(*NM, *NM)),
            r"a\.dm3: holds a map of spectra or images and no stack",
        ),
        (
            lambda folder: write_dm(folder / "a.dm3", GREY.astype("f4"), axes=((1.0, "V"), (1.0, "nm"))),
            r"a\.dm3: holds axes that are no lengths \(y in V, x in nm\)",
        ),
        (
            lambda folder: write_dm(folder / "a.dm4", GREY.astype("f4"), axes=((2.0, "A"), (1.0, "nm"))),
            r"a\.dm4: its pixels are not square: 0\.2 nm high, 1 nm wide; scale the image to square pixels",
        ),
        (
            lambda folder: write_ser(folder / "a.ser", GREY.astype("f4"), pixel_m=(1e-9, 1.1e-9)),
            r"a\.ser: its pixels are not square: 1 nm high, 1\.1 nm wide",
        ),
        (lambda folder: write_dm(folder / "a.dm3", GREY.astype("c8")), r"a\.dm3: its pixels are complex numbers"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, write: Callable[[Path], Path], message: str) -> None:
    path = write(tmp_path)
    for read in (read_grey, read_mask, lambda path: list(read_pages(path))):
        with pytest.raises(InputError, match=message):
            read(path)


def test_velox_files_of_spectra_are_refused_by_name(tmp_path: Path) -> None:
    path = write_velox(tmp_path / "a.emd", GREY.astype("i2"))
    with h5py.File(path, "r+") as file:
        file.create_group("Data/SpectrumImage")
    with pytest.raises(InputError, match=r"a\.emd: holds a spectrum image; export its image alone from Velox"):
        read_grey(path)
    with h5py.File(path, "r+") as file:
        del file["Data/SpectrumImage"], file["Data/Image"]
        file.create_group("Data/Spectrum")
    with pytest.raises(InputError, match=r"a\.emd: holds no image; spectra are not read"):
        read_grey(path)


def test_parts_of_a_file_that_stand_for_other_files_are_not_followed(tmp_path: Path) -> None:
    secret = write_velox(tmp_path / "secret.emd", GREY.astype("i2"))
    linked = write_velox(tmp_path / "a.emd", GREY.astype("i2"))
    with h5py.File(linked, "r+") as file:
        file["Data/Image/other"] = h5py.ExternalLink(str(secret), "Data/Image")
    with pytest.raises(InputError, match=r"a\.emd: other is a link to another file, which is not followed"):
        read_grey(linked)
    (tmp_path / "secret.bin").write_bytes(bytes(96))
    with h5py.File(tmp_path / "b.emd", "w") as file:
        file.create_dataset("Data", (6, 8), "u2", external=[(str(tmp_path / "secret.bin"), 0, 96)])
    with pytest.raises(InputError, match=r"b\.emd: Data lies in another file, which is not opened"):
        read_grey(tmp_path / "b.emd")


def test_a_size_that_no_file_holds_is_refused_before_room_is_made(tmp_path: Path) -> None:
    path = write_velox(tmp_path / "a.emd", GREY.astype("i2"))
    with h5py.File(path, "r+") as file:
        file.create_dataset("Data/Image/other/Data", (70_000, 70_000, 1), "u2", chunks=(100, 100, 1))
    with pytest.raises(InputError, match=r"a\.emd: claims 70000 x 70000 px"):
        read_grey(path)


@pytest.mark.parametrize("name", list(WRITERS))
def test_without_the_package_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = WRITERS[name](tmp_path / name, GREY.astype("i2"))
    for module in ("digitalmicrograph", "tia", "emd"):
        monkeypatch.setitem(sys.modules, f"rsciio.{module}", None)
    with pytest.raises(InputError, match=rf"{name}: .* pip install 'lipnet\[microscope\]', or save the image as TIFF"):
        read_grey(path)


@pytest.mark.parametrize(
    ("name", "shape", "mean", "low", "high", "pixel_nm"),
    [
        ("16_STOimage_1.ser", (1024, 1024), 18748.33, 16121, 24376, 0.0100127),
        ("Camera_Ceta_Imaging_Micro.emd", (512, 512), -1.5705, -10, 7, 3.138837),
    ],
)
def test_samples_of_vendors_have_the_values_of_the_instrument(
    name: str, shape: tuple[int, int], mean: float, low: float, high: float, pixel_nm: float
) -> None:
    if not VENDOR.is_dir():
        pytest.skip("the samples are not beside the checkout")
    [raw] = microscope.pages(VENDOR / name)
    assert raw.pixels.shape == read_grey(VENDOR / name).shape == shape
    assert raw.pixels.mean() == pytest.approx(mean, rel=1e-4)
    assert (raw.pixels.min(), raw.pixels.max()) == (low, high)
    assert pixel_sizes_nm(VENDOR / name) == pytest.approx([pixel_nm], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dmTest_float32_nonSquare_diffPixelSize.dm3", "its pixels are not square: 0.2 nm high, 1 nm wide"),
        ("dmTest_float32_nonSquare_diffPixelSize.dm4", "its pixels are not square: 0.2 nm high, 1 nm wide"),
        ("08_carbon.dm3", "holds a spectrum and no image"),
    ],
)
def test_samples_of_vendors_that_are_no_images_for_us_are_refused_by_name(name: str, message: str) -> None:
    if not VENDOR.is_dir():
        pytest.skip("the samples are not beside the checkout")
    with pytest.raises(InputError, match=f"{name}: {message}"):
        read_grey(VENDOR / name)
