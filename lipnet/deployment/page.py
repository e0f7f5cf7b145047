"""A page for those without Python: one HTML file that classifies crops in a browser, without a network.

The page holds the networks, ONNX Runtime as WebAssembly, and the scripts in ``templates/page``, which do in JavaScript
what ``predict`` does. Its Content-Security-Policy stops it from loading anything and from running other scripts. A page
measures no features, so it can use networks and decision rules on them, but neither SVMs nor trees.
"""

import base64
import gzip
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.settings import pick
from lipnet.deployment.cards import limits_of, mean_and_sd
from lipnet.deployment.export import describe_network
from lipnet.deployment.model_files import NETWORK, Description, ImageInput
from lipnet.deployment.rules import VIEWS, Rules
from lipnet.deployment.runs import PipelineRun
from lipnet.samples import particles
from lipnet.sources.settings import source_of

LIBRARIES = Path("build/page")  # `make page-libraries` writes there
STYLES = ("report.css", "page/page.css")
SCRIPTS = tuple(f"page/{name}.js" for name in ("images", "crops", "predictions", "particles", "results", "page"))
ON_MASKS = {
    "surrounding": "The models see the whole crop. Masks are only used to find unusual sizes.",
    "cropped": "The models see the box around the particle. Without masks, it is the whole crop less its surrounding.",
    "masked": "The models see only what the mask marks. Without masks, an ellipse that fills the crop less its "
    "surrounding takes their place, and the classes are less reliable.",
}
ON_MASKS["both"] = ON_MASKS["masked"]


class Libraries(NamedTuple):
    """What a page contains of other projects.

    Attributes:
        script: ONNX Runtime's web build, and decoders of PNG and TIFF; it defines ``libraries``.
        runtime: WebAssembly of ONNX Runtime.
        licences: their licences.
    """

    script: str
    runtime: bytes
    licences: str


def prepare(run: PipelineRun, rules: Rules, wanted: str | None, libraries: Path) -> Callable[[Sequence[bytes]], str]:
    """Check all that a page needs besides the networks, whose export takes longer.

    Args:
        run: the finished run.
        rules: content of rules.json.
        wanted: as for ``classifier_of``.
        libraries: folder of the libraries.

    Returns:
        A function that makes the page from the ONNX file of the network of each fold.

    Raises:
        InputError: as for ``classifier_of`` and ``read_libraries``.
    """
    name = classifier_of(run, rules, wanted)
    return partial(make_page, run, rules, name, read_libraries(libraries))


def read_libraries(folder: Path) -> Libraries:
    """Read what ``make page-libraries`` made.

    Raises:
        InputError: a file is missing.
    """
    try:
        script, licences = ((folder / name).read_text(encoding="utf-8") for name in ("libraries.js", "licences.txt"))
        return Libraries(script, (folder / "runtime.wasm").read_bytes(), licences)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; `make page-libraries` makes it (it needs Node)") from None


def classifier_of(run: PipelineRun, rules: Rules, wanted: str | None) -> str:
    """The classifier of the page.

    Args:
        run: the finished run.
        rules: content of rules.json.
        wanted: name of a classifier or rule; None: the recommended one.

    Raises:
        InputError: it needs features, is unknown or was left out; the message names those that a page can use.
    """
    name = wanted or rules.recommended
    of_rules = [rule for rule, folds in rules.rules.items() if all(set(fold.of) <= {NETWORK, VIEWS} for fold in folds)]
    usable = [NETWORK, *([VIEWS] if rules.views else []), *of_rules]
    if pick(run.params, "train_cnn", "join", "features"):
        raise InputError(
            f"--page: the network of '{run.problem}' has joined features (train_cnn.join.features), and a page "
            "measures none; use `lipnet predict`"
        )
    if source_of(run.params, run.problem).grey.pooled:
        raise InputError(
            "--page: source.grey.per: micrograph takes black and white from all crops of a group, and a page reads "
            "each crop alone; use `lipnet predict`, or train with per: particle"
        )
    if name in usable:
        return name
    known = name in run.metrics or name in rules.rules
    reason = "it needs measured features, and a page measures none" if known else "the run has no such classifier"
    raise InputError(
        f"--page: '{name}' cannot be used: {rules.left_out.get(name, reason)}; choose one with --classifier: "
        f"{', '.join(usable)}"
    )


def make_page(run: PipelineRun, rules: Rules, name: str, libraries: Libraries, networks: Sequence[bytes]) -> str:
    """The page.

    Args:
        run: the finished run.
        rules: content of rules.json.
        name: classifier of the page, see ``classifier_of``.
        libraries: see ``read_libraries``.
        networks: ONNX file of the network of each fold.

    Raises:
        InputError: the packed particles of the run are missing or damaged.
    """
    origin = run.provenance
    return _render(
        {
            "about": _about(run, rules, name),
            "reason": _reason(run, rules, name),
            "on_masks": ON_MASKS[pick(run.params, "crop", "mode")],
            "limits": limits_of(run),
            "changed": run.changed,
            "artificial": source_of(run.params, run.problem).kind == "artificial",
            "data_md5": origin.data_md5 or "unknown",
            "revision": origin.git_revision or "unknown",
            "versions": ", ".join(f"{library} {number}" for library, number in origin.versions.items()),
            "licences": libraries.licences,
            "runtime": _packed(libraries.runtime),
            "models": [_packed(network) for network in networks],
        },
        libraries.script,
    )


def _about(run: PipelineRun, rules: Rules, name: str) -> dict[str, Any]:
    """What the scripts of the page need to know, ready for JSON."""
    described = [describe_network(run, fold) for fold in range(len(run.natural_priors))]
    keys = {"label_smoothing", "floor", "training_prior", "natural_prior"}
    said = described[0]
    return {
        "problem": run.problem,
        "classes": run.classes,
        "classifier": name,
        "views": VIEWS,
        "input": {"name": next(iter(said.inputs)), **_image(said).model_dump()},
        "padding_px": said.micrographs.padding_px,
        "grey": said.grey.model_dump(),
        "models": [item.model_dump(include=keys) for item in described],
        "rules": [rule.model_dump() for rule in rules.rules.get(name, [])],
        "training_range": training_range(run),
    }


def _image(described: Description) -> ImageInput:
    [item] = described.inputs.values()
    assert isinstance(item, ImageInput)  # classifier_of refuses networks with features
    return item


def training_range(run: PipelineRun) -> list[tuple[str, float, float]]:
    """What a page compares new particles with: quantity, smallest and largest value among all particles of the run.

    The quantities are ``height_px`` and ``width_px`` of the bounding box, and ``grey_mean`` and ``grey_sd``, mean and
    standard deviation of the grey levels inside the mask, from 0 to 1.

    Raises:
        InputError: the packed particles of the run are missing or damaged.
    """
    path = run.root / f"data/particles/{run.problem}.npz"
    stores = (particles.from_arrays(block, str(path)) for block in files.read_blocks(path))
    inside = [store.image(at)[store.mask(at)] / store.white for store in stores for at in range(len(store))]
    values = {
        "height_px": run.table["height_px"].to_numpy(),
        "width_px": run.table["width_px"].to_numpy(),
        "grey_mean": np.array([levels.mean() for levels in inside]),
        "grey_sd": np.array([levels.std() for levels in inside]),
    }
    # Outwards to 0.001, so that no training particle is outside because of rounding.
    return [
        (name, math.floor(of.min() * 1000) / 1000, math.ceil(of.max() * 1000) / 1000) for name, of in values.items()
    ]


def _reason(run: PipelineRun, rules: Rules, name: str) -> str:
    if name == rules.recommended:
        return rules.reason
    scores = run.metrics.get(name)
    measured = f" Its macro F1 in cross-validation is {mean_and_sd(scores['macro_f1'])}." if scores else ""
    return f"This page uses {name}.{measured} {rules.reason}"


def _packed(content: bytes) -> str:
    """Text for a block of the page: gzip in base64; equal content gives equal text."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _render(content: Mapping[str, Any], libraries: str) -> str:
    loader = PackageLoader("lipnet.deployment")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    scripts = [libraries, *(loader.get_source(environment, name)[0] for name in SCRIPTS)]
    styles = [loader.get_source(environment, name)[0] for name in STYLES]
    return environment.get_template("page/page.html.j2").render(
        **content, scripts=[_inline(text) for text in scripts], styles=[_inline(text) for text in styles]
    )


def _inline(text: str) -> dict[str, Markup]:
    """A script or style of ours for the page, not escaped, and its hash for the Content-Security-Policy."""
    digest = base64.b64encode(sha256(text.encode()).digest()).decode()
    return {"text": Markup(text), "hash": Markup(f"'sha256-{digest}'")}
