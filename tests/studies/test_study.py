"""Arms of studies: which there are, what they change, and what a misspelt one is told."""

from math import factorial
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from lipnet.classifiers.registry import trained_as
from lipnet.core.errors import InputError
from lipnet.core.settings import parse
from lipnet.studies.study import ScaleSettings, StudySettings, arms_of, count, override

ROOT = Path(__file__).parents[2]
OWN = yaml.safe_load((ROOT / "studies" / "params.yaml").read_text())
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
EVERYTHING = ScaleSettings(settings={}, subsets=None)


def _study(**changes: Any) -> StudySettings:
    plain = {
        "title": "t",
        "thesis": "",
        "problems": ["one"],
        "against": "a",
        "judged": "mcc",
        "shown": ["mcc"],
        "of_class": "f1",
        "figure": "bars",
        "arms": {"a": {}, "b": {"seed": 2}},
    }
    return StudySettings.model_validate({**plain, **changes})


def _subsets(n_items: int) -> StudySettings:
    items = ["rotation", "shift", "flip", "shear", "zoom"][:n_items]
    return _study(arms={}, against="best", subsets={"key": "augment.transforms", "items": items})


def test_an_arm_changes_what_scale_study_and_itself_say_the_last_winning() -> None:
    study = _study(settings={"x": 1, "y": 1}, arms={"a": {"y": 2}})
    scale = ScaleSettings(settings={"x": 0, "z": 0}, subsets=None)
    assert arms_of("s", study, "one", scale, {}, 0) == {"a": {"x": 1, "y": 2, "z": 0}}


def test_a_problem_changes_what_scale_and_study_say_and_the_arm_changes_that() -> None:
    study = _study(settings={"x": 1, "y": 1, "z": 1}, arms={"a": {"z": 3}})
    assert arms_of("s", study, "one", EVERYTHING, {"y": 2, "z": 2}, 0) == {"a": {"x": 1, "y": 2, "z": 3}}


def test_a_scale_may_change_single_studies_and_leave_arms_out() -> None:
    scale = ScaleSettings(settings={"x": 0, "y": 0}, subsets=None, studies={"s": {"y": 1}}, arms={"s": ["a"]})
    assert arms_of("s", _study(), "one", scale, {}, 0) == {"a": {"x": 0, "y": 1}}
    assert arms_of("other", _study(), "one", scale, {}, 0) == {"a": {"x": 0, "y": 0}, "b": {"x": 0, "y": 0, "seed": 2}}


def test_an_arm_that_the_scale_names_must_be_there() -> None:
    scale = ScaleSettings(settings={}, subsets=None, arms={"s": ["a", "c"]})
    with pytest.raises(InputError, match=r"studies\.s: one has no arm 'c'; it has: a, b"):
        arms_of("s", _study(), "one", scale, {}, 0)


def test_an_arm_for_some_problems_is_left_out_of_others() -> None:
    study = _study(only={"b": ["one"]})
    assert list(arms_of("s", study, "one", EVERYTHING, {}, 0)) == ["a", "b"]
    assert list(arms_of("s", study, "two", EVERYTHING, {}, 0)) == ["a"]


@pytest.mark.parametrize("changes", [{"against": "c"}, {"only": {"c": ["one"]}}])
def test_an_arm_that_is_named_must_be_there(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"studies\.s: one has no arm 'c'; it has: a, b"):
        arms_of("s", _study(**changes), "one", EVERYTHING, {}, 0)


def test_the_reference_must_fit_the_problem() -> None:
    with pytest.raises(InputError, match=r"studies\.s: two has no arm 'a'; it has: b"):
        arms_of("s", _study(only={"a": ["one"]}), "two", EVERYTHING, {}, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {}}, "needs either arms or subsets"),
        ({"subsets": {"key": "k", "items": ["x"]}}, "not both"),
        ({"arms": {}, "subsets": {"key": "k", "items": ["x"]}, "confusion": True}, "confusion is for arms only"),
    ],
)
def test_a_study_has_arms_or_subsets(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _study(**changes)


@pytest.mark.parametrize("n_items", [1, 3, 5])
def test_all_ordered_subsets_are_there_once(n_items: int) -> None:
    arms = arms_of("s", _subsets(n_items), "one", EVERYTHING, {}, 0)
    orders = {tuple(arm["augment.transforms"]) for arm in arms.values()}
    assert len(orders) == len(arms) == sum(factorial(n_items) // factorial(n_items - k) for k in range(1, n_items + 1))
    assert all(len(set(order)) == len(order) for order in orders)


def test_the_thesis_counted_325_of_five() -> None:
    study = _subsets(5)
    assert study.subsets
    assert len(arms_of("s", study, "one", EVERYTHING, {}, 0)) == count(study.subsets) == 325


def test_a_sample_of_subsets_is_drawn_from_the_seed() -> None:
    some = ScaleSettings(settings={}, subsets=20)
    drawn = [list(arms_of("s", _subsets(5), "one", some, {}, seed)) for seed in (1, 1, 2)]
    assert len(drawn[0]) == 20
    assert set(drawn[0]) <= set(arms_of("s", _subsets(5), "one", EVERYTHING, {}, 0))
    assert drawn[0] == drawn[1] != drawn[2]


PLAIN = {"recipe": "mine", "recipes": {"mine": {}, "other": {"crop.mode": "cropped", "crop.scale": "constant"}}}


def test_override_changes_a_copy() -> None:
    params = {**PLAIN, "crop": {"mode": "masked", "sizes_px": [28]}, "seed": 1}
    changed = override(params, {"crop.mode": "cropped", "seed": 2, "classifier": "svm"})
    assert changed == {**PLAIN, "crop": {"mode": "cropped", "sizes_px": [28]}, "seed": 2}
    assert params == {**PLAIN, "crop": {"mode": "masked", "sizes_px": [28]}, "seed": 1}


def test_an_arm_may_take_a_recipe_and_change_it() -> None:
    params = {**PLAIN, "crop": {"mode": "masked", "scale": "fit"}}
    assert override(params, {"recipe": "other"})["crop"] == {"mode": "cropped", "scale": "constant"}
    assert override(params, {"crop.scale": "fit", "recipe": "other"})["crop"] == {"mode": "cropped", "scale": "fit"}
    assert override(params, {})["crop"] == params["crop"]


def test_a_misspelt_key_is_told_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'mod' is missing in crop; did you mean 'mode'\?"):
        override({**PLAIN, "crop": {"mode": "masked"}}, {"crop.mod": "cropped"})


def test_an_arm_cannot_change_the_threads_of_the_run() -> None:
    with pytest.raises(InputError, match="threads_per_fold is the same for the whole run"):
        override(PARAMS, {"train_cnn.threads_per_fold": 2})


@pytest.mark.parametrize("name", OWN["studies"])
@pytest.mark.parametrize("scale", OWN["scales"])
def test_every_arm_of_the_project_changes_settings_that_exist(name: str, scale: str) -> None:
    study = parse(StudySettings, OWN["studies"][name], name)
    for problem in study.problems:
        row = parse(ScaleSettings, OWN["scales"][scale], scale)
        arms = arms_of(name, study, problem, row, {}, 0)
        changed = [override(PARAMS, arm) for arm in arms.values()]
        assert len(arms) > 1
        for arm, params in zip(arms.values(), changed, strict=True):
            named = arm.get("classifier", "cnn")
            decided = {*params["decide"]["rules"], *params["decide"]["choices"]}
            assert trained_as(params, named) if named not in decided else True
        assert all(params["model"] in params["networks"] for params in changed)
        assert set(row.problems.get(name, [])) <= set(study.problems)


def test_scales_name_studies_that_exist() -> None:
    for scale, row in OWN["scales"].items():
        named = {name for key in ("problems", "studies", "arms") for name in row.get(key, {})}
        assert named <= set(OWN["studies"]), scale


def test_what_a_problem_changes_exists() -> None:
    assert set(OWN["of_problems"]) <= {*PARAMS["classes"], *(name for names in OWN["real"].values() for name in names)}
    for changes in OWN["of_problems"].values():
        override(PARAMS, changes)


def test_all_studies_of_the_thesis_are_run() -> None:
    assert OWN["run"] == [name for name, row in OWN["studies"].items() if row["thesis"]]
