"""Read what a finished run of the pipeline wrote: the input of export, explanation, report and comparison of runs.

Two runs are compared from files in git alone, so a run may be a folder, a git revision or a DVC experiment.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core import dvc_lock, files
from lipnet.core.errors import InputError
from lipnet.core.problems import classes_of
from lipnet.core.recipes import changes_by_section, with_recipe
from lipnet.core.settings import read_params
from lipnet.deployment.model_files import NETWORK, Provenance
from lipnet.deployment.revisions import TRAINING, differing_keys, git, value_at
from lipnet.evaluation import prediction_files, score_tables
from lipnet.evaluation.predictions import PRIOR, Predictions
from lipnet.samples import particles
from lipnet.samples.balance import natural_prior
from lipnet.samples.particles import Grey, Mask
from lipnet.samples.tables import Fold, read_folds, read_particles

READING = ("share", "ingest")
STAGES = ("ingest", "crop", "split", "balance", *TRAINING, "score_inner", "decide")  # run once per problem
SUMMARIES = ("evaluate", "proportions")  # run once for all problems
CODE = ("lipnet", "stages")
RECIPE = "data/recipe"  # folder of the changes that the recipe makes, one file per section
LIBRARIES = ("keras", "numpy", "onnx", "scikit-learn", "tensorflow", "tf2onnx")


@dataclass(frozen=True)
class PipelineRun:
    """The outputs of a finished run of the pipeline for one problem.

    Attributes:
        root: folder of the pipeline.
        problem: name of the problem.
        classes: the K class names.
        params: params.yaml, with its recipe applied.
        models: folder that holds cnn/, svm/<name>/ and trees/<name>/.
        table: the particle table, one row per particle.
        folds: all folds of all repeats.
        training_priors: class shares that the probabilities of the network of each fold are for, shape (n_folds, K);
            folds are counted over all repeats.
        natural_priors: class shares among the training particles of each fold, shape (n_folds, K).
        counts: numbers of particles and groups, as counted by the stage ingest.
        metrics: classifier -> measure -> mean and standard deviation over folds.
        provenance: revision of the code, hash of the data, versions of the libraries.
        changed: what changed since the run (``changes_since_run``).
    """

    root: Path
    problem: str
    classes: list[str]
    params: dict[str, Any]
    models: Path
    table: pd.DataFrame
    folds: Sequence[Fold]
    training_priors: NDArray[np.float64]
    natural_priors: NDArray[np.float64]
    counts: dict[str, Any]
    metrics: dict[str, Any]
    provenance: Provenance
    changed: Sequence[str] = ()


@dataclass(frozen=True)
class Evidence:
    """The inputs of a report that are not part of ``PipelineRun``.

    Attributes:
        predictions: classifier -> out-of-fold predictions.
        history: training history of the network (columns: see ``plots.learning``).
        images: grey levels of each particle, in the order of the particle table.
        masks: mask of each particle, in the same order.
        corrected: labels that were corrected earlier: columns id, before, label.
        shares: samples of known class shares with their estimates (``protocol.run_task``); None without any.
    """

    predictions: Mapping[str, Predictions]
    history: pd.DataFrame
    images: Sequence[Grey]
    masks: Sequence[Mask]
    corrected: pd.DataFrame
    shares: pd.DataFrame | None = None


def read_run(root: Path, problem: str, stale: bool = False) -> PipelineRun:
    """Read the finished run of a problem.

    Args:
        root: the folder that holds params.yaml.
        problem: a problem of the run.
        stale: accept a run that is out of date.

    Raises:
        InputError: the problem is unknown, a file is missing or damaged, or the run is out of date; the message names
            the file or what changed.
    """
    classes_of(read_params(root / "params.yaml"), problem)  # an unknown problem has nothing to do with runs
    where = root / "metrics/summary.csv"
    summary = table_with(where, ["problem", "classifier", "class", "measure", "mean", "sd", "folds"])
    own = summary[summary["problem"] == problem]
    if own.empty:  # before all else: --stale would not help
        raise InputError(f"{where}: no metrics of '{problem}'; list it in `problems` and run `dvc repro`")
    changed = check_up_to_date(root, problem, stale)
    params = with_recipe(_params_of_run(root, problem) if changed else read_params(root / "params.yaml"))
    data = read_particles(params, problem, root / f"data/particles/{problem}.csv")
    folds = read_folds(root / f"data/folds/{problem}.csv")
    n_classes = len(data.classes)
    return PipelineRun(
        root=root,
        problem=problem,
        classes=data.classes,
        params=params,
        models=root / "data/models" / problem,
        table=data.table,
        folds=folds,
        training_priors=_training_priors(root / f"data/priors/{problem}/{NETWORK}.csv", folds, data.classes),
        natural_priors=np.array([natural_prior(data.labels[fold.train], n_classes) for fold in folds]),
        counts=read_json(root / f"metrics/ingest/{problem}/counts.json"),
        metrics=score_tables.records_of(own),
        provenance=Provenance(
            git_revision=_git_revision(root),
            data_md5=dvc_lock.read_outs(root / "dvc.lock").get(f"data/particles/{problem}.npz"),
            versions={name: version(name) for name in LIBRARIES},
        ),
        changed=changed,
    )


def check_up_to_date(root: Path, problem: str, stale: bool) -> list[str]:
    """What changed since the run of a problem, which is allowed only if ``stale`` is True.

    Raises:
        InputError: something changed and ``stale`` is False; or as for ``changes_since_run``.
    """
    changed = changes_since_run(root, problem)
    if changed and not stale:
        raise InputError(
            f"the run of '{problem}' is out of date; changed since then: {'; '.join(changed)}. Run `dvc repro`, or use "
            "--stale to go on; the result then says that it is out of date"
        )
    return changed


def changes_since_run(root: Path, problem: str) -> list[str]:
    """Settings of all stages of a problem, code of its training, and data that differ from those of its last run.

    dvc.lock records them. Without it nothing is known, and nothing is returned.

    Raises:
        InputError: params.yaml or dvc.lock is missing or damaged.
    """
    return _changes(root, _records(root, problem))


def changes_since_ingest(root: Path, problem: str) -> list[str]:
    """As ``changes_since_run``, but for reading the particles only: their files, and the settings that say how.

    Raises:
        InputError: params.yaml or dvc.lock is missing or damaged.
    """
    if not (root / "dvc.lock").exists():
        return []
    read = {name: record for name, record in _records(root, problem).items() if name.split("@")[0] in READING}
    return _changes(root, read)


def _changes(root: Path, records: Mapping[str, dvc_lock.StageRecord]) -> list[str]:
    params, found = read_params(root / "params.yaml"), dict[str, None]()
    recipe = {f"{RECIPE}/{name}.json": changes for name, changes in changes_by_section(params).items()}
    md5_of = cache(lambda path: dvc_lock.md5_of(root / path) if (root / path).exists() else "")
    for name, record in records.items():
        for key, value in record.params.items():
            if key != "problems":  # another problem does not change this one
                differing = differing_keys(value, value_at(params, key), key)
                found |= dict.fromkeys(f"params.yaml: {one}" for one in differing)
        trains = name.split("@")[0] in TRAINING
        for path, md5 in (record.deps | record.outs).items():
            if path in recipe:
                if dvc_lock.md5_of_text(files.json_text(recipe[path])) != md5:
                    found[f"params.yaml: what the recipe changes in {Path(path).stem}"] = None
            elif not path.startswith(RECIPE) and (trains or not path.startswith(CODE)) and md5_of(path) != md5:
                found[path] = None
    return list(found)


def _records(root: Path, problem: str) -> dict[str, dvc_lock.StageRecord]:
    records = dvc_lock.read_stages(root / "dvc.lock")
    images = value_at(read_params(root / "params.yaml"), f"source.of.{problem}.images_of")
    names = [f"share@{images}", *(f"{stage}@{problem}" for stage in STAGES), *SUMMARIES]
    return {name: records[name] for name in names if name in records}


def _params_of_run(root: Path, problem: str) -> dict[str, Any]:
    """The settings that the run used, as dvc.lock records them."""
    params = read_params(root / "params.yaml")
    check = dvc_lock.read_stages(root / "dvc.lock").get("check")
    params |= check.params if check else {}
    for record in _records(root, problem).values():
        for dotted, value in record.params.items():
            *sections, key = dotted.split(".")
            section = params
            for name in sections:
                section = section.setdefault(name, {})
            section[key] = value
    return params


def _training_priors(path: Path, folds: Sequence[Fold], classes: Sequence[str]) -> NDArray[np.float64]:
    """Training priors of the network, shape (n_folds, K), from the table that the stage train_cnn wrote."""
    columns = [PRIOR + name for name in classes]
    table = table_with(path, ["classifier", "repeat", "fold", *columns])
    network = table[table["classifier"] == NETWORK].set_index(["repeat", "fold"])
    places = [(fold.repeat, fold.fold) for fold in folds]
    if sorted(network.index) != places:
        raise InputError(f"{path}: the priors of '{NETWORK}' are not those of the folds of the run; run `dvc repro`")
    return network.sort_index()[columns].to_numpy(dtype=np.float64)


def read_scores(run: PipelineRun) -> pd.DataFrame:
    """Every measure of every classifier in every fold, as ``metrics.fold_table`` with a column classifier.

    Raises:
        InputError: the table is missing or damaged, or lacks the problem.
    """
    path = run.root / "metrics/per_fold.csv"
    table = files.read_table(path)
    own = table[table["problem"] == run.problem] if "problem" in table else table[:0]
    if not len(own):
        raise InputError(f"{path}: no scores of '{run.problem}'; list it in `problems` and run `dvc repro`")
    return own.drop(columns="problem")


def read_predictions(root: Path, problem: str) -> dict[str, Predictions]:
    """Out-of-fold predictions of all classifiers and decision rules of a problem, by name.

    Raises:
        InputError: as for ``prediction_files.read``.
    """
    return prediction_files.read([root / "data/predictions" / problem, root / "data/decisions" / problem])


def read_evidence(root: Path, problem: str) -> Evidence:
    """Read the inputs of a report that are not part of ``PipelineRun``.

    Raises:
        InputError: a file is missing or damaged; the message says what to do.
    """
    packed = root / f"data/particles/{problem}.npz"
    stores = [particles.from_arrays(block, str(packed)) for block in files.read_blocks(packed)]
    corrected = root / f"plots/particles/{problem}/corrected_labels.csv"
    shares = root / f"data/proportions/{problem}.csv"
    no_corrections = pd.DataFrame({"id": [], "before": [], "label": []}, dtype=str)  # older runs lack the table
    return Evidence(
        predictions=read_predictions(root, problem),
        history=files.read_table(root / f"data/history/{problem}.csv"),
        images=[store.image(index) for store in stores for index in range(len(store))],
        masks=[store.mask(index) for store in stores for index in range(len(store))],
        corrected=files.read_table(corrected) if corrected.exists() else no_corrections,
        shares=files.read_table(shares) if shares.exists() else None,  # nor has a run whose folds lack a class
    )


def table_with(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table that a stage wrote.

    Raises:
        InputError: the table is missing or damaged, or lacks one of the columns.
    """
    table = files.read_table(path)
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(f"{path}: column {missing[0]} is missing; run `dvc repro`")
    return table


def read_text(path: Path) -> str:
    """Content of a text file that a stage wrote.

    Raises:
        InputError: the file is missing or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file that a stage wrote, which must hold an object.

    Raises:
        InputError: the file is missing or damaged.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object; delete it and run `dvc repro`")
    return content


def _git_revision(root: Path) -> str | None:
    found = git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return None if found is None else found.decode().strip()
