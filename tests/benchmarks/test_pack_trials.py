"""The trials that reports need are packed, no others; and nothing is written while one is missing."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pack_trials
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.studies import packs

KEYS = [f"{number:032x}" for number in range(1, 5)]


def cache(root: Path, number: int) -> bytes:
    path = root / "data" / "trials" / f"{KEYS[number]}.npz"
    files.write_arrays(path, {".predicted": np.arange(number)})
    return path.read_bytes()


def report(root: Path, study: str, numbers: list[int]) -> None:
    folder = root / "studies" / "results" / study
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trials.csv").write_text("arm,key\n" + "".join(f"a,{KEYS[number]}\n" for number in numbers))


def test_what_reports_need_is_packed_from_the_folder_and_the_old_pack(tmp_path: Path) -> None:
    pack, contents = tmp_path / "studies" / "trials.zip", [cache(tmp_path, number) for number in range(4)]
    report(tmp_path, "one", [0, 1])
    report(tmp_path, "real/two", [1, 2])
    said = pack_trials.pack(tmp_path)
    assert packs.read(pack, KEYS) == {KEYS[number]: contents[number] for number in range(3)}
    total = sum(map(len, contents[:3])) / 1e6
    assert said.startswith(f"studies/trials.zip: 3 trials of 2 studies, {total:.2f} MB, packed into 0.00 MB; 0 of")
    for number in (0, 1, 2):
        (tmp_path / "data" / "trials" / f"{KEYS[number]}.npz").unlink()
    report(tmp_path, "one", [1, 3])
    report(tmp_path, "real/two", [1])
    assert pack_trials.pack(tmp_path).endswith("; 2 of the old pack dropped")
    assert packs.read(pack, KEYS) == {KEYS[1]: contents[1], KEYS[3]: contents[3]}


def test_a_missing_trial_is_named_with_its_study_and_nothing_is_written(tmp_path: Path) -> None:
    cache(tmp_path, 0)
    report(tmp_path, "one", [0])
    pack_trials.pack(tmp_path)
    pack = tmp_path / "studies" / "trials.zip"
    before = pack.read_bytes(), packs.digest_path(pack).read_bytes()
    report(tmp_path, "two", [0, 3, 2])
    with pytest.raises(InputError, match=rf"two.trials\.csv: 2 trials are missing, as {KEYS[2]}\n.*run `make studies`"):
        pack_trials.pack(tmp_path)
    assert (pack.read_bytes(), packs.digest_path(pack).read_bytes()) == before


def test_a_damaged_trial_is_not_packed(tmp_path: Path) -> None:
    cache(tmp_path, 0)
    report(tmp_path, "one", [0])
    (tmp_path / "data" / "trials" / f"{KEYS[0]}.npz").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(InputError, match=rf"{KEYS[0]}\.npz: damaged"):
        pack_trials.pack(tmp_path)
    assert not (tmp_path / "studies" / "trials.zip").exists()


def test_the_command_ends_with_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[pack_trials.__name__], "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"^pack_trials: .*studies: no study has a trials\.csv; run `make studies`"):
        pack_trials.main()
