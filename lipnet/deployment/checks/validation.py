"""Check all settings of params.yaml before anything runs, and report every fault at once."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from lipnet.classifiers.hog import HOG
from lipnet.classifiers.networks.settings import NETWORK, VIEWS, NetworkSettings, TrainingSettings, check_engine
from lipnet.classifiers.svm import SvmSettings
from lipnet.classifiers.training_sets import InnerSettings
from lipnet.classifiers.trees import TreeSettings
from lipnet.core.errors import InputError
from lipnet.core.problems import classes_of
from lipnet.core.recipes import with_recipe
from lipnet.core.settings import Settings, parse, pick, portable_of, seed_of, suggestion
from lipnet.evaluation import choices, decisions
from lipnet.evaluation.comparison import CompareSettings
from lipnet.evaluation.decisions import DecideSettings
from lipnet.evaluation.measures import OVERALL, PER_CLASS, check_class_names
from lipnet.evaluation.proportions.protocol import ProportionSettings
from lipnet.evaluation.score_tables import EvaluateSettings
from lipnet.samples import features, particles
from lipnet.samples.augment import AugmentSettings
from lipnet.samples.balance import BalanceSettings
from lipnet.samples.crops import CropSettings
from lipnet.samples.feature_names import NOT_FEATURES
from lipnet.samples.features import FeatureSettings
from lipnet.samples.folds import SplitSettings
from lipnet.samples.particles import Particle
from lipnet.sources.artificial.settings import CLASSES, class_shares, restrict
from lipnet.sources.reading import IngestSettings
from lipnet.sources.settings import SourceSettings, source_of

RECORDS: dict[str, type[Settings]] = {
    "source": SourceSettings,
    "ingest": IngestSettings,
    "features": FeatureSettings,
    "crop": CropSettings,
    "split": SplitSettings,
    "balance": BalanceSettings,
    "augment": AugmentSettings,
    "train_cnn": TrainingSettings,
    "train_svm": SvmSettings,
    "train_trees": TreeSettings,
    "inner": InnerSettings,
    "decide": DecideSettings,
    "evaluate": EvaluateSettings,
    "compare": CompareSettings,
    "proportions": ProportionSettings,
}
OTHERS = (
    "problems",
    "shared",
    "classes",
    "model",
    "recipe",
    "recipes",
    "seed",
    "portable",
    "networks",
)  # the keys without a record
DISC_PX = 24  # side of the image that shows which features are measured
Records = Mapping[str, Any]  # section -> its record; sections with faults are missing


class Faults:
    """Faults of params.yaml, each once, in the order in which they were found."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, message: str) -> None:
        """Add the lines of a message."""
        for line in message.split("\n"):
            text = line if line.startswith("params.yaml: ") else f"params.yaml: {line}"
            if text not in self.found:
                self.found.append(text)

    def of(self, check: Callable[..., Any], *arguments: Any) -> Any:
        """The result of a check; if it raises InputError, add its message and return None."""
        try:
            return check(*arguments)
        except InputError as error:
            self.add(str(error))
            return None

    def unknown(self, where: str, names: Iterable[str], known: Iterable[str], what: str) -> None:
        """Add a fault for each name that is not known."""
        for name in names:
            if name not in known:
                self.add(f"{where}: no {what} '{name}'{suggestion(str(name), [str(one) for one in known])}")


def validate(params: dict[str, Any]) -> None:
    """Check all settings.

    Args:
        params: params.yaml as it was read, without its recipe.

    Raises:
        InputError: something is wrong; the message names every fault, one per line.
    """
    faults = faults_of(params)
    if faults:
        head = "" if len(faults) == 1 else f"{len(faults)} faults\n"
        raise InputError(head + "\n".join(faults))


def faults_of(params: dict[str, Any]) -> list[str]:
    """All faults of params.yaml; see ``validate``."""
    faults = Faults()
    known = [*RECORDS, *OTHERS]
    for key in params:
        if key not in known:
            faults.add(f"unknown key '{key}'{suggestion(str(key), known)}")
    for key in known:
        faults.of(pick, params, key)
    changed = _with_all_recipes(params, faults)
    faults.of(seed_of, changed)
    portable = faults.of(portable_of, changed)
    classes = _classes(changed, faults)
    records = {
        name: record
        for name, settings_type in RECORDS.items()
        if name in changed and (record := faults.of(parse, settings_type, changed[name], name))
    }
    if portable and "train_cnn" in records and records["train_cnn"].precision == "bfloat16":
        faults.add("train_cnn.precision: bfloat16 depends on the processor; set portable: false, or float32")
    _check_networks(changed, records, faults)
    if "source" in records:
        _check_source(changed, records, classes, faults)
    _check_classifiers(records, classes, faults)
    return faults.found


def _with_all_recipes(params: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """The parameters with the active recipe; the keys of all others are checked too."""
    recipes, active = params.get("recipes"), params.get("recipe")
    changes = list(recipes.values()) if isinstance(recipes, dict) else [None]
    if not all(isinstance(one, dict) and all(isinstance(key, str) for key in one) for one in changes):
        faults.add("recipes must list named sets of changes, each a mapping of dotted keys to values")
        return params
    if not isinstance(active, str):
        faults.add("recipe must be the name of one of the recipes")
        return params
    for name in recipes or []:
        if name != active:
            faults.of(with_recipe, {**params, "recipe": name})
    return faults.of(with_recipe, params) or params


def _classes(params: dict[str, Any], faults: Faults) -> dict[str, list[str]]:
    """The classes of every problem whose classes are in order."""
    listed, problems = params.get("classes"), params.get("problems")
    if not isinstance(listed, dict):
        faults.add("classes must list the classes of each problem")
        return {}
    found: dict[str, list[str]] = {}
    for problem in map(str, listed):
        names = faults.of(classes_of, params, problem)
        if names:
            faults.of(check_class_names, problem, names)
            found[problem] = names
    if not isinstance(problems, list) or not problems or not all(isinstance(name, str) for name in problems):
        faults.add("problems: name at least one problem")
        return found
    for problem in problems:
        if problem not in listed:
            faults.of(classes_of, params, problem)
    if len(set(problems)) < len(problems):
        faults.add("problems: name every problem once")
    return found


def _check_networks(params: dict[str, Any], records: Records, faults: Faults) -> None:
    rows = params.get("networks")
    if not isinstance(rows, dict):
        faults.add("networks must be a table of networks")
        return
    parsed = {name: faults.of(parse, NetworkSettings, row, f"networks.{name}") for name, row in rows.items()}
    model = str(params.get("model"))
    faults.unknown("model", [model] if "model" in params else [], list(rows), "network")
    active, crop, training = parsed.get(model), records.get("crop"), records.get("train_cnn")
    if active and crop and active.size_px not in crop.sizes_px:
        faults.add(f"crop.sizes_px: {model} needs crops of {active.size_px} px; add {active.size_px} there")
    if active and training:
        faults.of(check_engine, active, training)


def _check_source(params: dict[str, Any], records: Records, classes: dict[str, list[str]], faults: Faults) -> None:
    source, chosen = records["source"], params.get("problems")
    problems = [name for name in classes if isinstance(chosen, list) and name in chosen]
    _check_shared(params, source, problems, classes, faults)
    for problem in problems:
        if source_of(params, problem).kind == "artificial":
            drawn = faults.of(restrict, source.artificial, problem, classes[problem])
            if drawn:
                faults.of(class_shares, problem, drawn)
    balance = records.get("balance")
    if balance and balance.method in {"artificial", "artificial_only"}:
        faults.unknown(f"balance.method {balance.method}", problems, CLASSES, "generator of")
    if "features" in records:
        known = feature_names([*measured_columns(records["features"]), *source.feature_columns])
        for where, names in features_used(records).items():
            faults.unknown(where, names, known, "feature")


def _check_shared(
    params: dict[str, Any], source: SourceSettings, problems: list[str], classes: dict[str, list[str]], faults: Faults
) -> None:
    """Check the rows of source.of, and that `shared` lists the folders that they name."""
    shared = params.get("shared")
    if not isinstance(shared, list) or not all(isinstance(name, str) for name in shared):
        faults.add("shared must be a list of folders; [] for none")
        return
    faults.unknown("source.of", source.of, list(classes), "problem")
    used = {problem: images for problem in source.of if (images := source.shared_by(problem))}
    for problem, images in used.items():
        if source_of(params, problem).kind != "table":
            faults.add(f"source.of.{problem}.images_of: only images of kind table can be shared; set kind: table")
        if problem in problems and images not in shared:
            faults.add(f"shared: add {images}, whose images {problem} uses (source.of.{problem}.images_of)")
    for name in shared:
        if name not in used.values():
            faults.add(f"shared: no problem uses {name}; remove it, or name it in source.of.PROBLEM.images_of")


def measured_columns(measures: FeatureSettings) -> list[str]:
    """Columns that ingest measures, in px."""
    y, x = np.mgrid[:DISC_PX, :DISC_PX] - DISC_PX / 2 + 0.5
    disc = Particle("disc", "", "", np.where(x > 0, 90, 120).astype(np.uint8), x**2 + y**2 < (DISC_PX / 3) ** 2)
    columns = [*particles.describe([disc]), *features.measure_all(particles.pack([disc]), measures)]
    return [name for name in columns if name not in NOT_FEATURES]


def feature_names(columns: Iterable[str]) -> list[str]:
    """All names that select columns in params.yaml, the shortest name of each column first.

    A name is a column, or its beginning up to a "_".
    """
    cut = [
        ["_".join(words[:end]) for end in range(1, len(words) + 1)] for words in (name.split("_") for name in columns)
    ]
    return sorted({name for names in cut for name in names}, key=lambda name: (len(name), name))


def features_used(records: Records) -> dict[str, list[str]]:
    """The feature names of each classifier, by their place in params.yaml."""
    network, svm, trees = (records.get(name) for name in ("train_cnn", "train_svm", "train_trees"))
    found: dict[str, list[str]] = {}
    if network:
        found["train_cnn.join.features"] = network.join.features
        found |= {f"train_cnn.heads.svms.{name}": names for name, names in network.heads.svms.items()}
    if svm:
        found |= {f"train_svm.features.{name}": names for name, names in svm.features.items()}
    if trees:
        found |= {f"train_trees.models.{name}.features": row.features for name, row in trees.models.items()}
    return found


def _check_classifiers(records: Records, classes: dict[str, list[str]], faults: Faults) -> None:
    """Check the names of classifiers, rules and choices wherever they are used."""
    network, svm, trees, decide = (records.get(name) for name in ("train_cnn", "train_svm", "train_trees", "decide"))
    if not (network and svm and trees and decide):  # the names are not known
        return
    of_network = [NETWORK, *([VIEWS] if network.views else []), *network.heads.svms]
    trained = [*of_network, *svm.features, *trees.models]
    rules = [*decide.rules, *decide.choices]
    every = [*trained, *rules]
    for name in dict.fromkeys(every):
        if every.count(name) > 1:
            faults.add(f"two classifiers or rules are called {name}; rename one")
    inner, compare = records.get("inner"), records.get("compare")
    if inner:
        faults.unknown("inner.classifiers", inner.classifiers, [*trained, HOG], "classifier")
    if compare:
        faults.unknown("compare.reference", [compare.reference], every, "classifier")
        faults.unknown("compare.classifiers", compare.classifiers or [], every, "classifier")
        faults.unknown("compare.primary", compare.primary, [*OVERALL, *PER_CLASS], "measure")
        if not set(compare.primary) & set(OVERALL):
            faults.add(f"compare.primary: name at least one of {', '.join(OVERALL)}; it ranks the classifiers")
    faults.of(decisions.check_problems, decide, classes)
    for name, row in decide.rules.items():
        faults.unknown(f"decide.rules.{name}.of", row.of, trained, "classifier")
    for name, choice in decide.choices.items():
        faults.unknown(f"decide.choices.{name}.of", choice.of, [*trained, *decide.rules], "classifier or rule")
    for name in rules:
        for problem, of_problem in classes.items():
            selection = faults.of(choices.selection_of, decide, name, problem, of_problem)
            if selection and selection.fitted and inner:
                _check_fitted(name, selection, inner, trained, faults)


def _check_fitted(
    name: str, selection: choices.Selection, inner: InnerSettings, trained: list[str], faults: Faults
) -> None:
    lacking = [one for one in selection.of if one in trained and one not in inner.classifiers]
    if lacking:
        faults.add(f"decide: {name} is fitted on inner scores; add {', '.join(lacking)} to inner.classifiers")
