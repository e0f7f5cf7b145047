"""All settings are checked at once: every fault is named with its place and, for a misspelt name, the nearest one."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from lipnet.core.errors import InputError
from lipnet.core.settings import read_params
from lipnet.deployment.checks.validation import OTHERS, RECORDS, faults_of, validate

ROOT = Path(__file__).parents[3]
PARAMS = read_params(ROOT / "params.yaml")
GONE = object()


def changed(**changes: Any) -> dict[str, Any]:
    """params.yaml with new values; keys as section__key; GONE removes a key."""
    params = deepcopy(PARAMS)
    for dotted, value in changes.items():
        *sections, key = dotted.split("__")
        target = params
        for name in sections:
            target = target[name]
        if value is GONE:
            del target[key]
        else:
            target[key] = value
    return params


def test_the_settings_of_the_project_have_no_faults_with_any_recipe() -> None:
    for recipe in PARAMS["recipes"]:
        validate(changed(recipe=recipe))


def test_every_key_of_params_yaml_is_known() -> None:
    assert set(PARAMS) == {*RECORDS, *OTHERS}


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"splt": 1}, ["unknown key 'splt'; did you mean 'split'?"]),
        ({"split": GONE}, ["'split' is missing in the top level"]),
        ({"train_cnn__epochs__fixd": 3}, ["unknown key 'train_cnn.epochs.fixd'; did you mean 'fixed'?"]),
        (
            {"decide__rules__cnn_shifted__shfit": 1},
            ["unknown key 'decide.rules.cnn_shifted.shfit'; did you mean 'shift'?"],
        ),
        ({"source__artificial__n_particles": 0}, ["source.artificial.n_particles = 0"]),
        ({"recipe": "bets"}, ["'bets' is missing in recipes; did you mean 'best'?"]),
        ({"recipes__thesis": {"train_cnn.mid_gray": 0}}, ["'mid_gray' is missing in train_cnn; did you mean"]),
        ({"recipes": [1]}, ["recipes must list", "expected"]),
        ({"seed": -1}, ["seed = -1"]),
        ({"portable": "yes"}, ["portable = 'yes': it must be true or false"]),
        ({"train_cnn__precision": "bfloat16"}, ["bfloat16 depends on the processor; set portable: false, or float32"]),
        ({"model": "lipnet3"}, ["model: no network 'lipnet3'; did you mean 'lipnet"]),
        ({"networks": []}, ["networks must be a table"]),
        ({"networks__resnet18__halve": "enter"}, ["networks.resnet18.halve = 'enter'"]),
        (
            {"train_cnn__engine": "vectorised", "model": "lipnet_fcn", "crop__sizes_px": [128]},
            ["train_cnn.engine vectorised trains on images of one side only, and this network has buckets_px; use"],
        ),
        ({"crop__sizes_px": [32]}, ["crop.sizes_px: lipnet4 needs crops of 28 px; add 28 there"]),
        ({"problems": ["lamelarity"]}, ["'lamelarity' is missing in classes; did you mean 'lamellarity'?"]),
        ({"problems": []}, ["problems: name at least one problem"]),
        ({"problems": ["lamellarity", "lamellarity"]}, ["problems: name every problem once"]),
        ({"classes__liposomes": ["Empty"]}, ["classes.liposomes must list at least two names"]),
        ({"classes__liposomes": ["Empty", "total"]}, ["classes.liposomes: 'total' cannot name a class"]),
        ({"classes": 1}, ["classes must list"]),
        ({"problems": ["liposomes"]}, ["source artificial draws lamellarity, encapsulation, not 'liposomes'"]),
        (
            {"problems": ["liposomes"], "source__kind": "table", "balance__method": "artificial"},
            ["balance.method artificial: no generator of 'liposomes'"],
        ),
        (
            {"source__micrographs__clip_percent": 0.1},
            ["clip_percent is now part of source.grey: delete it"],
        ),
        (
            {"source__of": {"liposome": {"class_column": "a"}}},
            ["source.of: no problem 'liposome'; did you mean"],
        ),
        ({"shared": 1}, ["shared must be a list of folders; [] for none"]),
        (
            {"shared": ["cells"]},
            ["shared: no problem uses cells; remove it"],
        ),
        (
            {"problems": ["liposomes"], "source__kind": "table", "source__of": {"liposomes": {"images_of": "cells"}}},
            ["shared: add cells, whose images liposomes uses (source.of.liposomes.images_of)"],
        ),
        (
            {"shared": ["cells"], "source__of": {"liposomes": {"images_of": "cells", "kind": "micrographs"}}},
            ["source.of.liposomes.images_of: only images of kind table can be shared; set kind: table"],
        ),
        (
            {"problems": ["liposomes"], "source__kind": "table", "source__of": {"liposomes": {"kind": "artificial"}}},
            ["source artificial draws lamellarity, encapsulation, not 'liposomes'"],
        ),
        ({"train_svm__features__svm": ["aera"]}, ["train_svm.features.svm: no feature 'aera'; did you mean 'area'?"]),
        ({"train_trees__models__trees__features": ["histogran"]}, ["train_trees.models.trees.features: no feature"]),
        ({"train_cnn__join__features": ["circulrity"]}, ["train_cnn.join.features: no feature 'circulrity'"]),
        ({"train_svm__features__trees": ["area"]}, ["two classifiers or rules are called trees; rename one"]),
        ({"inner__classifiers": ["cn"]}, ["inner.classifiers: no classifier 'cn'; did you mean 'cnn'?"]),
        ({"compare__reference": "svn"}, ["compare.reference: no classifier 'svn'; did you mean 'svm'?"]),
        ({"compare__classifiers": ["cnn", "cnn_views"]}, ["compare.classifiers: no classifier 'cnn_views'"]),
        ({"compare__primary": ["macro_f2", "mcc"]}, ["compare.primary: no measure 'macro_f2'"]),
        ({"compare__primary": ["f1"]}, ["compare.primary: name at least one of accuracy"]),
        (
            {"decide__rules__cnn_shifted__of": ["tree"]},
            ["decide.rules.cnn_shifted.of: no classifier 'tree'; did you mean 'trees'?"],
        ),
        (
            {"decide__rules__cnn_shifted__costs": {"encapsulation": {"Ful": {"Empty": 2}}}},
            ["decide.rules.cnn_shifted.costs: unknown Ful"],
        ),
        (
            {"decide__rules__cnn_shifted__costs": {"encapsulatio": {}}},
            ["decide.rules.cnn_shifted.costs: unknown encapsulatio"],
        ),
        (
            {"decide__choices": {"chosen": {"of": ["cnn", "svmm"], "by": "mcc"}}, "inner__classifiers": ["cnn"]},
            ["decide.choices.chosen.of: no classifier or rule 'svmm'; did you mean 'svm'?"],
        ),
        ({"decide__rules__cnn_shifted__tuned": True}, ["decide: cnn_shifted is fitted on inner scores; add cnn"]),
    ],
)
def test_a_fault_is_named_with_its_place_and_the_remedy(changes: dict[str, Any], faults: list[str]) -> None:
    found = faults_of(changed(**changes))
    assert all(fault.startswith("params.yaml: ") for fault in found)
    assert faults[0] in found[0], found
    if not {"split", "recipes", "classes"} & set(changes):
        assert len(found) == 1, found  # one cause, one fault


def test_all_faults_are_in_one_message() -> None:
    params = changed(model="lipnet3", compare__reference="svn", train_cnn__mixup=-1, split__folds=1, recipe="bets")
    with pytest.raises(InputError) as error:
        validate(params)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{len(lines) - 1} faults"
    for name in ("lipnet3", "train_cnn.mixup", "split.folds", "bets"):
        assert any(name in line for line in lines)


def test_a_feature_column_of_ones_own_is_known() -> None:
    assert not faults_of(changed(source__feature_columns=["charge"], train_svm__features__svm=["charge"]))


def test_nothing_can_make_the_check_itself_fail() -> None:
    for key in PARAMS:
        for value in (None, 1, "text", [], [1], {}, {"a": 1}, {1: {}}):
            assert faults_of(changed(**{key: value})) or (key, value) in (("seed", 1), ("shared", []))


def test_settings_are_checked_without_keras() -> None:
    code = "import sys; import lipnet.deployment.checks.data_checks; print({'keras', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_stage_writes_what_the_recipe_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from argparse import Namespace

    from stages import check

    check.main(changed(recipe="thesis"), Namespace(recipe=tmp_path, checked=tmp_path / "checked.json"))
    written = {path.stem: yaml.safe_load(path.read_text()) for path in tmp_path.iterdir()}
    assert written.pop("checked") == {}
    assert written.pop("train_cnn") == {"train_cnn.mid_grey": 0.0, "train_cnn.epochs.choose": "fixed"}
    assert set(map(str, written.values())) == {"{}"}
    with pytest.raises(InputError, match="lipnet3"):
        check.main(
            changed(model="lipnet3"), Namespace(recipe=tmp_path / "other", checked=tmp_path / "other/checked.json")
        )
    assert not (tmp_path / "other").exists()
