"""Which files of a folder are images, which are refused by name, and which are passed over."""

from pathlib import Path

from lipnet.sources.images import IMAGE_SUFFIXES
from lipnet.sources.new_data.disk import UNREAD_SUFFIXES, look, refuse


def _make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_every_file_is_an_image_an_unread_image_or_something_else(tmp_path: Path) -> None:
    _make(tmp_path, "a.png", "in/b.TIFF", "c.czi", "d.NPZ", "e.txt", "f")
    found = look(tmp_path)
    names = [[path.relative_to(tmp_path).as_posix() for path in paths] for paths in found]
    assert names == [["a.png", "in/b.TIFF"], ["c.czi", "d.NPZ"], ["e.txt", "f"]]
    refused = list(refuse(found.unread, tmp_path))
    assert [row.id for row in refused] == ["c.czi", "d.NPZ"] and all(row.fault for row in refused)
    assert "c.czi: format '.czi' is not read; save the image as TIFF" in refused[0].reason


def test_hidden_files_and_those_of_systems_are_passed_over(tmp_path: Path) -> None:
    _make(tmp_path, "._a.png", ".ipynb_checkpoints/b.png", "__MACOSX/c.png", "in/.DS_Store", "Thumbs.db", "a.png")
    assert look(tmp_path) == ([tmp_path / "a.png"], [], [])


def test_a_folder_around_that_is_hidden_does_not_hide_its_files(tmp_path: Path) -> None:
    _make(tmp_path, ".data/a.png")
    assert look(tmp_path / ".data").images == [tmp_path / ".data/a.png"]


def test_the_folder_of_masks_is_skipped_and_links_to_folders_are_named(tmp_path: Path) -> None:
    _make(tmp_path, "images/a.png", "images/masks/a.png", "other/b.png")
    (tmp_path / "images/link").symlink_to(tmp_path / "other")
    found = look(tmp_path / "images", tmp_path / "images/masks")
    assert found.images == [tmp_path / "images/a.png"]
    assert found.others == [tmp_path / "images/link"]


def test_no_format_is_both_read_and_unread() -> None:
    assert not UNREAD_SUFFIXES & IMAGE_SUFFIXES
