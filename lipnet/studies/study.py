"""Studies (ablations): named sets of arms, all trained on the same folds (thesis, sections 8 and 9).

An arm changes a few settings of params.yaml.
"""

from itertools import permutations
from math import perm
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lipnet.core.errors import InputError
from lipnet.core.recipes import set_values, with_recipe
from lipnet.core.seeds import generator
from lipnet.core.settings import Settings
from lipnet.evaluation.measures import DEAD_FILTERS, HEADLINE_OF_CLASS, OVERALL, one_of

CLASSIFIER = "classifier"  # key of an arm: a classifier of the pipeline, or a row of decide.rules or decide.choices
RECIPE = "recipe"  # key of an arm, and of params.yaml
SEPARATOR = ", "  # between the items of an ordered subset, in the name of its arm
THREADS = "train_cnn.threads_per_fold"
Measure = Annotated[str, one_of((*OVERALL, DEAD_FILTERS))]
Arm = dict[str, Any]  # dotted keys of params.yaml -> value


class ScaleSettings(Settings):
    """One row of ``scales`` in studies/params.yaml.

    Attributes:
        settings: dotted keys of params.yaml -> value, for every arm of every study.
        subsets: number of arms to draw in a study of ordered subsets; None for all.
        problems: study -> problems to use instead of its own.
        studies: study -> dotted keys of params.yaml -> value, for every arm of this study.
        arms: study -> names of the arms to run, to save time; all arms of studies that are not named.
    """

    settings: dict[str, Any]
    subsets: int | None = Field(ge=2)
    problems: dict[str, list[str]] = Field(default={})
    studies: dict[str, dict[str, Any]] = Field(default={})
    arms: dict[str, list[str]] = Field(default={})

    def changes(self, study: str) -> dict[str, Any]:
        """What this scale changes in every arm of a study."""
        return {**self.settings, **self.studies.get(study, {})}


class Choice(Settings):
    """The keys portable, scale, problems and of_problems of studies/params.yaml.

    Attributes:
        portable: as in params.yaml, for studies (``kernels``).
        scale: name of a row of ``scales``.
        problems: problems of all studies; None: each study names its own.
        of_problems: problem -> dotted keys of params.yaml -> value, for every arm of every study.
    """

    portable: bool
    scale: str
    problems: list[str] | None
    of_problems: dict[str, dict[str, Any]]


class SubsetSettings(Settings):
    """Arms from ordered subsets: each non-empty ordered subset of the items is the value of the key in one arm."""

    key: str
    items: list[str] = Field(min_length=1)


class StudySettings(Settings):
    """One row of ``studies`` in studies/params.yaml.

    Attributes:
        title: what is compared.
        thesis: sections, figures and tables of the thesis that the study reproduces; may be empty.
        problems: names of problems.
        settings: dotted keys of params.yaml -> value, for every arm of this study.
        arms: name -> dotted keys of params.yaml with their values; the key ``classifier`` replaces the network by
            another classifier.
        subsets: arms from ordered subsets, instead of ``arms``.
        only: arm -> problems, for arms that do not apply to all problems.
        against: reference of each arm: the arm before it (previous), the best arm (best), or the arm of that name.
        judged: overall measure that is tested.
        shown: overall measures in the table.
        of_class: measure of each class, in the table and in the figure.
        figure: bars (grouped bars), ladder (lines over the arms), ranking (arms by the judged measure) or measures
            (all measures of each class).
        confusion: whether to draw the mean confusion matrices.
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
            raise ValueError("a study needs either arms or subsets, not both")
        if self.subsets and self.confusion:
            raise ValueError("confusion is for arms only; there are too many subsets")
        return self


def arms_of(
    name: str, study: StudySettings, problem: str, scale: ScaleSettings, of_problem: Arm, seed: int
) -> dict[str, Arm]:
    """The arms of a study for one problem, each with all its changes.

    They are those of the scale, of the study, of the problem, and its own; the last one wins.

    Args:
        name: of the study, for messages.
        study: its settings.
        problem: name of the problem.
        scale: the chosen scale.
        of_problem: dotted keys of params.yaml that this problem changes.
        seed: seed of the run, for drawing ordered subsets.

    Raises:
        InputError: ``only``, ``against`` or the scale name an arm that does not exist in the study or for this problem.
    """
    arms = study.arms if study.subsets is None else _ordered_subsets(study.subsets, scale.subsets, seed)
    wanted = scale.arms.get(name, list(arms))
    fitting = {
        arm: changes for arm, changes in arms.items() if arm in wanted and problem in study.only.get(arm, [problem])
    }
    reference = [] if study.against in {"previous", "best"} else [study.against]
    for named, known in ((study.only, arms), (wanted, arms), (reference, fitting)):
        unknown = [arm for arm in named if arm not in known]
        if unknown:
            raise InputError(f"studies.{name}: {problem} has no arm '{unknown[0]}'; it has: {', '.join(known)}")
    shared = {**scale.changes(name), **study.settings, **of_problem}
    return {arm: {**shared, **changes} for arm, changes in fitting.items()}


def count(subsets: SubsetSettings) -> int:
    """Number of non-empty ordered subsets; 325 for five items."""
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
    """A copy of params with the recipe of an arm applied first, then its dotted keys.

    An arm without a recipe uses the recipe of params. The key ``classifier`` does not belong to params and is ignored.

    Raises:
        InputError: a key does not exist (the message offers the nearest spelling), or arms must not change it.
    """
    if THREADS in changes:
        raise InputError(f"{THREADS} is the same for the whole run; change it in params.yaml")
    named = {key: value for key, value in changes.items() if key == RECIPE}
    others = {key: value for key, value in changes.items() if key not in (RECIPE, CLASSIFIER)}
    return set_values(with_recipe(set_values(params, named)), others)
