"""Names of classifiers and rules in words follow the settings of the run."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lipnet.core import files
from lipnet.deployment.reports.names import UNKNOWN, listed, meanings
from lipnet.deployment.runs import PipelineRun, read_run
from tests.deployment.finished_run import PROBLEM, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PipelineRun:
    return read_run(make_run(tmp_path_factory.mktemp("run")), PROBLEM)


@pytest.fixture
def meaning(run: PipelineRun) -> Callable[..., str]:
    def of(name: str, change: Callable[[dict[str, Any]], Any] = dict) -> str:
        params = deepcopy(run.params)
        change(params)
        return meanings(replace(run, params=params), [name])[name]

    return of


def test_a_list_in_a_sentence() -> None:
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_the_network_is_described_by_its_crops_and_its_training_set(meaning: Callable[..., str]) -> None:
    start = "The network tiny on crops that are black outside the mask, 8 x 8 px; it predicts its most probable class."
    balanced = "It is trained on balanced classes (balance.method: oversample), so it predicts rare classes too often."
    assert meaning("cnn") == f"{start} {balanced}"

    def other(params: dict[str, Any]) -> None:
        params["balance"]["method"], params["crop"]["mode"] = "none", "cropped"
        params["train_cnn"]["average_epochs"], params["train_cnn"]["join"]["features"] = 4, ["area"]

    said = meaning("cnn", other)
    assert "on crops of the bounding box, 8 x 8 px, and on area; it predicts" in said and "rare classes" not in said
    assert said.endswith("at their natural shares. Its weights are the mean over the last 4 epochs.")


def test_views_and_machines_on_the_embedding(meaning: Callable[..., str]) -> None:
    def heads(params: dict[str, Any]) -> None:
        params["train_cnn"]["heads"]["svms"] = {"plain": [], "joined": ["area", "height_px"]}

    assert "over eight views of each particle" in meaning("cnn_views")
    assert meaning("plain", heads) == "A support vector machine on the input of the network's last layer."
    assert meaning("joined", heads).endswith("last layer and on area and height (px).")


def test_machines_and_trees_name_their_features(meaning: Callable[..., str]) -> None:
    def forest(params: dict[str, Any]) -> None:
        params["train_trees"]["models"]["wood"] = {"kind": "forest", "features": ["edge_density_profile", "width_px"]}

    said = meaning("svm")
    assert said == "A support vector machine on area and density. Rare classes have a larger weight in training."
    assert "on height (px)." in meaning("size_only") and "a check of the data" in meaning("size_only")
    assert meaning("trees").startswith("Boosted trees on area, perimeter, ")
    assert meaning("wood", forest) == "A random forest on edge density profile and width (px)."


RULES: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"shift": 1.0},
        ["of cnn after the full prior shift: for the class shares of the training particles, as in nature."],
    ),
    (
        {"shift": 0.5},
        ["after half of the prior shift: between the class shares of the training set of cnn and the class"],
    ),
    ({"shift": 0.25}, ["after a prior shift of strength 0.25: between"]),
    ({"shift": 0.0, "of": ["trees", "svm"]}, ["The mean of the probabilities of trees and svm without a prior shift."]),
    (
        {"shift": 1.0, "deployment_prior": {PROBLEM: {"Dense": 3, "Clear": 1}}},
        ["for the expected class shares (Dense 75.0% and Clear 25.0%)."],
    ),
    ({"shift": 1.0, "deployment_prior": {"another": {"Dense": 3, "Clear": 1}}}, ["as in nature."]),
    (
        {"shift": 1.0, "calibrated": True},
        ["Fitted on inner folds of the training particles: a temperature and a bias of"],
    ),
    (
        {"shift": 1.0, "tuned": True, "recall": {PROBLEM: {"Clear": 0.9}}},
        ["an offset of each class for the best macro F1 with a recall of 0.9 of Clear."],
    ),
    (
        {"shift": 1.0, "costs": {PROBLEM: {"Clear": {"Dense": 20}}}},
        ["It predicts the class of least expected cost: 20 for Clear predicted as Dense; 1 for any other error."],
    ),
    (
        {"shift": 1.0, "costs": {PROBLEM: {"Clear": {"Dense": 20}, "Dense": {"Clear": 2}}}},
        ["20 for Clear predicted as Dense and 2 for Dense predicted as Clear."],
    ),
]


@pytest.mark.parametrize(("row", "words"), RULES)
def test_a_rule_is_described_by_its_row(meaning: Callable[..., str], row: dict[str, Any], words: list[str]) -> None:
    said = meaning("mine", lambda params: params["decide"]["rules"].update(mine=row))
    assert all(part in said for part in words), said


def test_a_choice_says_what_was_chosen_in_how_many_folds(meaning: Callable[..., str], run: PipelineRun) -> None:
    columns = ["choice", "repeat", "fold", "candidate", "measure", "value", "chosen"]
    rows = [
        ("mine", 0, fold, name, "log_loss", 0.5, int(name == best))
        for fold, best in enumerate(["svm", "trees", "svm"])
        for name in ("svm", "trees")
    ]
    files.write_table(run.root / f"metrics/choices/{PROBLEM}.csv", pd.DataFrame(rows, columns=columns))
    row = {"of": ["svm", "trees"], "by": "log_loss"}
    assert meaning("mine", lambda params: params["decide"].update(choices={"mine": row})) == (
        "In every fold the one of svm and trees with the lowest log loss on inner folds of the training particles. "
        "Chosen: svm in 2 of 3 folds and trees in 1 of 3 folds."
    )


def test_a_name_that_the_settings_do_not_have_is_not_explained_by_guessing(meaning: Callable[..., str]) -> None:
    assert meaning("from_elsewhere") == UNKNOWN


def test_all_classifiers_of_the_default_run_and_of_the_recipe_best_have_a_meaning() -> None:
    from lipnet.core.recipes import with_recipe
    from lipnet.core.settings import read_params
    from tests.deployment.finished_run import ROOT

    for recipe in ("plain", "best"):
        params = with_recipe({**read_params(ROOT / "params.yaml"), "recipe": recipe})
        names = ["cnn", *params["train_svm"]["features"], *params["train_trees"]["models"], *params["decide"]["rules"]]
        empty: Any = Path()
        some = PipelineRun(
            empty, "lamellarity", params["classes"]["lamellarity"], params, *[empty] * 2, [], *[empty] * 5
        )
        assert UNKNOWN not in meanings(some, names).values()
