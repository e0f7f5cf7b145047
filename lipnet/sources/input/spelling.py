"""One spelling of every name: what looks the same in two places is the same here, and what nobody wrote is left out."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

_UNSEEN = re.compile("[\u00ad\u200b\u2060\ufeff]")  # soft hyphen, zero-width space, word joiner, byte order mark
_BLANKS = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")  # no-break spaces and spaces of other widths
# Other characters without width (joiners, marks of direction) have a meaning inside a word, but none at its end.
_END = "[\\s\u180e\u200c-\u200f\u202a-\u202e\u2061-\u2069]+"
_ENDS = re.compile(f"^{_END}|{_END}\\Z")
_DECIMAL_COMMA = re.compile(r"[-+]?[\d.]*,\d+(e[-+]?\d+)?", re.IGNORECASE)
_CLUTTER = {"__macosx", "@eadir", "thumbs.db", "desktop.ini"}  # folders and files that systems add, in small letters


def tidy(text: str) -> str:
    """The text in Unicode's form NFC, with plain blanks, without blanks and invisible characters at its ends."""
    if text.isascii():
        return text.strip()
    return _ENDS.sub("", unicodedata.normalize("NFC", _BLANKS.sub(" ", _UNSEEN.sub("", text))))


def tidy_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record whose texts are tidy."""
    return {name: tidy(value) if isinstance(value, str) else value for name, value in record.items()}


def file_key(name: str) -> str:
    """What the names of one file have in common on any disk: a tidy name, and a suffix in small letters."""
    path = PurePath(tidy(name))
    return path.stem + path.suffix.lower()


def is_clutter(path: PurePath) -> bool:
    """Whether a system or a program made the file for itself, as the name of the file or of a folder above it says.

    Such are all names that begin with a dot (._a.png of macOS, .DS_Store, .ipynb_checkpoints), __MACOSX and Thumbs.db.

    Args:
        path: relative to the folder of the user.
    """
    return any(part.startswith(".") or part.lower() in _CLUTTER for part in path.parts)


def advice_on_number(value: Any) -> str:
    """How to write a number that has a decimal comma; empty for all other values."""
    return "; write a decimal point, not a comma" if _DECIMAL_COMMA.fullmatch(str(value).strip()) else ""
