"""Power: the difference that is called detectable is seen in four of five experiments."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from lipnet.evaluation.comparison import corrected_t_test, standard_error
from lipnet.studies.power import POWER, detectable, in_standard_errors


@pytest.mark.parametrize(("folds", "level"), [(5, 0.05), (5, 0.0125), (25, 0.05)])
def test_four_of_five_simulated_experiments_show_the_detectable_difference(folds: int, level: float) -> None:
    rng, share, sd = np.random.default_rng(0), 0.25, 0.1
    error = sd * np.sqrt(1 / folds + share)
    true = error * in_standard_errors(folds - 1, level)
    # The mean over folds has the variance that the correction assumes; the spread of the folds is independent of it.
    means = rng.normal(true, error, 4000)
    spreads = sd * np.sqrt(rng.chisquare(folds - 1, 4000) / (folds - 1))
    p = 2 * stats.t.sf(np.abs(means) / (spreads * np.sqrt(1 / folds + share)), folds - 1)
    assert np.mean(p < level) == pytest.approx(POWER, abs=0.02)


def test_it_is_what_statsmodels_solves_for_where_it_can() -> None:
    effect = TTestPower().solve_power(nobs=25, alpha=0.05, power=POWER)
    assert in_standard_errors(24, 0.05) == pytest.approx(effect * 5, rel=1e-4)


@pytest.mark.parametrize("freedom", [1, 2, 4, 24, 124])
@pytest.mark.parametrize("level", [0.05, 0.05 / 60])
def test_a_stricter_level_and_fewer_folds_need_a_larger_difference(freedom: int, level: float) -> None:
    found = in_standard_errors(freedom, level)
    assert found > stats.t.isf(level / 2, freedom)
    assert in_standard_errors(freedom, level / 2) > found > in_standard_errors(freedom + 1, level)


def test_the_spread_is_that_of_the_corrected_test() -> None:
    differences = np.array([0.1, 0.05, 0.12, 0.0, 0.08])
    test = corrected_t_test(differences, 0.25, 0.95)
    error = standard_error(differences, 0.25)
    assert error == pytest.approx((test.high - test.low) / 2 / stats.t.isf(0.025, 4))
    assert error == pytest.approx(standard_error(differences + 1, 0.25))
    assert detectable(error, 4, 0.05) == pytest.approx(error * in_standard_errors(4, 0.05))
    assert np.isnan(detectable(standard_error(differences[:1], 0.25), 0, 0.05))
    assert np.isnan(detectable(standard_error(np.full(5, 0.1), 0.25), 4, 0.05))  # no spread to go by
