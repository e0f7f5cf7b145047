"""The classifiers of a run that can be exported, and the one that is recommended."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, pick
from lipnet.deployment.model_files import NETWORK
from lipnet.deployment.rules import DEFAULT_SHIFT, VIEWS, FoldRule, Rules
from lipnet.deployment.runs import PipelineRun
from lipnet.evaluation import choices, inner_scores
from lipnet.evaluation.choices import Selection
from lipnet.evaluation.comparison import CompareSettings, rank
from lipnet.evaluation.decisions import DecideSettings, Fit

LEADING = "macro_f1"
# Simplest first: what a classifier needs for a prediction.
KINDS = ("an SVM", "trees", "the network", "a fitted decision rule", "a mean of several")
SVM, TREES, NET, RULE, SEVERAL = range(len(KINDS))
SIZE = {"height_px", "width_px"}  # a classifier of these features only is a check of the data


class Recommendation(NamedTuple):
    """The recommended classifier, and one sentence that says why."""

    classifier: str
    reason: str


def kinds_of(run: PipelineRun) -> dict[str, int]:
    """Index in KINDS of every classifier, rule and choice that can be exported, by name; see ``left_out``."""
    settings, kinds = _decide(run), {NETWORK: NET}
    kinds |= {VIEWS: SEVERAL} if pick(run.params, "train_cnn", "views") else {}
    kinds |= dict.fromkeys(pick(run.params, "train_svm", "features"), SVM)
    kinds |= dict.fromkeys(pick(run.params, "train_trees", "models"), TREES)
    for name, row in settings.rules.items():
        fitted = row.calibrated or row.tuned
        # A rule without a fit adds nothing to its classifier that could go wrong.
        kinds[name] = SEVERAL if len(row.of) > 1 else max(kinds.get(row.of[0], RULE), RULE if fitted else SVM)
    kinds |= dict.fromkeys(settings.choices, SEVERAL)
    return {name: kind for name, kind in kinds.items() if name not in left_out(run)}


def left_out(run: PipelineRun) -> dict[str, str]:
    """Classifiers of the run that cannot be exported, with the reason."""
    settings, heads = _decide(run), list(pick(run.params, "train_cnn", "heads", "svms"))
    found = dict.fromkeys(heads, "the run does not keep SVMs on the embedding of the network (train_cnn.heads)")
    for name in [*settings.rules, *settings.choices]:
        selection = _selection(run, settings, name)
        of_heads = [one for one in selection.of if one in heads]
        unscored = [one for one in selection.of if not _scores(run, one)] if selection.fitted else []
        if of_heads:
            found[name] = f"it uses {', '.join(of_heads)}, which is not exported"
        elif unscored:
            found[name] = f"it is fitted on inner scores of {', '.join(unscored)}, which the run does not have"
    return found


def rules_of(run: PipelineRun, scores: pd.DataFrame) -> Rules:
    """Content of rules.json.

    Args:
        run: the finished run.
        scores: every measure in every fold, see ``runs.read_scores``.

    Raises:
        InputError: a file of the run is missing or damaged.
    """
    recommended, settings, kinds = recommend(run, scores), _decide(run), kinds_of(run)
    names = [name for name in [*settings.rules, *settings.choices] if name in kinds]
    return Rules(
        recommended=recommended.classifier,
        reason=recommended.reason,
        views=VIEWS in kinds,
        rules={name: _by_fold(run, _selection(run, settings, name), name) for name in names},
        left_out=left_out(run),
    )


def _by_fold(run: PipelineRun, selection: Selection, name: str) -> list[FoldRule]:
    tables = {one: files.read_table(_scores(run, one)[0]) for one in selection.of} if selection.fitted else {}
    candidates = _chosen(run, name) if len(selection.candidates) > 1 else [name] * len(run.folds)
    floor, rules = _decide(run).floor, []
    for fold, chosen in zip(run.folds, candidates, strict=True):
        of, rule = selection.candidates[chosen]
        if rule is None:  # the classifier's most probable class
            rules.append(FoldRule(of=of, shift=0.0, costs=(1 - np.eye(len(run.classes))).tolist()))
            continue
        fitted = Fit()
        if rule.fitted:
            inner = inner_scores.of_fold([tables[one] for one in of], fold.number, run.classes, floor)
            fitted = rule.fit(_prior(run, of[0], fold.number), run.natural_priors[fold.number], inner)
        rules.append(
            FoldRule(
                of=of,
                shift=rule.shift,
                costs=rule.costs.tolist(),
                prior=_listed(rule.prior),
                temperature=fitted.temperature,
                bias=_listed(fitted.bias),
                offsets=_listed(fitted.offsets),
            )
        )
    return rules


def _listed(values: NDArray[np.float64] | None) -> list[float] | None:
    return None if values is None else values.tolist()


def _chosen(run: PipelineRun, choice: str) -> list[str]:
    """The candidate that a choice selected in each fold."""
    path = run.root / f"metrics/choices/{run.problem}.csv"
    table = files.read_table(path)
    own = table[(table["choice"] == choice) & (table["chosen"] == 1)].set_index(["repeat", "fold"])["candidate"]
    places = [(fold.repeat, fold.fold) for fold in run.folds]
    if sorted(own.index) != sorted(places):
        raise InputError(f"{path}: '{choice}' is not chosen once in every fold; run `dvc repro`")
    return [str(own[place]) for place in places]


def _prior(run: PipelineRun, classifier: str, fold: int) -> NDArray[np.float64]:
    return (run.training_priors if classifier in (NETWORK, VIEWS) else run.natural_priors)[fold]


def _decide(run: PipelineRun) -> DecideSettings:
    return parse(DecideSettings, pick(run.params, "decide"), "decide")


def _selection(run: PipelineRun, settings: DecideSettings, name: str) -> Selection:
    return choices.selection_of(settings, name, run.problem, run.classes)


def _scores(run: PipelineRun, classifier: str) -> list[Any]:
    return sorted((run.root / f"data/inner/{run.problem}").rglob(f"{classifier}.csv"))


def checks_of(run: PipelineRun) -> set[str]:
    """Classifiers whose only features are height and width: they show how much size reveals, and are no candidates."""
    features = dict(pick(run.params, "train_svm", "features"))
    features |= {name: row["features"] for name, row in pick(run.params, "train_trees", "models").items()}
    return {name for name, names in features.items() if set(names) <= SIZE}


def recommend(run: PipelineRun, scores: pd.DataFrame) -> Recommendation:
    """Name the classifier to use: the best by macro F1, or a simpler one that is not shown to differ from it.

    A simpler classifier (KINDS) is recommended if the ranking of stage compare shows no difference from the best, and
    if its mean lies in the corrected interval of the best. The second condition is needed because a few folds seldom
    show any difference. In the same way, a rule that shifts the prior by at most DEFAULT_SHIFT is recommended before
    one that shifts further, because test folds have the class shares of the training particles and a new sample may
    not.

    Args:
        run: the finished run.
        scores: every measure in every fold, see ``runs.read_scores``.

    Raises:
        InputError: no classifier of the run can be recommended.
    """
    kinds, checks = kinds_of(run), checks_of(run)
    candidates = [name for name in dict.fromkeys(scores["classifier"]) if name in kinds and name not in checks]
    if not candidates:
        raise InputError(
            f"metrics/per_fold.csv: no classifier of '{run.problem}' that can be exported; run `dvc repro`"
        )
    settings = parse(CompareSettings, pick(run.params, "compare"), "compare")
    ranks = _ranks(scores, settings, candidates)
    if ranks["classifier"].iloc[0] not in candidates:  # a check, or one without a model, leads
        ranks = _ranks(scores[scores["classifier"].isin(candidates)], settings, candidates)
    best = ranks.iloc[0]
    close = ranks[ranks["joined"] & (ranks["mean"] >= best["low"]) & ranks["classifier"].isin(candidates)]
    further = _relying_on_shares(run)
    order = {one: (kinds[one], one in further) for one in candidates}
    # The best comes first and ranks are sorted, so the better one of two equal classifiers is named.
    name = min([str(best["classifier"]), *close["classifier"]], key=lambda one: order[one])
    of_candidates = ranks[ranks["classifier"].isin(candidates)]
    return Recommendation(name, _reason(name, kinds, of_candidates, settings.confidence))


def _relying_on_shares(run: PipelineRun) -> set[str]:
    """Rules that shift the prior further than DEFAULT_SHIFT to the class shares of the training particles."""
    rows = _decide(run).rules
    own = {name for name, row in rows.items() if run.problem in (row.deployment_prior or {})}
    return {name for name, row in rows.items() if row.shift > DEFAULT_SHIFT} - own


def _ranks(scores: pd.DataFrame, settings: CompareSettings, candidates: Sequence[str]) -> pd.DataFrame:
    """The ranking of all classifiers by macro F1."""
    primary = list(dict.fromkeys([*settings.primary, LEADING]))
    everyone = {"reference": candidates[0], "classifiers": None, "primary": primary}
    ranks = rank(scores, settings.model_copy(update=everyone))
    return ranks[ranks["measure"] == LEADING].reset_index(drop=True)


def _reason(name: str, kinds: dict[str, int], ranks: pd.DataFrame, confidence: float) -> str:
    best, own = ranks.iloc[0], ranks[ranks["classifier"] == name].iloc[0]
    interval = f"{confidence:.0%} interval {best['low']:.3f} to {min(best['high'], 1):.3f}"
    if not np.isfinite(best["low"]):
        interval = "too few folds for an interval"
    start = f"The recommended classifier is {name} ({KINDS[kinds[name]]}): "
    if name == best["classifier"]:
        simpler = ranks[ranks["classifier"].map(kinds) < kinds[name]]
        means = ", ".join(f"{row['classifier']} {row['mean']:.3f}" for _, row in simpler.iterrows())
        why = f"The means of simpler classifiers are below this interval, or shown to be worse: {means}."
        return f"{start}its macro F1 of {best['mean']:.3f} ({interval}) is the best. " + (
            why if means else "None is simpler."
        )
    why = "it is simpler than"
    if kinds[name] == kinds[best["classifier"]]:
        why = "it relies less on the class shares of the training particles than"
    return (
        f"{start}{why} the best by macro F1, {best['classifier']} with {best['mean']:.3f} ({interval}); "
        f"its macro F1 of {own['mean']:.3f} is inside this interval, and no difference is shown."
    )
