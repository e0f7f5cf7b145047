"""Mutated tables, JSON and images: one clear message or a result for every row, and never a traceback.

`make test-long` runs these with hundreds of new cases each.
"""

import copy
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.samples import particles
from lipnet.samples.features import FeatureSettings
from lipnet.sources import data_report, ingest
from lipnet.sources.input.spelling import tidy
from lipnet.sources.settings import SourceSettings
from lipnet.sources.source import open_source

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
MEASURES = FeatureSettings.model_validate(PARAMS["features"])
CLASSES = ["Full", "Empty", "Uncertain"]
IMAGE = np.random.default_rng(0).integers(60, 200, (24, 26)).astype(np.uint8)
MASK = np.zeros((24, 26), np.uint8)
MASK[6:18, 7:20] = 255
LABELS = np.zeros((24, 26), np.uint8)
LABELS[2:9, 2:10], LABELS[10:20, 8:20], LABELS[20:, 20:] = 1, 2, 3


def _encode(pixels: Any, kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "tif":
        tifffile.imwrite(stream, pixels, compression="zlib")
    elif kind == "mrc":
        with tempfile.TemporaryDirectory() as name:
            with mrcfile.new(Path(name) / "a.mrc") as mrc:
                mrc.set_data(pixels.astype(np.float32))
            return (Path(name) / "a.mrc").read_bytes()
    elif kind == "npy":
        np.save(stream, pixels)
    else:
        Image.fromarray(pixels).save(stream, {"jpg": "JPEG", "png": "PNG"}[kind])
    return stream.getvalue()


KINDS = ("png", "jpg", "tif", "mrc")
IMAGES = {kind: _encode(IMAGE, kind) for kind in KINDS}
MASKS = {kind: _encode(MASK, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good images and masks of every kind; no test changes them."""
    made = tmp_path_factory.mktemp("source")
    for kind in KINDS:
        (made / f"a.{kind}").write_bytes(IMAGES[kind])
        (made / f"m.{kind}").write_bytes(MASKS[kind])
    for name, content in (("images", IMAGES), ("masks", MASKS)):
        (made / name).mkdir()
        for kind in KINDS:
            (made / name / f"a.{kind}").write_bytes(content[kind])
    (made / "labels").mkdir()
    for kind in ("png", "tif"):
        (made / "labels" / f"a.{kind}").write_bytes(_encode(LABELS, kind))
    return made


def ingested(folder: Path, kind: str, **changes: Any) -> tuple[int, int] | None:
    """Particles and rejected rows of a source after all steps of ingest except pictures; None after an InputError."""
    section = PARAMS["source"] | {"kind": kind} | changes
    settings = SourceSettings.model_validate(section)
    try:
        source = open_source("mine", CLASSES, folder, settings, MEASURES, seed=0)
        parts = [ingest.read_batch(task, source.read, MEASURES, {}) for task in source.tasks]
        rejected = [*source.rejected, *(row for part in parts for row in part.rejected)]
        good = [part for part in parts if part.arrays]
        with tempfile.TemporaryDirectory() as name:
            files.write_table(Path(name) / "rejected.csv", ingest.rejected_table(rejected))
            if good:
                table, duplicates = ingest.join(parts)
                numbers = table.select_dtypes("number").drop(columns="pixel_size_nm").to_numpy(float)
                assert np.isfinite(numbers).all()
                files.write_table(Path(name) / "table.csv", table)
                assert files.read_table(Path(name) / "table.csv")["id"].tolist() == table["id"].tolist()
                files.write_json(Path(name) / "counts.json", data_report.count(table, rejected, duplicates))
    except InputError as error:
        assert str(error).strip()
        return None
    assert all(row.reason for row in rejected)
    n_particles = sum(len(particles.from_arrays(part.arrays, "part")) for part in good)
    return n_particles, sum(row.fault for row in rejected)


def mutated_bytes(content: bytes) -> st.SearchStrategy[bytes]:
    """The content with some bytes changed, removed, repeated or inserted."""
    place = st.integers(0, max(len(content) - 1, 0))
    edit = st.tuples(place, st.sampled_from(["set", "cut", "insert", "truncate"]), st.binary(min_size=1, max_size=8))

    def apply(edits: list[tuple[int, str, bytes]]) -> bytes:
        result = content
        for where, how, data in edits:
            if how == "truncate":
                result = result[:where]
            else:
                rest = where + (len(data) if how != "insert" else 0)
                result = result[:where] + (data if how != "cut" else b"") + result[rest:]
        return result

    return st.lists(edit, min_size=1, max_size=4).map(apply)


NUMBERS = st.one_of(st.integers(), st.floats(), st.integers(-3, 40))
CELLS = st.one_of(
    st.sampled_from(["", "Full", "Empty", "a.png", "m.tif", "../a.png", "/etc/passwd", "nan", "1e999", "-1", "0"]),
    NUMBERS.map(str),
    st.text(max_size=12),
)


def _unreadable_in_csv(text: str) -> bool:
    return any(char in text for char in ',"\r\n') or text != text.strip() or not text.isprintable()


SAFE_CELLS = CELLS.filter(lambda text: not _unreadable_in_csv(text))
COLUMNS = ["id", "image", "mask", "class", "group", "pixel_size_nm", "padding_px", "charge"]
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.one_of(st.integers(0, 9).map(str), SAFE_CELLS),
            "image": st.one_of(st.sampled_from([f"a.{kind}" for kind in KINDS]), SAFE_CELLS),
            "mask": st.one_of(st.sampled_from(["", *(f"m.{kind}" for kind in KINDS)]), SAFE_CELLS),
            "class": st.one_of(st.sampled_from(CLASSES), SAFE_CELLS),
            "group": SAFE_CELLS,
            "pixel_size_nm": st.one_of(st.just("1.5"), SAFE_CELLS),
            "padding_px": st.one_of(st.just("2"), SAFE_CELLS),
            "charge": st.one_of(st.just("0.5"), SAFE_CELLS),
        }
    ),
    min_size=1,
    max_size=6,
)


@given(ROWS)
def test_every_row_of_a_mutated_table_is_ingested_or_rejected(folder: Path, rows: list[dict[str, str]]) -> None:
    lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
    (folder / "particles.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = ingested(folder, "table", feature_columns=["charge"])
    assert found is not None
    assert sum(found) == sum(any(row.values()) for row in rows)  # rows without content are passed over


TABLE = ("\n".join(["id,image,mask,class", *(f"{kind},a.{kind},m.{kind},Full" for kind in KINDS)]) + "\n").encode()


@given(mutated_bytes(TABLE))
def test_a_table_with_mutated_bytes_is_refused_whole_or_read_whole(folder: Path, content: bytes) -> None:
    (folder / "particles.csv").write_bytes(content)
    found = ingested(folder, "table")
    if found is not None:
        read = pd.read_csv(
            io.BytesIO(content),
            dtype=str,
            encoding="utf-8-sig",
            header=None,
            keep_default_na=False,
            on_bad_lines="skip",
        )
        filled = [
            row for row in read.itertuples(index=False) if any(tidy(cell) for cell in row if isinstance(cell, str))
        ]
        assert sum(found) == len(filled) - 1


RECORD = {
    "Id": 1,
    "Class": 8,
    "Image": "a.png",
    "Padding": 4,
    "Area": 600.0,
    "Circularity": 0.9,
    "Perimeter": 90.0,
    "Length": 30.0,
    "MaximumWidth": 31.0,
    "DiametersInPixels": 15.0,
    "SignalToNoise": 2.0,
    "Moments": [1, 2, 3, 4],
    "Histogram": [1] * 32,
    "RadialDensityProfile": [[1, 0], [2, 9]],
    "EdgeDensityProfile": [[1, -5], [2, 0], [3, 2]],
}
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=6), st.sampled_from(["", "a.jpg", "Full", 10**400])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def _records(draw: st.DrawFn) -> list[Any]:
    records: list[Any] = [copy.deepcopy(RECORD) | {"Id": number} for number in range(draw(st.integers(1, 4)))]
    for _ in range(draw(st.integers(0, 4))):
        row = draw(st.integers(0, len(records) - 1))
        if not isinstance(records[row], dict) or draw(st.integers(0, 9)) == 0:
            records[row] = draw(VALUES)
            continue
        name = draw(st.sampled_from(list(RECORD)))
        value = records[row].get(name)
        if isinstance(value, list) and value and draw(st.booleans()):
            value[draw(st.integers(0, len(value) - 1))] = draw(VALUES)
        elif draw(st.booleans()):
            records[row][name] = draw(VALUES)
        else:
            records[row].pop(name, None)
    return records


def _is_blank(record: Any) -> bool:
    """Whether a record has keys but no value, like an empty row of a spreadsheet; such records are passed over."""
    values = list(record.values()) if isinstance(record, dict) else [0]
    return bool(values) and all(value is None or (isinstance(value, str) and not tidy(value)) for value in values)


@given(_records())
def test_every_mutated_record_is_ingested_or_rejected(folder: Path, records: list[Any]) -> None:
    (folder / "particles.json").write_text(json.dumps(records), encoding="utf-8")
    found = ingested(folder, "particles")
    assert found is not None
    assert sum(found) == sum(not _is_blank(record) for record in records)


JSON = json.dumps([RECORD, RECORD | {"Id": 2}]).encode()


@given(mutated_bytes(JSON))
def test_json_with_mutated_bytes_is_refused_whole_or_read_whole(folder: Path, content: bytes) -> None:
    (folder / "particles.json").write_bytes(content)
    found = ingested(folder, "particles")
    if found is not None:
        assert sum(found) == len(json.loads(content.decode("utf-8-sig")))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["image", "mask"])
@given(data=st.data())
def test_a_mutated_image_or_mask_rejects_its_own_row_only(
    folder: Path, part: str, kind: str, data: st.DataObject
) -> None:
    good = {"image": IMAGES, "mask": MASKS}[part][kind]
    (folder / f"bad.{kind}").write_bytes(data.draw(mutated_bytes(good)))
    bad = {"image": "a.png", "mask": "m.png"} | {part: f"bad.{kind}"}
    rows = ["id,image,mask,class", f"1,{bad['image']},{bad['mask']},Full", "2,a.tif,m.tif,Empty"]
    (folder / "particles.csv").write_text("\n".join(rows), encoding="utf-8")
    found = ingested(folder, "table")
    assert found in {(2, 0), (1, 1)}


@pytest.mark.parametrize("way", ["labels", "boxes", "yolo"])
@given(data=st.data())
def test_every_row_of_mutated_micrographs_is_ingested_or_rejected(folder: Path, way: str, data: st.DataObject) -> None:
    here = folder / "micrographs" / way
    here.mkdir(parents=True, exist_ok=True)
    for kind in ("png", "tif"):
        if not (here / f"f.{kind}").exists():
            (here / f"f.{kind}").write_bytes(IMAGES[kind])
            (here / f"f_labels.{kind}").write_bytes(_encode(LABELS, kind))
    n_rows = _WRITERS[way](here, data.draw)
    found = ingested(here, "micrographs")
    assert found is not None
    assert sum(found) == n_rows


def _write_rows(folder: Path, columns: dict[str, st.SearchStrategy[str]], draw: Callable[..., Any]) -> int:
    cells = st.fixed_dictionaries({name: st.one_of(good, good, good, SAFE_CELLS) for name, good in columns.items()})
    rows = draw(st.lists(cells, min_size=1, max_size=5))
    lines = [",".join(columns), *(",".join(row.values()) for row in rows)]
    (folder / "particles.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sum(any(row.values()) for row in rows)


def _write_labels(folder: Path, draw: Callable[..., Any]) -> int:
    cells = {"micrograph": st.just("f.png"), "label": st.integers(0, 4).map(str), "class": st.sampled_from(CLASSES)}
    return _write_rows(folder, cells, draw)


def _write_boxes(folder: Path, draw: Callable[..., Any]) -> int:
    side = st.floats(-5, 30).map(str)
    box = dict.fromkeys(("x_px", "y_px", "width_px", "height_px"), side)
    return _write_rows(folder, {"micrograph": st.just("f.tif"), **box, "class": st.sampled_from(CLASSES)}, draw)


def _write_yolo(folder: Path, draw: Callable[..., Any]) -> int:
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    number = st.floats(0, 1).map(str)
    words = st.one_of(number, number, SAFE_CELLS.filter(lambda text: text and not any(map(str.isspace, text))))
    index = st.one_of(st.sampled_from(["0", "1", "2"]), words)
    line = st.tuples(index, words, words, words, words).map(" ".join)
    lines = draw(st.lists(line, min_size=1, max_size=5))
    if (folder / "f.png").exists():
        (folder / "f.png").unlink()  # two images of one stem would share the boxes
    (folder / "f.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


_WRITERS = {"labels": _write_labels, "boxes": _write_boxes, "yolo": _write_yolo}
