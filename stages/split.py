"""Assign the particles of a problem to cross-validation folds."""

import sys
from argparse import Namespace
from typing import Any

import pandas as pd

from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.errors import InputError
from lipnet.core.problems import classes_of, encode
from lipnet.core.settings import parse, pick, seed_of
from lipnet.samples import folds


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the fold of each particle, and the fold table (class counts per fold), which is also printed."""
    settings = parse(folds.SplitSettings, pick(params, "split"), "split")
    classes = classes_of(params, arguments.problem)
    table = files.read_table(arguments.table)
    labels, groups = encode(table["label"], classes), pd.factorize(table["group"])[0]
    try:
        assigned = folds.assign(labels, groups, classes, settings, seed_of(params))
    except InputError as error:
        raise InputError(f"{arguments.table}: {error}") from None
    wide = pd.DataFrame({f"repeat{number}": row for number, row in enumerate(assigned)})
    wide.insert(0, "id", table["id"])
    counts = folds.count_table(labels, assigned, classes)
    files.write_table(arguments.folds, wide)
    files.write_table(arguments.counts, counts)
    print(f"{arguments.problem}: particles per fold\n{counts.to_string(index=False)}")
    share = folds.giant_group(groups, settings.folds)
    if share and settings.protocol == "grouped":
        message = f"warning: {arguments.problem}: one group holds {share:.0%} of all particles, so its fold is larger"
        print(message, file=sys.stderr)


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "folds", "counts"], main)
