"""Run one study: every arm on every fold of its problems, in one pool; then its table, figures and verdicts."""

from argparse import Namespace
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from lipnet import files, metrics, trials, verdicts
from lipnet.comparison import CompareSettings
from lipnet.plots import figure, studies
from lipnet.plots.scores import class_measures, confusion_matrices
from lipnet.predictions import Predictions
from lipnet.problems import classes_of
from lipnet.settings import parse, pick, read_params, seed_of
from lipnet.study import ScaleSettings, StudySettings, arms_of
from lipnet.trials import Trial
from stages.arms import Job, read_problem, results_of, tasks_of
from stages.command import bar, run


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write metrics.json, per_fold.csv and report.md of a study, and its figures."""
    name, own = arguments.study, read_params(arguments.settings)
    study = parse(StudySettings, pick(own, "studies", name), f"studies.{name}")
    scale = parse(ScaleSettings, pick(own, "scales", pick(own, "scale")), f"scales.{own['scale']}")
    confidence = parse(CompareSettings, pick(params, "compare"), "compare").confidence
    reported = files.read_table(arguments.thesis)
    jobs = [
        Job(problem, arm, fold, task)
        for problem in [read_problem(one, arguments.particles) for one in pick(own, "problems") or study.problems]
        for arm, changes in arms_of(name, study, problem.name, scale, seed_of(params)).items()
        for fold, task in tasks_of(params, changes, problem)
    ]
    threads = pick(params, "train_cnn", "threads_per_fold")
    found = trials.run_all([job.task for job in jobs], arguments.trials, threads, partial(_bar, name))
    summary, tables, sections = {}, [], []
    for problem, predictions, folds in results_of(jobs, found, params):
        classes = classes_of(params, problem)
        known = verdicts.thesis_values(reported, name, problem, study.of_class)
        summary[problem] = {arm: metrics.summary(part, classes) for arm, part in folds.groupby("arm", sort=False)}
        tables.append(folds.assign(problem=problem))
        sections.append(verdicts.section(problem, folds, study, classes, known, confidence))
        _draw(problem, study, folds, predictions, classes, arguments.results)
    files.write_json(arguments.results / "metrics.json", summary)
    files.write_table(arguments.results / "per_fold.csv", pd.concat(tables))
    files.write_text(arguments.results / "report.md", "\n".join([verdicts.head(study, own["scale"]), *sections]))


def _bar(name: str, done: Iterable[Trial], n: int) -> Iterable[Trial]:
    return bar(done, f"study {name}: folds of arms", n)


def _draw(
    problem: str,
    study: StudySettings,
    folds: pd.DataFrame,
    predictions: dict[str, Predictions],
    classes: list[str],
    folder: Path,
) -> None:
    title = f"{problem}: {study.title}"
    axis = verdicts.NAMES[study.judged if study.figure == "ranking" else study.of_class]
    if study.figure == "ranking":
        picture = studies.ranking(folds, study.judged, title, axis)
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
    run(__doc__, "study", ["settings", "thesis", "particles", "trials", "results"], main)
