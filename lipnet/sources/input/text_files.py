"""Text files and the records of CSV files, with the line where each record begins."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from lipnet.core.errors import InputError
from lipnet.core.files import unchanged
from lipnet.sources.input.spelling import tidy

UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path, kind: str, errors: str = "strict") -> str:
    """Content of a text file in UTF-8, without its byte order mark.

    Args:
        path: of the file.
        kind: what the file should be, for messages: a CSV table, JSON ...
        errors: as of ``bytes.decode``.

    Raises:
        InputError: the file is missing, cannot be read, or is in another encoding.
    """
    try:
        with unchanged(path):
            content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; put it there, or set source.folder to where it is") from None
    except OSError as error:
        raise InputError(f"{path}: not {kind} in UTF-8 ({error})") from None
    if content.startswith(UTF_16) or b"\0" in content:
        raise InputError(f"{path}: not {kind} in UTF-8 (it is UTF-16, or no text at all); save it as UTF-8")
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not {kind} in UTF-8 ({error}); save it as UTF-8") from None


def records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Records of a CSV file that are not blank: the line where each begins (the first is 1), and its tidy cells.

    Raises:
        csv.Error: a quotation mark is not closed, or a cell is longer than 131,072 characters.
    """
    source, ended = io.StringIO(text, newline=""), False

    def lines() -> Iterator[str]:
        nonlocal ended
        yield from source
        ended = True  # the reader asks for one more line only at the end, or within quotation marks

    reader, line = csv.reader(lines(), skipinitialspace=True), 1
    for cells in reader:
        if ended:
            raise csv.Error(f"line {line}: a quotation mark is not closed")
        cells = [tidy(cell) for cell in cells]
        if any(cells):
            yield line, cells
        line = reader.line_num + 1
