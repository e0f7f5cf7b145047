"""Every kind of file: written, read, and listed in data/raw/README.md as read or refused.

``python -m tests.sources.formats.file_kinds`` writes the table there.
"""

import itertools
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import mrcfile
import numpy as np
import tifffile
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.sources.images import read_label_pages, read_mask
from tests.sources import microscope_files
from tests.sources.grey import read_grey

README = Path(__file__).parents[3] / "data" / "raw" / "README.md"
START, END = "<!-- file kinds: written by python -m tests.sources.formats.file_kinds -->", "<!-- end of file kinds -->"
SHARES = np.repeat(
    np.repeat(np.array([[0, 3, 1, 0], [3, 0, 2, 2], [0, 1, 0, 3]]), 8, axis=0), 8, axis=1
)  # of white, / 3
READ, REFUSED, WRONG = "read", "refused", "WRONG"


class Kind(NamedTuple):
    """A family of files that are all treated alike.

    Attributes:
        suffix: of the file.
        bits: bits of a sample, or types of NumPy.
        colours: what the samples mean.
        orders: byte orders.
        compressions: as the formats name them.
        write: writes the pattern ``SHARES`` to a path, in one of these ways.
    """

    suffix: str
    bits: tuple[str, ...]
    colours: tuple[str, ...]
    orders: tuple[str, ...]
    compressions: tuple[str, ...]
    write: Callable[[Path, str, str, str, str], Any]

    def ways(self) -> Iterator[tuple[str, str, str, str]]:
        """All combinations of bits, colours, orders and compressions."""
        return itertools.product(self.bits, self.colours, self.orders, self.compressions)


def levels(bits: str) -> Any:
    """The pattern from 0 to white, in a type that holds it; of types without a white from 0 to 3."""
    if bits.isdigit():
        white = 2 ** int(bits) - 1
        return np.round(SHARES * (white / 3)).astype(np.uint8 if white < 256 else np.uint16)
    kind = np.dtype(bits)
    return SHARES.astype(kind) * kind.type(np.iinfo(kind).max // 3 if kind.kind == "u" and kind.itemsize < 4 else 1)


def _colours(grey: Any, colours: str) -> Any:
    """Samples for the name of a colour space."""
    if colours == "grey + opacity":
        return np.dstack([grey, np.full_like(grey, np.iinfo(grey.dtype).max)])
    if colours in ("RGB + opacity", "four channels"):
        return np.dstack([grey, grey, grey, np.full_like(grey, np.iinfo(grey.dtype).max)])
    return np.dstack([grey] * 3) if colours.startswith("RGB") else grey


_PNG_COLOURS = {"grey": 0, "RGB": 2, "colour table": 3, "grey + opacity": 4, "RGB + opacity": 6}
_TABLE = np.repeat(np.array([[255], [170], [85], [0]], np.uint8), 3, axis=1)  # an inverting table for 0, 1, 2, 3


def _write_png(path: Path, bits: str, colours: str, order: str, compression: str) -> None:
    samples = _colours(SHARES.astype(np.uint8) if colours == "colour table" else levels(bits), colours)
    if bits == "1" and colours == "colour table":
        samples = samples % 2
    rows = [_packed(row.ravel(), int(bits)) for row in samples]
    height, width = SHARES.shape
    header = struct.pack(">IIBBBBB", width, height, int(bits), _PNG_COLOURS[colours], 0, 0, 0)
    table = _chunk(b"PLTE", _TABLE[: 2 ** int(bits)].tobytes()) if colours == "colour table" else b""
    data = _chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + table + data + _chunk(b"IEND", b""))


def _packed(numbers: Any, bits: int) -> bytes:
    if bits in (8, 16):
        return numbers.astype(f">u{bits // 8}").tobytes()
    digits = (numbers[:, None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(digits.astype(np.uint8).ravel()).tobytes()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


_MODES = {"grey": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB", "YCbCr": "YCbCr"}


def _write_pillow(path: Path, bits: str, colours: str, order: str, compression: str) -> None:
    if colours == "colour table":
        image = Image.fromarray(SHARES.astype(np.uint8), "P")
        image.putpalette(_TABLE.ravel().tolist())
    else:
        grey = Image.fromarray(levels(bits) > 0 if bits == "1" else levels(bits))
        image = grey if bits == "1" else grey.convert("RGB").convert(_MODES[colours.split(" as")[0]])
    options: dict[str, Any] = {"quality": 95} if path.suffix == ".jpg" else {}
    if path.suffix == ".tif" and compression != "none":
        options["compression"] = {"CCITT group 4": "group4"}[compression]
    image.save(path, **options)


def _write_jpeg_of_another_kind(path: Path, bits: str, colours: str, order: str, compression: str) -> None:
    grey = levels(bits)
    encoded = (
        imagecodecs.ljpeg_encode(grey)
        if compression == "lossless JPEG"
        else imagecodecs.jpeg8_encode(grey, bitspersample=12)
    )
    path.write_bytes(encoded)


def _write_animation(path: Path, bits: str, colours: str, order: str, compression: str) -> None:
    frames = [Image.fromarray(levels("8")), Image.fromarray(255 - levels("8"))]
    frames[0].save(path, save_all=True, append_images=frames[1:])


_PHOTOMETRIC = {"grey": "minisblack", "grey (0 is white)": "miniswhite", "colour table": "palette", "RGB": "rgb"}
_CODECS = {"none": None, "Deflate": "zlib", "PackBits": "packbits", "JPEG 2000": "jpeg2000", "JPEG XL": "jpegxl"}


def _write_tiff(path: Path, bits: str, colours: str, order: str, compression: str) -> None:
    grey = SHARES.astype(np.uint8 if bits != "16" else np.uint16) if colours == "colour table" else levels(bits)
    samples, options = _colours(grey, colours.replace("grey (0 is white)", "grey")), dict[str, Any]()
    if colours == "RGB in planes":
        samples, options["planarconfig"] = np.ascontiguousarray(np.moveaxis(samples, 2, 0)), "separate"
    if "opacity" in colours:
        options["extrasamples"] = ["unassalpha"]
    if colours == "four channels":
        options["planarconfig"] = "contig"
    if colours == "colour table":
        table = np.zeros((3, 2 ** int(bits)), np.uint16)
        table[:, :4] = _TABLE.T.astype(np.uint16) * 257
        options["colormap"] = table
    if bits.isdigit() and int(bits) not in (8, 16):
        samples = np.stack([np.frombuffer(_packed(row, int(bits)), np.uint8) for row in samples])
    tifffile.imwrite(
        path,
        samples,
        byteorder={"little": "<", "big": ">"}[order],
        photometric=_PHOTOMETRIC.get(colours.removesuffix(" + opacity").removesuffix(" in planes"), "minisblack"),
        compression=_CODECS.get(compression, compression.lower().replace(" ", "")),
        metadata=None,
        **options,
    )
    if bits.isdigit() and int(bits) not in (8, 16):
        with tifffile.TiffFile(path, mode="r+") as tiff:
            for name, value in (("ImageWidth", SHARES.shape[1]), ("BitsPerSample", int(bits))):
                tiff.pages.first.tags[name].overwrite(value)


def _write_mrc(path: Path, bits: str, colours: str, order: str, compression: str) -> None:
    signed = bits.endswith("(IMOD: signed)")
    samples = stored(bits, colours)
    with mrcfile.new(path, overwrite=True) as mrc:
        if "int8" in bits:
            mrc.set_data((samples.astype(np.uint8) ^ np.uint8(128 if signed else 0)).view(np.int8))
        else:
            mrc.set_data(samples.astype(np.dtype(bits).newbyteorder("<" if order == "little" else ">")))
    if "IMOD" in bits:
        content = bytearray(path.read_bytes())
        struct.pack_into("<2i", content, 152, 1146047817, int(signed))
        path.write_bytes(content)


def _write_packed_mrc(path: Path, bits: str, colours: str, order: str, compression: str) -> None:
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(SHARES.astype(np.int8))
        mrc.header.mode = {"4": 101, "8": 16, "int16 complex": 3}[bits]


def _write_npy(path: Path, bits: str, colours: str, order: str, compression: str) -> None:
    if bits == "object":
        np.save(path, SHARES.astype(object), allow_pickle=True)
    else:
        samples = _colours(SHARES > 0 if bits == "bool" else levels(bits), colours)
        np.save(path, samples.astype(samples.dtype.newbyteorder(">" if order == "big" else "<")))


def _write_microscope(path: Path, bits: str, colours: str, order: str, compression: str) -> None:
    grey = levels(bits)
    if colours == "RGB":
        microscope_files.write_dm(path, np.dstack([grey, grey, grey, grey]))
    elif colours == "spectrum":
        axes = ((1.0, "eV"),)
        row = grey[0]
        microscope_files.write_ser(path, row, spectrum=True) if path.suffix == ".ser" else microscope_files.write_dm(
            path, row, axes=axes
        )
    elif colours == "pixels not square":
        sides: Any = {"axes": ((1.0, "nm"), (2.0, "nm"))} if "dm" in path.suffix else {"pixel_m": (1e-9, 2e-9)}
        (microscope_files.write_ser if path.suffix == ".ser" else microscope_files.write_dm)(path, grey, **sides)
    elif colours == "diffraction pattern":
        microscope_files.write_velox(path, grey, pixel=(1e8, 1e8), unit="1/m")
    elif colours == "grey (Berkeley)":
        microscope_files.write_berkeley(path, grey)
    else:
        microscope_files.WRITERS[f"a{path.suffix}"](path, grey)


def _write_foreign(path: Path, bits: str, colours: str, order: str, compression: str) -> None:
    image = Image.fromarray(levels("8"))
    if path.suffix == ".npz":
        np.savez(path, levels("8"))
    else:
        image.save(path)


_WHOLE = ("uint8", "uint16", "uint32", "int8", "int16", "int32")
_FLOATS = ("float16", "float32", "float64")
_LOSSLESS = ("none", "LZW", "Deflate", "PackBits", "LZMA", "Zstd")
_NO = ("-",)
_BOTH = ("little", "big")
_PACKED = ("2", "4", "10", "12", "14")
_OF_MICROSCOPES = (*_WHOLE, "float32", "float64")
_OF_IMOD = ("int8 (IMOD: unsigned)", "int8 (IMOD: signed)")
_RGB = ("RGB", "RGB + opacity")
KINDS = (
    Kind(".png", ("1", "2", "4", "8", "16"), ("grey",), _NO, ("Deflate",), _write_png),
    Kind(".png", ("2", "4", "8"), ("colour table",), _NO, ("Deflate",), _write_png),
    Kind(".png", ("8", "16"), ("grey + opacity",), _NO, ("Deflate",), _write_png),
    Kind(".png", ("8", "16"), _RGB, _NO, ("Deflate",), _write_png),
    Kind(".png", ("8",), ("several frames",), _NO, ("Deflate",), _write_animation),
    Kind(".jpg", ("8",), ("grey", "RGB", "CMYK"), _NO, ("JPEG",), _write_pillow),
    Kind(".jpg", ("8",), ("grey",), _NO, ("lossless JPEG",), _write_jpeg_of_another_kind),
    Kind(".jpg", ("12",), ("grey",), _NO, ("JPEG",), _write_jpeg_of_another_kind),
    Kind(".bmp", ("1", "8"), ("grey",), _NO, ("none",), _write_pillow),
    Kind(".bmp", ("8",), ("colour table",), _NO, ("none",), _write_pillow),
    Kind(".bmp", ("8",), ("RGB",), _NO, ("none",), _write_pillow),
    Kind(".gif", ("8",), ("colour table",), _NO, ("LZW",), _write_pillow),
    Kind(".gif", ("8",), ("several frames",), _NO, ("LZW",), _write_animation),
    Kind(".tif", ("1",), ("grey",), ("little",), ("none", "CCITT group 4"), _write_pillow),
    Kind(".tif", _PACKED, ("grey", "grey (0 is white)"), _BOTH, ("none",), _write_tiff),
    Kind(".tif", ("8", "16", "int16", "float32"), ("grey",), _BOTH, _LOSSLESS, _write_tiff),
    Kind(".tif", (*_WHOLE, *_FLOATS), ("grey", "grey (0 is white)"), _BOTH, ("none",), _write_tiff),
    Kind(".tif", ("8", "16"), ("colour table", "grey + opacity"), _BOTH, ("none", "LZW"), _write_tiff),
    Kind(".tif", ("8", "16"), (*_RGB, "RGB in planes"), _BOTH, ("none", "LZW"), _write_tiff),
    Kind(".tif", ("float32",), ("RGB",), _BOTH, ("none", "Deflate"), _write_tiff),
    Kind(".tif", ("8",), ("grey", "RGB"), ("little",), ("JPEG", "JPEG 2000", "JPEG XL"), _write_tiff),
    Kind(".tif", ("8", "16"), ("four channels",), ("little",), ("none",), _write_tiff),
    Kind(".tif", ("8",), ("CMYK", "Lab", "YCbCr"), ("little",), ("none",), _write_pillow),
    Kind(".tif", ("complex64",), ("grey",), _BOTH, ("none",), _write_tiff),
    Kind(".mrc", ("int8", *_OF_IMOD), ("grey",), ("little",), ("none",), _write_mrc),
    Kind(".mrc", ("int16", "uint16", "float16", "float32"), ("grey",), _BOTH, ("none",), _write_mrc),
    Kind(".mrcs", ("int16", "float32"), ("grey",), ("little",), ("none",), _write_mrc),
    Kind(".mrc", ("complex64",), ("grey",), ("little",), ("none",), _write_mrc),
    Kind(".mrc", ("4", "int16 complex"), ("grey",), ("little",), ("none",), _write_packed_mrc),
    Kind(".mrc", ("8",), ("RGB",), ("little",), ("none",), _write_packed_mrc),
    Kind(".npy", ("bool", *_WHOLE, "int64", *_FLOATS), ("grey",), _BOTH, ("none",), _write_npy),
    Kind(".npy", ("uint8", "uint16", "float32"), ("RGB",), _BOTH, ("none",), _write_npy),
    Kind(".npy", ("complex64", "object"), ("grey",), ("little",), ("none",), _write_npy),
    Kind(".dm3", _OF_MICROSCOPES, ("grey",), ("little",), ("none",), _write_microscope),
    Kind(".dm4", _OF_MICROSCOPES, ("grey",), ("little",), ("none",), _write_microscope),
    Kind(".dm4", ("uint8",), ("RGB",), ("little",), ("none",), _write_microscope),
    Kind(".dm4", ("float32",), ("spectrum", "pixels not square"), ("little",), ("none",), _write_microscope),
    Kind(".dm4", ("complex64",), ("grey",), ("little",), ("none",), _write_microscope),
    Kind(".ser", _OF_MICROSCOPES, ("grey",), ("little",), ("none",), _write_microscope),
    Kind(".ser", ("float32",), ("spectrum", "pixels not square"), ("little",), ("none",), _write_microscope),
    Kind(".emd", _OF_MICROSCOPES, ("grey (Velox)", "grey (Berkeley)"), ("little",), ("none",), _write_microscope),
    Kind(".emd", ("float32",), ("diffraction pattern",), ("little",), ("none",), _write_microscope),
    Kind(".webp", ("8",), ("grey",), _NO, ("WebP",), _write_foreign),
    Kind(".jp2", ("8",), ("grey",), _NO, ("JPEG 2000",), _write_foreign),
    Kind(".npz", ("8",), ("grey",), _NO, ("Deflate",), _write_foreign),
)
_LOSSY = ("JPEG", "lossless JPEG", "JPEG 2000", "JPEG XL")


def stored(bits: str, colours: str) -> Any:
    """The numbers that a file of the pattern stores."""
    if colours == "colour table" or bits == "int8":
        return SHARES
    return levels("8") if "IMOD" in bits else SHARES > 0 if bits == "bool" else levels(bits)


def outcome(kind: Kind, way: tuple[str, str, str, str], folder: Path) -> tuple[str, str, str]:
    """Write a file and read it as image, mask and label mask: what happened to each."""
    bits, colours, _, compression = way
    path = folder / f"a{kind.suffix}"
    kind.write(path, *way)
    try:
        numbers = stored(bits, colours)
    except TypeError:  # what NumPy has no type for
        numbers = SHARES
    shown = -numbers.astype(float) if colours in ("colour table", "grey (0 is white)") else numbers
    lossy = compression in _LOSSY
    on = numbers > 127 if lossy else numbers != 0
    return (
        _read(lambda: np.corrcoef(read_grey(path).ravel(), shown.ravel())[0, 1] > (0.99 if lossy else 0.9999)),
        _read(lambda: (read_mask(path) == on).all()),
        _read(lambda: (next(iter(read_label_pages(path))) == numbers).all()),
    )


def _read(is_right: Callable[[], Any]) -> str:
    try:
        return READ if is_right() else WRONG
    except InputError:
        return REFUSED


def table() -> str:
    """All kinds in Markdown.

    Raises:
        ValueError: files of one kind are not all treated alike.
    """
    head = ("format", "bits or type", "samples", "byte order", "compression", "image", "mask", "label mask")
    rows = [head, ("---",) * len(head)]
    with tempfile.TemporaryDirectory() as name:
        for kind in KINDS:
            found = {way: outcome(kind, way, Path(name)) for way in kind.ways()}
            if len(set(found.values())) > 1:
                raise ValueError(f"{kind.suffix}: not all alike: {found}")
            cells = [", ".join(each) for each in (kind.bits, kind.colours, kind.orders, kind.compressions)]
            rows.append((kind.suffix[1:].upper(), *cells, *next(iter(found.values()))))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def with_table(text: str) -> str:
    """The text of the README with the table of today between its marks."""
    before, rest = text.split(START)
    return f"{before}{START}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
