"""The card of an exported run: what its models are, what they learnt from, how good they are, and what they are not."""

from typing import Any

from lipnet.core.settings import pick
from lipnet.deployment.runs import Run

SECTIONS = ("seed", "source", "crop", "split", "balance", "augment", "train_cnn", "train_svm", "features", "decide")
MEASURES = ("macro_f1", "balanced_accuracy", "mcc", "log_loss", "average_precision")
OF_CLASS = {"tpr": "recall", "ppv": "precision", "f1": "F1"}


def card_of(run: Run, files: list[str]) -> dict[str, Any]:
    """All that the card says, ready for JSON."""
    architecture = pick(run.params, "model")
    return {
        "problem": run.problem,
        "classes": run.classes,
        "architecture": architecture,
        "files": files,
        "data": run.counts,
        "settings": {
            "network": pick(run.params, "networks", architecture),
            **{name: run.params[name] for name in SECTIONS if name in run.params},
        },
        "metrics": run.metrics,
        "provenance": run.provenance.model_dump(),
        "limits": _limits(run),
    }


def _limits(run: Run) -> list[str]:
    sizes_nm = run.table["pixel_size_nm"].dropna()
    seen = f"{sizes_nm.min():.3g} to {sizes_nm.max():.3g} nm" if len(sizes_nm) else "an unknown size"
    limits = [
        "Every particle gets one of the classes above, whatever it shows: there is no 'none of these'.",
        "The measures are those of single models on particles that they were not trained on; the mean of all folds, "
        "which `lipnet predict` uses, was not measured.",
        "The spread over folds is that of models that share most of their training particles, so it is too small.",
        f"Pixels of the training particles were {seen} across; images are not resampled to another pixel size.",
        "Other microscopes, defocus, staining or ways to find particles were not tried: check on some of your own.",
    ]
    if pick(run.params, "source", "kind") == "artificial":
        limits.insert(0, "Trained on artificial particles only: nothing is known of how it does on real ones.")
    return limits


def to_markdown(card: dict[str, Any]) -> str:
    """The card as a page of Markdown."""
    source = card["provenance"]
    lines = [
        f"# {card['problem']}: {card['architecture']} and SVMs",
        "",
        f"Classes: {', '.join(card['classes'])}. Use: `lipnet predict FOLDER INPUT --to out.csv`.",
        "",
        "## Data",
        "",
        f"{card['data']['particles']} particles in {card['data']['groups']} groups.",
        "",
        *_table(
            ["class", "particles", "groups"],
            [[name, str(of_class["particles"]), str(of_class["groups"])] for name, of_class in _classes(card)],
        ),
        "",
        "## Measures",
        "",
        "Mean ± standard deviation over folds, each on particles that its model was not trained on. `cnn` is the",
        "network's largest probability; `lipnet predict` shifts to natural proportions, as rules with `shift: 1.0` do.",
        "",
        *_table(
            ["classifier", *(name.replace("_", " ") for name in MEASURES)],
            [[name, *(_spread(of[key]) for key in MEASURES)] for name, of in card["metrics"].items()],
        ),
        "",
        *_table(
            ["classifier", "class", *OF_CLASS.values()],
            [
                [name, label, *(_spread(of[label][key]) for key in OF_CLASS)]
                for name, of in card["metrics"].items()
                for label in card["classes"]
            ],
        ),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in card["limits"]),
        "",
        "## Origin",
        "",
        f"- git revision: {source['git_revision'] or 'unknown'}",
        f"- MD5 of the packed particles: {source['data_md5'] or 'unknown'}",
        f"- libraries: {', '.join(f'{name} {number}' for name, number in source['versions'].items())}",
        f"- files: {', '.join(card['files'])}",
        "- settings: in card.json",
        "",
    ]
    return "\n".join(lines)


def _classes(card: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, card["data"]["classes"].get(name, {"particles": 0, "groups": 0})) for name in card["classes"]]


def _spread(measure: dict[str, float | None]) -> str:
    mean, sd = measure["mean"], measure["sd"]
    if mean is None:
        return "undefined"
    return f"{mean:.3f}" if sd is None else f"{mean:.3f} ± {sd:.3f}"


def _table(names: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows)]
