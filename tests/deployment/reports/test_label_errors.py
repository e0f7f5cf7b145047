"""Likely label errors: planted ones come first, and nothing breaks where a class is absent."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lipnet.core.errors import InputError
from lipnet.deployment.reports import label_errors
from lipnet.evaluation.predictions import Predictions

CLASSES = ["A", "B", "C"]


def _said(probabilities: Any, true: Any, repeat: Any = 0, ids: Any = None) -> Predictions:
    stated, labels = np.array(probabilities, float), np.array(true)
    names = [f"p{n}" for n in range(len(labels))] if ids is None else ids
    repeats = np.broadcast_to(np.array(repeat), len(labels)).copy()
    return Predictions(
        CLASSES, np.array(names), repeats, np.zeros(len(labels), int), labels, stated.argmax(axis=1), stated
    )


def _sure(true: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.eye(3)[true] * 0.85 + 0.05


def test_planted_errors_come_first_and_are_likely_with_the_right_class_suggested() -> None:
    true = np.repeat([0, 1, 2], 40)
    labels = true.copy()
    planted = [3, 50, 100]
    labels[planted] = [1, 2, 0]
    ranked = label_errors.rank(labels, _sure(true))
    assert sorted(ranked["row"][:3]) == planted
    assert ranked["likely"].sum() == 3 and ranked["likely"][:3].all()
    assert ranked.set_index("row").loc[planted, "suggested"].tolist() == [0, 1, 2]
    assert len(ranked) == len(labels)


def test_a_class_without_particles_does_no_harm() -> None:
    true = np.repeat([0, 2], 30)
    labels = true.copy()
    labels[5] = 2
    ranked = label_errors.rank(labels, _sure(true))
    assert ranked["row"][0] == 5 and ranked["likely"].sum() == 1


def test_one_class_alone_has_no_likely_errors() -> None:
    ranked = label_errors.rank(np.zeros(4, int), _sure(np.zeros(4, int)))
    assert not ranked["likely"].any()


def test_probabilities_are_averaged_over_classifiers_by_id_and_over_repeats() -> None:
    one = _said(
        [[0.8, 0.2, 0], [0.4, 0.4, 0.2], [0.6, 0.4, 0], [0.2, 0.4, 0.4]], [0, 1, 0, 1], [0, 0, 1, 1], ["a", "b"] * 2
    )
    other = _said([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], [1, 0], 0, ["b", "a"])
    ids, labels, stated = label_errors.mean_probabilities([one, other])
    assert ids.tolist() == ["a", "b"] and labels.tolist() == [0, 1]
    assert_allclose(stated, [[(0.7 + 1) / 2, 0.15, 0], [0.15, 0.7, 0.15]])


def test_predictions_of_other_particles_are_refused() -> None:
    one, other = _said([[1, 0, 0]], [0], 0, ["a"]), _said([[1, 0, 0]], [0], 0, ["b"])
    with pytest.raises(InputError, match="different particles"):
        label_errors.mean_probabilities([one, other])


def test_only_classifiers_of_natural_proportions_vote() -> None:
    said = _said([[1, 0, 0]], [0])
    assert label_errors.voters({"cnn": said, "svm": said, "cnn_shifted": said}) == ["cnn_shifted", "svm"]
    with pytest.raises(InputError, match="natural proportions"):
        label_errors.voters({"cnn": said})
