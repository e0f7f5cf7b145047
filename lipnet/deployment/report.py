"""The report of a run: one self-contained HTML page, and the table of likely label errors for the expert.

All tables and pictures are computed from the out-of-fold predictions, so the page always agrees with the run. The
template escapes names from users' files. A Content-Security-Policy stops the page from loading anything and from
running scripts other than its own.
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

from lipnet.deployment import label_errors
from lipnet.deployment.cards import NONE_OF_CLASS, limits_of, mean_and_sd
from lipnet.deployment.predict import entropy
from lipnet.deployment.recommendation import recommend
from lipnet.deployment.runs import Evidence, PipelineRun
from lipnet.evaluation import measures, metrics
from lipnet.evaluation.predictions import Predictions
from lipnet.plots.figure import STYLE
from lipnet.plots.learning import learning_curves
from lipnet.plots.scores import class_measures, reliability_diagrams
from lipnet.samples.particles import Grey, Mask
from lipnet.sources.settings import source_of

GALLERY = 24  # particles in a gallery
MOST_ERRORS = 100  # likely label errors on the page; the table beside the page has all
FEW = 50  # a class with fewer particles is listed among the limits
SIDE_PX = 120  # longer side of a particle image on the page
OUTLINE = (230, 159, 0)  # orange of Okabe and Ito
LEADING = "macro_f1"  # the best classifier has the largest mean of this measure
SPREAD = "Mean ± standard deviation over folds. Click a heading to sort by it."
ERROR_COLUMNS = ["id", "label", "suggested", "p_label", "p_suggested", "note", "reviewer"]


def make_report(run: PipelineRun, evidence: Evidence) -> tuple[str, pd.DataFrame]:
    """Make the page, and the table of likely label errors with columns ``ERROR_COLUMNS``, most suspect first.

    Column label holds the present label. So the table changes nothing if it is saved unchanged as corrections.csv.
    Earlier corrections follow the suspects, so that they are kept if the table replaces corrections.csv.

    Raises:
        InputError: no classifier predicts at natural class shares, or predictions and particles are of different runs.
    """
    folds = _folds(evidence.predictions)
    summary = {name: metrics.summary(folds[folds["classifier"] == name], run.classes) for name in evidence.predictions}
    best = max(summary, key=lambda name: _mean(summary[name][LEADING]))
    errors = _errors(run, evidence.predictions)
    row_of = {name: row for row, name in enumerate(run.table["id"])}
    mistakes, uncertain = _galleries(evidence.predictions[best])
    content = {
        **_origin(run),
        **_summary(run, evidence.predictions[best], summary, best, len(errors)),
        "recommended": recommend(run, folds).reason,
        **_tables(run, summary, best),
        "matrices": [_matrix(name, item) for name, item in evidence.predictions.items()],
        "pictures": _pictures(run, evidence, folds),
        "mistakes": [_gallery_item(item, evidence, row_of) for item in mistakes],
        "uncertain": [_gallery_item(item, evidence, row_of) for item in uncertain],
        "best": best,
        "errors": [_suspect(item, evidence, row_of) for item in errors.head(MOST_ERRORS).to_dict("records")],
        "n_likely": len(errors),
        "n_particles": len(run.table),
        "voters": _listed(label_errors.voters(evidence.predictions)),
    }
    return render("report.html.j2", content), _with_earlier(errors, evidence.corrected)


def render(template: str, content: Mapping[str, Any]) -> str:
    """A page from a template of this package, which gets our style and script too."""
    loader = PackageLoader("lipnet.deployment")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    own: dict[str, Any] = {}
    for name, file in {"style": "report.css", "script": "report.js"}.items():
        source = loader.get_source(environment, file)[0].rstrip("\n")
        own[name] = Markup(source)  # not escaped: our own style and script
        own[f"{name}_hash"] = f"sha256-{base64.b64encode(sha256(source.encode()).digest()).decode()}"
    return environment.get_template(template).render(**content, **own)


def _folds(predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    return pd.concat([metrics.fold_table(item).assign(classifier=name) for name, item in predictions.items()])


def _mean(measure: Mapping[str, float | None]) -> float:
    return -np.inf if measure["mean"] is None else measure["mean"]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"the mean of {', '.join(names[:-1])} and {names[-1]}"


def _origin(run: PipelineRun) -> dict[str, Any]:
    origin = run.provenance
    return {
        "problem": run.problem,
        "classes": run.classes,
        "data_md5": origin.data_md5 or "unknown",
        "revision": origin.git_revision or "unknown",
        "versions": ", ".join(f"{name} {number}" for name, number in origin.versions.items()),
        "changed": run.changed,
        "artificial": source_of(run.params, run.problem).kind == "artificial",
    }


def _summary(
    run: PipelineRun, best_predictions: Predictions, summary: Mapping[str, Any], best: str, n_errors: int
) -> dict[str, Any]:
    n_folds = len(np.unique(best_predictions.fold))
    n_repeats = len(np.unique(best_predictions.repeat))
    n_particles, n_groups = f"{len(run.table):,}", f"{run.counts['groups']:,}"
    times = f"{n_folds} folds" + (f", repeated {n_repeats} times" if n_repeats > 1 else "")
    leading = summary[best][LEADING]
    sentences = [
        f"{n_particles} particles in {n_groups} groups were sorted into {len(run.classes)} classes "
        f"({', '.join(run.classes)}) by {len(summary)} classifiers and decision rules. Each particle was classified by "
        f"models that were not trained on it: cross-validation over {times}.",
        f"The best classifier by macro F1 is {best} with {mean_and_sd(leading)} (mean and standard deviation over "
        "folds).",
        *_second(summary, best),
    ]
    return {
        "summary": sentences,
        "numbers": [
            ("particles", n_particles, f"in {n_groups} groups"),
            ("classes", len(run.classes), ""),
            ("folds", n_folds, f"x {n_repeats}" if n_repeats > 1 else ""),
            (f"macro F1 of {best}", *_two(leading)),
            ("likely label errors", n_errors, f"{n_errors / len(run.table):.1%} of all"),
        ],
        "limits": _limits(run),
    }


def _second(summary: Mapping[str, Any], best: str) -> list[str]:
    """A sentence on the second best classifier, if there is one and the spread of the best is defined."""
    leading = summary[best][LEADING]
    others = [name for name in summary if name != best and _mean(summary[name][LEADING]) > -np.inf]
    if not others or leading["sd"] is None:
        return []
    second = max(others, key=lambda name: _mean(summary[name][LEADING]))
    gap = _mean(leading) - _mean(summary[second][LEADING])
    word = "at most" if gap <= leading["sd"] else "more than"
    behind = f"it is {gap:.3f} behind, {word} one standard deviation over folds" if gap else "its mean is the same"
    return [f"The second best is {second} with {mean_and_sd(summary[second][LEADING])}; {behind}."]


def _two(measure: Mapping[str, float | None]) -> tuple[str, str]:
    number, _, spread = mean_and_sd(measure).partition(" ")
    return number, spread


def _limits(run: PipelineRun) -> list[str]:
    few = [name for name, of_class in run.counts["classes"].items() if of_class["particles"] < FEW]
    noise = (
        f"Fewer than {FEW} particles are of class {', '.join(few)}: measures of single folds are mostly chance there."
    )
    return [
        "A difference smaller than the standard deviation is not evidence of a difference; metrics/comparison.md has "
        "tests and intervals.",
        "The best classifier was selected on the same folds that measure it, so its measures are slightly too good.",
        *([noise] if few else []),
        *limits_of(run),
    ]


def _cell(text: str, value: Any = None) -> dict[str, Any]:
    """A cell of a table, with the value to sort by."""
    return {"text": text, "value": text if value is None else value}


def _number(measure: Mapping[str, float | None]) -> dict[str, Any]:
    return _cell(mean_and_sd(measure), "" if measure["mean"] is None else measure["mean"])


def _tables(run: PipelineRun, summary: Mapping[str, Any], best: str) -> dict[str, Any]:
    return {
        "measures": _table_of_measures(summary, best),
        "class_measures": _table_of_class_measures(run.classes, summary, best),
        "counts": _table_of_counts(run),
    }


def _table_of_measures(summary: Mapping[str, Any], best: str) -> dict[str, Any]:
    keys = measures.HEADLINE_OVERALL
    lower = ", ".join(measures.plain_words(key) for key in keys if key in measures.LOWER_IS_BETTER).capitalize()
    return {
        "name": "Measures of all classifiers",
        "caption": f"{SPREAD} {lower}: lower is better. All others: higher is better.",
        "columns": ["classifier", *map(measures.plain_words, keys)],
        "texts": 1,
        "rows": [
            {"cells": [_cell(name), *(_number(scores[key]) for key in keys)], "best": name == best}
            for name, scores in summary.items()
        ],
    }


def _table_of_class_measures(classes: Sequence[str], summary: Mapping[str, Any], best: str) -> dict[str, Any]:
    keys = measures.HEADLINE_OF_CLASS
    return {
        "name": "Measures of each class",
        "caption": f"{SPREAD} Undefined: the classifier never predicted the class.",
        "columns": ["classifier", "class", *map(measures.plain_words, keys)],
        "texts": 2,
        "rows": [
            {"cells": [_cell(name), _cell(label), *(_number(scores[label][key]) for key in keys)], "best": name == best}
            for name, scores in summary.items()
            for label in classes
        ],
    }


def _table_of_counts(run: PipelineRun) -> dict[str, Any]:
    keys = ("particles", "groups")
    counts = {name: run.counts["classes"].get(name, NONE_OF_CLASS) for name in run.classes}
    return {
        "name": "Particles of each class",
        "caption": "Particles that were used. All particles of a group are in the same fold, so no group is used for "
        "training and for testing of the same model.",
        "columns": ["class", *keys],
        "texts": 1,
        "rows": [
            {"cells": [_cell(name), *(_cell(f"{of_class[key]:,}", of_class[key]) for key in keys)], "best": False}
            for name, of_class in counts.items()
        ],
    }


def _matrix(name: str, predictions: Predictions) -> dict[str, Any]:
    counts, shares = metrics.mean_confusion(predictions)
    return {
        "name": name,
        "rows": [
            {"name": label, "cells": [_shaded(*pair) for pair in zip(counts[row], shares[row], strict=True)]}
            for row, label in enumerate(predictions.classes)
        ],
    }


def _shaded(count: float, share: float) -> dict[str, Any]:
    known = np.isfinite(share)
    return {
        "share": f"{share:.2f}" if known else "-",
        "count": f"{count:.1f}",
        "shade": round(10 * share) if known else 0,
    }


def _pictures(run: PipelineRun, evidence: Evidence, folds: pd.DataFrame) -> list[dict[str, str]]:
    predictions, classes = evidence.predictions, run.classes
    bins = {name: metrics.calibration_bins(item.true, item.probabilities) for name, item in predictions.items()}
    drawn = [
        (
            "Measures of each class",
            class_measures(folds, classes, list(predictions), run.problem),
            "Bars: means over folds. Whiskers: one standard deviation.",
            "Bars of recall, precision and other measures for each class and classifier, with whiskers; "
            "the numbers are in the tables above.",
        ),
        (
            "Learning curves",
            learning_curves(evidence.history, run.problem),
            "Training loss and accuracy of the network, one line per fold, on balanced and augmented particles. They "
            "show whether training converged, not how good the network is.",
            "Lines of training loss and training accuracy against the epoch for each fold.",
        ),
        (
            "Reliability",
            reliability_diagrams(bins, classes, run.problem),
            "On the diagonal, predicted probabilities equal observed shares; below it, probabilities are too high. "
            "Larger dots stand for more particles.",
            "Observed share against predicted probability for each class and classifier, with a diagonal.",
        ),
    ]
    return [
        {"title": title, "uri": _svg(figure), "caption": caption, "alt": alt} for title, figure, caption, alt in drawn
    ]


def _svg(figure: Figure) -> str:
    stream = io.BytesIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "lipnet"}):  # without it, ids in the file are drawn at random
        figure.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
    return data_uri("svg+xml", stream.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """A picture as the address of an image on a page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _galleries(predictions: Predictions) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The most confident mistakes and the most uncertain particles of the first repeat."""
    first = np.flatnonzero(predictions.repeat == predictions.repeat.min())
    probabilities = predictions.probabilities[first]
    predicted, true = predictions.predicted[first], predictions.true[first]
    of_predicted = probabilities[np.arange(len(first)), predicted]
    wrong = np.flatnonzero(predicted != true)
    most_confident = wrong[np.argsort(-of_predicted[wrong], kind="stable")][:GALLERY]
    most_uncertain = np.argsort(-entropy(probabilities), kind="stable")[:GALLERY]
    items = [
        {
            "id": str(predictions.ids[row]),
            "label": predictions.classes[predictions.true[row]],
            "predicted": predictions.classes[predictions.predicted[row]],
            "probability": f"{probability:.2f}",
        }
        for row, probability in zip(first, of_predicted, strict=True)
    ]
    return [items[number] for number in most_confident], [items[number] for number in most_uncertain]


def _errors(run: PipelineRun, predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    """Likely label errors, with the first five of ``ERROR_COLUMNS``."""
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


def _gallery_item(item: dict[str, Any], evidence: Evidence, row_of: Mapping[str, int]) -> dict[str, Any]:
    return {**item, "crop": _crop(evidence.images[row_of[item["id"]]])}


def _suspect(item: Mapping[Any, Any], evidence: Evidence, row_of: Mapping[str, int]) -> dict[str, Any]:
    image, mask = evidence.images[row_of[item["id"]]], evidence.masks[row_of[item["id"]]]
    probabilities = {name: f"{item[name]:.3f}" for name in ("p_label", "p_suggested")}
    return {**item, **probabilities, "crop": _crop(image), "mask": _outlined(image, mask)}


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
    """The image with a longer side of ``SIDE_PX``; pixels of enlarged images stay sharp."""
    scale = SIDE_PX / max(image.shape)
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    return Image.fromarray(image).resize(size, how)


def _png(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return data_uri("png", stream.getvalue())
