"""Decision rules by hand: Bayes' rule, smoothed labels, costs, the prior that was really given, and wrong names."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.core.settings import parse
from lipnet.evaluation.decisions import (
    DecideSettings,
    check_problems,
    least_cost,
    rule_of,
)
from lipnet.evaluation.posteriors import InnerScores, Posterior, shift_prior, unsmooth
from lipnet.samples.balance import natural_prior

FLOOR = 1e-3
CLASSES = ["Full", "Empty", "Uncertain"]
BALANCED = np.full(3, 1 / 3)
RARE = np.array([0.95, 0.03, 0.02])


def _posteriors(seed: int, n: int = 50, n_classes: int = 3) -> NDArray[np.float64]:
    p = np.random.default_rng(seed).dirichlet(np.ones(n_classes), n).clip(2 * FLOOR)
    return p / p.sum(axis=1, keepdims=True)


@settings(max_examples=50)
@given(st.integers(0, 999), st.integers(2, 6), st.floats(0, 0.5))
def test_undoing_label_smoothing_recovers_the_posterior(seed: int, n_classes: int, smoothing: float) -> None:
    exact = _posteriors(seed, n_classes=n_classes)
    smoothed = (1 - smoothing) * exact + smoothing / n_classes
    assert_allclose(unsmooth(smoothed, smoothing, FLOOR), exact, atol=1e-12)


def test_what_smoothed_labels_could_not_have_taught_is_raised_to_the_floor() -> None:
    # (0.99 - 0.05) / 0.9 is above 1, and (0.01 - 0.05) / 0.9 below 0.
    p = unsmooth(np.array([[0.99, 0.01], [0.05, 0.95]]), 0.1, FLOOR)
    above = 0.94 / 0.9
    assert_allclose(p, [[above / (above + FLOOR), FLOOR / (above + FLOOR)], [FLOOR / (1 + FLOOR), 1 / (1 + FLOOR)]])


def test_the_shift_of_two_classes_is_bayes_rule() -> None:
    likelihood, prior = np.array([[0.8, 0.3], [0.1, 0.6]]), np.array([0.98, 0.02])
    balanced = likelihood / likelihood.sum(axis=1, keepdims=True)
    expected = likelihood * prior / (likelihood @ prior)[:, None]
    assert_allclose(shift_prior(balanced, np.array([0.5, 0.5]), prior, 1.0), expected)


@given(st.integers(0, 999))
def test_half_the_shift_is_the_geometric_mean_of_none_and_all(seed: int) -> None:
    none, half, whole = (shift_prior(_posteriors(seed), BALANCED, RARE, strength) for strength in (0, 0.5, 1))
    mean = np.sqrt(none * whole)
    assert_allclose(none, _posteriors(seed))
    assert_allclose(half, mean / mean.sum(axis=1, keepdims=True))


def test_the_way_there_and_back_changes_nothing() -> None:
    there = shift_prior(_posteriors(1), BALANCED, RARE, 1.0)
    assert_allclose(shift_prior(there, RARE, BALANCED, 1.0), _posteriors(1))


def test_a_class_that_does_not_occur_or_was_never_shown_gets_nothing() -> None:
    no_empty = np.array([0.5, 0.0, 0.5])
    for given_prior, wanted in ((BALANCED, no_empty), (no_empty, BALANCED)):
        shifted = shift_prior(_posteriors(2), given_prior, wanted, 1.0)
        assert_array_equal(shifted[:, 1], 0)
        assert_allclose(shifted.sum(axis=1), 1)
        assert_allclose(shift_prior(_posteriors(2), given_prior, wanted, 0.0), _posteriors(2))


def test_a_prior_of_68_to_1_overrules_any_smoothed_probability_but_not_what_it_stands_for() -> None:
    certain = np.array([[0.1 / 3, 0.1 / 3, 1 - 0.2 / 3]])  # as sure of the rare class as smoothed labels allow
    prior = np.array([68, 1, 1]) / 70
    assert shift_prior(certain, BALANCED, prior, 1.0).argmax() == 0
    assert shift_prior(unsmooth(certain, 0.1, FLOOR), BALANCED, prior, 1.0).argmax() == 2


def test_a_dear_error_changes_the_decision_at_the_odds_of_its_cost() -> None:
    costs = np.array([[0, 1], [20, 0]])  # a missed particle of class 1 costs twenty false ones
    assert_array_equal(least_cost(np.array([[0.96, 0.04], [0.95, 0.05]]), costs), [0, 1])


def test_equal_costs_name_the_most_probable_class() -> None:
    assert_array_equal(least_cost(_posteriors(3), 1 - np.eye(3)), _posteriors(3).argmax(axis=1))


def test_the_natural_prior_counts_labels_and_knows_absent_classes() -> None:
    assert_allclose(natural_prior(np.array([0, 0, 0, 1]), 3), [0.75, 0.25, 0])


def _settings(**changes: Any) -> DecideSettings:
    row = {"shift": 1.0, "costs": None, "deployment_prior": None, **changes}
    return parse(DecideSettings, {"floor": FLOOR, "rules": {"mine": row}}, "decide")


def test_a_rule_shifts_to_the_natural_prior_unless_the_user_gives_another() -> None:
    p, natural = np.array([[0.5, 0.3, 0.2]]), np.array([0.2, 0.6, 0.2])
    found = rule_of(_settings(), "mine", "x", CLASSES).apply([Posterior(p, BALANCED)], natural)
    assert_allclose(found.probabilities, [[0.1 / 0.32, 0.18 / 0.32, 0.04 / 0.32]])
    assert_array_equal(found.predicted, [1])
    assert_allclose(found.prior, natural)
    own = _settings(deployment_prior={"x": {"Uncertain": 8, "Full": 1, "Empty": 1}})
    found = rule_of(own, "mine", "x", CLASSES).apply([Posterior(p, BALANCED)], natural)
    assert_allclose(found.probabilities, [[0.05 / 0.24, 0.03 / 0.24, 0.16 / 0.24]])
    assert_array_equal(found.predicted, [2])
    assert_allclose(found.prior, [0.1, 0.1, 0.8])
    assert rule_of(own, "mine", "another problem", CLASSES).prior is None


def test_costs_that_are_not_named_are_1_for_an_error_and_0_for_a_right_answer() -> None:
    rule = rule_of(_settings(shift=0, costs={"x": {"Empty": {"Full": 20}}}), "mine", "x", CLASSES)
    assert_array_equal(rule.costs, [[0, 1, 1], [20, 0, 1], [1, 1, 0]])
    found = rule.apply([Posterior(np.array([[0.9, 0.06, 0.04]]), BALANCED)], RARE)
    assert_array_equal(found.predicted, [1])
    assert_allclose(found.probabilities, [[0.9, 0.06, 0.04]])
    assert_allclose(found.prior, BALANCED)  # without a shift
    assert_array_equal(rule_of(_settings(), "mine", "x", CLASSES).costs, 1 - np.eye(3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"costs": {"x": {"Emty": {"Full": 2}}}}, "mine.costs: unknown Emty; known: Full, Empty, Uncertain"),
        ({"costs": {"x": {"Empty": {"Ful": 2}}}}, "mine.costs: unknown Ful; known"),
        ({"deployment_prior": {"x": {"Half": 1}}}, "mine.deployment_prior: unknown Half; known"),
        ({"deployment_prior": {"x": {"Full": 1}}}, "prior.x: class Empty, Uncertain is missing; give a share"),
        ({"deployment_prior": {"x": dict.fromkeys(CLASSES, 0)}}, "prior.x: all shares are 0"),
    ],
)
def test_a_rule_that_does_not_fit_the_classes_is_refused(changes: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"params.yaml: decide.rules.*{message}"):
        rule_of(_settings(**changes), "mine", "x", CLASSES)


@pytest.mark.parametrize("key", ["costs", "deployment_prior", "recall"])
def test_a_rule_for_a_problem_that_does_not_exist_is_refused(key: str) -> None:
    given_for = _settings(**{key: {"x": {}}})
    check_problems(given_for, ["x", "idle"])
    with pytest.raises(InputError, match=f"decide.rules.mine.{key}: unknown x; known: y, z"):
        check_problems(given_for, ["y", "z"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shift": 1.5}, "mine.shift = 1.5"),
        ({"costs": {"x": {"Empty": {"Full": -1}}}}, "mine.costs.x.Empty.Full = -1"),
        ({"deployment_prior": {"x": {"Full": float("inf")}}}, "mine.deployment_prior.x.Full = inf"),
    ],
)
def test_settings_out_of_range_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _settings(**changes)


@pytest.mark.parametrize("rules", [{}, {"a.b": {"shift": 1, "costs": None, "deployment_prior": None}}])
def test_there_is_a_rule_and_its_name_can_name_a_file(rules: Any) -> None:
    with pytest.raises(InputError, match=r"decide\.rules"):
        parse(DecideSettings, {"floor": FLOOR, "rules": rules}, "decide")


def test_an_average_is_taken_at_the_natural_prior() -> None:
    network, trees = Posterior(_posteriors(4), BALANCED), Posterior(_posteriors(5), RARE)
    rule = rule_of(_settings(shift=1.0), "mine", "x", CLASSES)
    found = rule.apply([network, trees], RARE).probabilities
    assert_allclose(found, (shift_prior(network.probabilities, BALANCED, RARE, 1.0) + trees.probabilities) / 2)
    unshifted = rule_of(_settings(shift=0.0), "mine", "x", CLASSES).apply([network, trees], RARE)
    assert_allclose(unshifted.probabilities, shift_prior(found, RARE, BALANCED, 1.0))
    assert_allclose(unshifted.prior, BALANCED)  # that of the first classifier


@given(st.integers(0, 999), st.floats(0, 1))
def test_the_prior_of_a_shifted_output_leads_back_to_what_was_given(seed: int, shift: float) -> None:
    before = _posteriors(seed)
    found = rule_of(_settings(shift=shift), "mine", "x", CLASSES).apply([Posterior(before, BALANCED)], RARE)
    assert found.prior.sum() == pytest.approx(1)
    assert_allclose(shift_prior(found.probabilities, found.prior, BALANCED, 1.0), before)


def test_offsets_of_a_tuned_rule_change_the_prior_of_the_output() -> None:
    labels = np.random.default_rng(0).choice(3, 300, p=RARE)
    inner = InnerScores([[Posterior(_posteriors(1, 300), BALANCED)]], labels)
    test = Posterior(_posteriors(2), BALANCED)
    found = rule_of(_settings(shift=0.5, tuned=True), "mine", "x", CLASSES).apply([test], RARE, inner)
    untuned = rule_of(_settings(shift=0.5), "mine", "x", CLASSES).apply([test], RARE)
    assert not np.allclose(found.prior, untuned.prior, atol=1e-2)
    assert_allclose(shift_prior(found.probabilities, found.prior, untuned.prior, 1.0), untuned.probabilities)


@pytest.mark.parametrize("changes", [{"calibrated": True}, {"tuned": True}, {"calibrated": True, "tuned": True}])
def test_what_is_fitted_is_fitted_on_inner_scores_and_not_on_the_rows_that_are_decided(changes: Any) -> None:
    rule = rule_of(_settings(shift=0.5, **changes), "mine", "x", CLASSES)
    labels = np.random.default_rng(0).integers(0, 3, 60)
    inner = InnerScores([[Posterior(_posteriors(6, 30), BALANCED)], [Posterior(_posteriors(7, 30), BALANCED)]], labels)
    rows = Posterior(_posteriors(8), BALANCED)
    together = rule.apply([rows], RARE, inner).probabilities
    one_by_one = [Posterior(row[None], BALANCED) for row in rows.probabilities]
    alone = [rule.apply([row], RARE, inner).probabilities[0] for row in one_by_one]
    assert_allclose(together, alone, atol=1e-9)
    refitted = rule.apply([rows], RARE, inner._replace(labels=(labels + 1) % 3)).probabilities
    assert not np.allclose(together, refitted, atol=1e-3)


def test_a_calibrated_rule_corrects_overconfidence_that_the_inner_scores_show() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 3000)
    right = np.random.default_rng(1).random(3000) < 0.7
    stated = np.full((3000, 3), 0.01)
    stated[np.arange(3000), np.where(right, labels, (labels + 1) % 3)] = 0.98  # says 98 %, is right in 70 %
    rule = rule_of(_settings(calibrated=True), "mine", "x", CLASSES)
    inner = InnerScores([[Posterior(stated, BALANCED)]], labels)
    found = rule.apply([Posterior(stated[:5], BALANCED)], BALANCED, inner)
    assert_allclose(found.probabilities.max(axis=1), 0.7, atol=0.03)


def test_a_tuned_rule_keeps_the_recall_that_the_user_asks_for() -> None:
    posterior = _posteriors(9, 900)
    labels = (posterior.cumsum(axis=1) < np.random.default_rng(0).random(900)[:, None]).sum(axis=1)
    wanted = _settings(tuned=True, recall={"x": {"Uncertain": 0.95}})
    inner = InnerScores([[Posterior(posterior, BALANCED)]], labels)
    found = rule_of(wanted, "mine", "x", CLASSES).apply([Posterior(posterior, BALANCED)], BALANCED, inner)
    assert (found.predicted[labels == 2] == 2).mean() >= 0.95


def test_a_recall_of_an_unknown_class_is_refused() -> None:
    with pytest.raises(InputError, match=r"mine\.recall: unknown Half; known: Full"):
        rule_of(_settings(recall={"x": {"Half": 0.9}}), "mine", "x", CLASSES)
