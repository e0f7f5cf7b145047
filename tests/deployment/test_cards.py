"""The card of a run: numbers and limits that users of the models need."""

import json
from pathlib import Path
from typing import Any

import pytest

from lipnet.deployment.cards import card_of, to_markdown
from lipnet.deployment.rules import FoldRule, Rules
from lipnet.deployment.runs import read_run
from tests.deployment.finished_run import CLASSES, PROBLEM, make_run

RULES = Rules(
    recommended="cnn_shifted",
    reason="It is the best.",
    views=False,
    rules={},
    left_out={"head": "the run does not keep it"},
)


def test_the_card_is_json_and_holds_data_settings_measures_and_origin(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path), PROBLEM)
    card = json.loads(json.dumps(card_of(run, ["cnn_fold0.onnx"], RULES), allow_nan=False))
    assert card["classes"] == CLASSES and card["files"] == ["cnn_fold0.onnx"]
    assert card["recommended"] == {"classifier": "cnn_shifted", "reason": "It is the best."}
    assert card["left_out"] == RULES.left_out
    assert card["data"]["classes"]["Clear"] == {"particles": 2, "groups": 2}
    assert card["settings"]["network"]["blocks"] == [[2]]
    assert card["settings"]["train_cnn"] == run.params["train_cnn"]
    assert card["metrics"]["cnn"]["mcc"] == {"mean": 0.6, "sd": 0.01}
    assert card["provenance"]["data_md5"] == "abc"


def test_the_page_shows_means_with_standard_deviations_and_marks_undefined_ones(tmp_path: Path) -> None:
    page = to_markdown(card_of(read_run(make_run(tmp_path), PROBLEM), ["cnn_fold0.onnx"], RULES))
    assert "It is the best. `lipnet predict` uses it" in page
    assert "- not exported: head: the run does not keep it" in page
    assert "| Dense | 6 | 2 |" in page
    assert "| svm | 0.800 ± 0.010 | 0.700 ± 0.010 | 0.600 ± 0.010 | 0.500 ± 0.010 | 0.900 ± 0.010 |" in page
    assert "| cnn | Clear | 0.500 | undefined | 0.100 ± 0.000 |" in page
    assert "- git revision: unknown" in page and "MD5 of the packed particles: abc" in page
    assert "Pixels of the training particles were 1.5 to 2 nm across" in page


@pytest.mark.parametrize(
    ("name", "rule", "shares"),
    [
        ("cnn", None, "Dense 42%, Clear 58%"),  # the network: the shares that balancing gave, mean of 1/2 and 1/3
        ("svm", None, "Dense 75%, Clear 25%"),
        ("full", {"of": ["cnn"], "shift": 1}, "Dense 75%, Clear 25%"),
        ("half", {"of": ["cnn"], "shift": 0.5}, "Dense 59%, Clear 41%"),  # mean of sqrt(3) : 1 and sqrt(3/2) : 1
        ("own", {"of": ["cnn"], "shift": 1, "prior": [0.1, 0.9]}, "Dense 10%, Clear 90%"),
        ("mean", {"of": ["cnn", "svm"], "shift": 0}, "Dense 58%, Clear 42%"),
    ],
)
def test_the_card_says_for_which_class_shares_the_recommended_classifier_is_right(
    name: str, rule: Any, shares: str, tmp_path: Path
) -> None:
    costs = [[0.0, 1.0], [1.0, 0.0]]
    of_folds = {} if rule is None else {name: [FoldRule(costs=costs, **rule)] * 2}
    rules = RULES.model_copy(update={"recommended": name, "rules": of_folds})
    page = to_markdown(card_of(read_run(make_run(tmp_path), PROBLEM), [], rules))
    assert f"{name} is right for new samples with about these class shares: {shares}. The training particles" in page


def test_a_class_without_particles_has_counts_of_0(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path), PROBLEM)
    del run.counts["classes"]["Clear"]
    assert "| Clear | 0 | 0 |" in to_markdown(card_of(run, [], RULES))


def test_artificial_particles_are_the_first_limit(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path), PROBLEM)
    assert "artificial" not in " ".join(card_of(run, [], RULES)["limits"])
    run.params["source"]["kind"] = "artificial"
    assert "artificial particles only" in card_of(run, [], RULES)["limits"][0]
