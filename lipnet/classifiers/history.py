"""Whether the training of the networks ended too early: what the history of the training loss says about it."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LAST = 1 / 3  # share of the epochs that are looked at ...
FEWEST = 4  # ... and their minimum number
NOISE = 2.0  # a slope counts if it is at least this many standard errors from 0
SHARE = 0.1  # ... and if the last epochs have at least this share of the fall of the loss since the first epoch


def still_falls(losses: NDArray[np.float64]) -> bool:
    """Whether the training loss was still falling when the training ended.

    A straight line is fitted to the losses of the last epochs. The loss still fell if the line falls by more than its
    noise, and by a part of the whole fall that is worth having.

    Args:
        losses: mean training loss of each epoch, shape (n_epochs,). Fewer than FEWEST epochs say nothing.
    """
    n = max(round(LAST * len(losses)), FEWEST)
    if len(losses) < n:
        return False
    epochs, last = np.arange(n) - (n - 1) / 2, losses[-n:]
    slope = float(epochs @ last / (epochs @ epochs))
    errors = last - last.mean() - slope * epochs
    standard_error = float(np.sqrt(errors @ errors / (n - 2) / (epochs @ epochs)))
    whole = float(losses[0] - losses[-1])
    return whole > 0 and slope < 0 and -slope >= NOISE * standard_error and -slope * (n - 1) >= SHARE * whole


def early_end(history: pd.DataFrame) -> str | None:
    """One sentence if the training loss was still falling at the end of most folds; None otherwise.

    Args:
        history: columns fold, phase, epoch and loss, as stage train_cnn writes them.
    """
    training = history[history["phase"] == "training"].sort_values("epoch")
    falling = [still_falls(part["loss"].to_numpy(dtype=np.float64)) for _, part in training.groupby("fold")]
    if sum(falling) * 2 <= len(falling):
        return None
    return (
        f"The training loss of the network was still falling at the end in {sum(falling)} of {len(falling)} folds: a "
        "longer training may give better results (train_cnn.epochs in params.yaml)."
    )
