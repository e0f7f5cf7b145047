"""Exact duplicates among images: they get one group, because they would otherwise leak from training to test rows."""

from hashlib import blake2b

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lipnet.samples.particles import Grey


def fingerprint(image: Grey) -> str:
    """Hash of an image; two images have the same one only if shape, bit depth and all grey levels agree."""
    head = f"{image.shape} {image.dtype}".encode()
    return blake2b(head + np.ascontiguousarray(image).tobytes(), digest_size=16).hexdigest()


def find(table: pd.DataFrame, fingerprints: pd.Series) -> pd.DataFrame:
    """List the particles that have the same image as an earlier particle, one row each.

    Args:
        table: columns id and label, n rows.
        fingerprints: of the n images, in the same order.

    Returns:
        Columns id, first_id (the first particle with the same image) and conflict (True where its class differs).
    """
    first = fingerprints.groupby(fingerprints.to_numpy(), sort=False).transform(lambda same: same.index[0])
    again = np.flatnonzero(first.to_numpy() != np.arange(len(table)))
    origin = first.to_numpy()[again]
    ids, labels = table["id"].to_numpy(), table["label"].to_numpy()
    return pd.DataFrame({"id": ids[again], "first_id": ids[origin], "conflict": labels[again] != labels[origin]})


def join_groups(groups: pd.Series, fingerprints: pd.Series) -> pd.Series:
    """Merge groups that share an image; a merged group has the name of the first one. Shape (n,)."""
    group_codes, names = pd.factorize(groups)
    image_codes = pd.factorize(fingerprints)[0] + len(names)
    n_nodes = len(names) + image_codes.max(initial=0) + 1
    links = coo_array((np.ones(len(groups), dtype=np.int8), (group_codes, image_codes)), shape=(n_nodes, n_nodes))
    _, component = connected_components(links, directed=False)
    of_group = component[: len(names)]
    first = pd.Series(names).groupby(of_group).transform("first")
    return pd.Series(first.to_numpy()[group_codes], index=groups.index, name=groups.name)
