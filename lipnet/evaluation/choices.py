"""Which rule or classifier to use, chosen fold by fold on its training rows: nested selection (Cawley and Talbot 2010).

Picking the best of several on the folds that they are then judged on flatters it. Here each candidate is scored on
inner folds of the training rows of a fold, and only the best one answers for the test rows; what is measured on these
is the whole procedure, the picking included.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.evaluation import metrics
from lipnet.evaluation.decisions import DecideSettings, Inner, Posterior, Rule, rule_of
from lipnet.evaluation.measures import LOWER_IS_BETTER

COLUMNS = ["choice", "repeat", "fold", "candidate", "measure", "value", "chosen"]


class Candidate(NamedTuple):
    """A rule with the classifiers that it rests on; or, without a rule, one classifier and its most probable class."""

    of: list[str]
    rule: Rule | None


class Decision(NamedTuple):
    """A row of ``decide.rules``, which is its only candidate, or of ``decide.choices``.

    Attributes:
        candidates: by name.
        by: measure on inner scores.
    """

    candidates: dict[str, Candidate]
    by: str

    @property
    def of(self) -> list[str]:
        """All classifiers that it rests on."""
        return list(dict.fromkeys(name for candidate in self.candidates.values() for name in candidate.of))

    @property
    def fitted(self) -> bool:
        """Whether inner scores are needed."""
        return len(self.candidates) > 1 or any(one.rule and one.rule.fitted for one in self.candidates.values())


class Decided(NamedTuple):
    """Class of each test row, shape (n,), probabilities, shape (n, K), who was chosen, and the candidates' scores."""

    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    chosen: str
    scores: dict[str, float]


def decision_of(settings: DecideSettings, name: str, problem: str, classes: list[str]) -> Decision:
    """The rule or choice of that name for one problem.

    Raises:
        InputError: as ``decisions.rule_of``.
    """
    choice = settings.choices.get(name)
    candidates = dict[str, Candidate]()
    for one in choice.of if choice else [name]:
        row = settings.rules.get(one)
        candidates[one] = Candidate(row.of, rule_of(settings, one, problem, classes)) if row else Candidate([one], None)
    return Decision(candidates, choice.by if choice else "")


def decide(
    decision: Decision, stated: Sequence[Posterior], natural: NDArray[np.float64], inner: Inner | None
) -> Decided:
    """Choose on inner scores, where there is a choice, and answer for the test rows.

    A candidate that fits something is scored on each inner fold by what it fits to the others.

    Args:
        decision: of ``decision_of``.
        stated: of the test rows, by the classifiers ``decision.of``, in their order.
        natural: prior of the training rows, shape (K,).
        inner: scores of the training rows by the same classifiers; None where ``decision`` needs none.
    """
    scores, (best, *others) = dict[str, float](), decision.candidates
    if inner and others:
        for name, candidate in decision.candidates.items():
            scores[name] = _score(candidate, _inner_of(decision, candidate, inner), natural, decision.by)
        sign = -1 if decision.by in LOWER_IS_BETTER else 1
        best = max(scores, key=lambda name: sign * scores[name] if np.isfinite(scores[name]) else -np.inf)
    candidate = decision.candidates[best]
    own = [stated[decision.of.index(name)] for name in candidate.of]
    held_out = _inner_of(decision, candidate, inner) if inner else None
    return Decided(*_answer(candidate, own, natural, held_out), best, scores)


def _inner_of(decision: Decision, candidate: Candidate, inner: Inner) -> Inner:
    columns = [decision.of.index(name) for name in candidate.of]
    return Inner([[part[column] for column in columns] for part in inner.parts], inner.labels)


def _answer(
    candidate: Candidate, stated: Sequence[Posterior], natural: NDArray[np.float64], inner: Inner | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if candidate.rule:
        return candidate.rule.apply(stated, natural, inner if candidate.rule.fitted else None)
    probabilities = stated[0].probabilities
    return probabilities.argmax(axis=1), probabilities


def _score(candidate: Candidate, inner: Inner, natural: NDArray[np.float64], by: str) -> float:
    ends = np.cumsum([len(part[0].probabilities) for part in inner.parts])
    labels = np.split(inner.labels, ends[:-1])
    answers = []
    for number, part in enumerate(inner.parts):
        rest = [other for other in range(len(inner.parts)) if other != number]
        fitting = Inner([inner.parts[other] for other in rest], np.concatenate([labels[other] for other in rest]))
        answers.append(_answer(candidate, part, natural, fitting))
    predicted, probabilities = (np.concatenate(some) for some in zip(*answers, strict=True))
    return metrics.score(inner.labels, predicted, probabilities)[0][by]


def to_table(name: str, by: str, repeat: int, fold: int, decided: Decided) -> pd.DataFrame:
    """A row a candidate: how it scored on the inner folds of a fold, and whether (1) or not (0) it was chosen."""
    rows = [
        (name, repeat, fold, one, by, round(score, 6), int(one == decided.chosen))
        for one, score in decided.scores.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
