"""Learning curves: training loss and accuracy per epoch and fold."""

import pandas as pd
from matplotlib.figure import Figure

from lipnet.plots.figure import COLOURS, styled


@styled
def learning_curves(history: pd.DataFrame, title: str) -> Figure:
    """One line for each fold, measured on the balanced and augmented training set.

    Dashed lines are the balanced validation loss, if early stopping chose the number of epochs.

    Args:
        history: columns fold, phase, epoch, loss, accuracy, validation_loss.
        title: above the picture.
    """
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for key, part in history.groupby(["fold", "phase"]):
        fold, phase = key
        colour = COLOURS[part["fold"].iloc[0] % len(COLOURS)]
        if phase == "choosing":
            loss.plot(part["epoch"], part["validation_loss"], "--", color=colour, label=f"fold {fold}, validation")
        else:
            loss.plot(part["epoch"], part["loss"], color=colour, label=f"fold {fold}")
            accuracy.plot(part["epoch"], part["accuracy"], color=colour)
    loss.set(xlabel="epoch", ylabel="training loss")
    accuracy.set(xlabel="epoch", ylabel="training accuracy")
    figure.legend(*loss.get_legend_handles_labels(), frameon=False, loc="outside right center")
    figure.suptitle(title)
    return figure
