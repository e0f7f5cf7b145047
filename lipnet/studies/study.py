"""Studies: named sets of arms, each a few settings changed, all trained on the same folds (thesis, sections 8, 9)."""

from itertools import permutations
from math import perm
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lipnet.core.errors import InputError
from lipnet.core.recipes import set_values, with_recipe
from lipnet.core.seeds import generator
from lipnet.core.settings import Settings
from lipnet.evaluation.measures import DEAD_FILTERS, HEADLINE_OF_CLASS, OVERALL, one_of

CLASSIFIER = "classifier"  # key of an arm: any classifier that the pipeline knows, or a row of decide.rules
RECIPE = "recipe"  # key of an arm, and of params.yaml
SEPARATOR = ", "  # between the items of an ordered subset, in the name of its arm
THREADS = "train_cnn.threads_per_fold"
Measure = Annotated[str, one_of((*OVERALL, DEAD_FILTERS))]
Arm = dict[str, Any]  # dotted keys of params.yaml -> value


class ScaleSettings(Settings):
    """One row of ``scales`` in studies/params.yaml.

    Attributes:
        settings: dotted keys of params.yaml -> value, for every arm of every study.
        subsets: how many arms of a study of ordered subsets to draw; None for all.
        problems: study -> fewer problems than it names.
    """

    settings: dict[str, Any]
    subsets: int | None = Field(ge=2)
    problems: dict[str, list[str]] = Field(default={})


class Choice(Settings):
    """What studies/params.yaml chooses: a scale, and problems for all studies in place of their own (None)."""

    scale: str
    problems: list[str] | None


class SubsetSettings(Settings):
    """Arms made by a rule: every ordered subset, but the empty one, of some items becomes the value of one key."""

    key: str
    items: list[str] = Field(min_length=1)


class StudySettings(Settings):
    """One row of ``studies`` in studies/params.yaml.

    Attributes:
        title: what is compared.
        thesis: sections, figures and tables of the thesis that it repeats; empty where there are none.
        problems: names of problems.
        settings: dotted keys of params.yaml -> value, for every arm of this study.
        arms: name -> what it changes; the key ``classifier`` names another one than the network.
        subsets: arms by rule, in place of ``arms``.
        only: arm -> problems, where an arm does not fit all.
        against: each arm is judged against the one before it (previous), the best one (best), or the arm so named.
        judged: overall measure that is judged.
        shown: overall measures of the table.
        of_class: measure per class, in the table and in the figure.
        figure: bars (grouped bars), ladder (lines over the arms), ranking (arms by the judged measure) or measures
            (all measures per class).
        confusion: draw the mean confusion matrices too.
    """

    title: str
    thesis: str
    problems: list[str] = Field(min_length=1)
    settings: dict[str, Any] = Field(default={})
    arms: dict[str, Arm] = Field(default={})
    subsets: SubsetSettings | None = None
    only: dict[str, list[str]] = Field(default={})
    against: str
    judged: Measure
    shown: list[Measure]
    of_class: Annotated[str, one_of(HEADLINE_OF_CLASS)]
    figure: Literal["bars", "ladder", "ranking", "measures"]
    confusion: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if bool(self.arms) == bool(self.subsets):
            raise ValueError("give it arms, or subsets, and not both")
        if self.subsets and self.confusion:
            raise ValueError("confusion goes with arms, not with subsets, which are too many")
        return self


def arms_of(name: str, study: StudySettings, problem: str, scale: ScaleSettings, seed: int) -> dict[str, Arm]:
    """The arms of a study that fit a problem, each with all that it changes: the scale's, the study's, its own.

    Raises:
        InputError: ``only`` or ``against`` name an arm that the study has not, or has not for this problem.
    """
    arms = study.arms if study.subsets is None else _ordered_subsets(study.subsets, scale.subsets, seed)
    fitting = {arm: changes for arm, changes in arms.items() if problem in study.only.get(arm, [problem])}
    reference = [] if study.against in {"previous", "best"} else [study.against]
    for named, known in ((study.only, arms), (reference, fitting)):
        unknown = [arm for arm in named if arm not in known]
        if unknown:
            raise InputError(f"studies.{name}: {problem} has no arm '{unknown[0]}'; it has: {', '.join(known)}")
    return {arm: {**scale.settings, **study.settings, **changes} for arm, changes in fitting.items()}


def count(subsets: SubsetSettings) -> int:
    """How many ordered subsets there are, the empty one left out: 325 of five items."""
    n = len(subsets.items)
    return sum(perm(n, length) for length in range(1, n + 1))


def _ordered_subsets(settings: SubsetSettings, n: int | None, seed: int) -> dict[str, Arm]:
    subsets = [
        list(order) for length in range(len(settings.items)) for order in permutations(settings.items, length + 1)
    ]
    if n is not None and n < len(subsets):
        drawn = generator("subsets", seed).choice(len(subsets), n, replace=False)
        subsets = [subsets[index] for index in sorted(drawn)]
    return {SEPARATOR.join(subset): {settings.key: subset} for subset in subsets}


def override(params: dict[str, Any], changes: Arm) -> dict[str, Any]:
    """A copy of params with the recipe of an arm and then the values of its dotted keys.

    ``classifier`` is no key of params and left out. An arm that names no recipe has that of params.

    Raises:
        InputError: there is no such key (the message offers the nearest spelling), or arms cannot change it.
    """
    if THREADS in changes:
        raise InputError(f"{THREADS} is that of the whole run; change it in params.yaml")
    named = {key: value for key, value in changes.items() if key == RECIPE}
    others = {key: value for key, value in changes.items() if key not in (RECIPE, CLASSIFIER)}
    return set_values(with_recipe(set_values(params, named)), others)
