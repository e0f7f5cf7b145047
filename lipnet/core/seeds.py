"""Random generators for single tasks, all derived from the seed of the run."""

from zlib import crc32

import numpy as np


def generator(purpose: str, *key: int) -> np.random.Generator:
    """A separate generator for each purpose and key, e.g. ("epoch", seed, fold, epoch)."""
    return np.random.default_rng(_sequence(purpose, key))


def derive(purpose: str, *key: int) -> int:
    """A separate seed in [0, 2^32) for each purpose and key, for libraries that take a number."""
    return int(_sequence(purpose, key).generate_state(1)[0])


def _sequence(purpose: str, key: tuple[int, ...]) -> np.random.SeedSequence:
    # SeedSequence treats (1,) and (1, 0) as equal, so the length of the key is part of the entropy.
    return np.random.SeedSequence((crc32(purpose.encode()), len(key), *key))
