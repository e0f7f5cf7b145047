"""Recipes: named sets of changes to params.yaml, for all that comes after ingest and split."""

import copy
from collections.abc import Mapping
from typing import Any

from lipnet.core.errors import InputError
from lipnet.core.settings import pick

# What a recipe may change. Neither the particles, nor the folds: results of recipes can be compared; nor the seed.
SECTIONS = ("crop", "balance", "augment", "train_cnn", "train_svm", "train_trees", "inner", "decide")


def with_recipe(params: dict[str, Any]) -> dict[str, Any]:
    """A copy of params with the changes of the recipe that it names.

    Raises:
        InputError: there is no such recipe, it changes an unknown key, or one that recipes cannot change.
    """
    name = pick(params, "recipe")
    changes = pick(params, "recipes", name)
    for dotted in changes:
        if dotted.split(".")[0] not in SECTIONS:
            raise InputError(f"params.yaml: recipes.{name}: {dotted}: a recipe changes only {', '.join(SECTIONS)}")
    return set_values(params, changes)


def set_values(params: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of params with the values of dotted keys changed.

    Raises:
        InputError: there is no such key; the message offers the nearest spelling.
    """
    changed = copy.deepcopy(params)
    for dotted, value in changes.items():
        *sections, key = dotted.split(".")
        pick(changed, *sections, key)
        section = pick(changed, *sections) if sections else changed
        section[key] = value
    return changed
