"""Recipes change only the keys that they name; they cannot change particles, folds or the seed."""

from pathlib import Path

import pytest

from lipnet.core.errors import InputError
from lipnet.core.recipes import SECTIONS, changes_by_section, set_values, with_recipe
from lipnet.core.settings import read_params

PARAMS = read_params(Path(__file__).parents[2] / "params.yaml")
TOY = {"recipe": "mine", "recipes": {"mine": {"crop.mode": "masked"}}, "crop": {"mode": "cropped", "scale": "fit"}}


def test_a_recipe_changes_what_it_names_in_a_copy() -> None:
    assert with_recipe(TOY)["crop"] == {"mode": "masked", "scale": "fit"}
    assert TOY["crop"]["mode"] == "cropped"  # type: ignore[index]


@pytest.mark.parametrize("name", PARAMS["recipes"])
def test_every_recipe_of_params_yaml_can_be_applied(name: str) -> None:
    changed = with_recipe({**PARAMS, "recipe": name})
    assert {key for key in PARAMS if changed[key] != PARAMS[key]} <= {*SECTIONS, "recipe"}


def test_the_plain_recipe_is_what_params_yaml_says_and_the_default() -> None:
    assert with_recipe(PARAMS) == PARAMS
    assert PARAMS["recipe"] == "plain"


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("other", {}, "'other' is missing in recipes"),
        ("mine", {"crop.mdoe": "masked"}, "did you mean 'mode'"),
        ("mine", {"split.folds": 3}, "a recipe changes only crop"),
        ("mine", {"seed": 3}, "a recipe changes only crop"),
    ],
)
def test_what_cannot_be_done_is_said(recipe: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_recipe({**TOY, "recipe": recipe, "recipes": {"mine": changes}})


def test_values_are_set_in_a_copy() -> None:
    assert set_values({"a": {"b": 1, "c": 2}, "d": 3}, {"a.b": [4], "d": 5}) == {"a": {"b": [4], "c": 2}, "d": 5}


def test_changes_are_listed_by_section() -> None:
    params = {"recipe": "mine", "recipes": {"mine": {"crop.mode": "masked", "decide.floor": 0.1, "decide.rules": {}}}}
    changes = changes_by_section(params)
    assert list(changes) == list(SECTIONS)
    assert {name: of_section for name, of_section in changes.items() if of_section} == {
        "crop": {"crop.mode": "masked"},
        "decide": {"decide.floor": 0.1, "decide.rules": {}},
    }
    with pytest.raises(InputError, match="did you mean 'mine'"):
        changes_by_section({**params, "recipe": "mien"})
