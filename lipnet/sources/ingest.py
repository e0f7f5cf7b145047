"""From the tasks of a source to the particle table: workers read and measure batches, which are then joined."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, NamedTuple

import pandas as pd

from lipnet.core.errors import InputError
from lipnet.samples import features, particles
from lipnet.samples.features import FeatureSettings
from lipnet.samples.particles import Particle
from lipnet.sources import duplicates
from lipnet.sources.formats import grey_levels
from lipnet.sources.formats.grey_levels import GreySettings
from lipnet.sources.rows import Rejected


class IngestedBatch(NamedTuple):
    """The particles and rejected rows of one task of a source.

    Attributes:
        arrays: packed images and masks of its n particles (see particles.to_arrays); empty where n is 0.
        known: table of ``particles.describe``, n rows, with three more columns: fingerprint (of the image), brightest
            (``grey_levels.brightest``) and label_before (the class before corrections).
        given: features that came with the particles, n rows.
        measured: features measured here, in px, n rows.
        rejected: rows that could not be used.
    """

    arrays: dict[str, Any]
    known: pd.DataFrame
    given: pd.DataFrame
    measured: pd.DataFrame
    rejected: list[Rejected]


def read_batch(
    task: Any,
    read: Callable[[Any], Sequence[Particle | Rejected]],
    measures: FeatureSettings,
    labels: Mapping[str, str],
) -> IngestedBatch:
    """Read, pack and measure the particles of one task.

    Args:
        task: of the source.
        read: reads a task; apart from the files that it reads, the result depends on the arguments alone.
        measures: how to measure features.
        labels: corrected labels by id; all other labels stay as they are.
    """
    results = read(task)
    accepted = [item for item in results if isinstance(item, Particle)]
    rejected = [item for item in results if isinstance(item, Rejected)]
    if not accepted:
        return IngestedBatch({}, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), rejected)
    before = [item.label for item in accepted]
    accepted = [replace(item, label=labels.get(item.id, item.label)) for item in accepted]
    store = particles.pack(accepted)
    fingerprints = [duplicates.fingerprint(item.image) for item in accepted]
    brightest = [grey_levels.brightest(item.image) for item in accepted]
    known = particles.describe(accepted).assign(fingerprint=fingerprints, brightest=brightest, label_before=before)
    given = pd.DataFrame([item.features for item in accepted])
    return IngestedBatch(particles.to_arrays(store), known, given, features.measure_all(store, measures), rejected)


def join(batches: Sequence[IngestedBatch]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The particle table of all batches and its duplicates (see ``duplicates.find``).

    Given features replace measured ones of the same name. Groups that share an image are merged.

    Args:
        batches: at least one of them holds a particle.

    Raises:
        InputError: a given feature has the name of a column that ingest itself writes.
    """
    filled = [batch for batch in batches if len(batch.known)]
    known = pd.concat([batch.known for batch in filled], ignore_index=True)
    given = pd.concat([batch.given for batch in filled], ignore_index=True)
    measured = pd.concat([batch.measured for batch in filled], ignore_index=True)
    fingerprints = known.pop("fingerprint")
    known = known.drop(columns=["brightest", "label_before"])
    clash = [name for name in given if name in known]
    if clash:
        raise InputError(f"params.yaml: source.feature_columns: ingest itself writes a column {clash[0]}; rename yours")
    all_features = features.with_given(measured, given, known["pixel_size_nm"].to_numpy())
    known["group"] = duplicates.join_groups(known["group"], fingerprints)
    return pd.concat([known, all_features], axis=1), duplicates.find(known, fingerprints)


def corrected_table(batches: Sequence[IngestedBatch]) -> pd.DataFrame:
    """Particles whose class was corrected to another one; columns id, before and label."""
    known = pd.concat([batch.known for batch in batches if len(batch.known)], ignore_index=True)
    changed = known.loc[known["label_before"] != known["label"], ["id", "label_before", "label"]]
    return changed.rename(columns={"label_before": "before"}).reset_index(drop=True)


def faint(batches: Sequence[IngestedBatch], settings: GreySettings) -> list[str]:
    """Notes on images that use a small part of the grey levels (``grey_levels.faint``)."""
    known = pd.concat([batch.known for batch in batches if len(batch.known)], ignore_index=True)
    return list(grey_levels.faint(known["brightest"].tolist(), known["id"].tolist(), settings))


def rejected_table(rejected: Sequence[Rejected]) -> pd.DataFrame:
    """Rejected rows as a table; characters that cannot be printed, as from damaged files, are escaped."""
    table = pd.DataFrame([asdict(item) for item in rejected], columns=[field.name for field in fields(Rejected)])
    for name in ("id", "file", "column", "reason"):
        table[name] = table[name].map(_printable)
    return table


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
