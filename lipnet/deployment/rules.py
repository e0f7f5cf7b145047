"""The file rules.json of an exported folder: decision rules, what was left out, and the recommended classifier.

With it, every classifier of the report can be used by its name: the models of the run, the mean over eight views of the
network, and decision rules. The file is untrusted input and is checked when it is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.deployment.model_files import (
    NETWORK,
    Description,
    Model,
    Name,
    Share,
    group,
    read_models,
    together,
    unknown,
)
from lipnet.evaluation.decisions import Amount, Fit, Rule
from lipnet.evaluation.posteriors import posterior
from lipnet.evaluation.predictions import FoldOutput

FILE = "rules.json"
VIEWS = "cnn_views"  # the mean of the network's probabilities over eight views of a particle
MAX_BYTES = 2**24  # limit of the file size
# Strength of the prior shift where nothing else is said. Of 0, 0.5 and 1, half had the highest macro F1 on both real
# sets (docs/real-data.md). The full shift is right only if a new sample has the class shares of the training particles.
DEFAULT_SHIFT = 0.5
Floats = NDArray[np.float64]
Number = Annotated[float, Field(allow_inf_nan=False)]


class FoldRule(Settings):
    """A decision rule in one fold (see ``decisions.Rule``); the models of ``of`` hold priors, label smoothing, floor.

    Attributes:
        of: classifiers whose probabilities are averaged.
        shift: strength of the prior shift.
        costs: shape (K, K).
        prior: prior to shift to, shape (K,); None: the natural prior of the fold.
        temperature: of a calibrated rule.
        bias: of a calibrated rule, shape (K,).
        offsets: of a tuned rule, shape (K,).
    """

    of: list[Name] = Field(min_length=1, max_length=100)
    shift: Share
    costs: list[list[Amount]]
    prior: list[Share] | None = None
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    bias: list[Number] | None = None
    offsets: list[Number] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        rows = [*self.costs, *(row for row in (self.prior, self.bias, self.offsets) if row is not None)]
        if any(len(row) != len(self.costs) for row in rows):
            raise ValueError("costs, prior, bias and offsets need a number for every class")
        if self.prior is not None and abs(sum(self.prior) - 1) > 1e-6:
            raise ValueError("a prior needs the sum 1")
        return self

    def rule(self, prior: Floats | None) -> tuple[Rule, Fit]:
        """The rule and what it fitted; ``prior`` takes the place of its own."""
        given = _array(self.prior) if prior is None else prior
        return Rule(self.shift, np.array(self.costs), given), Fit(
            self.temperature, _array(self.bias), _array(self.offsets)
        )


class Rules(Settings):
    """Content of rules.json.

    Attributes:
        format: version of this record.
        recommended: the classifier that ``lipnet predict`` uses by default.
        reason: why it is recommended, one sentence.
        views: whether the run has the classifier VIEWS.
        rules: name of a decision rule -> the rule in each fold.
        left_out: name of a classifier of the run that cannot be used -> reason.
    """

    format: Literal[1] = 1
    recommended: Name
    reason: Annotated[str, Field(max_length=2000)]
    views: bool
    rules: dict[Name, list[FoldRule]]
    left_out: dict[Name, Annotated[str, Field(max_length=2000)]]


@dataclass(frozen=True)
class Classifier:
    """A classifier that can predict: its models, and its decision rule.

    Attributes:
        name: of the classifier or rule.
        models: all models that it needs, by classifier and fold.
        rules: the rule in each fold; empty: it is a plain classifier.
        shift: strength of the prior shift of a plain classifier, unless the user gives another.
    """

    name: str
    models: list[Model]
    rules: list[FoldRule]
    shift: float

    @property
    def given(self) -> list[str]:
        """Features that the input must contain, because they cannot be measured."""
        items = [item for model in self.models for item in model.description.inputs.values()]
        return list(dict.fromkeys(name for item in items for name in getattr(item, "given", [])))

    @property
    def description(self) -> Description:
        """Description of the first model that takes an image, or of the first model."""
        with_image = [model for model in self.models if "image" in model.description.inputs]
        return (with_image or self.models)[0].description


def read(folder: Path) -> Rules | None:
    """Read rules.json of an exported folder; None if MODEL is a file, or a folder without rules.json.

    Raises:
        InputError: the file is damaged; the message names it.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES} bytes; export the run again")
    try:
        return Rules.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        where = "".join(f"{key}: " for key in fault["loc"])
        raise InputError(f"{path}: {where}{fault['msg']}; export the run again") from None


def read_classifier(path: Path, name: str | None) -> Classifier:
    """Read a classifier or decision rule.

    Args:
        path: an ONNX file, or a folder that ``lipnet export`` wrote.
        name: of the classifier; None: the recommended one; without rules.json the network, or the only classifier.

    Raises:
        InputError: a file is missing or damaged, the classifier is unknown or was left out, or models do not fit.
    """
    rules = read(path)
    if rules is None:
        models_of_one = read_models(path, name)
        return Classifier(models_of_one[0].description.classifier, models_of_one, [], DEFAULT_SHIFT)
    models = group(path)
    wanted = name or rules.recommended
    if rules.views and NETWORK in models:
        models[VIEWS] = [_with_views(model) for model in models[NETWORK]]
    if wanted in rules.left_out:
        raise InputError(f"{path}: '{wanted}' was not exported: {rules.left_out[wanted]}")
    if wanted in rules.rules:
        return _with_rule(path, wanted, rules.rules[wanted], models)
    if wanted not in models:
        raise unknown(path, [*sorted(models), *rules.rules])
    return Classifier(wanted, together(models[wanted]), [], 0.0)


def _with_views(model: Model) -> Model:
    return replace(model, description=model.description.model_copy(update={"classifier": VIEWS}), views=True)


def _with_rule(path: Path, name: str, rules: list[FoldRule], models: dict[str, list[Model]]) -> Classifier:
    names = list(dict.fromkeys(one for rule in rules for one in rule.of))
    missing = [one for one in names if one not in models]
    if missing:
        raise InputError(f"{path}: the rule '{name}' needs the models of {', '.join(missing)}; export the run again")
    used = [model for one in names for model in together(models[one])]
    first = used[0].description
    for model in used:
        said = model.description
        for key in ("problem", "classes", "measures", "micrographs"):
            if getattr(said, key) != getattr(first, key):
                raise InputError(f"{model.name} and {used[0].name} differ in {key}; export the run again")
    found = {(model.description.classifier, model.description.fold) for model in used}
    if found != {(one, fold) for one in names for fold in range(len(rules))}:
        raise InputError(f"{path}: the rule '{name}' needs one model of each of its classifiers in each fold")
    if any(len(rule.costs) != len(first.classes) for rule in rules):
        raise InputError(f"{path / FILE}: the rule '{name}' is not for {len(first.classes)} classes")
    return Classifier(name, used, rules, 0.0)


def check_options(classifier: Classifier, shift: float | None, deployment_prior: bool) -> None:
    """Check that --shift and --deployment-prior do not contradict a decision rule.

    Raises:
        InputError: they do; the message says how to go on.
    """
    name, rules = classifier.name, classifier.rules
    if rules and shift is not None:
        raise InputError(
            f"--shift contradicts the rule '{name}', which has its own shift; leave it out, or choose a classifier "
            "without a rule"
        )
    reasons = {
        "has its own deployment prior": any(rule.prior is not None for rule in rules),
        "was tuned for the class shares of the training particles": any(rule.offsets is not None for rule in rules),
        "shifts nothing": any(rule.shift == 0 for rule in rules),
    }
    found = [words for words, holds in reasons.items() if holds]
    if deployment_prior and found:
        raise InputError(
            f"--deployment-prior contradicts the rule '{name}', which {found[0]}; choose another classifier"
        )


def apply(
    probabilities: Floats, models: Sequence[Model], rules: Sequence[FoldRule], prior: Floats | None
) -> tuple[Floats, Floats]:
    """Apply the rule of each fold to the models of that fold.

    Args:
        probabilities: output of the models, shape (n_models, n, K).
        models: the models.
        rules: the rule in each fold.
        prior: class shares to shift to instead of the natural prior of each fold, shape (K,); None: as the rules say.

    Returns:
        Probabilities by fold, shape (n_folds, n, K), and costs by fold, shape (n_folds, K, K).
    """
    places = {(model.description.classifier, model.description.fold): at for at, model in enumerate(models)}
    outputs = []
    for fold, of_fold in enumerate(rules):
        own = [places[name, fold] for name in of_fold.of]
        posteriors = []
        for at in own:
            said, stated = models[at].description, probabilities[at]
            output = FoldOutput(stated.argmax(axis=1), stated, np.array(said.training_prior), said.label_smoothing)
            posteriors.append(posterior(output, said.floor))
        rule, fitted = of_fold.rule(prior)
        natural = np.array(models[own[0]].description.natural_prior)
        outputs.append(rule.apply_fit(posteriors, natural, fitted).probabilities)
    return np.stack(outputs), np.array([rule.costs for rule in rules])


def _array(values: list[float] | None) -> Floats | None:
    return None if values is None else np.array(values)
