"""Apply every decision rule to what classifiers say of the test folds; a rule is then a classifier like any other."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pandas as pd

from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick
from lipnet.evaluation import choices, decisions, inner_scores
from lipnet.evaluation.predictions import FoldOutput, from_table, outputs_of, to_table
from lipnet.samples.balance import natural_prior
from lipnet.samples.tables import read_folds, read_particles


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the predictions of every rule and choice, with the probabilities that they rest on, and who was chosen."""
    data, folds = read_particles(params, arguments.problem, arguments.table), read_folds(arguments.folds)
    settings = parse(decisions.DecideSettings, pick(params, "decide"), "decide")
    decisions.check_problems(settings, pick(params, "classes"))
    priors = pd.concat([files.read_table(path) for path in sorted(arguments.priors.glob("*.csv"))])
    chosen = [pd.DataFrame(columns=choices.COLUMNS)]
    for name in [*settings.rules, *settings.choices]:
        decision = choices.decision_of(settings, name, data.problem, data.classes)
        where = f"decide.{'rules' if name in settings.rules else 'choices'}.{name}"
        said = {of: from_table(_read(arguments.predictions, of, where), of) for of in decision.of}
        by_fold = zip(*(outputs_of(item, priors, folds, of) for of, item in said.items()), strict=True)
        scores = [_read(arguments.inner, of, where) for of in decision.of] if decision.fitted else []
        outputs = []
        for fold, of_fold in zip(folds, by_fold, strict=True):
            posteriors = [decisions.posterior(output, settings.floor) for output in of_fold]
            natural = natural_prior(data.labels[fold.train], len(data.classes))
            inner = inner_scores.of_fold(scores, fold.number, data.classes) if scores else None
            decided = choices.decide(decision, posteriors, natural, inner)
            outputs.append(FoldOutput(decided.predicted, decided.probabilities, natural))
            chosen.append(choices.to_table(name, decision.by, fold.repeat, fold.fold, decided))
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
