"""Decision rules: what to call a particle, given what a network trained on balanced classes says of it.

Such a network states the posterior of its training prior. Where the classes come in other proportions, its largest
probability drowns the rare ones in false positives (thesis, Tables 9 and 10). A rule undoes label smoothing, exchanges
the prior (Saerens, Latinne and Decaestecker 2002; with a strength, as the post-hoc logit adjustment of Menon et al.
2021), and names the class of least expected cost (Elkan 2001). It may average several classifiers. What a rule fits,
it fits on inner out-of-fold scores of the training rows (``calibration``); no test label is read.
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
from lipnet.evaluation.predictions import FoldOutput

RuleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # becomes a file name and a key of the metrics
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Shares = dict[str, Amount]  # class -> share
Costs = dict[str, dict[str, Amount]]  # true class -> what it is called -> cost


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
    """One row of ``decide.choices``: classifiers and rules to choose among, and the measure that decides."""

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


class Posterior(NamedTuple):
    """What one classifier says of some rows: its probabilities, shape (n, K), and the prior in them, shape (K,)."""

    probabilities: NDArray[np.float64]
    prior: NDArray[np.float64]


def posterior(output: FoldOutput, floor: float) -> Posterior:
    """What a classifier says of the classes, with label smoothing undone.

    Args:
        output: of the classifier.
        floor: as in ``unsmooth``.
    """
    smoothing, stated = output.label_smoothing, output.probabilities
    return Posterior(unsmooth(stated, smoothing, floor) if smoothing else stated, output.prior)


class Inner(NamedTuple):
    """Inner out-of-fold scores: what each classifier says, part by part, and the labels of all parts, shape (n,)."""

    parts: Sequence[Sequence[Posterior]]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """A row of ``decide.rules`` as it holds for one problem.

    Attributes:
        shift: strength of the shift of the prior: 0 none, 1 all of it.
        costs: of calling a particle of class i (row) class j (column), shape (K, K).
        prior: what to shift to, shape (K,), sums to 1; None: the natural prior of the training rows.
        calibrated: fit a temperature and a bias per class.
        tuned: fit an offset per class.
        recall: class index -> recall that the offsets must keep.
    """

    shift: float
    costs: NDArray[np.float64]
    prior: NDArray[np.float64] | None
    calibrated: bool = False
    tuned: bool = False
    recall: dict[int, float] = field(default_factory=dict)

    @property
    def fitted(self) -> bool:
        """Whether inner scores are needed."""
        return self.calibrated or self.tuned

    def apply(
        self, stated: Sequence[Posterior], natural: NDArray[np.float64], inner: Inner | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The class that the rule names, shape (n,), and the probabilities that it rests on, shape (n, K).

        Args:
            stated: by each classifier that the rule averages; without label smoothing, all above 0. The prior of the
                first is what a shift of 0 leaves.
            natural: prior of the training rows, shape (K,).
            inner: scores to fit on, of training rows; for rules that are calibrated or tuned.
        """
        from lipnet.evaluation import calibration  # slow to import; most rules are fixed, and ``decide`` waits for it

        test, held_out, labels = _average(stated, natural), np.empty((0, len(natural))), np.empty(0, np.int64)
        if inner:
            held_out, labels = np.concatenate([_average(part, natural) for part in inner.parts]), inner.labels
        if self.calibrated:
            fitted = calibration.fit_temperature(held_out, labels)
            test, held_out = (calibration.apply_temperature(some, *fitted) for some in (test, held_out))
        wanted = natural if self.prior is None else self.prior
        goal = stated[0].prior ** (1 - self.shift) * wanted**self.shift
        test, held_out = (shift_prior(some, natural, goal, 1.0) for some in (test, held_out))
        if self.tuned:
            test = calibration.apply_offsets(test, calibration.fit_offsets(held_out, labels, self.recall))
        return least_cost(test, self.costs), test


def _average(stated: Sequence[Posterior], natural: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of what classifiers say of the same rows, each shifted to the natural prior; shape (n, K)."""
    return np.mean([shift_prior(one.probabilities, one.prior, natural, 1.0) for one in stated], axis=0)


def rule_of(settings: DecideSettings, name: str, problem: str, classes: list[str]) -> Rule:
    """The rule of that name for one problem.

    Raises:
        InputError: costs or the deployment prior name an unknown class; the prior leaves one out, or is 0 for all.
    """
    row, where = settings.rules[name], f"params.yaml: decide.rules.{name}"
    costs, prior = (row.costs or {}).get(problem, {}), (row.deployment_prior or {}).get(problem)
    _check_known([*costs, *(called for of_true in costs.values() for called in of_true)], classes, f"{where}.costs")
    matrix = 1 - np.eye(len(classes))
    for true, of_true in costs.items():
        for called, cost in of_true.items():
            matrix[classes.index(true), classes.index(called)] = cost
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
        raise InputError(f"{where}.{problem}: all shares are 0; give at least one class more")
    shares = np.array([prior[label] for label in classes])
    return Rule(row.shift, matrix, shares / shares.sum(), row.calibrated, row.tuned, recall)


def check_problems(settings: DecideSettings, problems: Iterable[str]) -> None:
    """Refuse costs and deployment priors of a problem that does not exist, which would be passed over in silence.

    Raises:
        InputError: a rule names a problem that is not among ``problems``.
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


def unsmooth(probabilities: NDArray[np.float64], label_smoothing: float, floor: float) -> NDArray[np.float64]:
    """Undo label smoothing: what a network states of smoothed labels, turned into what it says of the classes.

    Labels smoothed by e teach q = (1 - e) p + e / K, so no odds above (1 - e + e / K) / (e / K) can be stated, 28 to 1
    for e = 0.1 and K = 3. A prior of 68 to 1 would overrule any of them and the rare class would never be named.

    Args:
        probabilities: q, shape (n, K), rows sum to 1.
        label_smoothing: e, in [0, 1).
        floor: q below e / K, which training leaves in places, would give p < 0: p is raised to this, before rows are
            made to sum to 1 again.

    Returns:
        p, shape (n, K), all above 0, rows sum to 1.
    """
    exact = (probabilities - label_smoothing / probabilities.shape[1]) / (1 - label_smoothing)
    return _normalised(np.maximum(exact, floor))


def shift_prior(
    probabilities: NDArray[np.float64], given: NDArray[np.float64], wanted: NDArray[np.float64], strength: float
) -> NDArray[np.float64]:
    """Exchange the prior of a posterior: p_k (wanted_k / given_k)^strength, made to sum to 1.

    Strength 1 is Bayes' rule (Saerens et al. 2002, equation 4). Strength 0.5 gives the geometric mean of the posteriors
    before and after, which keeps more of the rare classes' recall.

    Args:
        probabilities: posterior under the given prior, all above 0, shape (n, K).
        given: prior that the classifier was trained on, shape (K,).
        wanted: prior to exchange it for, shape (K,).
        strength: in [0, 1].

    Returns:
        Shape (n, K). A class that was never given gets 0 for any strength above 0: nothing was learned of it.
    """
    ratio = np.divide(wanted, given, out=np.zeros_like(wanted), where=given > 0)
    return _normalised(probabilities * ratio**strength)


def _normalised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights / weights.sum(axis=1, keepdims=True)


def least_cost(probabilities: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The class of least expected cost, the first of equals, shape (n,) (Elkan 2001).

    Args:
        probabilities: shape (n, K).
        costs: of calling a particle of class i (row) class j (column), shape (K, K). Costs of 1 for every error and 0
            for right answers name the most probable class.
    """
    return (probabilities @ costs).argmin(axis=1)
