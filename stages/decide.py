"""Apply every decision rule to what classifiers say of the test folds; a rule is then a classifier like any other."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet import balance, choices, decisions, files, inner_scores
from lipnet.decisions import Stated
from lipnet.errors import InputError
from lipnet.predictions import FoldPredictions, Predictions, from_table, to_table
from lipnet.settings import parse, pick
from stages.command import run
from stages.tables import Fold, read_folds, read_particles

NETWORKS = ("cnn", "cnn_views")  # state the prior of a balanced training set; all others state the natural one


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the predictions of every rule and choice, with the probabilities that they rest on, and who was chosen."""
    data = read_particles(params, arguments.problem, arguments.table)
    settings = parse(decisions.DecideSettings, pick(params, "decide"), "decide")
    decisions.check_problems(settings, pick(params, "classes"))
    training_sets = balance.from_arrays(files.read_arrays(arguments.training_sets))
    folds = list(zip(read_folds(arguments.folds), training_sets, strict=True))
    chosen = [pd.DataFrame(columns=choices.COLUMNS)]
    for name in [*settings.rules, *settings.choices]:
        decision, parts = choices.decision_of(settings, name, data.problem, data.classes), []
        where = f"decide.{'rules' if name in settings.rules else 'choices'}.{name}"
        said = {of: from_table(_read(arguments.predictions, of, where), of) for of in decision.of}
        scores = [_read(arguments.inner, of, where) for of in decision.of] if decision.fitted else []
        for fold, balanced in folds:
            natural = decisions.natural_prior(data.labels[fold.train], len(data.classes))
            of_fold = [
                stated(params, of, item.probabilities[_rows_of(item, fold)], fold, balanced, data.labels)
                for of, item in said.items()
            ]
            inner = inner_scores.of_fold(scores, fold.number, data.classes) if scores else None
            decided = choices.decide(decision, of_fold, natural, inner)
            parts.append(FoldPredictions(fold.repeat, fold.fold, fold.test, decided.predicted, decided.probabilities))
            chosen.append(choices.to_table(name, decision.by, fold.repeat, fold.fold, decided))
        files.write_table(arguments.decisions / f"{name}.csv", to_table(parts, data.ids, data.labels, data.classes))
    files.write_table(arguments.choices, pd.concat([part for part in chosen if len(part)] or chosen[:1]))


def _rows_of(item: Predictions, fold: Fold) -> NDArray[np.bool_]:
    return (item.repeat == fold.repeat) & (item.fold == fold.fold)


def _read(folder: Path, classifier: str, where: str) -> pd.DataFrame:
    found = sorted(folder.rglob(f"{classifier}.csv"))
    if not found:
        known = ", ".join(sorted(path.stem for path in folder.rglob("*.csv"))) or "none"
        raise InputError(f"params.yaml: {where}: no scores of '{classifier}' in {folder}; there are: {known}")
    return files.read_table(found[0])


def stated(
    params: dict[str, Any],
    classifier: str,
    probabilities: NDArray[np.float64],
    fold: Fold,
    training_set: balance.TrainingSet,
    labels: NDArray[np.int64],
) -> Stated:
    """What the probabilities of a classifier say of the classes, and the prior in them.

    Args:
        params: of the pipeline.
        classifier: its name.
        probabilities: as it gives them, shape (n, K).
        fold: that it was trained on.
        training_set: of that fold.
        labels: class index of every particle; those of training rows are read.
    """
    if classifier not in NETWORKS:
        return Stated(probabilities, decisions.natural_prior(labels[fold.train], probabilities.shape[1]))
    loss = parse(balance.LossSettings, pick(params, "train_cnn", "loss"), "train_cnn.loss")
    smoothing, floor = pick(params, "train_cnn", "label_smoothing"), pick(params, "decide", "floor")
    prior = balance.stated_prior(loss, balance.sampled_prior(training_set, labels))
    return Stated(decisions.unsmooth(probabilities, smoothing, floor), prior)


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "folds", "training_sets", "predictions", "inner", "decisions", "choices"], main)
