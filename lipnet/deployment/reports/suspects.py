"""Particles that an expert should look at: confident mistakes, uncertain particles, likely label errors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lipnet.deployment.predict import entropy
from lipnet.deployment.reports import label_errors
from lipnet.deployment.reports.particle_pictures import SIDE_PX, ParticlePicture, picture_of
from lipnet.deployment.runs import Evidence, PipelineRun
from lipnet.evaluation.predictions import Predictions

GALLERY = 24  # particles in a gallery
SIDE_IN_TABLE_PX = 104
MOST_ERRORS = 100  # likely label errors on the page; the table beside the page has all
ERROR_COLUMNS = ["id", "label", "suggested", "p_label", "p_suggested", "note", "reviewer"]


def galleries(
    predictions: Predictions, evidence: Evidence, row_of: Mapping[str, int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The most confident mistakes and the most uncertain particles of the first repeat.

    Args:
        predictions: of one classifier.
        evidence: images and masks.
        row_of: id of a particle -> its row in the particle table.
    """
    first = np.flatnonzero(predictions.repeat == predictions.repeat.min())
    probabilities = predictions.probabilities[first]
    predicted, true = predictions.predicted[first], predictions.true[first]
    of_predicted = probabilities[np.arange(len(first)), predicted]
    wrong = np.flatnonzero(predicted != true)
    most_confident = wrong[np.argsort(-of_predicted[wrong], kind="stable")][:GALLERY]
    most_uncertain = np.argsort(-entropy(probabilities), kind="stable")[:GALLERY]

    def item(number: int) -> dict[str, Any]:
        name = str(predictions.ids[first[number]])
        return {
            "id": name,
            "label": predictions.classes[true[number]],
            "predicted": predictions.classes[predicted[number]],
            "probability": f"{of_predicted[number]:.2f}",
            "picture": _picture(name, evidence, row_of),
        }

    return [*map(item, most_confident)], [*map(item, most_uncertain)]


def errors_of(run: PipelineRun, predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    """Likely label errors, most suspect first, with the first five of ``ERROR_COLUMNS``.

    Raises:
        InputError: no classifier predicts at natural class shares.
    """
    used = [predictions[name] for name in label_errors.voters(predictions)]
    ids, labels, probabilities = label_errors.mean_probabilities(used)
    ranked = label_errors.rank(labels, probabilities)
    ranked = ranked[ranked["likely"]]
    rows, suggested = ranked["row"].to_numpy(), ranked["suggested"].to_numpy()
    names = np.array(run.classes)
    return pd.DataFrame(
        {
            "id": ids[rows],
            "label": names[labels[rows]],
            "suggested": names[suggested],
            "p_label": probabilities[rows, labels[rows]].round(3),
            "p_suggested": probabilities[rows, suggested].round(3),
        }
    )


def with_earlier(errors: pd.DataFrame, corrected: pd.DataFrame) -> pd.DataFrame:
    """The table of label errors with ``ERROR_COLUMNS``; labels that were corrected earlier follow the suspects."""
    notes = {name: f"corrected before; was {before}" for name, before, _ in corrected.itertuples(index=False)}
    earlier = corrected.loc[~corrected["id"].isin(errors["id"]), ["id", "label"]]
    table = pd.concat([errors, earlier], ignore_index=True)
    return table.assign(note=[notes.get(name, "") for name in table["id"]], reviewer="")[ERROR_COLUMNS]


def shown(errors: pd.DataFrame, evidence: Evidence, row_of: Mapping[str, int]) -> list[dict[str, Any]]:
    """The most suspect labels, with pictures; arguments as for ``galleries``."""
    return [
        {
            "id": name,
            "label": label,
            "suggested": suggested,
            "p_label": f"{p_label:.3f}",
            "p_suggested": f"{p_suggested:.3f}",
            "picture": _picture(name, evidence, row_of, SIDE_IN_TABLE_PX),
        }
        for name, label, suggested, p_label, p_suggested in errors.head(MOST_ERRORS).itertuples(index=False)
    ]


def _picture(name: str, evidence: Evidence, row_of: Mapping[str, int], side_px: int = SIDE_PX) -> ParticlePicture:
    row, text = row_of[name], f"Particle {name} with the outline of its mask"
    return picture_of(evidence.images[row], evidence.masks[row], text, side_px)
