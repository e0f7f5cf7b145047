"""Ordered subsets: effects put into simulated arms come back within their intervals, each under its own name."""

import gc
from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from lipnet.evaluation.comparison import corrected_t_test, holm
from lipnet.studies.power import in_standard_errors
from lipnet.studies.study import SEPARATOR, ScaleSettings, StudySettings, SubsetSettings, arms_of
from lipnet.studies.subsets import ITEMS, ORDERS, PAIRS, Analysis, analyse, interval, report

FIVE = ["rotation", "shift", "flip", "shear", "zoom"]
KINDS = [ITEMS, PAIRS, ORDERS]
N_TRAIN, N_TEST, NOISE = 80, 40, 0.01
DRAWS = range(80)


def _settings(items: list[str]) -> SubsetSettings:
    return SubsetSettings(key="k", items=items)


def _arms(items: list[str], n: int | None, seed: int) -> list[str]:
    study = StudySettings(
        title="Orders",
        thesis="",
        problems=["p"],
        subsets=_settings(items),
        against="best",
        judged="macro_f1",
        shown=["macro_f1"],
        of_class="f1",
        figure="ranking",
    )
    return list(arms_of("s", study, "p", ScaleSettings(settings={}, subsets=n), {}, seed))


def _value(arm: str, effects: Mapping[str, float]) -> float:
    """The sum of the effects that an arm has; a pair adds its effect where both items are, an order half of it."""
    has, total = arm.split(SEPARATOR), 0.8
    for term, effect in effects.items():
        first, _, second = term.replace(" with ", " before ").partition(" before ")
        if not second:
            total += effect * (first in has)
        elif first in has and second in has:
            sign = 0.5 if has.index(first) < has.index(second) else -0.5
            total += effect * (1 if " with " in term else sign)
    return total


def _simulated(
    arms: list[str],
    seed: int,
    effects: Mapping[str, float],
    folds: int = 3,
    noise: float = NOISE,
    name: str = "macro_f1",
) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    of_folds = random.normal(0, 0.05, folds)  # some folds are harder, for all arms
    means = np.array([_value(arm, effects) for arm in arms])
    values = means[:, None] + of_folds + random.normal(0, noise, (len(arms), folds))
    index = pd.MultiIndex.from_product([arms, range(folds)], names=["arm", "fold"])
    table = pd.DataFrame({"value": values.ravel()}, index=index).reset_index()
    return table.assign(repeat=0, n_train=N_TRAIN, n_test=N_TEST, measure=name, **{"class": ""})


def _analysed(effects: Mapping[str, float], n: int | None = 60, seed: int = 1, items: list[str] = FIVE) -> Analysis:
    folds = _simulated(_arms(items, n, seed), seed + 1000, effects)
    return analyse(folds, _settings(items), "macro_f1", 0.95)


@pytest.fixture(autouse=True, scope="module")
def _frozen() -> Iterator[None]:
    """The Holm of statsmodels collects garbage each time: slow, unless older objects are out of its sight."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def without_effects() -> list[Analysis]:
    return [_analysed({}, seed=seed) for seed in DRAWS]


def test_sixty_drawn_arms_tell_all_terms_of_five_items() -> None:
    found = _analysed({}, seed=2017)
    pairs = list(combinations(FIVE, 2))
    expected = [*FIVE, *(f"{a} with {b}" for a, b in pairs), *(f"{a} before {b}" for a, b in pairs)]
    assert found.effects["term"].tolist() == expected
    assert found.left_out == []
    assert (found.arms, found.folds, found.of_folds) == (60, 3, 3)
    assert found.tests[ORDERS][1:3] == (10, 60 - 26)


def test_intervals_hold_the_true_effects_as_often_as_they_say() -> None:
    true = {
        "rotation": 0.03,
        "zoom": -0.02,
        "shift with flip": 0.02,
        "flip with zoom": -0.01,
        "shift before shear": 0.02,
    }
    held = []
    for seed in DRAWS:
        table = _analysed(true, seed=seed).effects.set_index("term")
        has = {item: float(np.mean([item in arm for arm in _arms(FIVE, 60, seed)])) for item in FIVE}
        expected = pd.Series({term: true.get(term, 0.0) for term in table.index})
        # An item of a pair adds the effect of the pair in those of the drawn subsets that have the other item.
        for first, second in (("shift", "flip"), ("flip", "zoom")):
            expected[first] += true[f"{first} with {second}"] * has[second]
            expected[second] += true[f"{first} with {second}"] * has[first]
        if {"shift with flip", "flip with zoom"} <= set(table.index):  # other draws say that they leave a pair out
            held.append((table["low"] <= expected) & (expected <= table["high"]))
    assert len(held) > 60
    assert 0.93 < pd.concat(held).mean() < 0.97


def test_an_order_and_a_pair_are_told_apart() -> None:
    found = _analysed({"rotation before zoom": 0.03, "shift with shear": 0.05}, seed=2017)
    table = found.effects.set_index("term")
    assert set(table.index[table["verdict"] == "helps"]) >= {"rotation before zoom", "shift with shear"}
    assert table["verdict"]["rotation with zoom"] == "no effect seen"
    assert table["verdict"]["shift before shear"] == "no effect seen"
    assert found.tests[ORDERS].p < 1e-6 and found.tests[PAIRS].p < 1e-3
    only_order = _analysed({"zoom before rotation": 0.03}, seed=2017)
    assert only_order.effects.set_index("term")["verdict"]["rotation before zoom"] == "harms"
    assert only_order.tests[ORDERS].p < 1e-6 and only_order.tests[PAIRS].p > 0.05


def test_without_effects_there_are_as_few_verdicts_as_the_level_says(without_effects: list[Analysis]) -> None:
    for kind in KINDS:
        found = [one.effects[one.effects["kind"] == kind] for one in without_effects]
        assert 0 < np.mean([(table["verdict"] != "no effect seen").any() for table in found]) <= 0.1
        assert 0 < np.mean([one.tests[kind].p < 0.05 for one in without_effects]) <= 0.12


def test_the_f_tests_and_the_effects_are_those_of_the_whole_model_with_folds_as_blocks() -> None:
    arms = _arms(["x", "y", "z"], None, 0)
    folds = _simulated(arms, 3, {"x": 0.02, "y before z": 0.01})
    found = analyse(folds, _settings(["x", "y", "z"]), "macro_f1", 0.95)
    for item in "xyz":
        folds[item] = [float(item in arm) for arm in folds["arm"]]
        folds[item] -= folds[item].mean()
    for a, b in ("xy", "xz", "yz"):
        folds[a + b] = [np.sign(arm.index(b) - arm.index(a)) / 2 if {a, b} <= set(arm) else 0.0 for arm in folds["arm"]]
    kinds = {ITEMS: "x + y + z", PAIRS: "x:y + x:z + y:z", ORDERS: "xy + xz + yz"}
    blocked = "value ~ C(fold) + "
    whole = ols(blocked + " + ".join(kinds.values()), folds).fit()
    assert found.effects["effect"].to_numpy() == pytest.approx(whole.params.iloc[3:].to_numpy())
    saturated = ols(blocked + "C(arm)", folds).fit()
    for kind in kinds:
        without = ols(blocked + " + ".join(part for other, part in kinds.items() if other != kind), folds).fit()
        squares = anova_lm(without, whole, saturated)  # steps: this kind; what arms differ by beyond the model
        by_hand = (squares["ss_diff"][1] / squares["df_diff"][1]) / (squares["ss_diff"][2] / squares["df_diff"][2])
        assert found.tests[kind].f == pytest.approx(by_hand)
        assert found.tests[kind][1:3] == (squares["df_diff"][1], squares["df_diff"][2])
        assert found.tests[kind].p == pytest.approx(stats.f.sf(by_hand, 3, 5))


def test_holms_correction_runs_over_the_terms_of_a_kind() -> None:
    table = _analysed({"rotation": 0.006, "shift before zoom": 0.008}, seed=2017).effects
    for _, part in table.groupby("kind"):
        assert part["p_holm"].to_numpy() == pytest.approx(holm(part["p"].to_numpy()))
        assert part["fold_p_holm"].to_numpy() == pytest.approx(holm(part["fold_p"].to_numpy()))


def test_over_folds_an_effect_has_the_corrected_test_of_its_values_in_each_fold() -> None:
    folds = _simulated(["x", "y", "x, y", "y, x"], 5, {"x": 0.05}, folds=5)
    row = analyse(folds, _settings(["x", "y"]), "macro_f1", 0.9).effects.set_index("term").loc["x"]
    wide = folds.pivot_table(index="fold", columns="arm", values="value")
    # Least squares on four arms, two of them with the same items: x is the pair's mean minus y, and x minus nothing.
    both = (wide["x, y"] + wide["y, x"]) / 2
    design = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1], [1, 1, 1]])
    values = np.column_stack([wide["x"], wide["y"], both, both])
    of_folds = np.array([np.linalg.lstsq(design, value)[0][1] for value in values])
    test = corrected_t_test(of_folds, N_TEST / N_TRAIN, 0.9)
    assert row[["effect", "fold_low", "fold_high", "fold_p"]].tolist() == pytest.approx(list(test))


def test_an_item_that_lowers_a_loss_helps() -> None:
    folds = _simulated(_arms(FIVE, 60, 2017), 1, {"rotation": -0.05, "zoom": 0.05}, name="log_loss")
    table = analyse(folds, _settings(FIVE), "log_loss", 0.95).effects.set_index("term")
    assert table.loc[["rotation", "shift", "zoom"], "verdict"].tolist() == ["helps", "no effect seen", "harms"]
    assert table.loc[["rotation", "zoom"], "fold_verdict"].tolist() == ["helps", "harms"]


def test_the_smallest_effect_is_judged_at_the_level_after_holm() -> None:
    found = _analysed({}, seed=2017)
    for kind, terms in zip(KINDS, (5, 10, 10), strict=True):
        row = found.effects[found.effects["kind"] == kind].iloc[0]
        assert row["smallest"] == pytest.approx(row["error"] * in_standard_errors(34, 0.05 / terms))


def test_a_pair_that_no_arm_is_without_is_left_out_alone() -> None:
    arms = [arm for arm in _arms(FIVE, 150, 0) if {"shift", "zoom"} & set(arm.split(SEPARATOR))]
    found = analyse(_simulated(arms, 1, {}), _settings(FIVE), "macro_f1", 0.95)
    assert found.left_out == ["shift with zoom"]
    assert found.tests[PAIRS].terms == 9 and found.tests[ORDERS].terms == 10
    text = report(_simulated(arms, 1, {}), _settings(FIVE), "macro_f1", 0.95)
    assert "too few to tell these apart from the other terms" in text and "no effect: shift with zoom." in text


def test_few_arms_tell_items_only() -> None:
    found = _analysed({"rotation": 0.05}, n=12, seed=2017)
    assert found.left_out == [PAIRS, ORDERS]
    assert found.effects["term"].tolist() == FIVE and list(found.tests) == [ITEMS]
    assert found.effects["verdict"].tolist() == ["helps", *["no effect seen"] * 4]
    text = report(_simulated(_arms(FIVE, 12, 2017), 1, {}), _settings(FIVE), "macro_f1", 0.95)
    assert "no effect: pairs, orders." in text and "order matter" not in text and "pair or order" not in text


def test_items_that_no_arm_is_without_have_no_effect_to_tell() -> None:
    text = report(_simulated(["x", "x, y"], 0, {}), _settings(["x", "y", "z"]), "macro_f1", 0.95)
    assert text.startswith("2 of 15 ordered subsets, drawn from the seed.")
    assert "They are too few to tell the effects of 3 items apart." in text


def test_undefined_folds_are_counted() -> None:
    folds = _simulated(_arms(FIVE, 60, 2017), 0, {})
    folds.loc[(folds["arm"] == folds["arm"][0]) & (folds["fold"] == 1), "value"] = np.nan
    assert analyse(folds, _settings(FIVE), "macro_f1", 0.95).folds == 2
    assert "All arms are defined in 2 of 3 folds" in report(folds, _settings(FIVE), "macro_f1", 0.95)
    nowhere = report(folds.assign(value=np.nan), _settings(FIVE), "macro_f1", 0.95)
    assert "There is no fold to tell the effects of 5 items apart." in nowhere


def test_arms_without_scatter_judge_nothing() -> None:
    folds = _simulated(_arms(FIVE, 60, 2017), 0, {}).assign(value=0.1)
    found = analyse(folds, _settings(FIVE), "macro_f1", 0.95)
    assert set(found.effects["verdict"]) == {"undefined"} and np.isnan(found.tests[ORDERS].p)
    text = report(folds, _settings(FIVE), "macro_f1", 0.95)
    assert "- zoom: undefined, because the arms do not scatter." in text and "nan" not in text
    assert "- Does the order matter? Undefined, because the arms do not scatter." in text


def test_one_fold_tests_nothing_over_folds() -> None:
    text = report(_simulated(_arms(FIVE, 60, 2017), 0, {"rotation": 0.2}, folds=1), _settings(FIVE), "macro_f1", 0.95)
    assert "- rotation: helps (macro F1 +0.2" in text and "; undefined over folds)" in text


def test_the_report_answers_whether_order_matters() -> None:
    arms = _arms(FIVE, 60, 2017)
    for effects, answer in (({}, "Not seen"), ({"rotation before zoom": 0.03}, "Yes")):
        folds = _simulated(arms, 1, effects)
        found, text = (function(folds, _settings(FIVE), "macro_f1", 0.95) for function in (analyse, report))
        orders = found.effects[found.effects["kind"] == ORDERS]
        bound = max(orders["high"].max(), -orders["low"].min())
        test = found.tests[ORDERS]
        statistic = f"F(10, 34) = {test.f:.2f}, p = {test.p:.3f}"
        assert f"- Does the order matter? {answer} ({statistic}). " in text
        assert f"leave no effect of order above {bound:.3f} open." in text


def test_the_tables_of_the_report() -> None:
    folds = _simulated(_arms(FIVE, 60, 2017), 1, {"rotation": 0.05, "rotation before zoom": -0.03})
    found = analyse(folds, _settings(FIVE), "macro_f1", 0.95).effects
    lines = report(folds, _settings(FIVE), "macro_f1", 0.95).splitlines()
    of_items = lines.index(next(line for line in lines if line.startswith("| item |")))
    first = found.iloc[0]
    expected = ["rotation", interval(*first[["effect", "low", "high"]]), "0.000", "helps", f"{first['smallest']:.3f}"]
    assert lines[of_items + 2].strip("| ").split(" | ")[:5] == expected
    others = lines[lines.index(next(line for line in lines if line.startswith("| pair or order"))) + 2 :]
    assert len(others) == 20 and others[0].startswith("| rotation before zoom | -0.0")
    by_size = found[found["kind"] != ITEMS].sort_values("effect", key=abs, ascending=False)["term"]
    assert [line.split(" | ")[0].strip("| ") for line in others] == by_size.tolist()
