"""From the tasks of a source to the particle table: what the workers do with one task, and how the parts are joined."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, NamedTuple

import pandas as pd

from lipnet.core.errors import InputError
from lipnet.samples import features, particles
from lipnet.samples.features import FeatureSettings
from lipnet.samples.particles import Particle
from lipnet.sources import duplicates
from lipnet.sources.rows import Rejected


class Part(NamedTuple):
    """What one task of a source gives.

    Attributes:
        arrays: packed images and masks of its n particles (see particles.to_arrays); empty where n is 0.
        known: what is known of each particle beside its pixels, n rows; column digest is the fingerprint of its image,
            label_before its class before corrections.
        given: features that came with the particles, n rows.
        measured: features measured here, in px, n rows.
        rejected: rows that could not be used.
    """

    arrays: dict[str, Any]
    known: pd.DataFrame
    given: pd.DataFrame
    measured: pd.DataFrame
    rejected: list[Rejected]


def read_part(
    task: Any,
    read: Callable[[Any], Sequence[Particle | Rejected]],
    measures: FeatureSettings,
    labels: Mapping[str, str],
) -> Part:
    """Read, pack and measure the particles of one task; a pure function but for the files that ``read`` reads.

    ``labels`` are corrected ones, by id; all others stay as they are.
    """
    results = read(task)
    accepted = [item for item in results if isinstance(item, Particle)]
    rejected = [item for item in results if isinstance(item, Rejected)]
    if not accepted:
        return Part({}, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), rejected)
    before = [item.label for item in accepted]
    accepted = [replace(item, label=labels.get(item.id, item.label)) for item in accepted]
    store = particles.pack(accepted)
    digests = [duplicates.digest(item.image) for item in accepted]
    known = particles.describe(accepted).assign(digest=digests, label_before=before)
    given = pd.DataFrame([item.features for item in accepted])
    return Part(particles.to_arrays(store), known, given, features.measure_all(store, measures), rejected)


def join(parts: Sequence[Part]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The particle table of all parts, one of which must hold a particle, and its duplicates (see duplicates.find).

    Given features replace measured ones of the same name. Groups that share an image become one.

    Raises:
        InputError: a given feature has the name of a column that ingest itself writes.
    """
    filled = [part for part in parts if len(part.known)]
    known = pd.concat([part.known for part in filled], ignore_index=True)
    given = pd.concat([part.given for part in filled], ignore_index=True)
    measured = pd.concat([part.measured for part in filled], ignore_index=True)
    digests = known.pop("digest")
    known = known.drop(columns="label_before")
    clash = [name for name in given if name in known]
    if clash:
        raise InputError(f"params.yaml: source.feature_columns: ingest itself writes a column {clash[0]}; rename yours")
    measured = features.in_nanometres(measured, known["pixel_size_nm"].to_numpy())
    measured = measured.drop(columns=[name for name in given if name in measured])
    known["group"] = duplicates.join_groups(known["group"], digests)
    return pd.concat([known, given, measured], axis=1), duplicates.find(known, digests)


def corrected_table(parts: Sequence[Part]) -> pd.DataFrame:
    """Particles whose class was corrected to another one: id, before, label."""
    known = pd.concat([part.known for part in parts if len(part.known)], ignore_index=True)
    changed = known.loc[known["label_before"] != known["label"], ["id", "label_before", "label"]]
    return changed.rename(columns={"label_before": "before"}).reset_index(drop=True)


def rejected_table(rejected: Sequence[Rejected]) -> pd.DataFrame:
    """One row for each rejected row, with whatever a damaged file put into it made printable."""
    table = pd.DataFrame([asdict(item) for item in rejected], columns=[field.name for field in fields(Rejected)])
    for name in ("id", "file", "column", "reason"):
        table[name] = table[name].map(_printable)
    return table


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
