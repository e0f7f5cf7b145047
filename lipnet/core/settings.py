"""Settings are frozen, typed records read from sections of params.yaml; a misspelt or missing key is an error."""

import difflib
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lipnet.core.errors import InputError

PARAMS = Path("params.yaml")
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # used as a file name and as a key of the metrics


class Settings(BaseModel):
    """Base class of all settings records: immutable; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SettingsT = TypeVar("SettingsT", bound=Settings)


def read_params(path: Path) -> dict[str, Any]:
    """Read params.yaml as a plain dictionary.

    Raises:
        InputError: the file is missing, is not YAML, or does not hold a mapping.
    """
    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the folder that holds params.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(params, dict):
        raise InputError(f"{path}: expected a mapping of sections at the top level")
    return params


def pick(params: dict[str, Any], *keys: str) -> Any:
    """Return ``params[key1][key2]...``.

    Raises:
        InputError: a key is missing; the message suggests the nearest spelling.
    """
    value: Any = params
    for depth, key in enumerate(keys):
        if not isinstance(value, dict) or key not in value:
            section = ".".join(keys[:depth]) or "the top level"
            known = [str(name) for name in value] if isinstance(value, dict) else []
            raise InputError(f"params.yaml: '{key}' is missing in {section}{suggestion(key, known)}")
        value = value[key]
    return value


def seed_of(params: dict[str, Any]) -> int:
    """The seed of the run.

    Raises:
        InputError: the seed is missing or not a whole number from 0.
    """
    seed = pick(params, "seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"params.yaml: seed = {seed!r}: it must be a whole number from 0")
    return seed


def portable_of(params: dict[str, Any]) -> bool:
    """Whether the bytes of results shall not depend on the processor.

    Raises:
        InputError: the setting is missing or not true or false.
    """
    portable = pick(params, "portable")
    if not isinstance(portable, bool):
        raise InputError(f"params.yaml: portable = {portable!r}: it must be true or false")
    return portable


def parse(settings_type: type[SettingsT], section: Any, name: str) -> SettingsT:
    """Convert one section of params.yaml to its settings record.

    Raises:
        InputError: a key is misspelt or missing, or a value has the wrong type or range; the message names every fault.
    """
    try:
        return settings_type.model_validate(section)
    except ValidationError as error:
        faults = [_describe(fault, settings_type, name) for fault in error.errors()]
        raise InputError("\n".join(faults)) from None


def _describe(fault: Any, settings_type: type[Settings], name: str) -> str:
    key = ".".join([name, *map(str, fault["loc"])])
    if fault["type"] == "extra_forbidden":
        *sections, misspelt = map(str, fault["loc"])
        return f"params.yaml: unknown key '{key}'{suggestion(misspelt, _known_keys(settings_type, sections))}"
    if fault["type"] == "missing":
        return f"params.yaml: '{key}' is missing"
    return f"params.yaml: {key} = {fault['input']!r}: {fault['msg']}"


def _known_keys(settings_type: type[Settings], sections: list[str]) -> list[str]:
    inner: Any = settings_type
    for section in sections:
        if isinstance(inner, type) and issubclass(inner, Settings):
            inner = inner.model_fields[section].annotation
        else:  # a table of rows: dict[name, settings of a row]
            inner = get_args(inner)[-1] if get_origin(inner) is dict else None
    return list(inner.model_fields) if isinstance(inner, type) and issubclass(inner, Settings) else []


def suggestion(key: str, known: list[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all that are known."""
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(known)}" if known else ""
