"""The measures of a classifier: their names, what reports call them, and where each one is shown.

``evaluation.metrics`` computes them (thesis, sections 4.6 and 4.7). Every other list of measures derives from the table
``MEASURES``.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydantic import AfterValidator

from lipnet.core.errors import InputError


class Measure(NamedTuple):
    """One measure.

    Attributes:
        words: its name in pictures and tables for analysts.
        overall: it exists for all classes together.
        per_class: it exists for each class.
        lower_is_better: a smaller value is better. All other measures are at most 1, and 1 is best.
        headline: its place in short summaries, counted from 1; 0: it is not in them. A measure that exists both overall
            and per class is in the overall summaries only.
        pooled: its place in metrics/bootstrap.csv, counted from 1; 0: it is not there. These measures follow from
            counts and log losses that are summed over folds. A choice between classifiers uses one of them too.
        plain: its name in reports and cards for readers of other fields, where that differs from ``words``.
    """

    words: str
    overall: bool = False
    per_class: bool = False
    lower_is_better: bool = False
    headline: int = 0
    pooled: int = 0
    plain: str = ""


DEAD_FILTERS = "dead_filters"  # describes a network, not its predictions; studies only
MEASURES = {  # in the order of the outputs
    "accuracy": Measure("accuracy", overall=True),
    "balanced_accuracy": Measure("balanced accuracy", overall=True, headline=2, pooled=3),
    "macro_f1": Measure("macro F1", overall=True, headline=1, pooled=1),
    "mcc": Measure("MCC", overall=True, headline=3, pooled=2),
    "kappa": Measure("kappa", overall=True),
    "tpr": Measure("TPR", per_class=True, headline=1, plain="recall"),
    "tnr": Measure("TNR", per_class=True),
    "ppv": Measure("PPV", per_class=True, headline=2, plain="precision"),
    "npv": Measure("NPV", per_class=True),
    "f1": Measure("F1", per_class=True, headline=3),
    "log_loss": Measure("log loss", overall=True, lower_is_better=True, headline=4, pooled=4),
    "brier": Measure("Brier score", overall=True, lower_is_better=True),
    "ece": Measure("calibration error", overall=True, per_class=True, lower_is_better=True),
    "average_precision": Measure("average precision", overall=True, per_class=True, headline=5),
    DEAD_FILTERS: Measure("dead filters", lower_is_better=True),
}
OVERALL = tuple(name for name, measure in MEASURES.items() if measure.overall)
PER_CLASS = tuple(name for name, measure in MEASURES.items() if measure.per_class)
LOWER_IS_BETTER = frozenset(name for name, measure in MEASURES.items() if measure.lower_is_better)
HEADLINE_OVERALL = tuple(
    sorted((name for name in OVERALL if MEASURES[name].headline), key=lambda name: MEASURES[name].headline)
)
HEADLINE_OF_CLASS = tuple(
    sorted(
        (name for name in PER_CLASS if name not in OVERALL and MEASURES[name].headline),
        key=lambda name: MEASURES[name].headline,
    )
)
POOLED = tuple(sorted((name for name in OVERALL if MEASURES[name].pooled), key=lambda name: MEASURES[name].pooled))
TAKEN = frozenset({*OVERALL, DEAD_FILTERS, "repeat", "fold", "total"})  # keys and columns that stand beside the classes


def words(name: str) -> str:
    """What reports and pictures call a measure."""
    return MEASURES[name].words


def plain_words(name: str) -> str:
    """What reports and cards call a measure."""
    return MEASURES[name].plain or words(name)


def one_of(names: Sequence[str]) -> AfterValidator:
    """A check for settings: the value is one of the names."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"no such measure; known: {', '.join(names)}")
        return value

    return AfterValidator(check)


def check_class_names(problem: str, classes: Iterable[str]) -> None:
    """Refuse class names that tables and cards already use for something else.

    A card holds measures and classes side by side; the fold table holds the columns repeat, fold and total.

    Raises:
        InputError: a class has such a name.
    """
    bad = [name for name in classes if name in TAKEN]
    if bad:
        raise InputError(
            f"params.yaml: classes.{problem}: '{bad[0]}' cannot name a class; tables use that name already. Names that "
            f"cannot be used: {', '.join(sorted(TAKEN))}"
        )
