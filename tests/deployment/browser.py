"""Chromium, and the libraries of the page of `lipnet export --page`; tests skip if either cannot be had."""

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lipnet.deployment.page import Libraries, read_libraries

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync"
SOURCES = Path(__file__).parents[2] / "lipnet/deployment/templates/page"


def make_libraries(folder: Path) -> Libraries:
    """What `make page-libraries` makes, in a folder."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node is not installed")
    for name in ("package.json", "package-lock.json", "libraries.mjs", "build.mjs"):
        shutil.copy(SOURCES / name, folder)
    words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(words, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip("npm cannot install the packages of the page")
    subprocess.run(["npm", "run", "--silent", "build"], cwd=folder, check=True)
    return read_libraries(folder)


@contextmanager
def chromium(profile: Path, **options: Any) -> Iterator[Any]:
    """Chromium without a network."""
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    if not importlib.util.find_spec("playwright"):
        pytest.skip("playwright is not installed: pip install playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, headless=True, args=FLAGS.split(), offline=True, **options
        )
        yield context
        context.close()
