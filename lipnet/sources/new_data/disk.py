"""Which files of a folder are images that can be read, which cannot, and which are none."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lipnet.sources.images import IMAGE_SUFFIXES
from lipnet.sources.input.spelling import is_clutter
from lipnet.sources.rows import Rejected

UNREAD_SUFFIXES = {  # images of microscopes, electron tomography and common programs that lipnet does not read
    *(".bmp", ".gif", ".webp", ".jp2", ".j2k", ".jxl", ".heic", ".pgm", ".ppm", ".pbm", ".exr", ".psd", ".svg"),
    *(".npy", ".npz", ".mrcs", ".st", ".rec", ".ali", ".map", ".spi", ".img", ".hed", ".hdf", ".h5", ".hdf5", ".mat"),
    *(".dm3", ".dm4", ".ser", ".emd", ".emi", ".eer", ".bcf", ".blo", ".mib"),
    *(".czi", ".nd2", ".lif", ".lsm", ".oib", ".oif", ".vsi", ".svs", ".ims", ".dv", ".stk", ".zvi"),
} - IMAGE_SUFFIXES


class Found(NamedTuple):
    """Files of a folder and its subfolders, each list in order of names.

    Attributes:
        images: files that can be read, by their suffix.
        unread: images of formats that are not read.
        others: files that are no images, and folders that are links.
    """

    images: list[Path]
    unread: list[Path]
    others: list[Path]


def look(folder: Path, skipped: Path | None = None) -> Found:
    """Files of a folder; hidden ones are passed over.

    Args:
        folder: where to look.
        skipped: a folder to leave out, for example that of the masks.
    """
    found = Found([], [], [])
    for path in sorted(folder.rglob("*")):
        is_file = path.is_file() or path.is_symlink()
        if not is_file or is_clutter(path.relative_to(folder)) or (skipped and _is_in(path, skipped)):
            continue
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES and not path.is_dir():
            found.images.append(path)
        else:
            (found.unread if suffix in UNREAD_SUFFIXES else found.others).append(path)
    return found


def _is_in(path: Path, folder: Path) -> bool:
    return folder.resolve() in path.resolve().parents


def refuse(paths: Sequence[Path], folder: Path) -> Iterator[Rejected]:
    """Images of formats that are not read, as rejected rows."""
    for path in paths:
        name = path.relative_to(folder).as_posix()
        reason = f"{path.name}: format '{path.suffix.lower()}' is not read; save the image as TIFF, PNG or MRC"
        yield Rejected(0, name, name, "image", reason)


def left_out(paths: Sequence[Path], folder: Path, reason: str) -> Iterator[Rejected]:
    """Files that are left out for a reason, which is no fault."""
    return (Rejected(0, "", path.relative_to(folder).as_posix(), "file", reason, fault=False) for path in paths)
