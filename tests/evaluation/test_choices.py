"""Choices: the best candidate on inner scores answers for the test rows; what is fitted is scored on other parts."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.core.settings import parse
from lipnet.evaluation import metrics
from lipnet.evaluation.choices import Selection, select, selection_of, to_table
from lipnet.evaluation.decisions import DecideSettings
from lipnet.evaluation.posteriors import InnerScores, Posterior

CLASSES = ["A", "B"]
NATURAL, EVEN = np.array([0.8, 0.2]), np.array([0.5, 0.5])
LABELS = np.tile([0, 0, 0, 0, 1], 12)


def _settings(**choice: Any) -> DecideSettings:
    rules = {
        "shifted": {"shift": 1.0},
        "tuned": {"of": ["cnn", "svm"], "shift": 0.0, "tuned": True},
    }
    row = {"of": ["cnn", "svm", "shifted"], "by": "macro_f1", **choice}
    return parse(DecideSettings, {"floor": 0.001, "rules": rules, "choices": {"chosen": row}}, "decide")


def _selection(name: str = "chosen", **choice: Any) -> Selection:
    return selection_of(_settings(**choice), name, "p", CLASSES)


def _stated(labels: NDArray[np.int64], sure: float, seed: int, prior: NDArray[np.float64] = EVEN) -> Posterior:
    """Probabilities that are right more often the surer they are."""
    rng = np.random.default_rng(seed)
    right = np.clip(rng.normal(sure, 0.2, len(labels)), 0.02, 0.98)
    first = np.where(labels == 0, right, 1 - right)
    return Posterior(np.stack([first, 1 - first], axis=1), prior)


def _inner(cnn: float, svm: float, labels: NDArray[np.int64] = LABELS) -> InnerScores:
    """Three inner folds, not of one size."""
    parts = np.split(labels, [15, 40])
    stated = [[_stated(part, cnn, n), _stated(part, svm, 9 + n, NATURAL)] for n, part in enumerate(parts)]
    return InnerScores(stated, labels)


TEST = [_stated(LABELS, 0.6, 20), _stated(LABELS, 0.6, 21, NATURAL)]


def test_a_choice_rests_on_the_classifiers_of_all_its_candidates_and_needs_inner_scores() -> None:
    selection = _selection(of=["trees", "tuned", "shifted"])
    assert selection.of == ["trees", "cnn", "svm"]
    assert selection.fitted
    assert not _selection("shifted").fitted
    assert _selection("tuned").fitted and _selection("tuned").of == ["cnn", "svm"]


@pytest.mark.parametrize(("cnn", "svm", "expected"), [(0.9, 0.55, "cnn"), (0.52, 0.9, "svm")])
@pytest.mark.parametrize("by", ["macro_f1", "mcc", "balanced_accuracy", "log_loss"])
def test_the_best_on_inner_scores_answers(cnn: float, svm: float, expected: str, by: str) -> None:
    selection = _selection(of=["cnn", "svm"], by=by)
    result = select(selection, TEST, NATURAL, _inner(cnn, svm))
    assert result.chosen == expected
    answer = TEST[selection.of.index(expected)].probabilities
    assert_array_equal(result.output.probabilities, answer)
    assert_array_equal(result.output.predicted, answer.argmax(axis=1))
    assert_array_equal(result.output.prior, EVEN if expected == "cnn" else NATURAL)  # the classifier's own


def test_scores_are_pooled_over_the_inner_folds() -> None:
    inner = _inner(0.6, 0.7)
    result = select(_selection(), TEST, NATURAL, inner)
    for column, name in enumerate(("cnn", "svm")):
        said = np.concatenate([part[column].probabilities for part in inner.parts])
        assert result.scores[name] == metrics.score(LABELS, said.argmax(axis=1), said)[0]["macro_f1"]
    assert result.scores["shifted"] != result.scores["cnn"]


def test_a_rule_alone_answers_as_it_does_without_a_choice() -> None:
    settings, selection = _settings(), _selection("shifted")
    result = select(selection, TEST[:1], NATURAL, None)
    rule = selection_of(settings, "shifted", "p", CLASSES).candidates["shifted"].rule
    assert rule is not None
    expected = rule.apply(TEST[:1], NATURAL)
    assert_array_equal(result.output.predicted, expected.predicted)
    assert_array_equal(result.output.probabilities, expected.probabilities)
    assert_allclose(result.output.prior, NATURAL)
    assert (result.chosen, result.scores) == ("shifted", {})


def test_what_is_fitted_is_scored_on_inner_folds_that_it_was_not_fitted_on() -> None:
    """Scores by hand: offsets fitted to two inner folds, applied to the third; the answer uses those fitted to all."""
    selection, inner = _selection(of=["tuned", "cnn"]), _inner(0.6, 0.5)
    result = select(selection, TEST, NATURAL, inner)
    rule = selection.candidates["tuned"].rule
    assert rule is not None
    labels, said = np.split(LABELS, [15, 40]), []
    for number, part in enumerate(inner.parts):
        rest = [n for n in range(3) if n != number]
        fitting = InnerScores([inner.parts[n] for n in rest], np.concatenate([labels[n] for n in rest]))
        said.append(rule.apply(part, NATURAL, fitting).predicted)
    expected = metrics.score(LABELS, np.concatenate(said), np.full((60, 2), 0.5))[0]["macro_f1"]
    assert result.scores["tuned"] == pytest.approx(expected)
    in_sample = np.concatenate([rule.apply(part, NATURAL, inner).predicted for part in inner.parts])
    assert not np.array_equal(in_sample, np.concatenate(said))
    alone = select(_selection("tuned"), TEST, NATURAL, inner)
    assert_allclose(alone.output.probabilities, rule.apply(TEST, NATURAL, inner).probabilities)


def test_of_equals_the_first_is_taken_and_an_undefined_score_loses() -> None:
    same = InnerScores([[part[0], part[0]] for part in _inner(0.7, 0.7).parts], LABELS)
    assert select(_selection(of=["svm", "cnn"]), TEST, NATURAL, same).chosen == "svm"
    one_class = [Posterior(np.tile([0.9, 0.1], (len(part[0].probabilities), 1)), EVEN) for part in same.parts]
    useless = InnerScores([[one, part[0]] for one, part in zip(one_class, same.parts, strict=True)], LABELS)
    result = select(_selection(of=["cnn", "svm"], by="mcc"), TEST, NATURAL, useless)
    assert np.isnan(result.scores["cnn"]) and result.chosen == "svm"  # it names one class only: 0/0


def test_the_table_has_a_row_a_candidate_and_none_where_there_is_no_choice() -> None:
    result = select(_selection(), TEST, NATURAL, _inner(0.9, 0.55))
    table = to_table("chosen", "macro_f1", 2, 1, result)
    assert table["candidate"].tolist() == ["cnn", "svm", "shifted"]
    assert table["chosen"].sum() == 1
    assert table.loc[table["chosen"] == 1, "value"].item() == table["value"].max()
    assert to_table("shifted", "", 0, 0, select(_selection("shifted"), TEST[:1], NATURAL, None)).empty


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"shifted": {"of": ["cnn", "svm"], "by": "mcc"}}, "shifted is both a rule and a choice"),
        ({"a": {"of": ["cnn", "b"], "by": "mcc"}, "b": {"of": ["cnn", "svm"], "by": "mcc"}}, "a choice among choices"),
        ({"a": {"of": ["cnn"], "by": "mcc"}}, "decide.choices.a.of"),
        ({"a": {"of": ["cnn", "svm"], "by": "accuracy"}}, "decide.choices.a.by"),
    ],
)
def test_impossible_choices_are_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(DecideSettings, {"floor": 0.1 / 2, "rules": {"shifted": {"shift": 1.0}}, "choices": choices}, "decide")
