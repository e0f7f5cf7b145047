"""Which sample each new particle belongs to, and the class shares of each sample (``evaluation.proportions``)."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.seeds import generator
from lipnet.core.settings import Settings
from lipnet.deployment import rules
from lipnet.deployment.predict import PredictedBatch
from lipnet.deployment.rules import Classifier
from lipnet.evaluation.proportions import records
from lipnet.evaluation.proportions.estimators import count
from lipnet.evaluation.proportions.intervals import FEW_GROUPS, Estimate, estimate
from lipnet.evaluation.proportions.records import Record
from lipnet.sources.micrograph_rows import MicrographTask
from lipnet.sources.table import TABLE_NAME, read_csv
from lipnet.sources.unlabelled import Opened

FILE = "proportions.json"  # of an exported folder
TABLE, REPLICATES = "_proportions.csv", "_proportions.json"  # ends of the two files of one call of predict
NO_GROUP = "row "  # group of a particle that names none begins with it (``sources.table``)
FEW_OF_CLASS = 10  # labelled particles of a class; with fewer its share is rough
DIGITS = 6  # of shares
MOST_NAMED = 5  # samples in a note
SEED = 0  # of the resamples: the same input gives the same intervals
COLUMNS = ["sample", "class", "particles", "micrographs", "counted", "share", "low", "high"]

Floats = NDArray[np.float64]
Share = Annotated[float, Field(ge=0, le=1)]
ASSUMPTION = (
    "class shares: counted is the share of the predicted classes; share is corrected by the known errors of the "
    "classifier. It holds if the particles of each class look as in training, and only the shares of the classes differ"
)
UNCORRECTED = (
    "class shares are counts of the predicted classes, which are biased: nothing is known of the errors of {}. Use a "
    f"folder that `lipnet export` wrote, with {FILE}"
)


class SampleShares(Settings):
    """Class shares of one sample.

    Attributes:
        particles: their number.
        micrographs: number of groups; None if the input names none.
        counted: share of the predicted classes, shape (K,).
        share: corrected; None if nothing is known of the errors of the classifier.
        low: lower limit.
        high: upper limit.
        replicates: corrected shares of each resample, shape (R, K).
    """

    particles: int = Field(ge=1)
    micrographs: int | None
    counted: list[Share]
    share: list[Share] | None = None
    low: list[Share] | None = None
    high: list[Share] | None = None
    replicates: list[list[Share]] = Field(default=[])


class Proportions(Settings):
    """Content of OUT_proportions.json: class shares of all samples of one call of ``lipnet predict``.

    Attributes:
        format: version of this record.
        problem: that was classified.
        classifier: name of the classifier or rule.
        classes: the K class names.
        correction: SHA-256 of the record of the correction; "" without one.
        confidence: level of the intervals; None without any.
        widening: of the correction, shape (K,).
        samples: by name.
    """

    format: Literal[1] = 1
    problem: str
    classifier: str
    classes: list[str]
    correction: str
    confidence: Annotated[float, Field(gt=0, lt=1)] | None
    widening: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    samples: dict[str, SampleShares]


class Found(NamedTuple):
    """Class shares of all samples, and sentences for the user."""

    proportions: Proportions
    notes: list[str]


def samples_of(opened: Sequence[Opened], paths: Sequence[Path], column: str | None) -> dict[str, str]:
    """Name of the sample of each particle, by id.

    Args:
        opened: the inputs.
        paths: of the inputs, as the user gave them.
        column: of the tables; None: each input is a sample.

    Raises:
        InputError: an input is no table, lacks the column, or has an empty cell there.
    """
    found = dict[str, str]()
    for one, path in zip(opened, paths, strict=True):
        named = {} if column is None else _named(path, column)
        for task in one.tasks:
            rows = (
                [(target.line, target.id) for target in task.targets]
                if isinstance(task, MicrographTask)
                else [(line, cells["id"]) for line, cells in task.rows]
            )
            found |= {particle: named[line] if column is not None else str(path) for line, particle in rows}
    return found


def _named(path: Path, column: str) -> dict[int, str]:
    listed = path / TABLE_NAME if path.is_dir() else path
    if listed.suffix.lower() != ".csv" or not listed.exists():
        raise InputError(f"{path}: --sample {column} names a column, so the input must be a table")
    rows = {line: cells[column] for line, cells in read_csv(listed, (column,))}
    empty = [line for line, name in rows.items() if not name]
    if empty:
        raise InputError(f"{listed}: row {empty[0]}: column {column} is empty; name the sample of every particle")
    return rows


def find(
    batches: Sequence[PredictedBatch],
    chosen: Classifier,
    table: pd.DataFrame,
    sample_of: dict[str, str],
    record: Record | None,
    watch: Callable[[Iterable[str], int], Iterable[str]],
) -> Found:
    """Estimate the class shares of every sample.

    Args:
        batches: predictions, at least one of them with a particle.
        chosen: the classifier that predicted.
        table: of ``predict.join``, one row for each particle of the batches.
        sample_of: of ``samples_of``.
        record: what is known of the errors of the classifier; None: nothing.
        watch: (names of the samples, their number) -> the same names; for a progress bar.
    """
    filled = [batch for batch in batches if len(batch.known)]
    groups = np.concatenate([batch.known["group"].to_numpy(dtype=np.str_) for batch in filled])
    stated, description = _own_probabilities(filled, chosen), chosen.description
    predicted = pd.Categorical(table["class"], description.classes).codes.astype(np.int64)
    samples = np.array([sample_of[name] for name in table["id"]])
    shares, doubts = dict[str, SampleShares](), dict[str, list[str]]()
    names_of_all = list(dict.fromkeys(samples.tolist()))
    for name in watch(names_of_all, len(names_of_all)):
        rows = np.flatnonzero(samples == name)
        shares[name] = _of_sample(stated[:, rows], predicted[rows], groups[rows], record)
        for words in _doubts(stated[:, rows], shares[name], record) if record else []:
            doubts.setdefault(words, []).append(name)
    notes = [f"class shares of {_some(names)}: {words}" for words, names in doubts.items()]
    notes = [*_of_record(record), *notes] if record else [UNCORRECTED.format(chosen.name)]
    found = Proportions(
        problem=description.problem,
        classifier=chosen.name,
        classes=description.classes,
        correction="" if record is None else sha256(record.model_dump_json().encode()).hexdigest(),
        confidence=None if record is None else record.confidence,
        widening=[1.0] * len(description.classes) if record is None else record.widening,
        samples=shares,
    )
    return Found(found, notes)


def _own_probabilities(filled: Sequence[PredictedBatch], chosen: Classifier) -> Floats:
    """Probabilities as in the out-of-fold predictions, one set for each fold, shape (M, n, K)."""
    probabilities = np.concatenate([batch.probabilities for batch in filled], axis=1)
    if not chosen.rules:
        return probabilities
    return rules.apply(probabilities, chosen.models, chosen.rules, None)[0]


def _of_sample(
    stated: Floats, predicted: NDArray[np.int64], groups: NDArray[np.str_], record: Record | None
) -> SampleShares:
    named = [group for group in set(groups.tolist()) if not group.startswith(NO_GROUP)]
    sizes: dict[str, Any] = {"particles": len(predicted), "micrographs": len(named) or None}
    if record is None:
        return SampleShares(**sizes, counted=_rounded(count(predicted, stated.shape[2])))
    numbers = np.unique(groups, return_inverse=True)[1]
    rng = generator("class shares of samples", SEED)
    found: Estimate = estimate(stated, predicted, numbers, record.correction, record.confidence, rng)
    return SampleShares(
        **sizes,
        counted=_rounded(found.counted),
        share=_rounded(found.corrected),
        low=_rounded(found.low),
        high=_rounded(found.high),
        replicates=_rounded(found.replicates),
    )


def _rounded(values: Floats) -> Any:
    return np.clip(np.round(values, DIGITS), 0, 1).tolist()


def _doubts(stated: Floats, sample: SampleShares, record: Record) -> list[str]:
    """Why the shares of a sample may be wrong, or their intervals too narrow."""
    found, n = [], sample.micrographs
    misfit, usual = np.mean([record.misfit(one) for one in stated], axis=0)
    if misfit > usual:
        found.append(
            "the probabilities are no mixture of those of the training classes. So particles of a class look different "
            "from those in training, and the shares may be wrong"
        )
    if n is None:
        found.append("the input names no micrographs, so particles count as independent; intervals may be too narrow")
    elif n == 1:
        found.append("one micrograph; the intervals do not cover that micrographs differ")
    elif n < FEW_GROUPS:
        found.append(f"fewer than {FEW_GROUPS} micrographs, so the intervals are rough")
    return found


def _of_record(record: Record) -> list[str]:
    """What the shares of all samples rest on."""
    found, members = [ASSUMPTION], np.array(record.confusion).sum(axis=1)
    for label, number in zip(record.classes, members, strict=True):
        if not number:
            found.append(f"no labelled particle is {label}, so its share can be anything")
        elif number < FEW_OF_CLASS:
            found.append(f"only {number:.0f} labelled particles are {label}, so its share is rough")
    return found


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more samples" if more > 0 else "")


def carry(run: Path, problem: str, folder: Path) -> bool:
    """Copy the corrections of a run to an exported folder; False if the run has none.

    Raises:
        InputError: the corrections are damaged.
    """
    path = run / f"data/proportions/{problem}.json"
    if not path.is_file():
        return False
    records.read(path)
    files.write_bytes(folder / FILE, path.read_bytes())
    return True


def record_for(model: Path, classifier: str) -> Record | None:
    """The record of a classifier in an exported folder; None if there is none.

    Raises:
        InputError: the file of the records is damaged.
    """
    path = model / FILE
    return records.read(path).get(classifier) if path.is_file() else None


def table_of(found: Proportions) -> pd.DataFrame:
    """One row for each sample and class, with the columns COLUMNS; empty cells: not known."""
    rows = [
        (name, label, one.particles, one.micrographs, one.counted[at], *(of[at] if of else None for of in limits))
        for name, one in found.samples.items()
        for limits in [(one.share, one.low, one.high)]
        for at, label in enumerate(found.classes)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"micrographs": "Int64"})


def write(to: Path, found: Proportions) -> None:
    """Write OUT_proportions.csv, and OUT_proportions.json with the resamples that a comparison of samples needs.

    Args:
        to: the file of the particles, OUT.csv.
        found: class shares of all samples.
    """
    files.write_table(to.with_name(f"{to.stem}{TABLE}"), table_of(found))
    files.write_text(to.with_name(f"{to.stem}{REPLICATES}"), found.model_dump_json() + "\n")
