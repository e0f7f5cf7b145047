"""The report of a run: one HTML page that needs nothing beside it, and the table of likely label errors for the expert.

Tables and pictures are made anew from the out-of-fold predictions, so page and run cannot disagree. What users' files
put into names is escaped by the template; a Content-Security-Policy lets the page load nothing and run no script
but its own.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries

from lipnet.core.settings import pick
from lipnet.deployment.cards import card_of
from lipnet.deployment.runs import Evidence, Run
from lipnet.evaluation import label_errors, metrics
from lipnet.evaluation.predictions import Predictions
from lipnet.plots.figure import STYLE
from lipnet.plots.learning import learning_curves
from lipnet.plots.scores import LABELS, class_measures, reliability_diagrams
from lipnet.samples.particles import Grey, Mask

GALLERY = 24  # particles
MOST_ERRORS = 100  # likely label errors in the page; the table beside it has all
FEW = 50  # particles of a class, below which its numbers are called noise
SIDE_PX = 120  # of a crop in the page
OUTLINE = (230, 159, 0)  # orange of Okabe and Ito
MEASURES = ("macro_f1", "balanced_accuracy", "mcc", "log_loss", "average_precision")
OF_CLASS = {"tpr": "recall", "ppv": "precision", "f1": "F1"}
LEADING = "macro_f1"  # by which the best classifier is the best
ERROR_COLUMNS = ["id", "label", "suggested", "p_label", "p_suggested", "note", "reviewer"]


def make(run: Run, evidence: Evidence) -> tuple[str, pd.DataFrame]:
    """The page, and the table of likely label errors with columns ``ERROR_COLUMNS``, the most suspect first.

    Column label holds the label as it is: saved unchanged as corrections.csv, the table changes nothing. Earlier
    corrections follow the suspects, so that they are not lost where the table takes the place of the file.

    Raises:
        InputError: no classifier states natural proportions, or predictions and particles are of different runs.
    """
    folds = _folds(evidence.predictions)
    summary = {name: metrics.summary(folds[folds["classifier"] == name], run.classes) for name in evidence.predictions}
    best = max(summary, key=lambda name: _mean(summary[name][LEADING]))
    errors = _errors(run, evidence.predictions)
    row_of = {name: row for row, name in enumerate(run.table["id"])}
    mistakes, uncertain = _galleries(evidence.predictions[best])
    content = {
        **_origin(run),
        **_words(run, evidence.predictions[best], summary, best, len(errors)),
        **_tables(run, summary, best),
        "matrices": [_matrix(name, item) for name, item in evidence.predictions.items()],
        "pictures": _pictures(run, evidence, folds),
        "mistakes": [_tile(item, evidence, row_of) for item in mistakes],
        "uncertain": [_tile(item, evidence, row_of) for item in uncertain],
        "best": best,
        "errors": [_suspect(item, evidence, row_of) for item in errors.head(MOST_ERRORS).to_dict("records")],
        "n_likely": len(errors),
        "n_particles": len(run.table),
        "voters": _listed(label_errors.voters(evidence.predictions)),
    }
    return _render(content), _with_earlier(errors, evidence.corrected)


def _render(content: Mapping[str, Any]) -> str:
    loader = PackageLoader("lipnet.deployment")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    own: dict[str, Any] = {}
    for name, file in {"style": "report.css", "script": "report.js"}.items():
        source = loader.get_source(environment, file)[0].rstrip("\n")
        own[name] = Markup(source)  # ours: escaped, it would be neither style nor script
        own[f"{name}_hash"] = f"sha256-{base64.b64encode(sha256(source.encode()).digest()).decode()}"
    return environment.get_template("report.html.j2").render(**content, **own)


def _folds(predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    return pd.concat([metrics.fold_table(item).assign(classifier=name) for name, item in predictions.items()])


def _mean(measure: Mapping[str, float | None]) -> float:
    return -np.inf if measure["mean"] is None else measure["mean"]


def _spread(measure: Mapping[str, float | None]) -> str:
    mean, sd = measure["mean"], measure["sd"]
    if mean is None:
        return "undefined"
    return f"{mean:.3f}" if sd is None else f"{mean:.3f} ± {sd:.3f}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"the mean of {', '.join(names[:-1])} and {names[-1]}"


def _origin(run: Run) -> dict[str, Any]:
    origin = run.provenance
    return {
        "problem": run.problem,
        "classes": run.classes,
        "data_md5": origin.data_md5 or "unknown",
        "revision": origin.git_revision or "unknown",
        "versions": ", ".join(f"{name} {number}" for name, number in origin.versions.items()),
        "artificial": pick(run.params, "source", "kind") == "artificial",
    }


def _words(run: Run, best_said: Predictions, summary: Mapping[str, Any], best: str, n_errors: int) -> dict[str, Any]:
    n_folds = len(np.unique(best_said.fold))
    n_repeats = len(np.unique(best_said.repeat))
    times = f"{n_folds} folds" + (f", repeated {n_repeats} times" if n_repeats > 1 else "")
    leading = summary[best][LEADING]
    others = [name for name in summary if name != best and _mean(summary[name][LEADING]) > -np.inf]
    sentences = [
        f"{len(run.table):,} particles in {run.counts['groups']:,} groups were sorted into {len(run.classes)} classes "
        f"({', '.join(run.classes)}) by {len(summary)} classifiers and decision rules. Each particle was judged by "
        f"models that had not seen it: cross-validation over {times}.",
        f"The best by macro F1 is {best} with {_spread(leading)} (mean and standard deviation over folds).",
    ]
    if others and leading["sd"] is not None:
        second = max(others, key=lambda name: _mean(summary[name][LEADING]))
        gap = _mean(leading) - _mean(summary[second][LEADING])
        word = "less than" if gap < leading["sd"] else "more than"
        sentences.append(
            f"Next comes {second} with {_spread(summary[second][LEADING])}; it is {gap:.3f} behind, {word} one "
            "standard deviation over folds."
        )
    share = f"{n_errors / len(run.table):.1%} of all"
    return {
        "summary": sentences,
        "numbers": [
            ("particles", f"{len(run.table):,}", f"in {run.counts['groups']:,} groups"),
            ("classes", len(run.classes), ""),
            ("folds", n_folds, f"x {n_repeats}" if n_repeats > 1 else ""),
            (f"macro F1 of {best}", *_two(leading)),
            ("likely label errors", n_errors, share),
        ],
        "limits": _limits(run),
    }


def _two(measure: Mapping[str, float | None]) -> tuple[str, str]:
    number, _, spread = _spread(measure).partition(" ")
    return number, spread


def _limits(run: Run) -> list[str]:
    few = [name for name, of in run.counts["classes"].items() if of["particles"] < FEW]
    noise = [f"Fewer than {FEW} particles are of class {', '.join(few)}: numbers of each fold are mostly chance there."]
    return [
        "A difference smaller than the spread is no difference; metrics/comparison.md has tests and intervals.",
        "The best classifier was picked by the same folds that measure it, so its number is a little too good.",
        *(noise if few else []),
        *card_of(run, [])["limits"],
    ]


def _cell(text: str, value: Any = None) -> dict[str, Any]:
    return {"text": text, "value": text if value is None else value}


def _number(measure: Mapping[str, float | None]) -> dict[str, Any]:
    return _cell(_spread(measure), "" if measure["mean"] is None else measure["mean"])


def _tables(run: Run, summary: Mapping[str, Any], best: str) -> dict[str, Any]:
    overall = [
        {"cells": [_cell(name), *(_number(of[key]) for key in MEASURES)], "best": name == best}
        for name, of in summary.items()
    ]
    by_class = [
        {"cells": [_cell(name), _cell(label), *(_number(of[label][key]) for key in OF_CLASS)], "best": name == best}
        for name, of in summary.items()
        for label in run.classes
    ]
    held = {name: run.counts["classes"].get(name, {"particles": 0, "groups": 0}) for name in run.classes}
    counts = [
        {"cells": [_cell(name), *(_cell(f"{of[key]:,}", of[key]) for key in ("particles", "groups"))], "best": False}
        for name, of in held.items()
    ]
    spread = "Mean ± standard deviation over folds. A press on a heading sorts by it."
    return {
        "measures": {
            "name": "Measures of all classifiers",
            "caption": f"{spread} Log loss: lower is better; all others: higher.",
            "columns": ["classifier", *(LABELS.get(name, name.replace("_", " ")) for name in MEASURES)],
            "texts": 1,
            "rows": overall,
        },
        "class_measures": {
            "name": "Measures of each class",
            "caption": f"{spread} Undefined: the classifier never named the class.",
            "columns": ["classifier", "class", *OF_CLASS.values()],
            "texts": 2,
            "rows": by_class,
        },
        "counts": {
            "name": "Particles of each class",
            "caption": "Particles that were used. Groups stay whole: none is learnt from and tested at once.",
            "columns": ["class", "particles", "groups"],
            "texts": 1,
            "rows": counts,
        },
    }


def _matrix(name: str, said: Predictions) -> dict[str, Any]:
    counts, shares = metrics.mean_confusion(said)
    return {
        "name": name,
        "rows": [
            {"name": label, "cells": [_shaded(*pair) for pair in zip(counts[row], shares[row], strict=True)]}
            for row, label in enumerate(said.classes)
        ],
    }


def _shaded(count: float, share: float) -> dict[str, Any]:
    known = np.isfinite(share)
    return {
        "share": f"{share:.2f}" if known else "-",
        "count": f"{count:.1f}",
        "shade": round(10 * share) if known else 0,
    }


def _pictures(run: Run, evidence: Evidence, folds: pd.DataFrame) -> list[dict[str, str]]:
    predictions, classes = evidence.predictions, run.classes
    bins = {name: metrics.calibration_bins(item.true, item.probabilities) for name, item in predictions.items()}
    drawn = [
        (
            "Measures of each class",
            class_measures(folds, classes, list(predictions), run.problem),
            "Bars are means over folds, whiskers one standard deviation.",
            "Bars of recall, precision and other measures for each class and classifier, with whiskers; "
            "the numbers are in the tables above.",
        ),
        (
            "Learning curves",
            learning_curves(evidence.history, run.problem),
            "Training loss and accuracy of the network, a line a fold, on balanced and augmented particles; they say "
            "that training went well, not how good the network is.",
            "Lines of training loss and training accuracy against the epoch for each fold.",
        ),
        (
            "Reliability",
            reliability_diagrams(bins, classes, run.problem),
            "On the diagonal, probabilities are what they say; below it, they are too high. Dots grow with the "
            "number of particles.",
            "Observed share against stated probability for each class and classifier, beside a diagonal.",
        ),
    ]
    return [
        {"title": title, "uri": _svg(figure), "caption": caption, "alt": alt} for title, figure, caption, alt in drawn
    ]


def _svg(figure: Figure) -> str:
    stream = io.BytesIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "lipnet"}):  # without it, ids in the file are drawn at random
        figure.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
    return _uri("svg+xml", stream.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _galleries(said: Predictions) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The surest mistakes and the least certain particles of the first repeat."""
    first = np.flatnonzero(said.repeat == said.repeat.min())
    stated = said.probabilities[first]
    named = stated[np.arange(len(first)), said.predicted[first]]
    wrong = np.flatnonzero(said.predicted[first] != said.true[first])
    entropy = -(stated * np.log(np.maximum(stated, np.finfo(float).tiny))).sum(axis=1)
    surest = wrong[np.argsort(-named[wrong], kind="stable")][:GALLERY]
    vaguest = np.argsort(-entropy, kind="stable")[:GALLERY]
    items = [
        {
            "id": str(said.ids[row]),
            "label": said.classes[said.true[row]],
            "predicted": said.classes[said.predicted[row]],
            "stated": f"{probability:.2f}",
        }
        for row, probability in zip(first, named, strict=True)
    ]
    return [items[number] for number in surest], [items[number] for number in vaguest]


def _errors(run: Run, predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    """Likely label errors with the first columns of ``ERROR_COLUMNS``."""
    used = [predictions[name] for name in label_errors.voters(predictions)]
    ids, labels, probabilities = label_errors.mean_probabilities(used)
    ranked = label_errors.rank(labels, probabilities)
    ranked = ranked[ranked["likely"]]
    rows, suggested = ranked["row"].to_numpy(), ranked["suggested"].to_numpy()
    names = np.array(run.classes)
    return pd.DataFrame(
        {
            "id": ids[rows],
            "label": names[labels[rows]],
            "suggested": names[suggested],
            "p_label": probabilities[rows, labels[rows]].round(3),
            "p_suggested": probabilities[rows, suggested].round(3),
        }
    )


def _with_earlier(errors: pd.DataFrame, corrected: pd.DataFrame) -> pd.DataFrame:
    notes = {name: f"corrected before; was {before}" for name, before, _ in corrected.itertuples(index=False)}
    earlier = corrected.loc[~corrected["id"].isin(errors["id"]), ["id", "label"]]
    table = pd.concat([errors, earlier], ignore_index=True)
    return table.assign(note=[notes.get(name, "") for name in table["id"]], reviewer="")[ERROR_COLUMNS]


def _tile(item: dict[str, Any], evidence: Evidence, row_of: Mapping[str, int]) -> dict[str, Any]:
    return {**item, "crop": _crop(evidence.images[row_of[item["id"]]])}


def _suspect(item: Mapping[Any, Any], evidence: Evidence, row_of: Mapping[str, int]) -> dict[str, Any]:
    image, mask = evidence.images[row_of[item["id"]]], evidence.masks[row_of[item["id"]]]
    stated = {name: f"{item[name]:.3f}" for name in ("p_label", "p_suggested")}
    return {**item, **stated, "crop": _crop(image), "mask": _outlined(image, mask)}


def _crop(image: Grey) -> str:
    return _png(_sized(_eight_bit(image)))


def _outlined(image: Grey, mask: Mask) -> str:
    grey = np.array(_sized(_eight_bit(image)))
    inside = np.array(_sized(mask.astype(np.uint8) * 255)) > 127
    colours = np.repeat(grey[..., None], 3, axis=2)
    colours[find_boundaries(inside, mode="thick")] = OUTLINE
    return _png(Image.fromarray(colours))


def _eight_bit(image: Grey) -> NDArray[np.uint8]:
    return (image // 257).astype(np.uint8) if image.dtype == np.uint16 else image.astype(np.uint8)


def _sized(image: NDArray[np.uint8]) -> Image.Image:
    """The image with its longer side of ``SIDE_PX``; small ones show their pixels."""
    scale = SIDE_PX / max(image.shape)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    return Image.fromarray(image).resize(size, how)


def _png(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return _uri("png", stream.getvalue())
