"""Run one study: every arm on every fold of its problems, in one pool; then its table, figures and verdicts."""

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.problems import classes_of
from lipnet.core.settings import parse, pick, read_params, seed_of
from lipnet.evaluation import metrics
from lipnet.evaluation.comparison import CompareSettings
from lipnet.evaluation.measures import LOWER_IS_BETTER, words
from lipnet.evaluation.predictions import Predictions
from lipnet.plots import figure, studies
from lipnet.plots.scores import class_measures, confusion_matrices
from lipnet.studies import trials, verdicts
from lipnet.studies.arms import arm_folds, check_arms, read_problem, results_of
from lipnet.studies.study import Choice, ScaleSettings, StudySettings, arms_of


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write metrics.json, per_fold.csv and report.md of a study, and its figures."""
    name, own = arguments.study, read_params(arguments.settings)
    chosen = {"scale": pick(own, "scale"), "problems": pick(own, "problems")}
    choice = parse(Choice, chosen, str(arguments.settings))
    scale = parse(ScaleSettings, pick(own, "scales", choice.scale), f"scales.{choice.scale}")
    study = parse(StudySettings, pick(own, "studies", name), f"studies.{name}")
    confidence = parse(CompareSettings, pick(params, "compare"), "compare").confidence
    reported = files.read_table(arguments.thesis)
    problems = [
        read_problem(params, problem, arguments.particles)
        for problem in choice.problems or scale.problems.get(name, study.problems)
    ]
    jobs = [
        job
        for problem in problems
        for arm, changes in bar(
            arms_of(name, study, problem.particles.problem, scale, seed_of(params)).items(), f"study {name}: arms"
        )
        for job in arm_folds(params, f"studies.{name}", arm, changes, problem)
    ]
    threads = pick(params, "train_cnn", "threads_per_fold")
    check_arms(jobs, threads)
    found = trials.run_all([task for job in jobs for task in job.tasks], arguments.trials, threads, partial(_bar, name))
    summary, tables, sections = {}, [], []
    for problem, predictions, folds in results_of(jobs, found):
        classes = classes_of(params, problem)
        known = verdicts.thesis_values(reported, name, problem, study.of_class)
        summary[problem] = {arm: _summary(part, classes) for arm, part in folds.groupby("arm", sort=False)}
        tables.append(folds.assign(problem=problem))
        sections.append(verdicts.section(problem, folds, study, classes, known, confidence))
        _draw(problem, study, folds, predictions, classes, arguments.results)
    head = verdicts.head(study, choice.scale, pick(params, "source", "kind"), confidence)
    files.write_json(arguments.results / "metrics.json", summary)
    files.write_table(arguments.results / "per_fold.csv", pd.concat(tables))
    files.write_text(arguments.results / "report.md", "\n".join([head, *sections]))


def _bar(name: str, done: trials.Done, n: int) -> trials.Done:
    return bar(done, f"study {name}: folds of arms", n)


def _summary(folds: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    dead = folds.loc[folds["measure"] == "dead_filters", "value"].to_numpy(dtype=np.float64)
    return {**metrics.summary(folds, classes), "dead_filters": metrics.spread(dead)}


def _draw(
    problem: str,
    study: StudySettings,
    folds: pd.DataFrame,
    predictions: dict[str, Predictions],
    classes: list[str],
    folder: Path,
) -> None:
    title = f"{problem}: {study.title}"
    axis = words(study.judged if study.figure == "ranking" else study.of_class)
    if study.figure == "ranking":
        lower = study.judged in LOWER_IS_BETTER
        picture = studies.ranking(folds, study.judged, lower, title, axis)
    elif study.figure == "measures":
        picture = class_measures(folds.rename(columns={"arm": "classifier"}), classes, list(predictions), title)
    else:
        draw = studies.ladder if study.figure == "ladder" else studies.grouped_bars
        picture = draw(folds, classes, study.of_class, title, axis)
    figure.save(picture, folder / f"{problem}.png")
    if study.confusion:
        matrices = {arm: metrics.mean_confusion(item) for arm, item in predictions.items()}
        figure.save(confusion_matrices(matrices, classes, problem), folder / f"{problem}_confusion.png")


if __name__ == "__main__":
    run(__doc__, "study", ["settings", "thesis", "particles", "trials", "results"], main, read_params)
