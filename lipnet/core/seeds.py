"""Random generators of single tasks, all derived from the one seed of the run."""

from zlib import crc32

import numpy as np


def generator(purpose: str, *key: int) -> np.random.Generator:
    """A generator of its own for each purpose and key, e.g. ("epoch", seed, fold, epoch)."""
    return np.random.default_rng(_sequence(purpose, key))


def derive(purpose: str, *key: int) -> int:
    """A seed in [0, 2^32) of its own for each purpose and key, for libraries that take a number."""
    return int(_sequence(purpose, key).generate_state(1)[0])


def _sequence(purpose: str, key: tuple[int, ...]) -> np.random.SeedSequence:
    # SeedSequence takes (1,) and (1, 0) for the same, so the length of the key is part of it.
    return np.random.SeedSequence((crc32(purpose.encode()), len(key), *key))
