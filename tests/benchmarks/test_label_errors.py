"""Planted label errors: their number, that all are wrong and reproducible, and the count of those found."""

import numpy as np
import pandas as pd

from benchmarks.label_errors import flip, measure
from lipnet.evaluation.predictions import Predictions

CLASSES = ["A", "B", "C"]


def test_flipped_labels_are_wrong_and_drawn_from_the_seed() -> None:
    particles = pd.DataFrame({"id": [f"p{n}" for n in range(200)], "label": np.repeat(CLASSES, [100, 60, 40])})
    flipped = flip(particles, CLASSES, 0.05, 7)
    before = particles.set_index("id")["label"]
    assert len(flipped) == 10 and flipped["id"].is_unique
    assert all(before[name] != label for name, label in flipped.itertuples(index=False))
    assert flipped.equals(flip(particles, CLASSES, 0.05, 7)) and not flipped.equals(flip(particles, CLASSES, 0.05, 8))


def test_errors_that_are_found_are_counted() -> None:
    true = np.repeat([0, 1, 2], 20)
    labels = true.copy()
    labels[[3, 30]] = [1, 2]
    probabilities = np.eye(3)[true] * 0.85 + 0.05
    ids = np.array([f"p{n}" for n in range(60)])
    predictions = Predictions(CLASSES, ids, np.zeros(60, int), np.zeros(60, int), labels, true, probabilities)
    assert measure({"svm": predictions}, {"p3", "p9"}) == [["svm", "1 of 2", "0.50", "2", "1"]]
