"""Set two classifiers of each problem against each other, fold by fold (thesis, section 9)."""

from argparse import Namespace
from typing import Any

import pandas as pd

from lipnet import comparison, files
from lipnet.plots import figure
from lipnet.plots.scores import class_measures
from lipnet.settings import parse, pick
from stages.command import run

INTRODUCTION = """\
# {first} against {second}

Mean ± standard deviation over the test folds, and the difference ({first} minus {second}) with its interval and p-value
by the corrected resampled t-test (Nadeau and Bengio 2003), over the folds where both are defined (a ratio 0/0 is not).
The verdict rests on p after Holm's correction over the primary measures of a problem ({primary}); the other
rows describe. "No difference shown" does not mean that there is none: few folds show large differences only.

A network trained on a balanced set states probabilities for balanced classes, an SVM here for the natural proportions.
So their log losses cannot be compared; average precision, which only ranks the particles, can.

"""


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the comparison as CSV and Markdown, and one picture a problem (Figure 22)."""
    settings = parse(comparison.CompareSettings, pick(params, "compare"), "compare")
    everything = files.read_table(arguments.folds)
    tables, text = (
        [],
        INTRODUCTION.format(first=settings.first, second=settings.second, primary=", ".join(settings.primary)),
    )
    for problem, folds in everything.groupby("problem", sort=False):
        table = comparison.compare(folds, settings)
        tables.append(table.assign(problem=problem))
        text += comparison.to_markdown(table, str(problem), settings) + "\n"
        labels = list(dict.fromkeys(folds["class"]))
        names = [settings.first, settings.second]
        title = f"{problem}: {' against '.join(names)}, mean and sd over folds"
        picture = class_measures(folds, labels, names, title)
        figure.save(picture, arguments.pictures / f"{problem}.png")
    files.write_table(arguments.table, pd.concat(tables))
    files.write_text(arguments.text, text)


if __name__ == "__main__":
    run(__doc__, None, ["folds", "table", "text", "pictures"], main)
