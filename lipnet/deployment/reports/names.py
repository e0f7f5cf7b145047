"""What the names of classifiers and decision rules mean, in words, from the settings of the run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lipnet.core import files
from lipnet.core.settings import parse, pick
from lipnet.deployment.model_files import NETWORK
from lipnet.deployment.recommendation import checks_of
from lipnet.deployment.rules import VIEWS
from lipnet.deployment.runs import PipelineRun
from lipnet.evaluation.decisions import ChoiceSettings, DecideSettings, RuleSettings
from lipnet.evaluation.measures import LOWER_IS_BETTER, plain_words

UNKNOWN = "The settings of the run do not describe it."
MODES = {  # crop.mode
    "surrounding": "crops with their surrounding",
    "cropped": "crops of the bounding box",
    "masked": "crops that are black outside the mask",
    "both": "crops of the bounding box, once with and once without the pixels outside the mask",
}
TREES = {"boosted": "Boosted trees", "forest": "A random forest"}  # train_trees.models.NAME.kind
UNITS = {"px": " (px)", "nm": " (nm)", "nm2": " (nm²)"}  # last part of the name of a feature


def listed(names: Sequence[str]) -> str:
    """Names as a list in a sentence: ``a, b and c``."""
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])


def meanings(run: PipelineRun, names: Iterable[str]) -> dict[str, str]:
    """A few sentences on each classifier, decision rule and choice, by name.

    Raises:
        InputError: settings or the table of choices are damaged; the message names the section or the file.
    """
    decide = parse(DecideSettings, pick(run.params, "decide"), "decide")
    return {name: _meaning(run, decide, name) for name in names}


def _meaning(run: PipelineRun, decide: DecideSettings, name: str) -> str:
    svms, trees = pick(run.params, "train_svm"), pick(run.params, "train_trees")
    heads = pick(run.params, "train_cnn", "heads", "svms")
    if name == NETWORK:
        return _network(run.params)
    if name == VIEWS:
        return f"The mean of the probabilities of {NETWORK} over eight views of each particle: rotated and mirrored."
    if name in heads:
        joined = f" and on {_features(heads[name])}" if heads[name] else ""
        return f"A support vector machine on the input of the network's last layer{joined}."
    if name in svms["features"]:
        text = f"A support vector machine on {_features(svms['features'][name])}."
        return text + _weights(svms) + _check(run, name)
    if name in trees["models"]:
        row = trees["models"][name]
        return f"{TREES[row['kind']]} on {_features(row['features'])}.{_weights(trees)}{_check(run, name)}"
    if name in decide.rules:
        return _rule(decide.rules[name], run.problem, run.classes)
    return _choice(run, decide.choices[name], name) if name in decide.choices else UNKNOWN


def _network(params: dict[str, Any]) -> str:
    name, training = pick(params, "model"), pick(params, "train_cnn")
    side, method = pick(params, "networks", name)["size_px"], pick(params, "balance", "method")
    joined, averaged = training["join"]["features"], training["average_epochs"]
    balanced = f"balanced classes (balance.method: {method}), so it predicts rare classes too often"
    return (
        f"The network {name} on {MODES[pick(params, 'crop', 'mode')]}, {side} x {side} px"
        f"{f', and on {_features(joined)}' if joined else ''}; it predicts its most probable class. It is trained on "
        f"{'classes at their natural shares' if method == 'none' else balanced}."
        f"{f' Its weights are the mean over the last {averaged} epochs.' if averaged else ''}"
    )


def _features(names: Sequence[str]) -> str:
    return listed([_feature(name) for name in names])


def _feature(name: str) -> str:
    start, _, unit = name.rpartition("_")
    return (f"{start}{UNITS[unit]}" if unit in UNITS else name).replace("_", " ")


def _weights(section: Mapping[str, Any]) -> str:
    return " Rare classes have a larger weight in training." if section["class_weights"] else ""


def _check(run: PipelineRun, name: str) -> str:
    return " It shows how much size alone reveals: a check of the data." if name in checks_of(run) else ""


def _rule(row: RuleSettings, problem: str, classes: Sequence[str]) -> str:
    of = listed(row.of)
    source = f"The probabilities of {of}" if len(row.of) == 1 else f"The mean of the probabilities of {of}"
    fitted = [
        *(["a temperature and a bias of each class"] if row.calibrated else []),
        *(["an offset of each class for the best macro F1" + _recall(row, problem)] if row.tuned else []),
    ]
    return (
        f"{source} {_shift(row, problem)}."
        f"{f' Fitted on inner folds of the training particles: {listed(fitted)}.' if fitted else ''}"
        f"{_costs(row, problem, classes)}"
    )


def _shift(row: RuleSettings, problem: str) -> str:
    shares = (row.deployment_prior or {}).get(problem)
    goal = "the class shares of the training particles, as in nature"
    if shares:
        total = sum(shares.values()) or 1.0
        goal = f"the expected class shares ({listed([f'{name} {n / total:.1%}' for name, n in shares.items()])})"
    if row.shift == 0:
        return "without a prior shift"
    if row.shift == 1:
        return f"after the full prior shift: for {goal}"
    part = "half of the prior shift" if row.shift == 0.5 else f"a prior shift of strength {row.shift:g}"
    return f"after {part}: between the class shares of the training set of {row.of[0]} and {goal}"


def _recall(row: RuleSettings, problem: str) -> str:
    wanted = (row.recall or {}).get(problem, {})
    return f" with a recall of {listed([f'{least:g} of {name}' for name, least in wanted.items()])}" if wanted else ""


def _costs(row: RuleSettings, problem: str, classes: Sequence[str]) -> str:
    costs = (row.costs or {}).get(problem, {})
    named = [
        f"{cost:g} for {true} predicted as {predicted}"
        for true, of_true in costs.items()
        for predicted, cost in of_true.items()
    ]
    if not named:
        return ""
    others = "" if len(named) == len(classes) * (len(classes) - 1) else "; 1 for any other error"
    return f" It predicts the class of least expected cost: {listed(named)}{others}."


def _choice(run: PipelineRun, row: ChoiceSettings, name: str) -> str:
    path = run.root / f"metrics/choices/{run.problem}.csv"
    table = files.read_table(path)
    chosen = table.loc[(table["choice"] == name) & (table["chosen"] == 1), "candidate"].tolist()
    counts = [f"{one} in {chosen.count(one)} of {len(chosen)} folds" for one in row.of if one in chosen]
    found = f" Chosen: {listed(counts)}." if counts else ""
    best = "lowest" if row.by in LOWER_IS_BETTER else "best"
    return (
        f"In every fold the one of {listed(row.of)} with the {best} {plain_words(row.by)} on inner folds of the "
        f"training particles.{found}"
    )
