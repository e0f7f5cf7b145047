"""Run one study: train all folds of all its arms, in one pool of processes or in one program; write what it gives."""

from lipnet.studies import kernels

kernels.choose()  # before the imports below load NumPy

import sys
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from lipnet.classifiers import live, precision
from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.problems import classes_of
from lipnet.core.settings import parse, pick, read_params, seed_of
from lipnet.evaluation import metrics
from lipnet.evaluation.comparison import CompareSettings
from lipnet.evaluation.measures import words
from lipnet.evaluation.predictions import Predictions
from lipnet.plots import figure, studies
from lipnet.plots.scores import confusion_matrices
from lipnet.studies import subsets, trials, verdicts
from lipnet.studies.arms import arm_folds, check_arms, precisions_of, read_problem, results_of, trial_table
from lipnet.studies.study import Choice, ScaleSettings, StudySettings, SubsetSettings, arms_of


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write metrics.json, per_fold.csv, trials.csv, report.md and the figures of a study; effects.csv of subsets."""
    name, own = arguments.study, read_params(arguments.settings)
    chosen = {"portable": pick(own, "portable"), "scale": pick(own, "scale")}
    chosen |= {"problems": pick(own, "problems"), "of_problems": pick(own, "of_problems")}
    choice = parse(Choice, chosen, str(arguments.settings))
    scale = parse(ScaleSettings, pick(own, "scales", choice.scale), f"scales.{choice.scale}")
    study = parse(StudySettings, pick(own, "studies", name), f"studies.{name}")
    confidence = parse(CompareSettings, pick(params, "compare"), "compare").confidence
    reported, threads = files.read_table(arguments.thesis), pick(params, "train_cnn", "threads_per_fold")

    problems = choice.problems or scale.problems.get(name, study.problems)
    of_arms = []
    for problem in [read_problem(params, problem, arguments.particles) for problem in problems]:
        called = problem.particles.problem
        arms = arms_of(name, study, called, scale, choice.of_problems.get(called, {}), seed_of(params))
        for arm, changes in bar(arms.items(), f"study {name}: arms"):
            of_arms += arm_folds(params, f"studies.{name}", arm, changes, problem)
    tasks, epochs = [task for one in of_arms for task in one.tasks], live.epoch_bar(f"study {name}")
    keys, store = trials.keys_of(tasks, threads), trials.Store(arguments.trials, arguments.pack)
    check_arms(of_arms, keys)
    untrained = trials.missing(keys, store)
    to_train = precisions_of(task for task, key in zip(tasks, keys, strict=True) if key in untrained)
    for slow in filter(None, map(precision.warning, to_train)):
        print(f"warning: {slow}", file=sys.stderr)
    found = trials.run_all(tasks, keys, store, threads, partial(_bar, name), epochs)

    summary, tables, sections = {}, [], []
    for of_problem, predictions, folds in results_of(of_arms, found):
        classes = classes_of(params, of_problem)
        known = verdicts.thesis_values(reported, name, of_problem, study.of_class)
        summary[of_problem] = verdicts.summaries_of(folds, classes)
        tables.append(folds.assign(problem=of_problem))
        sections.append(verdicts.section(of_problem, folds, study, classes, known, confidence))
        _draw(of_problem, predictions, folds, classes, study, arguments.results)
    if study.subsets:
        _write_effects(pd.concat(tables), study, study.subsets, confidence, arguments.results)
    head = verdicts.head(
        study, choice.scale, scale.changes(name), pick(params, "source", "kind"), confidence, precisions_of(tasks)
    )
    files.write_json(arguments.results / "metrics.json", summary)
    files.write_table(arguments.results / "per_fold.csv", pd.concat(tables))
    files.write_table(arguments.results / "trials.csv", trial_table(of_arms, keys))
    files.write_text(arguments.results / "report.md", "\n".join([head, *sections]))


def _draw(
    problem: str,
    predictions: dict[str, Predictions],
    folds: pd.DataFrame,
    classes: list[str],
    study: StudySettings,
    results: Path,
) -> None:
    """Write the figure of a problem and, if the study wants them, its mean confusion matrices."""
    title = f"{problem}: {study.title}"
    picture = studies.picture(study.figure, folds, classes, study.judged, study.of_class, title)
    figure.save(picture, results / f"{problem}.png")
    if study.confusion:
        matrices = {arm: metrics.mean_confusion(item) for arm, item in predictions.items()}
        figure.save(confusion_matrices(matrices, classes, problem), results / f"{problem}_confusion.png")


def _write_effects(
    folds: pd.DataFrame, study: StudySettings, of: SubsetSettings, confidence: float, results: Path
) -> None:
    """Write effects.csv and a picture for each problem; nothing for problems whose arms tell no effects."""
    found = []
    for problem, part in folds.groupby("problem", sort=False):
        table = subsets.analyse(part, of, study.judged, confidence).effects
        if len(table):
            found.append(table.assign(problem=problem)[["problem", *table.columns]])
            picture = studies.effects(table, f"{problem}: {study.title}", words(study.judged), confidence)
            figure.save(picture, results / f"{problem}_effects.png")
    if found:
        files.write_table(results / "effects.csv", pd.concat(found))


def _bar(name: str, done: trials.Done, n: int) -> trials.Done:
    return bar(done, f"study {name}: folds of arms", n)


if __name__ == "__main__":
    run(__doc__, "study", ["settings", "thesis", "particles", "trials", "pack", "results"], main, kernels.read)
