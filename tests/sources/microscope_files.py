"""Small files as microscopes write them: Digital Micrograph 3 and 4, TIA, and EMD of Velox and of Berkeley."""

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Axis = tuple[float, str]  # size of a pixel, unit
NM: tuple[Axis, Axis] = ((0.5, "nm"), (0.5, "nm"))  # y, x
DM_TYPES = {"i2": 1, "f4": 2, "c8": 3, "u1": 6, "i4": 7, "i1": 9, "u2": 10, "u4": 11, "f8": 12, "V4": 23}
DM_CODES = {1: 10, 2: 4, 4: 5, 8: 12}  # of arrays, by the bytes of an element
SER_TYPES = {"u1": 1, "u2": 2, "u4": 3, "i1": 4, "i2": 5, "i4": 6, "f4": 7, "f8": 8}


def write_dm(path: Path, *images: Any, axes: Sequence[Axis] = NM, tags: dict[str, Any] | None = None) -> Path:
    """A DM3 or DM4 file, by its suffix, with one data set for each array.

    Args:
        path: the file.
        images: arrays of any number of axes; of shape (h, w, 4), uint8, for colours: blue, green, red, opacity.
        axes: size of a pixel and unit, of each axis.
        tags: tags of the images.
    """
    version = int(path.suffix[-1])
    entries = {f"#{number}": _dm_image(pixels, axes, tags or {}) for number, pixels in enumerate(images)}
    content = _dm_group({"ImageList": entries}, version, root=True)
    path.write_bytes(struct.pack(">i", version) + _long(len(content), version) + struct.pack(">i", 1) + content)
    return path


def _dm_image(pixels: Any, axes: Sequence[Axis], tags: dict[str, Any]) -> dict[str, Any]:
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = np.ascontiguousarray(pixels).view("V4")[:, :, 0]
    calibrations = {
        f"#{n}": {"Origin": 0.0, "Scale": scale, "Units": unit} for n, (scale, unit) in enumerate(reversed(axes))
    }
    data = {
        "Calibrations": {"Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""}, "Dimension": calibrations},
        "Data": pixels,
        "DataType": DM_TYPES[pixels.dtype.str[1:]],
        "Dimensions": {f"#{n}": side for n, side in enumerate(reversed(pixels.shape))},
    }
    return {"ImageData": data, "ImageTags": {"any": 1, **tags}, "Name": "field"}


def _long(number: int, version: int) -> bytes:
    return struct.pack(">Q" if version == 4 else ">I", number)


def _dm_group(tags: dict[str, Any], version: int, root: bool = False) -> bytes:
    parts = [_dm_tag("" if name.startswith("#") else name, value, version) for name, value in tags.items()]
    content = bytes(2) + _long(len(tags), version) + b"".join(parts)
    return content if root or version == 3 else _long(len(content), version) + content


def _dm_tag(name: str, value: Any, version: int) -> bytes:
    kind = 20 if isinstance(value, dict) else 21
    head = struct.pack(">BH", kind, len(name)) + name.encode()
    if kind == 20:
        return head + _dm_group(value, version)
    info, data = _dm_value(value)
    content = b"%%%%" + b"".join(_long(number, version) for number in (len(info), *info)) + data
    return head + (_long(len(content), version) if version == 4 else b"") + content


def _dm_value(value: Any) -> tuple[list[int], bytes]:
    if isinstance(value, str):
        return [20, 4, len(value)], value.encode("utf-16-le")
    if isinstance(value, float):
        return [6], struct.pack("<f", value)
    if isinstance(value, int):
        return [5], struct.pack("<I", value)
    return [20, DM_CODES[value.dtype.itemsize], value.size], value.tobytes()  # the type is in the tag DataType


def write_ser(path: Path, *images: Any, pixel_m: tuple[float, float] = (5e-10, 5e-10), spectrum: bool = False) -> Path:
    """A TIA file: a series of images of one size (y, x in metres), or a spectrum."""
    n, first = len(images), np.asarray(images[0])
    units = b"meters"
    dimension = struct.pack("<IddII", n, 0.0, 1.0, 0, 0) + struct.pack("<I", len(units)) + units
    start = 34 - 4 + len(dimension)
    sizes = first.nbytes + (26 if spectrum else 50)
    offsets = [start + 8 * n + number * sizes for number in range(n)]
    head = struct.pack("<HHHIIIIII", 0x4949, 0x0197, 0x0210, 0x4120 if spectrum else 0x4122, 0x4152, n, n, start, 1)
    body = b"".join(_ser_element(np.asarray(image), pixel_m, spectrum) for image in images)
    path.write_bytes(head + dimension + struct.pack(f"<{n}I", *offsets) + bytes(4 * n) + body + bytes(12 * n))
    return path


def _ser_element(pixels: Any, pixel_m: tuple[float, float], spectrum: bool) -> bytes:
    kind = SER_TYPES[pixels.dtype.str[1:]]
    if spectrum:
        return struct.pack("<ddIHI", 0.0, 1.0, 0, kind, pixels.size) + pixels.tobytes()
    height, width = pixels.shape
    head = struct.pack("<ddIddIHII", 0.0, pixel_m[1], 0, 0.0, pixel_m[0], 0, kind, width, height)
    return head + pixels[::-1].tobytes()  # from the lowest row to the highest


def write_velox(path: Path, *images: Any, pixel: tuple[float, float] = (5e-10, 5e-10), unit: str = "m") -> Path:
    """An EMD file of Velox: one image for each array, of shape (h, w) or (n, h, w); sides of a pixel (y, x)."""
    with h5py.File(path, "w") as file:
        file["Version"] = np.array([json.dumps({"format": "Velox", "version": "1.11"}).encode()], dtype="S")
        for number, pixels in enumerate(images):
            group = file.create_group(f"Data/Image/{number:032x}")
            frames = pixels if pixels.ndim == 3 else pixels[None]
            group["Data"] = np.moveaxis(frames, 0, 2)
            about = {
                "BinaryResult": {
                    "PixelSize": {"height": str(pixel[0]), "width": str(pixel[1])},
                    "Offset": {"x": "0", "y": "0"},
                    "PixelUnitX": unit,
                    "PixelUnitY": unit,
                    "DetectorIndex": "0",
                },
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1596033499"}},
                "Scan": {"FrameTime": "1"},
                "Detectors": {"Detector-0": {"DetectorName": "Ceta", "DetectorType": "ImagingDetector"}},
            }
            text = np.frombuffer(json.dumps(about).encode().ljust(2000, b"\0"), np.uint8)
            group["Metadata"] = np.repeat(text[:, None], len(frames), axis=1)
    return path


def write_berkeley(path: Path, *images: Any, axes: Sequence[Axis] = NM) -> Path:
    """An EMD file of Berkeley, with one data set for each array."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        for number, pixels in enumerate(images):
            group = file.create_group(f"data/field{number}")
            group.attrs["emd_group_type"] = 1
            group["data"] = pixels.T  # x before y
            for n, (side, (scale, unit)) in enumerate(zip(reversed(pixels.shape), reversed(axes), strict=True)):
                group[f"dim{n + 1}"] = np.arange(side) * scale
                group[f"dim{n + 1}"].attrs.update({"name": "xyz"[n], "units": f"[{unit}]"})
    return path


WRITERS: dict[str, Callable[..., Path]] = {
    "a.dm3": write_dm,
    "a.dm4": write_dm,
    "a.ser": write_ser,
    "a.emd": write_velox,
    "b.emd": write_berkeley,
}
