"""Remove stages from dvc.lock that the graph no longer has, as those of problems that params.yaml no longer names.

    make clean-lock

DVC keeps them for ever. All other lines stay as they are.
"""

from pathlib import Path

from ruamel.yaml import YAML

from benchmarks import project
from benchmarks.measure import ROOT


def main() -> None:
    """Remove the stages and print their names."""
    removed = clean(ROOT)
    print(f"dvc.lock: removed {', '.join(removed)}" if removed else "dvc.lock: nothing to remove")


def clean(folder: Path) -> list[str]:
    """Remove the stages from the dvc.lock of a folder; return their names."""
    path, editor = folder / "dvc.lock", YAML()
    lock, present = editor.load(path), project.cells(folder)
    removed = [name for name in lock["stages"] if name not in present]
    for name in removed:
        del lock["stages"][name]
    if removed:
        with path.open("w", encoding="utf-8") as stream:
            editor.dump(lock, stream)
    return removed


if __name__ == "__main__":
    main()
