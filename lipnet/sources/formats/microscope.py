"""Files of microscopes: Gatan Digital Micrograph (.dm3, .dm4), TIA (.ser) and Velox or Berkeley EMD (.emd).

The optional package rosettasciio reads them. It is imported when such a file is read.
"""

import importlib
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.sources.formats.raw import Format, RawImage, check_size, white_of

_READERS = {".dm3": "digitalmicrograph", ".dm4": "digitalmicrograph", ".ser": "tia", ".emd": "emd"}
_NANOMETRES = {
    **dict.fromkeys(("a", "å", "ångström", "angstrom", "angstroms"), 0.1),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre"), 1.0),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm"), 1e3),  # the micro sign, and the Greek letter that looks like it
    **dict.fromkeys(("micron", "microns", "micrometer", "micrometers"), 1e3),
    "pm": 1e-3,
    "mm": 1e6,
    **dict.fromkeys(("m", "meter", "meters"), 1e9),
}
_UNKNOWN = ("", "none", "px", "pixel", "pixels", "<undefined>", "dimensionless")
_SQUARE = 1.01  # the largest ratio of height and width of a pixel
_SPECTRA = ("EELS", "EDS", "CL")


class _Stack(NamedTuple):
    """Images of one size: shape (n, height_px, width_px), read when they are indexed; their pixel size."""

    images: Any
    pixel_size_nm: float | None


def count(path: Path) -> int:
    """Number of images of all data sets."""
    with _stacks(path) as stacks:
        return sum(len(stack.images) for stack in stacks)


def pages(path: Path) -> Iterator[RawImage]:
    """Yield every image of every data set.

    Raises:
        InputError: the package is not installed; or a data set is a spectrum, a diffraction pattern, a map of spectra
            or images, or has pixels that are not square; the message names what it is.
    """
    with _stacks(path) as stacks:
        for stack in stacks:
            for image in stack.images:
                pixels = _grey_or_colour(np.asarray(image))
                yield RawImage(pixels, white_of(pixels.dtype))


def pixel_sizes_nm(path: Path) -> list[float | None]:
    """Pixel size of every image in nm; None where the file gives none.

    Raises:
        InputError: as for ``pages``.
    """
    with _stacks(path) as stacks:
        return [stack.pixel_size_nm for stack in stacks for _ in range(len(stack.images))]


@contextmanager
def _stacks(path: Path) -> Iterator[list[_Stack]]:
    try:
        reader = importlib.import_module(f"rsciio.{_READERS[path.suffix.lower()]}")
    except ImportError:
        raise InputError(
            f"{path.name}: files of microscopes ({', '.join(_READERS)}) need the package rosettasciio; "
            "pip install 'lipnet[microscope]', or save the image as TIFF or MRC"
        ) from None
    if path.suffix.lower() == ".emd":
        _check_hdf5(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on metadata that are not used here
        found = _read(reader, path)
    if not found:
        raise InputError(f"{path.name}: holds no image; spectra are not read")
    yield [_stack(path, item) for item in found]


def _read(reader: Any, path: Path) -> list[dict[str, Any]]:
    """All data sets; pixels are read later, unless the library cannot do so, as for colours or HDF5 in one piece."""
    options = {"select_type": "images"} if path.suffix.lower() == ".emd" else {}
    try:
        return list(reader.file_reader(str(path), lazy=True, **options))
    except ValueError:
        return list(reader.file_reader(str(path), **options))


def _check_hdf5(path: Path) -> None:
    """Refuse files in which parts stand for other files, and sizes that cannot be read."""
    import h5py

    def look(group: Any) -> None:
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise InputError(f"{path.name}: {name} is a link to another file, which is not followed")
            item = group[name]
            if isinstance(item, h5py.Group):
                look(item)
            elif item.is_virtual or item.external:
                raise InputError(f"{path.name}: {name} lies in another file, which is not opened")
            elif item.ndim >= 2:
                check_size(path, sorted(item.shape)[-2:])

    with h5py.File(path, "r") as file:
        look(file)
        if "Data/SpectrumImage" in file:  # of which the library needs more packages to skip it
            raise InputError(f"{path.name}: holds a spectrum image; export its image alone from Velox")


def _stack(path: Path, found: dict[str, Any]) -> _Stack:
    """The images of a data set; its last two axes are y and x."""
    axes, pixels = found["axes"], found["data"]
    units = [_unit(axis) for axis in axes]
    fault = _fault(axes, units, _is_spectral(found))
    if fault:
        named = ", ".join(f"{axis['name']} in {axis['units'] or 'px'}" for axis in axes)
        raise InputError(f"{path.name}: holds {fault} ({named}); save the image alone")
    check_size(path, pixels.shape[-2:])
    sides_nm = [_side_nm(axis, unit) for axis, unit in zip(axes[-2:], units[-2:], strict=True)]
    if all(sides_nm) and max(sides_nm) > _SQUARE * min(sides_nm):
        raise InputError(
            f"{path.name}: its pixels are not square: {sides_nm[0]:g} nm high, {sides_nm[1]:g} nm wide; scale the "
            "image to square pixels in the program of the microscope, or in Fiji"
        )
    return _Stack(pixels if pixels.ndim == 3 else pixels[None], min(sides_nm) if all(sides_nm) else None)


def _is_spectral(found: dict[str, Any]) -> bool:
    # After reading, the library would turn an image of spectra by the first of two or more steps.
    signal = str(found["metadata"].get("Signal", {}).get("signal_type", ""))
    return signal.startswith(_SPECTRA) or len(found.get("post_process", ())) > 1


def _fault(axes: list[dict[str, Any]], units: list[str], spectral: bool) -> str:
    """What a data set is, if it is no image and no stack of images; empty if it is one."""
    if spectral or len(axes) < 2 or any(unit in ("ev", "kev") for unit in units):
        return "a spectrum and no image"
    if any("1/" in unit or "rad" in unit or "-1" in unit for unit in units[-2:]):
        return "a diffraction pattern or transform and no image"
    if len(axes) > 3 or any(axis["navigate"] for axis in axes[-2:]):
        return "a map of spectra or images and no stack of images"
    if any(unit not in _UNKNOWN and unit not in _NANOMETRES for unit in units[-2:]):
        return "axes that are no lengths"
    return ""


def _unit(axis: dict[str, Any]) -> str:
    return str(axis["units"] or "").lower().replace(" ", "")


def _side_nm(axis: dict[str, Any], unit: str) -> float:
    """Height or width of a pixel; 0 if unknown."""
    side_nm = abs(float(axis["scale"])) * _NANOMETRES.get(unit, 0)
    return side_nm if math.isfinite(side_nm) else 0


def _grey_or_colour(image: NDArray[Any]) -> NDArray[Any]:
    if image.dtype.names and {"R", "G", "B"} <= set(image.dtype.names):
        return np.stack([image[name] for name in "RGB"], axis=-1)
    return image.astype(image.dtype.newbyteorder("="))


FORMAT = Format(tuple(_READERS), (), pages, count)
