"""A tiny finished run with all kinds of classifiers: export, and prediction with every name of its report."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from PIL import Image

from lipnet import cli
from lipnet.classifiers import svm, tree_files, trees
from lipnet.classifiers.networks.architecture import ModelOptions, NetworkSettings, RegularisationSettings, build
from lipnet.classifiers.networks.prediction import predict, predict_views
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.core.settings import read_params
from lipnet.deployment import rules
from lipnet.deployment.predict import _feed
from lipnet.deployment.recommendation import checks_of, kinds_of, left_out, recommend, rules_of
from lipnet.deployment.runs import read_run, read_scores
from lipnet.evaluation import choices, inner_scores
from lipnet.evaluation.decisions import DecideSettings
from lipnet.evaluation.posteriors import posterior
from lipnet.evaluation.predictions import FoldOutput
from lipnet.samples import crops, features, particles
from lipnet.sources.unlabelled import open_unlabelled
from tests.deployment.finished_run import CLASSES, FOLDS, LABELS, PROBLEM, ROOT, SVMS, make_run, scores, write
from tests.deployment.node import install

# Keras writes weights through a deprecated interface of NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PLAIN = {"dropout_block": 0.25, "dropout_dense": 0.5, "dropout_decay": 1.0, "weight_decay": 0.0, "batch_norm": False}
MEASURED = ["area_px2", "height_px", "width_px"]
N = 24
PARAMS = read_params(ROOT / "params.yaml")
DECIDE = {
    "floor": 0.001,
    "rules": {
        "cnn_shifted": {"shift": 1.0},
        "costly": {"shift": 0.5, "costs": {PROBLEM: {"Clear": {"Dense": 5}}}},
        "expected": {"shift": 1.0, "deployment_prior": {PROBLEM: {"Dense": 1, "Clear": 3}}},
        "mean": {"of": ["cnn_views", "trees", "forest", "svm"], "shift": 0.75},
        "mean_of_models": {"of": ["cnn", "trees", "forest", "svm"], "shift": 0.75},
        "calibrated": {"of": ["cnn", "svm"], "shift": 0.5, "calibrated": True},
        "tuned": {"shift": 0.5, "tuned": True},
        "unscored": {"of": ["trees"], "shift": 0.5, "tuned": True},
        "of_head": {"of": ["head"], "shift": 1.0},
    },
    "choices": {"chosen": {"of": ["svm", "tuned"], "by": "macro_f1"}},
}
PLAIN_NAMES = ["cnn", "cnn_views", "svm", "size_only", "trees", "forest"]
RULES = ["cnn_shifted", "costly", "expected", "mean", "mean_of_models", "calibrated", "tuned", "chosen"]
Outputs = dict[str, list[FoldOutput]]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(N):
        shape = rng.integers(8, 20, 2)
        grey = rng.normal(rng.uniform(0, 255), 60, shape).clip(0, 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"p{number:02d}.png")
    return folder


def _inner(seed: int) -> pd.DataFrame:
    rng, tables = np.random.default_rng(seed), []
    for outer in (0, 1):
        rows = np.flatnonzero(outer != FOLDS)
        for part, own in enumerate(np.array_split(rows, 2)):
            p = rng.dirichlet([2, 1], len(own))
            given = FoldOutput(p.argmax(axis=1), p, np.array([0.5, 0.5]))
            tables.append(inner_scores.to_table(outer, part, own, LABELS, given, CLASSES))
    return pd.concat(tables)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, images: Path) -> tuple[Path, Outputs]:
    """A run with models, and what the libraries of training predict for the images, by classifier and fold."""
    folder = tmp_path_factory.mktemp("run")
    heads = PARAMS["train_cnn"]["heads"] | {"svms": {"head": []}}
    section = PARAMS["train_trees"]
    models = {name: {"kind": kind, "features": MEASURED} for name, kind in (("trees", "boosted"), ("forest", "forest"))}
    make_run(
        folder,
        decide=DECIDE,
        train_cnn=PARAMS["train_cnn"] | {"views": True, "heads": heads},
        train_trees=section | {"models": models, "forest": {"n_estimators": 9, "min_samples_leaf": 2}},
    )
    for seed, name in enumerate(("cnn", "svm")):
        files.write_table(folder / f"data/inner/{PROBLEM}/{name}.csv", _inner(seed))
    chosen = [
        ("chosen", 0, fold, one, "macro_f1", 0.5, int(one == ("svm", "tuned")[fold]))
        for fold in (0, 1)
        for one in ("svm", "tuned")
    ]
    files.write_table(folder / f"metrics/choices/{PROBLEM}.csv", pd.DataFrame(chosen, columns=choices.COLUMNS))

    read = read_run(folder, PROBLEM)
    opened = open_unlabelled(images, None, None, [], _description(read).micrographs, _description(read).grey)
    some = [particle for task in opened.tasks for particle in opened.read(task)]
    store, known = particles.pack(some), particles.describe(some)
    table = pd.concat(
        [known[["height_px", "width_px"]], features.measure_all(store, _description(read).measures)], axis=1
    )
    pixels = crops.crop_all(store, _description(read).inputs["image"].crop, known["id"].tolist())[8]
    outputs: Outputs = {name: [] for name in PLAIN_NAMES}
    for fold in (0, 1):
        _network(folder, fold, pixels, read.training_priors[fold], outputs)
        _of_features(folder, fold, table, read, outputs)
    return folder, outputs


def _description(read: Any) -> Any:
    from lipnet.deployment.export import describe_network

    return describe_network(read, 0)


def _network(folder: Path, fold: int, pixels: Any, prior: Any, outputs: Outputs) -> None:
    keras.utils.set_random_seed(fold)
    row = NetworkSettings.model_validate(read_params(folder / "params.yaml")["networks"]["tiny"])
    model = build(row, 2, ModelOptions(RegularisationSettings.model_validate(PLAIN), 0.5))
    for weights in model.trainable_weights:
        weights.assign(weights * 3)
    write(folder / f"data/models/{PROBLEM}/cnn/architecture.json", model.to_json())
    model.save_weights(folder / f"data/models/{PROBLEM}/cnn/fold{fold}.weights.h5")
    for name, stated in {"cnn": predict(model, pixels), "cnn_views": predict_views(model, pixels)}.items():
        outputs[name].append(FoldOutput(stated.argmax(axis=1), stated, prior, 0.1))


def _of_features(folder: Path, fold: int, table: pd.DataFrame, read: Any, outputs: Outputs) -> None:
    """SVMs and trees, trained on 60 random rows; the test rows are the images."""
    rng, params = np.random.default_rng(fold), read.params
    for name in ("svm", "size_only", "trees", "forest"):
        columns = ["height_px"] if name == "size_only" else MEASURED
        new = table[columns].to_numpy(np.float64)
        x = np.concatenate([rng.choice(new, 60) + rng.normal(0, 1, (60, len(columns))), new])
        y = np.concatenate([(x[:60, 0] + rng.normal(0, x[:, 0].std(), 60) > np.median(x[:60, 0])), np.zeros(N)]).astype(
            int
        )
        rows = (y, np.arange(len(y)), np.arange(60), np.arange(60, len(y)), 1, x, columns)
        if name in SVMS:
            result = svm.train_fold(svm.SvmTask(*rows, svm.settings_of(params)))
            path = folder / f"data/models/{PROBLEM}/svm/{name}/fold{fold}.svm"
            write(path, result.model)
            write(path.with_suffix(".json"), json.dumps(result.card))
            output = result.output
        else:
            kind = "forest" if name == "forest" else "boosted"
            grown = trees.train_fold(trees.TreeTask(*rows, kind, trees.settings_of(params)))
            tree_files.write(folder / f"data/models/{PROBLEM}/trees/{name}/fold{fold}.npz", grown.model)
            output = grown.output
        outputs[name].append(output._replace(prior=read.natural_priors[fold]))


def _lipnet(monkeypatch: pytest.MonkeyPatch, *words: Any) -> int:
    monkeypatch.setattr(sys, "argv", ["lipnet", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return 1 if isinstance(end.value.code, str) else int(end.value.code or 0)


@pytest.fixture(scope="module")
def exported(run: tuple[Path, Outputs], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        assert _lipnet(patch, "export", PROBLEM, "--run", run[0], "--to", folder) == 0
    return folder


def _expected(folder: Path, outputs: Outputs, name: str) -> tuple[NDArray[np.float64], list[str]]:
    """What stage decide gives for each fold, averaged; the class is the mean's class of least cost."""
    settings, read = DecideSettings.model_validate(DECIDE), read_run(folder, PROBLEM)
    if name in outputs:
        mean = np.mean([output.probabilities for output in outputs[name]], axis=0)
        return mean, np.array(CLASSES)[mean.argmax(axis=1)].tolist()
    results, expected_cost = [], 0.0
    for fold in (0, 1):
        one = ("svm", "tuned")[fold] if name == "chosen" else name
        selection = choices.selection_of(settings, one, PROBLEM, CLASSES)
        given = [posterior(outputs[of][fold], settings.floor) for of in selection.of]
        tables = [
            files.read_table(folder / f"data/inner/{PROBLEM}/{of}.csv") for of in selection.of if selection.fitted
        ]
        inner = inner_scores.of_fold(tables, fold, CLASSES, settings.floor) if tables else None
        results.append(choices.select(selection, given, read.natural_priors[fold], inner).output.probabilities)
        rule = selection.candidates[one].rule
        expected_cost = expected_cost + results[-1] @ (rule.costs if rule else 1 - np.eye(2))
    return np.mean(results, axis=0), np.array(CLASSES)[np.argmin(expected_cost, axis=1)].tolist()


@pytest.mark.parametrize("name", [*PLAIN_NAMES, *RULES])
def test_every_name_of_the_report_predicts_as_the_pipeline_does(
    name: str, run: tuple[Path, Outputs], exported: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("predict", exported, images, "--classifier", name, "--to", tmp_path / "out.csv", "--no-features")
    assert _lipnet(monkeypatch, *words) == 0
    table = pd.read_csv(tmp_path / "out.csv")
    probabilities, labels = _expected(*run, name)
    assert_allclose(table[["p_Dense", "p_Clear"]], probabilities, rtol=0, atol=1e-5)
    assert table["class"].tolist() == labels


def test_the_rules_file_lists_what_was_left_out_and_the_recommendation_is_the_default(
    exported: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rules.read(exported)
    assert (
        found is not None and set(found.rules) == set(RULES) and set(found.left_out) == {"head", "unscored", "of_head"}
    )
    card = json.loads((exported / "card.json").read_text())
    assert card["recommended"]["classifier"] == found.recommended == "cnn"
    assert card["left_out"] == found.left_out
    assert _lipnet(monkeypatch, "predict", exported, images, "--to", tmp_path / "out.csv") == 0
    assert "x cnn:" in capsys.readouterr().out
    assert _lipnet(monkeypatch, "info", exported) == 0
    assert capsys.readouterr().out.startswith("The recommended classifier is cnn (the network)")
    assert _lipnet(monkeypatch, "predict", exported, images, "--to", tmp_path / "o", "--classifier", "head") == 1
    with pytest.raises(InputError, match="'head' was not exported: the run does not keep SVMs on the embedding"):
        rules.read_classifier(exported, "head")
    with pytest.raises(
        InputError, match="available: cnn, cnn_views, forest, size_only, svm, trees, calibrated, cnn_shifted"
    ):
        rules.read_classifier(exported, "none")


@pytest.mark.parametrize(
    ("name", "shift", "prior", "message"),
    [
        ("cnn_shifted", 0.5, False, "--shift contradicts the rule 'cnn_shifted', which has its own shift"),
        ("expected", None, True, "--deployment-prior contradicts the rule 'expected', which has its own deployment"),
        ("tuned", None, True, "which was tuned for the class shares"),
        ("chosen", None, True, "--deployment-prior contradicts the rule 'chosen'"),
    ],
)
def test_options_that_contradict_a_rule_are_refused(
    name: str, shift: float | None, prior: bool, message: str, exported: Path
) -> None:
    with pytest.raises(InputError, match=message):
        rules.check_options(rules.read_classifier(exported, name), shift, prior)


def test_a_deployment_prior_takes_the_place_of_the_natural_one_in_a_rule(exported: Path) -> None:
    chosen = rules.read_classifier(exported, "cnn_shifted")
    rules.check_options(chosen, None, True)
    rules.check_options(rules.read_classifier(exported, "cnn"), 0.5, True)
    stated = np.full((2, 1, 2), 0.5)
    prior = np.array([0.2, 0.8])
    found, _ = rules.apply(stated, chosen.models, chosen.rules, prior)
    training = np.array([model.description.training_prior for model in chosen.models])
    assert_allclose(found[:, 0], prior / training / (prior / training).sum(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recommended": 3}, "recommended: Input should be a valid string"),
        ({"rules": {"r": [{"of": [], "shift": 1, "costs": [[0, 1], [1, 0]]}]}}, "rules: r: 0: of: List should have"),
        ({"rules": {"r": [{"of": ["cnn"], "shift": 1, "costs": [[0, 1]]}]}}, "need a number for every class"),
        ({"rules": {"r": [{"of": ["cnn"], "shift": 1, "costs": [[0, 1], [1, 0]], "prior": [1, 1]}]}}, "the sum 1"),
        ({"rules": {"r": [{"of": ["no"], "shift": 1, "costs": [[0, 1], [1, 0]]}] * 2}}, "needs the models of no"),
        ({"rules": {"r": [{"of": ["cnn"], "shift": 1, "costs": [[0, 1], [1, 0]]}]}}, "needs one model of each"),
        ({"rules": {"r": [{"of": ["cnn"], "shift": 1, "costs": [[0]]}] * 2}}, "is not for 2 classes"),
    ],
)
def test_a_damaged_rules_file_is_refused(change: dict[str, Any], message: str, exported: Path, tmp_path: Path) -> None:
    for path in exported.glob("cnn_fold*.onnx"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = json.loads((exported / rules.FILE).read_text())
    (tmp_path / rules.FILE).write_text(json.dumps(content | change))
    with pytest.raises(InputError, match=message):
        rules.read_classifier(tmp_path, "r")


def _recommended(folder: Path, **means: float) -> tuple[str, str]:
    table = scores(**means)
    return recommend(read_run(folder, PROBLEM), table.drop(columns="problem"))


@pytest.mark.parametrize(
    ("means", "expected", "words"),
    [
        ({"cnn": 0.895}, "cnn", "relies less on the class shares of the training particles than the best"),
        ({"cnn": 0.895, "costly": 0.9001}, "costly", "is the best"),  # a rule without a fit is as simple as its network
        ({"cnn": 0.895, "svm": 0.898, "trees": 0.899}, "svm", "an SVM"),
        ({}, "cnn_shifted", "is the best. The means of simpler classifiers are below this interval"),
        ({"size_only": 0.99}, "cnn_shifted", "its macro F1 of 0.900 "),  # a check of the data is never recommended
        ({"head": 0.99, "svm": 0.899}, "svm", "cnn_shifted with 0.900"),  # not exported
        ({"cnn": 0.5, "mean": 0.9001}, "cnn_shifted", "simpler than the best by macro F1, mean"),
        (
            {"cnn": 0.5, "costly": 0.895},
            "costly",
            "it relies less on the class shares of the training particles than the",
        ),
        ({"cnn": 0.5, "costly": 0.7}, "cnn_shifted", "is the best"),  # half the shift, but clearly worse
        ({"cnn": 0.5, "expected": 0.9001}, "expected", "is the best"),  # it states its own class shares
    ],
)
def test_the_best_classifier_is_recommended_or_a_simpler_one_that_is_as_good(
    means: dict[str, float], expected: str, words: str, run: tuple[Path, Outputs]
) -> None:
    name, reason = _recommended(run[0], **{"cnn_shifted": 0.9, "cnn_half_shifted": 0.6} | means)
    assert (name, words in reason) == (expected, True), reason


def test_kinds_checks_and_gaps_of_a_run_follow_from_its_settings(run: tuple[Path, Outputs]) -> None:
    read = read_run(run[0], PROBLEM)
    read.params["train_svm"]["features"]["size_only"] = ["height_px", "width_px"]
    kinds = kinds_of(read)
    assert [kinds[name] for name in ("svm", "trees", "cnn", "cnn_shifted", "tuned", "mean", "chosen")] == [
        0,
        1,
        2,
        2,
        3,
        4,
        4,
    ]
    assert checks_of(read) == {"size_only"} and "head" not in kinds
    assert "fitted on inner scores of trees" in left_out(read)["unscored"]
    assert "uses head" in left_out(read)["of_head"]
    calibrated = rules_of(read, read_scores(read)).rules["calibrated"]
    assert all(rule.bias is not None and rule.temperature != 1 for rule in calibrated)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("node"))


@pytest.mark.parametrize("name", ["costly", "mean_of_models", "calibrated", "tuned", "chosen"])
def test_node_applies_the_rules_of_the_file_with_the_same_classes(
    name: str, node: Path, exported: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("predict", exported, images, "--classifier", name, "--to", tmp_path / "out.csv", "--no-features")
    assert _lipnet(monkeypatch, *words) == 0
    chosen = rules.read_classifier(exported, name)
    opened = open_unlabelled(images, None, None, [], chosen.description.micrographs, chosen.description.grey)
    some = [particle for task in opened.tasks for particle in opened.read(task)]
    store, known = particles.pack(some), particles.describe(some)
    measured = features.measure_all(store, chosen.description.measures)
    table, inputs = pd.concat([known[["height_px", "width_px"]], measured], axis=1), dict[str, Any]()
    for model in chosen.models:
        said = model.description
        [(key, item)] = said.inputs.items()
        values = _feed(item, store, known, table)
        (node / f"{said.classifier}.values").write_bytes(values.tobytes())
        of_classifier = {"input": key, "values": f"{said.classifier}.values", "type": str(values.dtype), "about": []}
        inputs.setdefault(said.classifier, of_classifier | {"shape": values.shape})["about"].append(said.model_dump())
    (node / "inputs.json").write_text(json.dumps(inputs))
    command = ["node", "rules.mjs", str(exported), name, "inputs.json"]
    done = subprocess.run(command, cwd=node, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.array(CLASSES)[json.loads(done.stdout)].tolist() == pd.read_csv(tmp_path / "out.csv")["class"].tolist()
