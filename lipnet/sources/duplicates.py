"""Exact duplicates among images: they would leak from training to test rows, so they are put in one group."""

from hashlib import blake2b

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lipnet.samples.particles import Grey


def digest(image: Grey) -> str:
    """A fingerprint that two images share only if shape, depth and every grey level agree."""
    head = f"{image.shape} {image.dtype}".encode()
    return blake2b(head + np.ascontiguousarray(image).tobytes(), digest_size=16).hexdigest()


def find(table: pd.DataFrame, digests: pd.Series) -> pd.DataFrame:
    """Particles whose image occurred before, one row each.

    Args:
        table: columns id and label, n rows.
        digests: of the n images, in the same order.

    Returns:
        Columns id, first_id (the first particle with the same image) and conflict (True where its class differs).
    """
    first = digests.groupby(digests.to_numpy(), sort=False).transform(lambda same: same.index[0])
    again = np.flatnonzero(first.to_numpy() != np.arange(len(table)))
    origin = first.to_numpy()[again]
    ids, labels = table["id"].to_numpy(), table["label"].to_numpy()
    return pd.DataFrame({"id": ids[again], "first_id": ids[origin], "conflict": labels[again] != labels[origin]})


def join_groups(groups: pd.Series, digests: pd.Series) -> pd.Series:
    """Groups with those that share an image made one, named after the first of them, shape (n,)."""
    group_codes, names = pd.factorize(groups)
    digest_codes = pd.factorize(digests)[0] + len(names)
    n_nodes = len(names) + digest_codes.max(initial=0) + 1
    links = coo_array((np.ones(len(groups), dtype=np.int8), (group_codes, digest_codes)), shape=(n_nodes, n_nodes))
    _, component = connected_components(links, directed=False)
    of_group = component[: len(names)]
    first = pd.Series(names).groupby(of_group).transform("first")
    return pd.Series(first.to_numpy()[group_codes], index=groups.index, name=groups.name)
