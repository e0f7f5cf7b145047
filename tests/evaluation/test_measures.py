"""The table of measures: every list that derives from it, in the order of the outputs, and names that are taken."""

from typing import Annotated

import numpy as np
import pytest

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings, parse
from lipnet.evaluation import measures, metrics


def test_the_lists_and_their_orders() -> None:
    assert (
        *("accuracy", "balanced_accuracy", "macro_f1", "mcc", "kappa"),
        *("log_loss", "brier", "ece", "average_precision"),
    ) == measures.OVERALL
    assert set(measures.PER_CLASS) == {"tpr", "tnr", "ppv", "npv", "f1", "average_precision", "ece"}
    assert measures.HEADLINE_OVERALL == ("macro_f1", "balanced_accuracy", "mcc", "log_loss", "average_precision")
    assert measures.HEADLINE_OF_CLASS == ("tpr", "ppv", "f1")
    assert measures.POOLED == ("macro_f1", "mcc", "balanced_accuracy", "log_loss")
    assert {"log_loss", "brier", "ece", "dead_filters"} == measures.LOWER_IS_BETTER


def test_every_measure_is_computed_but_the_number_of_dead_filters() -> None:
    overall, per_class = metrics.score(np.array([0, 1]), np.array([0, 1]), np.eye(2))
    assert tuple(overall) == measures.OVERALL
    assert {*overall, *per_class} == set(measures.MEASURES) - {measures.DEAD_FILTERS}


def test_a_perfect_classifier_has_the_best_value_of_every_measure() -> None:
    overall, per_class = metrics.score(np.array([0, 1]), np.array([0, 1]), np.eye(2))
    for name, value in [*overall.items(), *((name, values.mean()) for name, values in per_class.items())]:
        assert value == pytest.approx(0 if name in measures.LOWER_IS_BETTER else 1), name


def test_words_are_different() -> None:
    assert measures.words("macro_f1") == "macro F1"
    assert len({measures.words(name) for name in measures.MEASURES}) == len(measures.MEASURES)


@pytest.mark.parametrize("name", [*measures.OVERALL, "dead_filters", "repeat", "fold", "total"])
def test_a_class_name_that_stands_beside_the_classes_is_refused(name: str) -> None:
    measures.check_class_names("p", ["good", "f1"])
    with pytest.raises(InputError, match=f"classes.p: '{name}' cannot name a class; .*cannot be used: accuracy, "):
        measures.check_class_names("p", ["good", name])


class Row(Settings):
    by: Annotated[str, measures.one_of(("mcc", "kappa"))]


def test_an_unknown_measure_in_the_settings_is_refused_with_the_known_ones() -> None:
    assert parse(Row, {"by": "mcc"}, "row").by == "mcc"
    with pytest.raises(InputError, match=r"row.by = 'brier': .*no such measure; known: mcc, kappa"):
        parse(Row, {"by": "brier"}, "row")


def test_reports_call_rates_by_their_plain_names() -> None:
    assert [measures.plain_words(name) for name in measures.HEADLINE_OF_CLASS] == ["recall", "precision", "F1"]
    assert measures.plain_words("mcc") == measures.words("mcc")
