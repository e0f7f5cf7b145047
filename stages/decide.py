"""Apply every decision rule and choice to the predictions of the classifiers; each then counts as a classifier."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pandas as pd

from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick
from lipnet.evaluation import choices, decisions, inner_scores
from lipnet.evaluation.posteriors import posterior
from lipnet.evaluation.predictions import from_table, outputs_of, to_table
from lipnet.samples.balance import natural_prior
from lipnet.samples.tables import read_folds, read_particles


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the predictions of every rule and choice, and the candidate that each choice selected."""
    data, folds = read_particles(params, arguments.problem, arguments.table), read_folds(arguments.folds)
    settings = parse(decisions.DecideSettings, pick(params, "decide"), "decide")
    decisions.check_problems(settings, pick(params, "classes"))
    priors = pd.concat([files.read_table(path) for path in sorted(arguments.priors.glob("*.csv"))])
    chosen = [pd.DataFrame(columns=choices.COLUMNS)]
    for name in [*settings.rules, *settings.choices]:
        selection = choices.selection_of(settings, name, data.problem, data.classes)
        where = f"decide.{'rules' if name in settings.rules else 'choices'}.{name}"
        given = {of: from_table(_read(arguments.predictions, of, where), of) for of in selection.of}
        by_fold = zip(*(outputs_of(item, priors, folds, of) for of, item in given.items()), strict=True)
        scores = [_read(arguments.inner, of, where) for of in selection.of] if selection.fitted else []
        outputs = []
        for fold, of_fold in zip(folds, by_fold, strict=True):
            posteriors = [posterior(output, settings.floor) for output in of_fold]
            natural = natural_prior(data.labels[fold.train], len(data.classes))
            inner = inner_scores.of_fold(scores, fold.number, data.classes, settings.floor) if scores else None
            result = choices.select(selection, posteriors, natural, inner)
            outputs.append(result.output)
            chosen.append(choices.to_table(name, selection.by, fold.repeat, fold.fold, result))
        files.write_table(arguments.decisions / f"{name}.csv", to_table(folds, outputs, data))
    files.write_table(arguments.choices, pd.concat([part for part in chosen if len(part)] or chosen[:1]))


def _read(folder: Path, classifier: str, where: str) -> pd.DataFrame:
    found = sorted(folder.rglob(f"{classifier}.csv"))
    if not found:
        known = ", ".join(sorted(path.stem for path in folder.rglob("*.csv"))) or "none"
        raise InputError(f"params.yaml: {where}: no scores of '{classifier}' in {folder}; there are: {known}")
    return files.read_table(found[0])


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "folds", "predictions", "priors", "inner", "decisions", "choices"], main)
