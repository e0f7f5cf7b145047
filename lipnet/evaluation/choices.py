"""Selection of a rule or classifier for each fold on its training rows: nested selection (Cawley and Talbot 2010).

The best of several candidates on the test folds has an optimistic score on the same folds. Here each candidate is
scored on inner folds of the training rows of a fold, and only the best candidate predicts the test rows. The test score
is then that of the whole procedure, selection included.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.evaluation import metrics
from lipnet.evaluation.decisions import DecideSettings, Rule, rule_of
from lipnet.evaluation.measures import LOWER_IS_BETTER
from lipnet.evaluation.posteriors import InnerScores, Posterior
from lipnet.evaluation.predictions import FoldOutput

COLUMNS = ["choice", "repeat", "fold", "candidate", "measure", "value", "chosen"]


class Candidate(NamedTuple):
    """A decision rule and the classifiers that it uses; without a rule, one classifier and its most probable class."""

    of: list[str]
    rule: Rule | None


class Selection(NamedTuple):
    """The candidates of a row of ``decide.choices``, or the only candidate, a row of ``decide.rules``.

    Attributes:
        candidates: by name.
        by: measure on inner scores that selects one of several candidates.
    """

    candidates: dict[str, Candidate]
    by: str

    @property
    def of(self) -> list[str]:
        """The classifiers that the candidates use."""
        return list(dict.fromkeys(name for candidate in self.candidates.values() for name in candidate.of))

    @property
    def fitted(self) -> bool:
        """Whether inner scores are needed."""
        return len(self.candidates) > 1 or any(one.rule and one.rule.fitted for one in self.candidates.values())


class SelectionResult(NamedTuple):
    """The outcome of a selection on one fold.

    Attributes:
        output: of the chosen candidate on the test rows. Its prior is the one that the probabilities are for: for a
            rule, as ``Rule.apply`` says; without a rule, the classifier's own.
        chosen: name of the candidate.
        scores: of each candidate on the inner folds; empty if there is only one candidate.
    """

    output: FoldOutput
    chosen: str
    scores: dict[str, float]


def selection_of(settings: DecideSettings, name: str, problem: str, classes: list[str]) -> Selection:
    """The rule or choice called ``name``, for one problem.

    Raises:
        InputError: see ``decisions.rule_of``.
    """
    choice = settings.choices.get(name)
    candidates = dict[str, Candidate]()
    for one in choice.of if choice else [name]:
        row = settings.rules.get(one)
        candidates[one] = Candidate(row.of, rule_of(settings, one, problem, classes)) if row else Candidate([one], None)
    return Selection(candidates, choice.by if choice else "")


def select(
    selection: Selection, posteriors: Sequence[Posterior], natural: NDArray[np.float64], inner: InnerScores | None
) -> SelectionResult:
    """Choose the best candidate on inner scores, and predict the test rows with it.

    A candidate that is fitted is scored on each inner fold after fitting it on the other inner folds.

    Args:
        selection: of ``selection_of``.
        posteriors: of the test rows, by the classifiers ``selection.of``, in their order.
        natural: prior of the training rows, shape (K,).
        inner: scores of the training rows by the same classifiers; None if ``selection`` needs none.
    """
    scores, (best, *others) = dict[str, float](), selection.candidates
    if inner and others:
        for name, candidate in selection.candidates.items():
            scores[name] = _score(candidate, _inner_of(selection, candidate, inner), natural, selection.by)
        sign = -1 if selection.by in LOWER_IS_BETTER else 1
        best = max(scores, key=lambda name: sign * scores[name] if np.isfinite(scores[name]) else -np.inf)
    candidate = selection.candidates[best]
    own = [posteriors[selection.of.index(name)] for name in candidate.of]
    held_out = _inner_of(selection, candidate, inner) if inner else None
    return SelectionResult(_predict(candidate, own, natural, held_out), best, scores)


def _inner_of(selection: Selection, candidate: Candidate, inner: InnerScores) -> InnerScores:
    columns = [selection.of.index(name) for name in candidate.of]
    return InnerScores([[part[column] for column in columns] for part in inner.parts], inner.labels)


def _predict(
    candidate: Candidate, posteriors: Sequence[Posterior], natural: NDArray[np.float64], inner: InnerScores | None
) -> FoldOutput:
    if candidate.rule:
        return candidate.rule.apply(posteriors, natural, inner if candidate.rule.fitted else None)
    [(probabilities, prior)] = posteriors
    return FoldOutput(probabilities.argmax(axis=1), probabilities, prior)


def _score(candidate: Candidate, inner: InnerScores, natural: NDArray[np.float64], by: str) -> float:
    ends = np.cumsum([len(part[0].probabilities) for part in inner.parts])
    labels = np.split(inner.labels, ends[:-1])
    outputs = []
    for number, part in enumerate(inner.parts):
        rest = [other for other in range(len(inner.parts)) if other != number]
        fitting = InnerScores([inner.parts[other] for other in rest], np.concatenate([labels[other] for other in rest]))
        outputs.append(_predict(candidate, part, natural, fitting))
    predicted = np.concatenate([output.predicted for output in outputs])
    probabilities = np.concatenate([output.probabilities for output in outputs])
    return metrics.score(inner.labels, predicted, probabilities)[0][by]


def to_table(name: str, by: str, repeat: int, fold: int, result: SelectionResult) -> pd.DataFrame:
    """One row for each candidate: its score on the inner folds of a fold, and whether it was chosen (1 or 0)."""
    rows = [
        (name, repeat, fold, one, by, round(score, 6), int(one == result.chosen))
        for one, score in result.scores.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
