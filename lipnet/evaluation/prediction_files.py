"""Reads the predictions of all classifiers and decision rules of a problem."""

from itertools import pairwise
from pathlib import Path

from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.evaluation.predictions import Predictions, check_alike, from_table


def read(folders: list[Path]) -> dict[str, Predictions]:
    """All tables of predictions in some folders and their subfolders, by the name of the classifier.

    Raises:
        InputError: there are no tables, two have the same name, one is damaged, or they differ in particles or folds.
    """
    paths = sorted((path for folder in folders for path in folder.rglob("*.csv")), key=lambda path: path.stem)
    if not paths:
        raise InputError(f"{folders[0]}: no predictions; run `dvc repro`")
    for one, other in pairwise(paths):
        if one.stem == other.stem:
            raise InputError(f"{one} and {other}: two classifiers are called {one.stem}; rename one in params.yaml")
    found = {str(path): from_table(files.read_table(path), str(path)) for path in paths}
    check_alike(found)
    return dict(zip((path.stem for path in paths), found.values(), strict=True))
