"""Outlier scores: what they mean on training-like particles, what changes them, and when a set is called unlike."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.spatial.distance import mahalanobis

from lipnet.deployment import outliers
from lipnet.deployment.outliers import GRID, QUANTILES, Reference, notes, outside, quantities_of, score, summarise
from lipnet.samples import particles
from lipnet.samples.particles import Particle

NAMES = ["grey_mean", "grey_sd", "height_px", "area_px2", "histogram_00"]
MIX = np.random.default_rng(1).normal(size=(5, 5))


def _table(n: int, seed: int, shift: Any = 0.0) -> pd.DataFrame:
    """Correlated quantities of very different sizes."""
    values = np.random.default_rng(seed).normal(size=(n, 5)) @ MIX + shift
    return pd.DataFrame(values * [0.1, 0.01, 10, 1000, 1] + [0.5, 0.1, 60, 9000, 0.3], columns=NAMES)


def _of(table: pd.DataFrame, groups: NDArray[Any] | None = None) -> Reference:
    reference = summarise(table, np.arange(len(table)) if groups is None else groups)
    assert reference is not None
    return reference


def test_one_of_a_hundred_new_particles_of_the_same_kind_scores_above_99_percent() -> None:
    scores = score(_table(20_000, 3), [_of(_table(2000, 2))])
    assert_allclose(np.mean(scores >= 0.99), 0.01, atol=0.005)
    assert_allclose(np.quantile(scores, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)


def test_the_distance_is_that_of_mahalanobis() -> None:
    table = _table(5000, 4)
    reference, new = _of(table), _table(5, 5)
    inverse = np.linalg.inv(np.cov(table.T))
    exact = [float(mahalanobis(row, table.mean().to_numpy(), inverse)) ** 2 for row in new.to_numpy()]
    expected = np.interp(exact, reference.distances, GRID)
    assert_allclose(score(new, [reference]), expected, atol=0.02)


def test_near_copies_in_a_group_do_not_make_new_particles_outliers() -> None:
    """Twenty groups of a hundred near-copies in sixty dimensions: within groups, every particle looks usual."""
    random = np.random.default_rng(6)
    centres = random.normal(size=(25, 60))
    groups = np.repeat(np.arange(25), 100)
    table = pd.DataFrame(centres[groups] + 0.05 * random.normal(size=(2500, 60))).add_prefix("f")
    training, new = groups < 20, groups >= 20
    by_group = score(table[new], [_of(table[training], groups[training])])
    by_particle = score(table[new], [_of(table[training])])
    assert np.mean(by_particle >= 0.99) > 0.9
    assert np.mean(by_group >= 0.99) < 0.5


def test_an_unusual_combination_of_usual_values_is_an_outlier() -> None:
    random = np.random.default_rng(7)
    length = random.normal(100, 10, 1000)
    table = pd.DataFrame({"length_px": length, "width_px": length / 2 + random.normal(0, 0.5, 1000)})
    usual, odd = (
        pd.DataFrame({"length_px": [110.0], "width_px": [55.0]}),
        pd.DataFrame({"length_px": [110.0], "width_px": [45.0]}),
    )
    assert score(usual, [_of(table)])[0] < 0.9 < 0.999 < score(odd, [_of(table)])[0]


def test_quantities_that_are_missing_do_not_count_and_are_named() -> None:
    reference, new = _of(_table(500, 8)), _table(50, 9)
    without = new.drop(columns="area_px2")
    assert np.isfinite(score(without, [reference])).all()
    assert (
        notes(without, score(without, [reference]), [reference])[-1]
        == "not compared with the training particles, because it is not known here: area_px2"
    )
    some = new.assign(area_px2=np.where(np.arange(50) < 25, np.nan, new["area_px2"]))
    assert_allclose(score(some, [reference])[25:], score(new, [reference])[25:])
    assert_allclose(score(some, [reference])[:25], score(without, [reference])[:25])


def test_without_a_quantity_new_particles_of_the_same_kind_score_as_usual() -> None:
    reference, new = _of(_table(2000, 24)), _table(5000, 25).drop(columns=["area_px2", "grey_sd"])
    scores = score(new, [reference])
    assert abs(np.median(scores) - 0.5) < 0.1 and np.mean(scores >= 0.99) < 0.05
    assert score(new.assign(height_px=-500.0), [reference]).min() > 0.99


def test_the_score_of_an_ensemble_is_the_mean() -> None:
    one, other, new = _of(_table(500, 10)), _of(_table(500, 11, 1.0)), _table(20, 12)
    assert_allclose(score(new, [one, other]), (score(new, [one]) + score(new, [other])) / 2)


@pytest.mark.parametrize("n", [1, 3, 30, 300])
def test_particles_of_the_same_kind_seldom_get_a_note(n: int) -> None:
    reference = _of(_table(1000, 13))
    tables = [_table(n, seed) for seed in range(100, 200)]
    assert sum(bool(notes(table, score(table, [reference]), [reference])) for table in tables) <= 6


def test_a_set_outside_the_range_is_noted_in_one_sentence_with_the_quantity_and_both_ranges() -> None:
    reference = _of(_table(1000, 14))
    small = _table(100, 15).assign(area_px2=np.linspace(10, 80, 100))
    low, high = (reference.ranges["area_px2"][QUANTILES.index(share)] for share in (0.01, 0.99))
    [note] = notes(small, score(small, [reference]), [reference])
    assert note.startswith("the particles are unlike the training particles, so their classes may mean nothing: ")
    n_outliers = int((score(small, [reference]) >= 0.99).sum())
    assert f"{n_outliers} of 100 have an outlier score of 0.99 or more (usual: 1 %)" in note
    assert f"area_px2 is outside {low:.4g} to {high:.4g}, the usual range, for 100 (here 10 to 80)" in note
    assert "height_px" not in note


def test_bins_of_histograms_count_in_the_score_but_are_not_named() -> None:
    reference = _of(_table(1000, 16))
    odd = _table(50, 17).assign(histogram_00=50.0)
    [note] = notes(odd, score(odd, [reference]), [reference])
    assert "50 of 50 have an outlier score" in note and "histogram" not in note
    assert outside(odd, [reference])[0] in ("", "height_px", "area_px2", "grey_mean", "grey_sd")


def test_the_quantities_outside_the_range_of_all_models_are_listed_for_each_particle() -> None:
    one, other = (
        _of(pd.DataFrame({"area_px2": [float(low), 50.0, 90.0], "grey_mean": [0.2, 0.3, 0.4]})) for low in (10, 20)
    )
    new = pd.DataFrame({"area_px2": [15.0, 9.0, 91.0], "grey_mean": [0.3, 0.3, 0.1]})
    assert outside(new, [one, other]) == ["", "area_px2", "area_px2; grey_mean"]


def test_grey_levels_are_those_inside_the_mask_whatever_the_depth() -> None:
    mask = np.pad(np.ones((2, 2), bool), 1)
    image = np.where(mask, 51, 255).astype(np.uint8)
    image[1, 1] = 255
    for levels in (image, image.astype(np.uint16) * 257):
        store = particles.pack([Particle("p", "", "g", levels, mask)])
        found = quantities_of(store, pd.DataFrame({"height_px": [2]}, index=[7]))
        assert list(found) == ["grey_mean", "grey_sd", "height_px"]
        assert found.index.tolist() == [7]
        assert_allclose(found.to_numpy(np.float64), [[0.4, float(np.std([1, 0.2, 0.2, 0.2])), 2]])


@pytest.mark.parametrize("constant", [0.0, 7.0])
def test_quantities_that_do_not_vary_in_training_leave_finite_scores(constant: float) -> None:
    table = _table(100, 18).assign(height_px=constant)
    reference = _of(table)
    assert_allclose(score(table.assign(height_px=constant + 1), [reference]), score(table, [reference]))
    assert outside(table.assign(height_px=constant + 1), [reference])[0].startswith("height_px")
    nothing = pd.DataFrame({"a": [1.0, 1.0, 1.0]})
    assert np.isfinite(score(nothing, [_of(nothing)])).all()


def test_three_particles_have_a_summary_and_two_have_none() -> None:
    assert _of(_table(3, 19)).particles == _of(_table(3, 19), np.array(["a", "a", "b"])).particles == 3
    assert summarise(_table(2, 19), np.zeros(2)) is None


def test_with_very_many_quantities_correlations_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outliers, "MOST_COLUMNS", 4)
    reference = _of(_table(500, 20))
    assert reference.whitening == []
    scores = score(_table(5000, 21), [reference])
    assert_allclose(np.mean(scores >= 0.9), 0.1, atol=0.05)
    assert score(_table(1, 22, 30.0), [reference])[0] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"particles": 2}, "greater than or equal to 3"),
        ({"mean": [0.0]}, "a number for every quantity"),
        ({"whitening": [[1.0]] * 5}, "a number for every quantity"),
        ({"distances": [0.0]}, "a quantile is missing"),
        ({"distances": list(range(len(GRID)))[::-1]}, "must ascend"),
        ({"ranges": {name: [1.0, 0.0] for name in NAMES}}, "must ascend"),
        ({"mean": [float("nan")] * 5}, "finite"),
    ],
)
def test_a_damaged_summary_is_refused(changes: dict[str, Any], message: str) -> None:
    content = _of(_table(50, 23)).model_dump()
    assert Reference.model_validate(content)
    with pytest.raises(ValidationError, match=message):
        Reference.model_validate(content | changes)
