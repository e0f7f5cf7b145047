"""Recipes: named sets of changes to params.yaml for the stages after ingest and split."""

import copy
from collections.abc import Mapping
from typing import Any

from lipnet.core.errors import InputError
from lipnet.core.settings import pick

# Sections that a recipe may change. All recipes share particles, folds and seed, so their results can be compared.
SECTIONS = ("crop", "balance", "augment", "train_cnn", "train_svm", "train_trees", "inner", "decide")


def with_recipe(params: dict[str, Any]) -> dict[str, Any]:
    """A copy of params with the changes of the recipe in ``params["recipe"]``.

    Raises:
        InputError: there is no such recipe, or it changes a key that is unknown or that recipes may not change.
    """
    name = pick(params, "recipe")
    changes = pick(params, "recipes", name)
    for dotted in changes:
        if dotted.split(".")[0] not in SECTIONS:
            raise InputError(f"params.yaml: recipes.{name}: {dotted}: a recipe changes only {', '.join(SECTIONS)}")
    return set_values(params, changes)


def changes_by_section(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the recipe in ``params["recipe"]`` changes in each of the ``SECTIONS``: dotted key -> new value.

    Raises:
        InputError: there is no such recipe.
    """
    changes = pick(params, "recipes", pick(params, "recipe"))
    return {
        section: {dotted: value for dotted, value in changes.items() if dotted.split(".")[0] == section}
        for section in SECTIONS
    }


def set_values(params: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of params with new values for dotted keys.

    Raises:
        InputError: a key does not exist; the message suggests the nearest spelling.
    """
    changed = copy.deepcopy(params)
    for dotted, value in changes.items():
        *sections, key = dotted.split(".")
        pick(changed, *sections, key)
        section = pick(changed, *sections) if sections else changed
        section[key] = value
    return changed
