"""Tables, boxes and JSON as people and spreadsheets write them, and worse: no row is lost, and each has its line.

Every row is a particle, or a rejected row with a reason and the line where it begins, or blank. ``make test-long`` runs
these with hundreds of new cases each.
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.samples.features import FeatureSettings
from lipnet.samples.particles import Particle
from lipnet.sources.corrections import read_corrections
from lipnet.sources.reading import listed
from lipnet.sources.rows import Rejected
from lipnet.sources.settings import SourceSettings
from lipnet.sources.source import open_source

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
MEASURES = FeatureSettings.model_validate(PARAMS["features"])
CLASSES = ["Full", "Größe"]
IMAGE = np.random.default_rng(0).integers(60, 200, (24, 26)).astype(np.uint8)
LABELS = np.zeros((24, 26), np.uint8)
LABELS[2:9, 2:10], LABELS[10:20, 8:20] = 1, 2
BLANK = st.text(st.sampled_from(" \t\u00a0\u202f\u200b\ufeff\u2060"), max_size=3)
NUMBER = st.one_of(
    st.integers(-2, 30).map(str), st.floats(-2, 30).map(str), st.sampled_from(["1,5", "nan", "1e999", "−1"])
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
LINE_END = st.sampled_from(["\n", "\r\n", "\r"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("source")
    for name in ("a.png", "e\u0301.PNG", "images/a.png", "masks/a.png", "labels/a.png"):
        (made / name).parent.mkdir(exist_ok=True)
        Image.fromarray({"masks": LABELS, "labels": LABELS}.get(name.partition("/")[0], IMAGE)).save(
            made / name, format="png"
        )
    return made


def read(folder: Path, kind: str, **changes: Any) -> tuple[list[Particle], list[Rejected]] | None:
    """Particles and rejected rows; None after an InputError."""
    settings = SourceSettings.model_validate(PARAMS["source"] | {"kind": kind} | changes)
    settings = settings.model_copy(
        update={"particles": settings.particles.model_copy(update={"given_features": False})}
    )
    try:
        source = open_source("mine", CLASSES, folder, settings, MEASURES, seed=0)
    except InputError as error:
        assert str(error).strip()
        return None
    results = [*source.rejected, *(item for task in source.tasks for item in source.read(task))]
    particles = [item for item in results if isinstance(item, Particle)]
    rejected = [item for item in results if isinstance(item, Rejected)]
    assert all(row.reason for row in rejected)
    assert len({item.id for item in particles}) == len(particles)
    said = [one for task in source.tasks for one in listed(task, settings)]
    assert len(said) >= len(particles)
    return particles, rejected


def quoted(cell: str) -> str:
    return f'"{cell.replace(chr(34), chr(34) * 2)}"'


@st.composite
def messy(draw: st.DrawFn, columns: dict[str, st.SearchStrategy[str]]) -> tuple[str, list[int]]:
    """A table with blanks, blank lines, blank rows, line ends and quotes anywhere; and the lines of its filled rows."""
    end, quote = draw(LINE_END), draw(st.booleans())
    text, lines = draw(st.sampled_from(["", "\ufeff", end, f" ,\u00a0{end}"])), list[int]()
    names = [draw(BLANK) + name + draw(BLANK) for name in columns]
    rows = draw(
        st.lists(st.fixed_dictionaries({name: st.one_of(of, of, TEXT) for name, of in columns.items()}), max_size=5)
    )
    for cells in [names, *(list(row.values()) for row in rows)]:
        text += draw(st.sampled_from(["", "", end, "," * (len(columns) - 1) + end, " \u00a0" + end]))
        plain = [quoted(cell) if quote or set(cell) & set(',"\r\n') else cell for cell in cells]
        if any(draw_tidy(cell) for cell in cells):
            lines.append(text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1)
        text += ",".join(plain) + end
    return text + draw(st.sampled_from(["", end, ",," + end, end * 3])), lines[1:]


def draw_tidy(cell: str) -> str:
    """What is left of a cell without blanks and characters without width, found in another way than by the product."""
    ends = {"\u00ad", "\u180e", *map(chr, range(0x200B, 0x2010)), *map(chr, range(0x202A, 0x202F))}
    ends |= {*map(chr, range(0x2060, 0x206A)), "\ufeff"}
    return "".join(char for char in cell if not char.isspace() and char not in ends)


def lines_of(rows: list[Rejected]) -> list[int]:
    return [row.row for row in rows if row.fault]


TABLE = {
    "id": st.one_of(st.integers(0, 9).map(str), TEXT),
    "image": st.sampled_from(["a.png", " a.PNG", "\u00e9.png", "images\\a.png", "../a.png", "gone.png", "a.png/"]),
    "class": st.sampled_from(["Full", "Full\u00a0", "Gro\u0308\u00dfe", "full", ""]),
    "group": BLANK,
    "padding_px": st.sampled_from(["", "2", "2.0", "30", "1,5"]),
    "charge": NUMBER,
    "note": st.sampled_from(["", "two\nlines", 'say "hi"', "a, b", "\u00e9"]),
}


@given(messy(TABLE))
def test_every_row_of_a_messy_table_has_its_line(folder: Path, table: tuple[str, list[int]]) -> None:
    text, lines = table
    (folder / "particles.csv").write_bytes(text.encode())
    found = read(folder, "table", feature_columns=["charge"])
    assert found is not None
    particles, rejected = found
    assert len(particles) + len(rejected) == len(lines)
    assert set(lines_of(rejected)) <= set(lines) and len(set(lines_of(rejected))) == len(rejected)


MICROGRAPHS = {
    "labels": {"micrograph": st.sampled_from(["a.png", "./a.PNG ", "gone.png"]), "label": st.sampled_from("0123x")},
    "boxes": {
        "micrograph": st.sampled_from(["a.png", "\u00e9.png", "images/../a.png"]),
        **dict.fromkeys(("x_px", "y_px", "width_px", "height_px"), NUMBER),
    },
}


@pytest.mark.parametrize("way", list(MICROGRAPHS))
@given(data=st.data())
def test_every_row_of_messy_micrographs_has_its_line(folder: Path, way: str, data: st.DataObject) -> None:
    columns = MICROGRAPHS[way] | {"class": TABLE["class"], "page": st.sampled_from(["", "0", "0.0", "7"])}
    text, lines = data.draw(messy(columns))
    (folder / "particles.csv").write_bytes(text.encode())
    found = read(folder, "micrographs")
    assert found is not None
    particles, rejected = found
    assert len(particles) + len(lines_of(rejected)) == len(lines)
    assert set(lines_of(rejected)) <= set(lines)


@given(messy({"id": st.integers(0, 20).map(str), "label": st.sampled_from(["Full", "Full\u00a0", "Gro\u0308\u00dfe"])}))
def test_messy_corrections_are_all_applied_or_refused_whole(folder: Path, table: tuple[str, list[int]]) -> None:
    text, lines = table
    (folder / "corrections.csv").write_bytes(text.encode())
    try:
        corrections = read_corrections(folder, CLASSES)
    except InputError as error:
        row = str(error).partition("row ")[2].partition(":")[0]
        assert int(row) in lines
        return
    assert [one.row for one in corrections.values()] == lines
    assert {one.label for one in corrections.values()} <= set(CLASSES)


HEADER = st.lists(
    st.sampled_from(
        ["id", "image", "class", "class ", "Class", "group", "label", "", "micrograph", "x_px", ";", "id;image"]
    ),
    min_size=1,
    max_size=9,
)


@pytest.mark.parametrize("kind", ["table", "micrographs"])
@given(header=HEADER, class_column=st.sampled_from(["class", "label", "group", "id"]), n=st.integers(0, 3))
def test_a_table_with_any_header_is_refused_whole_or_read_whole(
    folder: Path, kind: str, header: list[str], class_column: str, n: int
) -> None:
    rows = [",".join(f"{number}{column}" for column in range(len(header))) for number in range(n)]
    (folder / "particles.csv").write_text("\n".join([",".join(header), *rows]), encoding="utf-8")
    found = read(folder, kind, class_column=class_column)
    if found is not None:
        particles, rejected = found
        assert len(particles) + len(lines_of(rejected)) == n
        names = [name for name in map(str.strip, header) if name]
        assert len(set(names)) == len(names) and class_column in names


def mutated(content: bytes) -> st.SearchStrategy[bytes]:
    """The content with up to four places overwritten, cut out, or filled in."""
    part = st.one_of(
        st.binary(min_size=1, max_size=6), st.sampled_from([b"\r", b'"', b",", b"\n\n", b"\xc2\xa0", b"\xff\xfe"])
    )
    edit = st.tuples(st.integers(0, len(content)), st.integers(0, 6), part)

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        result = content
        for place, removed, added in edits:
            result = result[:place] + added + result[place + removed :]
        return result

    return st.lists(edit, min_size=1, max_size=4).map(apply)


def filled(content: bytes) -> int:
    """Number of records with content below the header, by the reader of CSV of Python."""
    records = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), skipinitialspace=True)
    return sum(any(map(draw_tidy, cells)) for cells in records) - 1


MADE: dict[str, Callable[[], str]] = {
    "table": lambda: "id,image,class\n1,a.png,Full\n2,\u00e9.png,Gr\u00f6\u00dfe\n\n3,a.png,Full\n",
    "micrographs": lambda: 'micrograph,label,class,note\na.png,1,Full,"two\nlines"\na.png,2,Full,\n',
}


@pytest.mark.parametrize("kind", list(MADE))
@given(data=st.data())
def test_mutated_bytes_of_a_table_are_refused_whole_or_read_whole(folder: Path, kind: str, data: st.DataObject) -> None:
    content = data.draw(mutated(MADE[kind]().encode()))
    (folder / "particles.csv").write_bytes(content)
    found = read(folder, kind)
    if found is not None:
        assert len(found[0]) + len(lines_of(found[1])) == filled(content)


BOXES = b"0 0.5 0.5 0.4 0.4\n\n1 0.3 0.4 0.3 0.3 0.9\n0 0.2 0.2 0.3 0.3\n"
STRAY = st.dictionaries(
    st.sampled_from(["README.txt", "notes.TXT", "._a.txt", ".x/a.txt", "__MACOSX/a.txt", "b.txt", "b_cp_outlines.txt"]),
    st.one_of(st.binary(max_size=30), st.just(BOXES), st.text(max_size=20).map(str.encode)),
    max_size=3,
)


@given(boxes=mutated(BOXES), stray=STRAY)
def test_every_line_of_boxes_is_read_and_every_other_text_is_listed_or_clutter(
    tmp_path_factory: pytest.TempPathFactory, boxes: bytes, stray: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("yolo")
    Image.fromarray(IMAGE).save(folder / "a.png")
    (folder / "classes.txt").write_text("Full\nGro\u0308\u00dfe\n", encoding="utf-8")
    for name, content in {"a.txt": boxes, **stray}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    found = read(folder, "micrographs")
    assert found is not None
    particles, rejected = found
    utf_16 = boxes.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in boxes
    text = boxes.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    own = [number for number, line in enumerate(text.split("\n"), start=1) if draw_tidy(line)]
    lines = {item.id.partition(":")[2] for item in particles} | {
        str(row.row) for row in rejected if row.file == "a.txt"
    }
    assert lines == ({"1"} if utf_16 else set(map(str, own)))
    of_others = {row.file for row in rejected} - {"a.txt"}
    expected = {name for name, content in stray.items() if not name.startswith((".", "__")) and _has_words(content)}
    assert of_others == expected


def _has_words(content: bytes) -> bool:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        return True
    return bool(draw_tidy(content.decode("utf-8-sig", "replace")))


@given(mutated("index,class\n0,Full\n1,Größe\n".encode()), mutated(BOXES))
def test_mutated_classes_are_refused_or_every_box_is_read(
    tmp_path_factory: pytest.TempPathFactory, classes: bytes, boxes: bytes
) -> None:
    folder = tmp_path_factory.mktemp("classes")
    Image.fromarray(IMAGE).save(folder / "a.png")
    (folder / "classes.csv").write_bytes(classes)
    (folder / "a.txt").write_bytes(BOXES)
    assert (found := read(folder, "micrographs")) is None or len(found[0]) + len(found[1]) == 3
    (folder / "classes.csv").unlink()
    (folder / "classes.txt").write_bytes(boxes)  # anything is a list of names
    assert (found := read(folder, "micrographs")) is None or len(found[0]) + len(found[1]) == 3


VALUE = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.lists(st.integers(), max_size=2))
RECORD = st.fixed_dictionaries(
    {
        "Id": st.one_of(st.integers(0, 5), BLANK.map("{}1".format), st.sampled_from(["\u00e9", "e\u0301"]), VALUE),
        "Class": st.one_of(st.sampled_from([8, 8.0, "8", "Full ", "Gro\u0308\u00dfe"]), VALUE),
        "Image": st.one_of(st.sampled_from(["a.png", "a.PNG\u00a0", "..\\a.png", "gone.png"]), VALUE),
        "Padding": st.one_of(st.sampled_from([0, 2.0, "2", 40]), VALUE),
    },
    optional={"Group": st.one_of(BLANK, VALUE), "Note": VALUE, "Length": VALUE},
)
EMPTY = st.sampled_from(["Id", "Class", "Note"]).flatmap(lambda name: st.just({name: None, "Image": "\u00a0 "}))


@given(st.lists(st.one_of(RECORD, RECORD, EMPTY, VALUE), max_size=6))
def test_every_messy_record_has_its_number(folder: Path, records: list[Any]) -> None:
    (folder / "particles.json").write_text(json.dumps(records), encoding="utf-8-sig")
    found = read(folder, "particles")
    assert found is not None
    particles, rejected = found

    def is_empty(record: Any) -> bool:
        values = record.values() if isinstance(record, dict) else [record]
        return isinstance(record, dict) and all(
            one is None or (isinstance(one, str) and not draw_tidy(one)) for one in values
        )

    kept = [number for number, record in enumerate(records) if not is_empty(record)]
    assert len(particles) + len(rejected) == len(kept)
    assert set(lines_of(rejected)) <= set(kept)
