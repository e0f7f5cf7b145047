"""Read what a finished run of the pipeline wrote: the input of export, explanation, report and comparison of runs.

Two runs are compared from files in git alone, so a run may be a folder, a git revision or a DVC experiment.
"""

import io
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from lipnet.core import dvc_lock, files
from lipnet.core.errors import InputError
from lipnet.core.recipes import with_recipe
from lipnet.core.settings import read_params
from lipnet.deployment.model_files import NETWORK, Provenance
from lipnet.evaluation import prediction_files, score_tables
from lipnet.evaluation.predictions import PRIOR, Predictions
from lipnet.samples import particles
from lipnet.samples.balance import natural_prior
from lipnet.samples.particles import Grey, Mask
from lipnet.samples.tables import Fold, read_folds, read_particles

PARAMS = ("params.yaml", "studies/params.yaml")
PICTURES = ("plots/evaluation", "plots/comparison")
OF_FOLDS = {"problem": str, "classifier": str, "class": str, "measure": str}  # text columns of metrics/per_fold.csv
LIBRARIES = ("keras", "numpy", "onnx", "scikit-learn", "tensorflow", "tf2onnx")


@dataclass(frozen=True)
class PipelineRun:
    """The outputs of a finished run of the pipeline for one problem.

    Attributes:
        problem: name of the problem.
        classes: the K class names.
        params: params.yaml, with its recipe applied.
        models: folder that holds cnn/ and svm/<name>/.
        table: the particle table, one row per particle.
        training_priors: class shares that the probabilities of the network of each fold are for, shape (n_folds, K);
            folds are counted over all repeats.
        natural_priors: class shares among the training particles of each fold, shape (n_folds, K).
        counts: numbers of particles and groups, as counted by the stage ingest.
        metrics: classifier -> measure -> mean and standard deviation over folds.
        provenance: revision of the code, hash of the data, versions of the libraries.
    """

    problem: str
    classes: list[str]
    params: dict[str, Any]
    models: Path
    table: pd.DataFrame
    training_priors: NDArray[np.float64]
    natural_priors: NDArray[np.float64]
    counts: dict[str, Any]
    metrics: dict[str, Any]
    provenance: Provenance


@dataclass(frozen=True)
class Evidence:
    """The inputs of a report that are not part of ``PipelineRun``.

    Attributes:
        predictions: classifier -> out-of-fold predictions.
        history: training history of the network (columns: see ``plots.learning``).
        images: grey levels of each particle, in the order of the particle table.
        masks: mask of each particle, in the same order.
        corrected: labels that were corrected earlier: columns id, before, label.
    """

    predictions: Mapping[str, Predictions]
    history: pd.DataFrame
    images: Sequence[Grey]
    masks: Sequence[Mask]
    corrected: pd.DataFrame


@dataclass(frozen=True)
class Revision:
    """Where the files of a run are.

    Attributes:
        name: what the user calls it.
        root: the folder that holds params.yaml.
        commit: git commit that holds the files; None: they are in the folder.
    """

    name: str
    root: Path
    commit: str | None = None

    def read(self, path: str) -> bytes | None:
        """Content of a file; None if there is none."""
        if self.commit is not None:
            return _git(self.root, "show", f"{self.commit}:./{path}")
        file = self.root / path
        return file.read_bytes() if file.is_file() else None

    def pictures(self) -> dict[str, bytes]:
        """The pictures of the stages evaluate and compare, by path."""
        if self.commit is None:
            paths = (path for name in PICTURES for path in (self.root / name).glob("*"))
            found = [path.relative_to(self.root).as_posix() for path in paths]
        else:
            listed = _git(self.root, "ls-tree", "-r", "-z", "--name-only", self.commit, *PICTURES) or b""
            found = listed.decode().split("\0")
        return {path: self.read(path) or b"" for path in sorted(found) if path.endswith(".png")}


@dataclass(frozen=True)
class RunResults:
    """The results of a run for a comparison with another run.

    Attributes:
        name: what the user calls the run.
        params: files of parameters, by name, without recipes applied.
        folds: metrics/per_fold.csv.
        md5: of the outputs of all stages, by path.
    """

    name: str
    params: dict[str, dict[str, Any]]
    folds: pd.DataFrame
    md5: dict[str, str]


def find_revision(name: str, root: Path) -> Revision:
    """Find a run by the name of its folder, of a git revision, or of a DVC experiment.

    Args:
        name: a folder is one that holds params.yaml.
        root: folder in the git repository of revisions and experiments.

    Raises:
        InputError: there is no such run, or several experiments have this name.
    """
    if (Path(name) / "params.yaml").is_file():
        return Revision(name, Path(name))
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    refs = (_git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps") or b"").decode().splitlines()
    # An experiment is refs/exps/AB/CDEF.../NAME, where ABCDEF... is the commit that it started from.
    split = [ref.split("/") for ref in refs]
    experiments = {parts[0].split()[0] for parts in split if len(parts) == 5 and parts[-1] == name}
    if commit is None and len(experiments) != 1:
        what = "several experiments have this name" if experiments else "no such folder, git revision or experiment"
        raise InputError(f"{name}: {what}; `git log` and `dvc exp list --all-commits` list what there is")
    return Revision(name, root, commit.decode().strip() if commit is not None else experiments.pop())


def read_results(revision: Revision) -> RunResults:
    """Read the results of a run for a comparison.

    Raises:
        InputError: a file is missing or damaged; the message names the run and the file.
    """
    folds = _content(revision, "metrics/per_fold.csv")
    try:
        types = {**OF_FOLDS, "value": float}
        table = pd.read_csv(io.BytesIO(folds), dtype=types, keep_default_na=False, na_values={"value": [""]})
        params = {name: yaml.safe_load(revision.read(name) or b"{}") for name in PARAMS}
        stages = (yaml.safe_load(revision.read("dvc.lock") or b"") or {"stages": {}})["stages"]
        md5 = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
    except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"{revision.name}: its results are damaged ({error}); run `dvc repro`") from None
    missing = [name for name in (*OF_FOLDS, "repeat", "fold", "n_train", "n_test", "value") if name not in table]
    if missing:
        raise InputError(f"{revision.name}: metrics/per_fold.csv: column {missing[0]} is missing; run `dvc repro`")
    return RunResults(revision.name, params, table, md5)


def _content(revision: Revision, path: str) -> bytes:
    content = revision.read(path)
    if content is None:
        raise InputError(f"{revision.name}: {path}: no such file; run `dvc repro` there, and commit its results")
    return content


def read_run(root: Path, problem: str) -> PipelineRun:
    """Read the finished run of a problem.

    Args:
        root: the folder that holds params.yaml.
        problem: a problem of the run.

    Raises:
        InputError: the problem is unknown, or a file is missing or damaged; the message names the file.
    """
    params = with_recipe(read_params(root / "params.yaml"))
    data = read_particles(params, problem, root / f"data/particles/{problem}.csv")
    folds = read_folds(root / f"data/folds/{problem}.csv")
    n_classes = len(data.classes)
    where = root / "metrics/summary.csv"
    summary = table_with(where, ["problem", "classifier", "class", "measure", "mean", "sd", "folds"])
    own = summary[summary["problem"] == problem]
    if own.empty:
        raise InputError(f"{where}: no metrics of '{problem}'; list it in `problems` and run `dvc repro`")
    return PipelineRun(
        problem=problem,
        classes=data.classes,
        params=params,
        models=root / "data/models" / problem,
        table=data.table,
        training_priors=_training_priors(root / f"data/priors/{problem}/{NETWORK}.csv", folds, data.classes),
        natural_priors=np.array([natural_prior(data.labels[fold.train], n_classes) for fold in folds]),
        counts=read_json(root / f"metrics/ingest/{problem}/counts.json"),
        metrics=score_tables.records_of(own),
        provenance=Provenance(
            git_revision=_git_revision(root),
            data_md5=dvc_lock.read_outs(root / "dvc.lock").get(f"data/particles/{problem}.npz"),
            versions={name: version(name) for name in LIBRARIES},
        ),
    )


def _training_priors(path: Path, folds: Sequence[Fold], classes: Sequence[str]) -> NDArray[np.float64]:
    """Training priors of the network, shape (n_folds, K), from the table that the stage train_cnn wrote."""
    columns = [PRIOR + name for name in classes]
    table = table_with(path, ["classifier", "repeat", "fold", *columns])
    network = table[table["classifier"] == NETWORK].set_index(["repeat", "fold"])
    places = [(fold.repeat, fold.fold) for fold in folds]
    if sorted(network.index) != places:
        raise InputError(f"{path}: the priors of '{NETWORK}' are not those of the folds of the run; run `dvc repro`")
    return network.sort_index()[columns].to_numpy(dtype=np.float64)


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
    no_corrections = pd.DataFrame({"id": [], "before": [], "label": []}, dtype=str)  # older runs lack the table
    return Evidence(
        predictions=read_predictions(root, problem),
        history=files.read_table(root / f"data/history/{problem}.csv"),
        images=[store.image(index) for store in stores for index in range(len(store))],
        masks=[store.mask(index) for store in stores for index in range(len(store))],
        corrected=files.read_table(corrected) if corrected.exists() else no_corrections,
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
    found = _git(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return None if found is None else found.decode().strip()


def _git(root: Path, *words: str) -> bytes | None:
    """Output of a git command; None if it fails: no git here, no repository, or nothing of that name."""
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
