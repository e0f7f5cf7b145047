"""Decision rules: from the probabilities of classifiers to predicted classes.

A network trained on balanced classes gives the posterior of its balanced training set. If the classes have other shares
in the data, predicting the most probable class gives many false positives for the rare classes (thesis, Tables 9 and
10). A rule therefore undoes label smoothing, exchanges the prior (Saerens, Latinne and Decaestecker 2002; with a
strength, as in the post-hoc logit adjustment of Menon et al. 2021), and predicts the class of least expected cost
(Elkan 2001). A rule can average several classifiers. Rules that are fitted (``calibration``) use inner out-of-fold
scores of the training rows, and no label of a test row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.evaluation.measures import POOLED, one_of
from lipnet.evaluation.posteriors import InnerScores, Posterior, shift_prior
from lipnet.evaluation.predictions import FoldOutput

RuleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # becomes a file name and a key of the metrics
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Shares = dict[str, Amount]  # class -> share
Costs = dict[str, dict[str, Amount]]  # true class -> predicted class -> cost


class RuleSettings(Settings):
    """One row of ``decide.rules``."""

    of: list[RuleName] = Field(default=["cnn"], min_length=1)
    shift: float = Field(ge=0, le=1)
    costs: dict[str, Costs] | None = None  # by problem
    deployment_prior: dict[str, Shares] | None = None  # by problem
    calibrated: bool = False
    tuned: bool = False
    recall: dict[str, dict[str, Annotated[float, Field(ge=0, le=1)]]] | None = None  # by problem and class


class ChoiceSettings(Settings):
    """One row of ``decide.choices``: the candidates (classifiers and rules) and the measure that selects one."""

    of: list[RuleName] = Field(min_length=2)
    by: Annotated[str, one_of(POOLED)]


class DecideSettings(Settings):
    """Section ``decide`` of params.yaml."""

    floor: float = Field(gt=0, lt=0.1)
    rules: dict[RuleName, RuleSettings] = Field(min_length=1)
    choices: dict[RuleName, ChoiceSettings] = Field(default={})

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        twice = sorted(set(self.rules) & set(self.choices))
        if twice:
            raise ValueError(f"{twice[0]} is both a rule and a choice; rename one")
        nested = sorted({name for row in self.choices.values() for name in row.of} & set(self.choices))
        if nested:
            raise ValueError(f"a choice among choices ({nested[0]}); list its candidates instead")
        return self


@dataclass(frozen=True)
class Rule:
    """A row of ``decide.rules`` with its settings for one problem.

    Attributes:
        shift: strength of the prior shift: 0 none, 1 full.
        costs: of predicting class j (column) for a particle of class i (row), shape (K, K).
        prior: prior to shift to, shape (K,), sums to 1; None: the natural prior of the training rows.
        calibrated: fit a temperature and a bias for each class.
        tuned: fit an offset for each class.
        recall: class index -> recall that the offsets must reach.
    """

    shift: float
    costs: NDArray[np.float64]
    prior: NDArray[np.float64] | None
    calibrated: bool = False
    tuned: bool = False
    recall: dict[int, float] = field(default_factory=dict)

    @property
    def fitted(self) -> bool:
        """Whether the rule needs inner scores."""
        return self.calibrated or self.tuned

    def apply(
        self, posteriors: Sequence[Posterior], natural: NDArray[np.float64], inner: InnerScores | None = None
    ) -> FoldOutput:
        """Predict the test rows: the class of least expected cost, and the probabilities behind that decision.

        The prior of the output is the prior that the rule shifts to. Offsets of a tuned rule multiply the probabilities
        by a factor for each class, as a prior shift does, so they change the prior of the output by the same factors.

        Args:
            posteriors: of the n test rows by each classifier that the rule averages; without label smoothing, all
                probabilities above 0. A shift of 0 keeps the prior of the first classifier.
            natural: prior of the training rows, shape (K,).
            inner: scores of training rows to fit on; required if the rule is calibrated or tuned.
        """
        return self.apply_fit(posteriors, natural, self.fit(posteriors[0].prior, natural, inner) if inner else Fit())

    def fit(self, first: NDArray[np.float64], natural: NDArray[np.float64], inner: InnerScores) -> "Fit":
        """Fit what the rule asks for.

        Args:
            first: prior of the first classifier, shape (K,).
            natural: prior of the training rows, shape (K,).
            inner: scores of training rows to fit on.
        """
        # Imported here because it is slow to import and most rules fit nothing.
        from lipnet.evaluation import calibration

        held_out, fitted = np.concatenate([_average(part, natural) for part in inner.parts]), Fit()
        if self.calibrated:
            fitted = Fit(*calibration.fit_temperature(held_out, inner.labels))
        if self.tuned:
            shifted = shift_prior(fitted.calibrate(held_out), natural, self._goal(first, natural), 1.0)
            fitted = fitted._replace(offsets=calibration.fit_offsets(shifted, inner.labels, self.recall))
        return fitted

    def apply_fit(self, posteriors: Sequence[Posterior], natural: NDArray[np.float64], fitted: "Fit") -> FoldOutput:
        """As ``apply``, with what ``fit`` returned."""
        goal = self._goal(posteriors[0].prior, natural)
        test = shift_prior(fitted.calibrate(_average(posteriors, natural)), natural, goal, 1.0)
        if fitted.offsets is not None:
            from lipnet.evaluation import calibration

            test, goal = calibration.apply_offsets(test, fitted.offsets), goal * np.exp(fitted.offsets)
        return FoldOutput(least_cost(test, self.costs), test, goal / goal.sum())

    def _goal(self, first: NDArray[np.float64], natural: NDArray[np.float64]) -> NDArray[np.float64]:
        wanted = natural if self.prior is None else self.prior
        return first ** (1 - self.shift) * wanted**self.shift


class Fit(NamedTuple):
    """What a rule fitted on inner scores: temperature and bias of a calibrated rule, offsets of a tuned one.

    Attributes:
        temperature: see ``calibration.fit_temperature``.
        bias: shape (K,); None: the rule is not calibrated.
        offsets: shape (K,); None: the rule is not tuned.
    """

    temperature: float = 1.0
    bias: NDArray[np.float64] | None = None
    offsets: NDArray[np.float64] | None = None

    def calibrate(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (n, K)."""
        if self.bias is None:
            return probabilities
        from lipnet.evaluation import calibration

        return calibration.apply_temperature(probabilities, self.temperature, self.bias)


def _average(posteriors: Sequence[Posterior], natural: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the posteriors of several classifiers for the same rows, each shifted to the natural prior; (n, K)."""
    return np.mean([shift_prior(one.probabilities, one.prior, natural, 1.0) for one in posteriors], axis=0)


def rule_of(settings: DecideSettings, name: str, problem: str, classes: list[str]) -> Rule:
    """A row of ``decide.rules`` for one problem.

    Raises:
        InputError: costs, recall or the deployment prior name an unknown class; the deployment prior leaves out a
            class, or all its shares are 0.
    """
    row, where = settings.rules[name], f"params.yaml: decide.rules.{name}"
    costs, prior = (row.costs or {}).get(problem, {}), (row.deployment_prior or {}).get(problem)
    predicted_classes = [predicted for of_true in costs.values() for predicted in of_true]
    _check_known([*costs, *predicted_classes], classes, f"{where}.costs")
    matrix = 1 - np.eye(len(classes))
    for true, of_true in costs.items():
        for predicted, cost in of_true.items():
            matrix[classes.index(true), classes.index(predicted)] = cost
    wanted = (row.recall or {}).get(problem, {})
    _check_known(wanted, classes, f"{where}.recall")
    recall = {classes.index(label): value for label, value in wanted.items()}
    if prior is None:
        return Rule(row.shift, matrix, None, row.calibrated, row.tuned, recall)
    where = f"{where}.deployment_prior"
    _check_known(prior, classes, where)
    missing = [label for label in classes if label not in prior]
    if missing:
        raise InputError(f"{where}.{problem}: class {', '.join(missing)} is missing; give a share to every class")
    if not sum(prior.values()):
        raise InputError(f"{where}.{problem}: all shares are 0; give at least one class a share above 0")
    shares = np.array([prior[label] for label in classes])
    return Rule(row.shift, matrix, shares / shares.sum(), row.calibrated, row.tuned, recall)


def check_problems(settings: DecideSettings, problems: Iterable[str]) -> None:
    """Check that every rule names only problems that exist; a misspelt name would have no effect otherwise.

    Raises:
        InputError: costs, recall or the deployment prior of a rule name a problem that is not among ``problems``.
    """
    for name, row in settings.rules.items():
        for key, by_problem in (
            ("costs", row.costs),
            ("deployment_prior", row.deployment_prior),
            ("recall", row.recall),
        ):
            _check_known(by_problem or {}, list(problems), f"params.yaml: decide.rules.{name}.{key}")


def _check_known(names: Iterable[str], known: list[str], where: str) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise InputError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(known)}")


def least_cost(probabilities: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The class of least expected cost, shape (n,) (Elkan 2001). If classes have equal cost, the first one.

    Args:
        probabilities: shape (n, K).
        costs: of predicting class j (column) for a particle of class i (row), shape (K, K). With a cost of 1 for every
            error and 0 for a correct prediction, the result is the most probable class.
    """
    return (probabilities @ costs).argmin(axis=1)
