"""Files are found under any spelling of their names; links lead into the cache of DVC or nowhere."""

import os
import unicodedata
from pathlib import Path

import pytest

from lipnet.sources.input.disk import advice_on_link, entries, in_dvc_cache, listed_as, spellings

NFC = "Gr\u00f6\u00dfe.png"
NFD = unicodedata.normalize("NFD", NFC)


@pytest.mark.parametrize(("on_disk", "wanted"), [(NFD, NFC), (NFC, NFD), ("a.PNG", "a.png"), ("a.png", "a.Png")])
def test_a_file_is_found_under_another_spelling(tmp_path: Path, on_disk: str, wanted: str) -> None:
    (tmp_path / on_disk).touch()
    assert spellings(tmp_path, wanted) == [on_disk]
    assert spellings(tmp_path, f"{wanted}x") == []


def test_the_exact_name_comes_first_and_several_others_are_all_named(tmp_path: Path) -> None:
    for name in ("a.PNG", "a.Png", NFC, NFD):
        (tmp_path / name).touch()
    assert spellings(tmp_path, "a.png") == ["a.PNG", "a.Png"]
    assert spellings(tmp_path, "a.Png") == ["a.Png"]
    assert spellings(tmp_path, NFD) == [NFD]


def test_a_name_on_a_screenshot_of_macos_is_found(tmp_path: Path) -> None:
    (tmp_path / "Shot 3.04.05\u202fPM.png").touch()
    assert spellings(tmp_path, "Shot 3.04.05 PM.png") == ["Shot 3.04.05\u202fPM.png"]


def test_a_disk_that_ignores_capitals_has_one_name_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").touch()
    monkeypatch.setattr(os.path, "lexists", lambda path: Path(path).name.lower() == "a.png")
    assert spellings(tmp_path, "a.PNG") == ["a.png"]


def test_a_folder_is_listed_again_after_a_change(tmp_path: Path) -> None:
    assert not entries(tmp_path / "none")
    assert not entries(tmp_path)
    (tmp_path / "a.png").touch()
    os.utime(tmp_path, ns=(0, 1))  # the clock of some disks is too coarse for a test
    assert entries(tmp_path) == {"a.png": ["a.png"]}


def test_a_table_is_found_whatever_its_capitals(tmp_path: Path) -> None:
    assert listed_as(tmp_path, "particles.csv") == tmp_path / "particles.csv"
    (tmp_path / "Particles.CSV").touch()
    assert listed_as(tmp_path, "particles.csv") == tmp_path / "Particles.CSV"
    (tmp_path / "particles.csv").touch()
    assert listed_as(tmp_path, "particles.csv") == tmp_path / "particles.csv"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of a repository with an object in its cache, and files elsewhere."""
    folder = tmp_path / "repository/data/raw/x"
    folder.mkdir(parents=True)
    for place in ("repository/.dvc/cache/files/md5/ab", "repository/.dvc/tmp", "other/.dvc/cache/files/md5/ab"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / ("0" * 30)).write_text("an image")
    return folder


def _link(data: Path, target: str) -> Path:
    (data / "a.png").symlink_to(data.parents[3] / target)
    return data / "a.png"


def test_a_link_into_the_cache_of_the_repository_is_known(data: Path) -> None:
    link = _link(data, f"repository/.dvc/cache/files/md5/ab/{'0' * 30}")
    assert in_dvc_cache(link, data)
    (data.parents[3] / "chain").symlink_to(link)
    assert in_dvc_cache(data.parents[3] / "chain", data)


@pytest.mark.parametrize(
    "target",
    [
        f"other/.dvc/cache/files/md5/ab/{'0' * 30}",
        f"repository/.dvc/tmp/{'0' * 30}",
        "repository/.dvc/cache/files/md5/ab",
        "repository/.dvc/cache/gone",
        f"repository/.dvc/cache/../tmp/{'0' * 30}",
        "repository/data/raw/x/a.png",  # itself
        "/etc/passwd",
    ],
)
def test_all_other_links_are_not(data: Path, target: str) -> None:
    assert not in_dvc_cache(_link(data, target), data)


def test_a_link_in_the_cache_that_leads_out_of_it_is_not(data: Path) -> None:
    (data.parents[2] / ".dvc/cache/out").symlink_to("/etc/passwd")
    assert not in_dvc_cache(_link(data, "repository/.dvc/cache/out"), data)


def test_a_cache_inside_the_data_folder_is_not_that_of_the_repository(data: Path) -> None:
    (data / ".dvc/cache").mkdir(parents=True)
    (data / ".dvc/cache/secret").symlink_to("/etc/passwd")
    assert not in_dvc_cache(_link(data, "repository/data/raw/x/.dvc/cache/secret"), data)


def test_a_link_to_a_shared_cache_gets_the_commands_of_dvc_and_any_other_the_plain_advice(data: Path) -> None:
    assert "dvc checkout --relink" in advice_on_link(_link(data, f"other/.dvc/cache/files/md5/ab/{'0' * 30}"))
    assert advice_on_link(data) == "copy the file"
