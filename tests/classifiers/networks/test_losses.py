"""Losses by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from lipnet.classifiers.networks.losses import per_example, stated_prior
from lipnet.classifiers.networks.settings import LossSettings

TARGETS = np.eye(3, dtype=np.float32)[[0, 1, 2]]
STATED = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6]], np.float32)
TRUE = np.array([0.7, 0.3, 0.6])
PRIOR = np.array([0.8, 0.15, 0.05])


def _settings(kind: str, **changes: float) -> LossSettings:
    return LossSettings.model_validate({"kind": kind, "focal_gamma": 2.0, "logit_strength": 1.0, **changes})


def _loss(settings: LossSettings, smoothing: float = 0.0) -> NDArray[np.float64]:
    return np.asarray(per_example(settings, smoothing, PRIOR)(TARGETS, STATED), np.float64)


def test_cross_entropy_is_minus_the_logarithm_of_the_true_class() -> None:
    assert_allclose(_loss(_settings("cross_entropy")), -np.log(TRUE), rtol=1e-5)


def test_focal_loss_counts_what_is_learned_less() -> None:
    assert_allclose(_loss(_settings("focal")), -((1 - TRUE) ** 2) * np.log(TRUE), rtol=1e-4)
    assert_allclose(_loss(_settings("focal", focal_gamma=0.0)), -np.log(TRUE), rtol=1e-4)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_logit_adjusted_loss_is_cross_entropy_under_the_prior(strength: float) -> None:
    weighted = STATED * PRIOR**strength
    expected = -np.log((weighted / weighted.sum(axis=1, keepdims=True))[range(3), range(3)])
    assert_allclose(_loss(_settings("logit_adjusted", logit_strength=strength)), expected, rtol=1e-4)


def test_label_smoothing_reaches_every_loss() -> None:
    for kind in ("cross_entropy", "focal", "logit_adjusted"):
        assert not np.allclose(_loss(_settings(kind)), _loss(_settings(kind), 0.1), rtol=1e-2)


@pytest.mark.parametrize(
    ("kind", "strength", "expected"),
    [
        ("cross_entropy", 1.0, PRIOR),
        ("focal", 1.0, PRIOR),
        ("logit_adjusted", 0.0, PRIOR),
        ("logit_adjusted", 1.0, np.full(3, 1 / 3)),
        ("logit_adjusted", 0.5, np.sqrt(PRIOR) / np.sqrt(PRIOR).sum()),
    ],
)
def test_the_loss_takes_its_strength_of_the_prior_out(
    kind: str, strength: float, expected: NDArray[np.float64]
) -> None:
    assert_allclose(stated_prior(_settings(kind, logit_strength=strength), PRIOR), expected)


@pytest.mark.parametrize(("strength", "expected"), [(1.0, [0.5, 0.5, 0]), (0.5, [0.75, 0.25, 0])])
def test_a_class_that_was_never_shown_stays_at_zero(strength: float, expected: list[float]) -> None:
    assert_allclose(
        stated_prior(_settings("logit_adjusted", logit_strength=strength), np.array([0.9, 0.1, 0.0])), expected
    )
