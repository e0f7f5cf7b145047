"""Check all settings before any other stage runs, and write what the recipe changes, one file per section.

DVC cannot tell which sections of params.yaml a recipe changes. So a stage depends on the files of the sections that it
reads, and a recipe makes no other stage run again.
"""

from argparse import Namespace
from typing import Any

from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.recipes import changes_by_section
from lipnet.core.settings import read_params
from lipnet.deployment.checks.validation import validate


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write SECTION.json for each section that a recipe may change, and a file that never differs."""
    validate(params)
    for section, changes in changes_by_section(params).items():
        files.write_json(arguments.recipe / f"{section}.json", changes)
    files.write_json(arguments.checked, {})  # all stages that read particles depend on it, so that they run after this


if __name__ == "__main__":
    run(__doc__, None, ["recipe", "checked"], main, read_params)
