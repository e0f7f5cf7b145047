"""The card of an exported run: models, training data, settings, measures and limits."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lipnet.core.settings import pick
from lipnet.deployment.model_files import NETWORK
from lipnet.deployment.rules import VIEWS, FoldRule, Rules
from lipnet.deployment.runs import PipelineRun
from lipnet.evaluation import measures
from lipnet.evaluation.formatting import markdown_table, mean_with_sd, nanometres
from lipnet.evaluation.posteriors import shift_prior
from lipnet.sources.formats.grey_levels import in_words
from lipnet.sources.settings import source_of

SECTIONS = (
    "seed",
    "source",
    "crop",
    "split",
    "balance",
    "augment",
    "train_cnn",
    "train_svm",
    "train_trees",
    "features",
    "decide",
)
NONE_OF_CLASS = {"particles": 0, "groups": 0}  # counts of a class that has no particles


def card_of(run: PipelineRun, files: list[str], rules: Rules) -> dict[str, Any]:
    """Content of the card, ready for JSON.

    Args:
        run: the exported run.
        files: names of the model files.
        rules: content of rules.json.
    """
    architecture = pick(run.params, "model")
    return {
        "problem": run.problem,
        "classes": run.classes,
        "architecture": architecture,
        "files": files,
        "recommended": {"classifier": rules.recommended, "reason": rules.reason},
        "class_shares": assumed_shares(run, rules),
        "rules": list(rules.rules),
        "left_out": rules.left_out,
        "data": run.counts,
        "grey_levels": in_words(source_of(run.params, run.problem).grey),
        "settings": {
            "network": pick(run.params, "networks", architecture),
            **{name: run.params[name] for name in SECTIONS if name in run.params},
        },
        "metrics": run.metrics,
        "provenance": run.provenance.model_dump(),
        "limits": limits_of(run),
        "changed_since_run": list(run.changed),
    }


def assumed_shares(run: PipelineRun, rules: Rules) -> str:
    """For which class shares of a new sample the recommended classifier is right, in words.

    A network that was trained on balanced classes is right for balanced samples. A rule shifts it towards other shares,
    SVMs and trees have the shares of the training particles.
    """
    name = rules.recommended
    plain = FoldRule(of=[name], shift=0.0, costs=(1 - np.eye(len(run.classes))).tolist())
    of_folds = rules.rules.get(name, [plain] * len(run.folds))
    shares = []
    for rule, balanced, natural in zip(of_folds, run.training_priors, run.natural_priors, strict=True):
        wanted = natural if rule.prior is None else np.array(rule.prior)
        for one in rule.of:
            given = balanced if one in (NETWORK, VIEWS) else natural
            shares.append(shift_prior(given[None], given, wanted, rule.shift)[0])
    rightly, training = (
        ", ".join(f"{name} {share:.0%}" for name, share in zip(run.classes, np.mean(rows, axis=0), strict=True))
        for rows in (shares, run.natural_priors)
    )
    return (
        f"{name} is right for new samples with about these class shares: {rightly}. The training particles have "
        f"{training}. If you expect other shares, use a classifier that shifts, and give them with --deployment-prior."
    )


def limits_of(run: PipelineRun) -> list[str]:
    """Limits of the models of a run, one sentence or two each."""
    sizes_nm = run.table["pixel_size_nm"].dropna()
    pixels = f"{nanometres(sizes_nm.min(), sizes_nm.max())} across" if len(sizes_nm) else "of unknown size"
    limits = [
        "Every particle gets one of the classes above, even if it belongs to none of them. `lipnet predict` gives each "
        "an outlier score, and says so if the particles are unlike the training particles.",
        "The measures are of single models on particles that they were not trained on. `lipnet predict` uses the mean "
        "of the models of all folds, which was not measured.",
        "The standard deviation over folds is too small, because the models of the folds share most of their training "
        "particles.",
        f"Pixels of the training particles were {pixels}; images are not resampled to another pixel size.",
        "Other microscopes, defocus values, stains and methods of particle picking were not tested: check the models "
        "on some of your own particles.",
    ]
    if source_of(run.params, run.problem).kind == "artificial":
        limits.insert(0, "Trained on artificial particles only: the performance on real particles is unknown.")
    return limits


def to_markdown(card: dict[str, Any]) -> str:
    """The card as a page of Markdown."""
    return "\n".join([*_heading(card), *_data(card), *_measures(card), *_limits(card), *_origin(card)])


def mean_and_sd(measure: Mapping[str, float | None]) -> str:
    """Mean and standard deviation of a measure over folds as text, from a record of ``metrics.summary``."""
    return mean_with_sd(measure["mean"], measure["sd"])


def _heading(card: dict[str, Any]) -> list[str]:
    changed = card["changed_since_run"]
    return [
        f"# {card['problem']}: {card['architecture']}, SVMs and trees",
        "",
        *([f"**Out of date.** Changed since the models were trained: {'; '.join(changed)}.", ""] if changed else []),
        f"Classes: {', '.join(card['classes'])}. Use: `lipnet predict FOLDER INPUT --to out.csv`.",
        "",
        f"{card['recommended']['reason']} `lipnet predict` uses it unless `--classifier NAME` selects another one.",
        "",
        card["class_shares"],
        "",
        *(f"- not exported: {name}: {reason}" for name, reason in card["left_out"].items()),
        *([""] if card["left_out"] else []),
    ]


def _data(card: dict[str, Any]) -> list[str]:
    counts = card["data"]
    of_classes = [(name, counts["classes"].get(name, NONE_OF_CLASS)) for name in card["classes"]]
    rows = [[name, str(of_class["particles"]), str(of_class["groups"])] for name, of_class in of_classes]
    return [
        "## Data",
        "",
        f"{counts['particles']} particles in {counts['groups']} groups. {card['grey_levels']}",
        "",
        *markdown_table(["class", "particles", "groups"], rows),
        "",
    ]


def _measures(card: dict[str, Any]) -> list[str]:
    overall, of_class = measures.HEADLINE_OVERALL, measures.HEADLINE_OF_CLASS
    rows = [[name, *(mean_and_sd(scores[key]) for key in overall)] for name, scores in card["metrics"].items()]
    rows_of_classes = [
        [name, label, *(mean_and_sd(scores[label][key]) for key in of_class)]
        for name, scores in card["metrics"].items()
        for label in card["classes"]
    ]
    return [
        "## Measures",
        "",
        "Mean ± standard deviation over folds; each fold was measured on particles that its model was not trained on.",
        "`cnn` predicts the class with the largest probability of the network, which was trained on balanced classes.",
        "Every name below can be given to `lipnet predict --classifier`, except for those that were not exported.",
        "",
        *markdown_table(["classifier", *map(measures.plain_words, overall)], rows),
        "",
        *markdown_table(["classifier", "class", *map(measures.plain_words, of_class)], rows_of_classes),
        "",
    ]


def _limits(card: dict[str, Any]) -> list[str]:
    return ["## Limits", "", *(f"- {limit}" for limit in card["limits"]), ""]


def _origin(card: dict[str, Any]) -> list[str]:
    origin = card["provenance"]
    return [
        "## Origin",
        "",
        f"- git revision: {origin['git_revision'] or 'unknown'}",
        f"- MD5 of the packed particles: {origin['data_md5'] or 'unknown'}",
        f"- libraries: {', '.join(f'{name} {number}' for name, number in origin['versions'].items())}",
        f"- files: {', '.join(card['files'])}",
        "- settings: in card.json",
        "",
    ]
