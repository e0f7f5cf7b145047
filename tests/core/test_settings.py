"""Settings: messages name every fault in params.yaml and the cure."""

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings, parse, pick, read_params, seed_of

REPOSITORY = Path(__file__).parents[2]


class Inner(Settings):
    rate: float = Field(gt=0)


class Outer(Settings):
    size_px: int = Field(ge=1)
    name: str
    inner: Inner


GOOD = {"size_px": 28, "name": "net", "inner": {"rate": 0.5}}


def _write(folder: Path, content: bytes) -> Path:
    path = folder / "params.yaml"
    path.write_bytes(content)
    return path


def _message(section: object) -> str:
    with pytest.raises(InputError) as caught:
        parse(Outer, section, "outer")
    return str(caught.value)


def test_a_good_section_becomes_its_record() -> None:
    assert parse(Outer, GOOD, "outer") == Outer(size_px=28, name="net", inner=Inner(rate=0.5))


def test_settings_cannot_be_changed() -> None:
    settings = parse(Outer, GOOD, "outer")
    with pytest.raises(ValidationError, match="frozen"):
        settings.size_px = 32


def test_a_misspelt_key_is_named_with_its_nearest_spelling() -> None:
    message = _message({"size_pix": 28, "name": "net", "inner": {"rate": 0.5}})
    assert "unknown key 'outer.size_pix'; did you mean 'size_px'?" in message
    assert "'outer.size_px' is missing" in message


def test_an_unknown_key_lists_the_known_ones() -> None:
    assert _message({**GOOD, "zzz": 1}) == "params.yaml: unknown key 'outer.zzz'; known: size_px, name, inner"


def test_an_unknown_key_of_an_inner_section_is_named_in_full() -> None:
    message = _message({**GOOD, "inner": {"rate": 0.5, "rates": 1}})
    assert "unknown key 'outer.inner.rates'; did you mean 'rate'?" in message


def test_a_missing_key_is_named_in_full() -> None:
    assert _message({**GOOD, "inner": {}}) == "params.yaml: 'outer.inner.rate' is missing"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"size_px": "large"}, "outer.size_px = 'large': Input should be a valid integer"),
        ({"size_px": 28.5}, "outer.size_px = 28.5: Input should be a valid integer"),
        ({"size_px": 0}, "outer.size_px = 0: Input should be greater than or equal to 1"),
        ({"name": 4}, "outer.name = 4: Input should be a valid string"),
        ({"inner": {"rate": None}}, "outer.inner.rate = None: Input should be a valid number"),
        ({"inner": {"rate": 0}}, "outer.inner.rate = 0: Input should be greater than 0"),
    ],
)
def test_a_wrong_value_is_shown_with_its_key_and_what_it_should_be(change: dict[str, object], expected: str) -> None:
    assert expected in _message({**GOOD, **change})


def test_all_faults_are_named_at_once() -> None:
    lines = _message({"size_px": "x", "nam": "net", "inner": {"rate": -1}}).splitlines()
    assert len(lines) == 4
    assert all(line.startswith("params.yaml: ") for line in lines)


@pytest.mark.parametrize("section", [None, 3, [1, 2]])
def test_a_section_that_is_no_mapping_is_named(section: object) -> None:
    assert _message(section).startswith("params.yaml: outer = ")


def test_pick_walks_down_the_sections() -> None:
    assert pick({"a": {"b": {"c": 7}}}, "a", "b", "c") == 7
    assert pick({"a": 1}) == {"a": 1}


def test_pick_suggests_the_nearest_spelling() -> None:
    with pytest.raises(InputError, match=r"'sorce' is missing in the top level; did you mean 'source'\?"):
        pick({"source": 1, "crop": 2}, "sorce")


def test_pick_names_the_section_and_lists_what_it_holds() -> None:
    with pytest.raises(InputError, match=r"'shape' is missing in classes; known: lamellarity, 7$"):
        pick({"classes": {"lamellarity": [], 7: []}}, "classes", "shape")


def test_pick_into_a_plain_value_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"'folder' is missing in source$"):
        pick({"source": "table"}, "source", "folder")


def test_params_are_read_as_utf_8(tmp_path: Path) -> None:
    path = _write(tmp_path, "classes:\n  größe: [Ä, 中]\n".encode())
    assert read_params(path) == {"classes": {"größe": ["Ä", "中"]}}


def test_missing_params_say_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: no such file; run from the folder"):
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "content", [b"a: [1, 2\n", b"a: 1\n b: 2\n", b"a: \xe4\n"], ids=["bracket", "indent", "latin-1"]
)
def test_broken_yaml_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: not valid YAML"):
        read_params(_write(tmp_path, content))


@pytest.mark.parametrize("content", [b"", b"- 1\n- 2\n", b"seed\n"])
def test_params_must_be_a_mapping(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="expected a mapping of sections"):
        read_params(_write(tmp_path, content))


def test_the_projects_own_params_can_be_read() -> None:
    params = read_params(REPOSITORY / "params.yaml")
    assert pick(params, "classes", "lamellarity") == ["Unilamellar", "Multilamellar", "Uncertain"]


@pytest.mark.parametrize("wrong", [-1, 1.5, "7", True, None])
def test_a_seed_that_is_no_whole_number_from_0_is_refused(wrong: object) -> None:
    assert seed_of({"seed": 0}) == 0
    with pytest.raises(InputError, match=r"seed = .*: it must be a whole number from 0"):
        seed_of({"seed": wrong})
