"""Run one study: train all folds of all its arms, in one pool of processes or in one program; write what it gives."""

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
from lipnet.plots import figure, studies
from lipnet.plots.scores import confusion_matrices
from lipnet.studies import subsets, trials, verdicts
from lipnet.studies.arms import arm_folds, check_arms, precisions_of, read_problem, results_of
from lipnet.studies.study import Choice, ScaleSettings, StudySettings, SubsetSettings, arms_of


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write metrics.json, per_fold.csv and report.md of a study, and its figures; of ordered subsets, effects.csv."""
    name, own = arguments.study, read_params(arguments.settings)
    chosen = {"scale": pick(own, "scale"), "problems": pick(own, "problems")}
    choice = parse(Choice, chosen, str(arguments.settings))
    scale = parse(ScaleSettings, pick(own, "scales", choice.scale), f"scales.{choice.scale}")
    study = parse(StudySettings, pick(own, "studies", name), f"studies.{name}")
    confidence = parse(CompareSettings, pick(params, "compare"), "compare").confidence
    reported, threads = files.read_table(arguments.thesis), pick(params, "train_cnn", "threads_per_fold")

    of_problems = choice.problems or scale.problems.get(name, study.problems)
    of_arms = []
    for problem in [read_problem(params, problem, arguments.particles) for problem in of_problems]:
        arms = arms_of(name, study, problem.particles.problem, scale, seed_of(params))
        for arm, changes in bar(arms.items(), f"study {name}: arms"):
            of_arms += arm_folds(params, f"studies.{name}", arm, changes, problem)
    check_arms(of_arms, threads)
    precisions = precisions_of(of_arms)
    for slow in filter(None, map(precision.warning, precisions)):
        print(f"warning: {slow}", file=sys.stderr)
    tasks, epochs = [task for one in of_arms for task in one.tasks], live.epoch_bar(f"study {name}")
    found = trials.run_all(tasks, arguments.trials, threads, partial(_bar, name), epochs)

    summary, tables, sections = {}, [], []
    for of_problem, predictions, folds in results_of(of_arms, found):
        classes = classes_of(params, of_problem)
        known = verdicts.thesis_values(reported, name, of_problem, study.of_class)
        summary[of_problem] = verdicts.summaries_of(folds, classes)
        tables.append(folds.assign(problem=of_problem))
        sections.append(verdicts.section(of_problem, folds, study, classes, known, confidence))
        title = f"{of_problem}: {study.title}"
        picture = studies.picture(study.figure, folds, classes, study.judged, study.of_class, title)
        figure.save(picture, arguments.results / f"{of_problem}.png")
        if study.confusion:
            matrices = {arm: metrics.mean_confusion(item) for arm, item in predictions.items()}
            picture = confusion_matrices(matrices, classes, of_problem)
            figure.save(picture, arguments.results / f"{of_problem}_confusion.png")
    if study.subsets:
        _write_effects(pd.concat(tables), study, study.subsets, confidence, arguments.results)
    head = verdicts.head(study, choice.scale, pick(params, "source", "kind"), confidence, precisions)
    files.write_json(arguments.results / "metrics.json", summary)
    files.write_table(arguments.results / "per_fold.csv", pd.concat(tables))
    files.write_text(arguments.results / "report.md", "\n".join([head, *sections]))


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
    run(__doc__, "study", ["settings", "thesis", "particles", "trials", "results"], main, read_params)
