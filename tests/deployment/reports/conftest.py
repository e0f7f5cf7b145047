"""A browser for the pages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.browser import chromium


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with chromium(tmp_path / "profile") as context:
        yield context
