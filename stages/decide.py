"""Apply every decision rule to what the network says of the test folds; a rule is then a classifier like any other."""

from argparse import Namespace
from typing import Any

import numpy as np

from lipnet import balance, decisions, files
from lipnet.predictions import FoldPredictions, from_table, to_table
from lipnet.problems import classes_of, encode
from lipnet.settings import parse, pick
from stages.command import run
from stages.tables import read_folds


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write one table of predictions a rule: the class that it names and the probabilities that it rests on."""
    problem, classes = arguments.problem, classes_of(params, arguments.problem)
    settings = parse(decisions.DecideSettings, pick(params, "decide"), "decide")
    decisions.check_problems(settings, pick(params, "classes"))
    table = files.read_table(arguments.table)
    ids, labels = table["id"].to_numpy(dtype=np.str_), encode(table["label"], classes)
    folds = read_folds(arguments.folds)
    training_sets = balance.from_arrays(files.read_arrays(arguments.training_sets))
    stated = from_table(files.read_table(arguments.predictions), str(arguments.predictions))
    smoothing = pick(params, "train_cnn", "label_smoothing")
    probabilities = decisions.unsmooth(stated.probabilities, smoothing, settings.floor)
    for name in settings.rules:
        rule, parts = decisions.rule_of(settings, name, problem, classes), []
        for fold, training_set in zip(folds, training_sets, strict=True):
            sampled = decisions.sampled_prior(training_set, labels)
            natural = decisions.natural_prior(labels[fold.train], len(classes))
            of_fold = probabilities[(stated.repeat == fold.repeat) & (stated.fold == fold.fold)]
            parts.append(FoldPredictions(fold.repeat, fold.fold, fold.test, *rule.apply(of_fold, sampled, natural)))
        files.write_table(arguments.decisions / f"{name}.csv", to_table(parts, ids, labels, classes))


if __name__ == "__main__":
    run(__doc__, "problem", ["table", "folds", "training_sets", "predictions", "decisions"], main)
