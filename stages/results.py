"""Predictions of all classifiers of a problem, decision rules among them, for the stages that only read them."""

from itertools import pairwise
from pathlib import Path

from lipnet import files
from lipnet.errors import InputError
from lipnet.predictions import Predictions, from_table


def read_predictions(folders: list[Path]) -> dict[str, Predictions]:
    """All tables of predictions below some folders, by the name of the classifier.

    Raises:
        InputError: there are none, two have one name, or one is damaged.
    """
    paths = sorted((path for folder in folders for path in folder.rglob("*.csv")), key=lambda path: path.stem)
    if not paths:
        raise InputError(f"{folders[0]}: no predictions; run `dvc repro`")
    for one, other in pairwise(paths):
        if one.stem == other.stem:
            raise InputError(f"{one} and {other}: two classifiers are called {one.stem}; rename one in params.yaml")
    return {path.stem: from_table(files.read_table(path), str(path)) for path in paths}
