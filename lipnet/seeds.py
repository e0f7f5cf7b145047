"""Seeds of single tasks, derived from the one seed of the run."""

import numpy as np


def derive(*key: int) -> int:
    """A seed in [0, 2^32) from whole numbers, e.g. (seed, fold, epoch): near keys give unrelated seeds."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])
