"""Export the models of a run as ONNX files that contain their own description (``model_files.Description``)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lipnet.classifiers import tree_files
from lipnet.classifiers.networks.settings import NetworkSettings
from lipnet.classifiers.svm_files import parse_model, read_card
from lipnet.core import files
from lipnet.core.settings import parse, pick
from lipnet.deployment.cards import card_of, to_markdown
from lipnet.deployment.graphs.networks import load_on_tensorflow, network
from lipnet.deployment.graphs.svms import svm
from lipnet.deployment.graphs.trees import trees
from lipnet.deployment.model_files import NETWORK, SUFFIX, Description, FeatureInput, ImageInput
from lipnet.deployment.outliers import Reference, quantities_of, summarise
from lipnet.deployment.rules import FILE as RULES
from lipnet.deployment.rules import Rules
from lipnet.deployment.runs import PipelineRun, read_text
from lipnet.evaluation.decisions import DecideSettings
from lipnet.samples import particles
from lipnet.samples.crops import CropSettings
from lipnet.samples.feature_names import NOT_FEATURES, select_columns
from lipnet.samples.features import FeatureSettings
from lipnet.sources.formats.grey_levels import GreySettings
from lipnet.sources.micrographs import MicrographSettings

FLOOR = 1e-9  # of SVMs and trees; above 0, because a probability of 0 could not be shifted to other class shares


def export_run(run: PipelineRun) -> Iterator[tuple[str, bytes]]:
    """Yield file name and content of every model of a run, networks first, then SVMs and trees.

    Raises:
        InputError: a model is missing or damaged.
    """
    folds, references = range(len(run.natural_priors)), references_of(run)
    training = [{"training": one} for one in references]
    yield from export_networks(run, references)
    for name in pick(run.params, "train_svm", "features"):
        for fold in folds:
            path = run.models / f"svm/{name}/fold{fold}.svm"
            card = read_card(path.with_suffix(".json"))
            description = describe_svm(run, name, fold, card.features).model_copy(update=training[fold])
            yield f"{name}_fold{fold}{SUFFIX}", svm(parse_model(read_text(path), path), card, description)
    for name in pick(run.params, "train_trees", "models"):
        for fold in folds:
            model = tree_files.read(run.models / f"trees/{name}/fold{fold}.npz")
            description = describe_trees(run, name, fold, model.names.tolist()).model_copy(update=training[fold])
            yield f"{name}_fold{fold}{SUFFIX}", trees(model, description)


def references_of(run: PipelineRun) -> list[Reference | None]:
    """Summary of the training particles of each fold.

    Raises:
        InputError: the packed particles of the run are missing or damaged.
    """
    packed = run.root / f"data/particles/{run.problem}.npz"
    table = run.table[[name for name in run.table if name not in NOT_FEATURES]]
    parts, start = [], 0
    for block in files.read_blocks(packed):
        store = particles.from_arrays(block, str(packed))
        parts.append(quantities_of(store, table.iloc[start : start + len(store)]))
        start += len(store)
    quantities = pd.concat(parts)
    groups = run.table["group"].to_numpy()
    return [summarise(quantities.iloc[fold.train], groups[fold.train]) for fold in run.folds]


def export_networks(run: PipelineRun, references: Sequence[Reference | None]) -> Iterator[tuple[str, bytes]]:
    """Yield file name and content of the network of every fold.

    Args:
        run: the finished run.
        references: of ``references_of``.

    Raises:
        InputError: a network is missing or damaged.
    """
    networks = run.models / NETWORK
    for fold, reference in enumerate(references):
        model = load_on_tensorflow(networks / "architecture.json", networks / f"fold{fold}.weights.h5")
        description = describe_network(run, fold).model_copy(update={"training": reference})
        yield f"{NETWORK}_fold{fold}{SUFFIX}", network(model, description)


def write_card(folder: Path, run: PipelineRun, rules: Rules, names: list[str]) -> None:
    """Write rules.json, card.json and card.md beside the exported models.

    Args:
        folder: of the models.
        run: the exported run.
        rules: content of rules.json.
        names: names of the model files.
    """
    card = card_of(run, names, rules)
    files.write_json(folder / RULES, rules.model_dump(mode="json"))
    files.write_json(folder / "card.json", card)
    files.write_text(folder / "card.md", to_markdown(card))


def describe_network(run: PipelineRun, fold: int) -> Description:
    """Description of the network of a fold; features that are joined to the network are its second input."""
    architecture, joined = pick(run.params, "model"), pick(run.params, "train_cnn", "join", "features")
    row = parse(NetworkSettings, pick(run.params, "networks", architecture), f"networks.{architecture}")
    crop = parse(CropSettings, pick(run.params, "crop"), "crop")
    inputs: dict[str, ImageInput | FeatureInput] = {
        "image": ImageInput(size_px=row.size_px, mode=crop.mode, scale=crop.scale, field_px=crop.field_px)
    }
    if joined:
        inputs["features"] = _features(run, select_columns(run.table, joined))
    return _describe(
        run,
        fold,
        classifier=NETWORK,
        architecture=architecture,
        inputs=inputs,
        label_smoothing=pick(run.params, "train_cnn", "label_smoothing"),
        floor=parse(DecideSettings, pick(run.params, "decide"), "decide").floor,
        training_prior=run.training_priors[fold].tolist(),
    )


def describe_svm(run: PipelineRun, name: str, fold: int, features: list[str]) -> Description:
    """Description of the SVM of a fold; its calibration was fitted at the natural class shares."""
    return _of_features(run, name, fold, features, "svm")


def describe_trees(run: PipelineRun, name: str, fold: int, features: list[str]) -> Description:
    """Description of the trees of a fold; the pipeline takes their probabilities as those of natural class shares."""
    return _of_features(run, name, fold, features, pick(run.params, "train_trees", "models", name, "kind"))


def _of_features(run: PipelineRun, name: str, fold: int, features: list[str], architecture: str) -> Description:
    return _describe(
        run,
        fold,
        classifier=name,
        architecture=architecture,
        inputs={"features": _features(run, features)},
        label_smoothing=0.0,
        floor=FLOOR,
        training_prior=run.natural_priors[fold].tolist(),
    )


def _features(run: PipelineRun, columns: list[str]) -> FeatureInput:
    given = set(pick(run.params, "source", "feature_columns"))
    return FeatureInput(names=columns, given=[column for column in columns if column in given])


def _describe(run: PipelineRun, fold: int, **of_kind: Any) -> Description:
    sizes_nm = run.table["pixel_size_nm"].dropna()
    return Description(
        problem=run.problem,
        fold=fold,
        classes=run.classes,
        measures=parse(FeatureSettings, pick(run.params, "features"), "features"),
        micrographs=MicrographSettings(
            padding_px=int(run.table["padding_px"].mode()[0]),
            pixel_size_nm=None,
        ),
        grey=parse(GreySettings, pick(run.params, "source", "grey"), "source.grey"),
        pixel_size_nm=(float(sizes_nm.min()), float(sizes_nm.max())) if len(sizes_nm) else None,
        natural_prior=run.natural_priors[fold].tolist(),
        provenance=run.provenance,
        **of_kind,
    )
