"""Packs of trials: the same bytes each time, and what is damaged or hostile is refused by name."""

import hashlib
import pickle
import shutil
import subprocess
import tracemalloc
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.studies import packs

KEYS = [f"{number:032x}" for number in (11, 2, 300)]


class Evil:
    """Would make a file if it were unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """What pickle calls."""
        return Path.touch, (Path("unpickled"),)


def trial(folder: Path, seed: int) -> bytes:
    values = np.random.default_rng(seed).random((50, 3))
    path = folder / "trial.npz"
    files.write_arrays(path, {".predicted": values.argmax(axis=1), ".millionths": values})
    return path.read_bytes()


@pytest.fixture
def trials(tmp_path: Path) -> dict[str, bytes]:
    return {key: trial(tmp_path, seed) for seed, key in enumerate(KEYS)}


@pytest.fixture
def pack(tmp_path: Path, trials: dict[str, bytes]) -> Path:
    path = tmp_path / "packed" / "trials.zip"
    packs.write(path, trials)
    return path


def forge(pack: Path, content: bytes) -> Path:
    """Give a pack other bytes and the digest that fits them."""
    pack.write_bytes(content)
    packs.digest_path(pack).write_text(f"{hashlib.sha256(content).hexdigest()}  {pack.name}\n")
    return pack


def zipped(members: list[tuple[str, bytes]], method: int = ZIP_DEFLATED) -> bytes:
    content = BytesIO()
    with ZipFile(content, "w", method) as archive:
        for name, one in members:
            archive.writestr(ZipInfo(name), one, method)
    return content.getvalue()


def test_what_is_packed_comes_back(pack: Path, trials: dict[str, bytes]) -> None:
    assert packs.keys_in(pack) == set(KEYS)
    assert packs.read(pack, KEYS) == trials
    assert packs.read(pack, [KEYS[1], "f" * 32]) == {KEYS[1]: trials[KEYS[1]]}
    expected = np.random.default_rng(0).random((50, 3))
    assert_array_equal(packs.arrays_of(trials[KEYS[0]], "")[".millionths"], expected)


def test_no_pack_holds_no_trials(tmp_path: Path) -> None:
    assert packs.keys_in(tmp_path / "none.zip") == set()
    assert packs.read(tmp_path / "none.zip", KEYS) == {}


def test_the_same_trials_give_the_same_bytes_in_any_order_and_at_any_time(
    pack: Path, trials: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = pack.with_name("other.zip")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("sys.platform", "win32")
    packs.write(other, dict(reversed(trials.items())))
    assert other.read_bytes() == pack.read_bytes()
    with ZipFile(pack) as archive:
        assert archive.namelist() == [f"{key}.npz" for key in sorted(KEYS)]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.create_system for entry in archive.infolist()} == {3}
    assert {path.name for path in pack.parent.iterdir()} == {"trials.zip", "trials.sha256", "other.zip", "other.sha256"}


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_checks_a_pack(pack: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "trials.sha256"]
    assert subprocess.run(command, cwd=pack.parent, capture_output=True, check=True).stdout == b"trials.zip: OK\n"


def test_a_pack_without_digest_is_refused(pack: Path) -> None:
    packs.digest_path(pack).unlink()
    with pytest.raises(InputError, match=r"trials\.sha256: no such file.*git checkout"):
        packs.read(pack, KEYS)


@pytest.mark.parametrize("digest", ["", "0" * 64 + "  trials.zip\n"])
def test_a_pack_that_does_not_fit_its_digest_is_refused(pack: Path, digest: str) -> None:
    packs.digest_path(pack).write_text(digest)
    with pytest.raises(InputError, match=r"trials\.zip: does not fit its digest in trials\.sha256; .*make pack-trials"):
        packs.keys_in(pack)


@pytest.mark.parametrize(
    "name",
    [
        *("../evil.npz", f"/tmp/{KEYS[0]}.npz", f"a/{KEYS[0]}.npz", f"{KEYS[0]}.npy", KEYS[0], f"{KEYS[0]}.npz.npz"),
        *(f"{'A' * 32}.npz", f"{KEYS[0][1:]}.npz", f"{KEYS[0]}.npz\n", f"{KEYS[0]}.npz/"),
    ],
)
def test_a_member_with_another_name_is_refused(pack: Path, trials: dict[str, bytes], name: str) -> None:
    before = sorted(pack.parent.parent.rglob("*"))
    forge(pack, zipped([(name, trials[KEYS[0]])]))
    for read in (lambda: packs.read(pack, KEYS), lambda: packs.keys_in(pack)):
        with pytest.raises(InputError, match="is not named as a trial"):
            read()
    assert sorted(pack.parent.parent.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(pack: Path, trials: dict[str, bytes]) -> None:
    forge(pack, zipped([(f"{KEYS[0]}.npz", trials[key]) for key in KEYS[:2]]))
    with pytest.raises(InputError, match="a name occurs twice"):
        packs.read(pack, KEYS)


def test_a_pickle_in_a_member_is_refused_and_not_run(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = BytesIO()
    np.savez(content, allow_pickle=True, **{".predicted": np.array([Evil()], dtype=object)})
    for hostile in (content.getvalue(), pickle.dumps(Evil())):
        forge(pack, zipped([(f"{KEYS[0]}.npz", hostile)]))
        with pytest.raises(InputError, match=r"of pack: damaged"):
            packs.arrays_of(packs.read(pack, KEYS)[KEYS[0]], "of pack")
        with pytest.raises(InputError, match="damaged"):
            packs.write(tmp_path / "new.zip", {KEYS[0]: hostile})
    assert not (tmp_path / "unpickled").exists() and not (tmp_path / "new.zip").exists()


def test_a_bomb_is_refused_before_it_unfolds(pack: Path, trials: dict[str, bytes]) -> None:
    zeros = bytes(packs.LARGEST + 1)
    forge(pack, zipped([(f"{KEYS[0]}.npz", zeros)]))
    with pytest.raises(InputError, match=f"has {len(zeros)} bytes; the limit is {packs.LARGEST}"):
        packs.read(pack, KEYS)
    packs.keys_in(pack)
    with pytest.raises(InputError, match="the limit of a trial"):
        packs.write(pack, trials | {KEYS[0]: zeros})


def test_a_member_of_another_compression_is_refused(pack: Path, trials: dict[str, bytes]) -> None:
    forge(pack, zipped([(f"{KEYS[0]}.npz", trials[KEYS[0]])], ZIP_BZIP2))
    with pytest.raises(InputError, match="is compressed in another way"):
        packs.read(pack, KEYS)


def test_a_bomb_that_claims_to_be_small_stops_at_the_claim(pack: Path) -> None:
    size = 2**27
    content = zipped([(f"{KEYS[0]}.npz", bytes(size))])
    place = content.rindex(b"PK\x01\x02") + 24  # uncompressed size in the central directory
    forge(pack, content[:place] + (100).to_bytes(4, "little") + content[place + 4 :])
    tracemalloc.start()
    with pytest.raises(InputError, match="damaged"):
        packs.read(pack, KEYS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 4


def test_a_bomb_inside_a_trial_is_refused() -> None:
    content = BytesIO()
    np.savez_compressed(content, **{".predicted": np.zeros(2**22)})
    assert len(content.getvalue()) < 2**16
    with pytest.raises(InputError, match="its arrays are compressed"):
        packs.arrays_of(content.getvalue(), "one")


def test_an_array_that_claims_to_be_huge_is_refused() -> None:
    content, header = BytesIO(), BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with ZipFile(content, "w") as archive:
        archive.writestr(".predicted.npy", header.getvalue() + bytes(80))
    with pytest.raises(InputError, match="one: damaged"):
        packs.arrays_of(content.getvalue(), "one")


@pytest.mark.parametrize("shape", [b"(99999999999999999999999,)", b"(3,"])
def test_a_header_that_cannot_be_read_is_refused(shape: bytes) -> None:
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + b"}"
    content = BytesIO()
    with ZipFile(content, "w") as archive:
        header = b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text + b"\n"
        archive.writestr(".predicted.npy", header + bytes(24))
    with pytest.raises(InputError, match="one: damaged"):
        packs.arrays_of(content.getvalue(), "one")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 half a file"])
def test_a_file_that_is_no_zip_is_refused(pack: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"trials\.zip: damaged"):
        packs.read(forge(pack, content), KEYS)


def test_damage_is_found_wherever_it_is(pack: Path, trials: dict[str, bytes]) -> None:
    """With the digest of the damaged file, so that the checks behind it are tested."""
    good, refused = pack.read_bytes(), 0
    for place in range(0, len(good), 3):
        forge(pack, good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        try:
            found = packs.read(pack, KEYS)
        except InputError as error:
            assert "damaged" in str(error)
            refused += 1
        else:  # a byte that means nothing, as of the date, or another name
            assert all(content in trials.values() for content in found.values())
    assert refused > 0.9 * len(range(0, len(good), 3))


def test_the_keys_of_a_table_are_texts(tmp_path: Path) -> None:
    table, keys = tmp_path / "trials.csv", ["0" * 31 + "7", "0" * 29 + "1e5"]
    table.write_text("arm,key\n" + "".join(f'"NA, a",{key}\n' for key in keys))
    assert packs.keys_needed(table) == keys


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"trials\.csv: damaged"),
        ("arm,name\na,b\n", r"trials\.csv: damaged"),
        (f"arm,key\na,{KEYS[0]}\nb,../../evil\n", r"trials\.csv, row 3: '\.\./\.\./evil' is no key"),
        (f"arm,key\na,{KEYS[0][:9]}", r"trials\.csv, row 2: "),
        ("arm,key\na\n", r"trials\.csv, row 2: "),
    ],
)
def test_a_damaged_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "trials.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        packs.keys_needed(tmp_path / "trials.csv")
