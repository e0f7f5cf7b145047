"""The stages in one process on a tiny problem: protocols, balancing methods and ways to choose epochs run through."""

import json
import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.evaluation.inner_scores import to_table
from lipnet.evaluation.predictions import FoldOutput, from_table
from lipnet.samples import balance as balancing
from stages import (
    balance,
    compare,
    crop,
    decide,
    evaluate,
    ingest,
    score_inner,
    split,
    train_cnn,
    train_svm,
    train_trees,
)

ROOT = Path(__file__).parents[2]
# Keras writes weights through an interface of NumPy that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def make_params(**changes: Any) -> dict[str, Any]:
    """The project's params, made tiny; changes name keys as section__key."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["problems"] = ["lamellarity"]
    params["networks"]["lipnet4"] = {"size_px": 8, "blocks": [[4]], "halve": "pool", "top": "dense", "dense_units": 8}
    tiny = {
        "crop__sizes_px": [8],
        "split__folds": 2,
        "train_cnn__epochs__choose": "fixed",
        "train_cnn__epochs__fixed": 1,
        "train_cnn__engine": "processes",  # make may have changed it for a GPU
        "train_svm__calibration_folds": 2,
        "source__artificial__n_particles": 48,
        "source__artificial__min_per_class": 12,
        "source__artificial__particles_per_micrograph": 2,
        "source__artificial__padding_px": 4,
    }
    for name, value in {**tiny, **changes}.items():
        *sections, key = name.split("__")
        target = params
        for section in sections:
            target = target[section]
        target[key] = value
    return params


PATHS = {
    ingest: ["folder", "store", "table", "rejected", "duplicates", "counts", "pictures"],
    crop: ["store", "table", "crops", "picture"],
    split: ["table", "folds", "counts"],
    balance: ["table", "crops", "folds", "training_sets", "picture"],
    train_cnn: [
        *("table", "crops", "folds", "training_sets", "scratch", "cnn_models", "predictions/cnn", "priors/cnn.csv"),
        "history",
    ],
    train_svm: ["table", "folds", "svm_models", "predictions/svm", "priors/svm.csv"],
    train_trees: ["table", "folds", "models/trees", "predictions/trees", "priors/trees.csv"],
    score_inner: ["table", "crops", "folds", "scores"],
    decide: ["table", "folds", "predictions", "priors", "scores", "decisions", "choices"],
}
RENAMED = {"cnn_models": "models", "svm_models": "models", "scores": "inner"}


COMPARE = ["folds", "predictions", "decisions", "particles", "table", "bootstrap", "text", "pictures"]
EVALUATE = [
    *("predictions", "decisions", "history", "metrics", "summary", "folds", "classes", "confusion"),
    *("abstention", "pairs", "pictures", "learning"),
]


def run(stage: Any, folder: Path, params: dict[str, Any]) -> None:
    paths = {name: folder / name for name in PATHS[stage]}
    paths["picture"] = folder / f"{stage.__name__}.png"
    names = RENAMED if stage is not score_inner else {}
    arguments = {names.get(name, name.split("/")[0]): path for name, path in paths.items()}
    stage.main(params, Namespace(problem="lamellarity", **arguments))


def run_all(folder: Path, params: dict[str, Any]) -> None:
    for stage in PATHS:
        run(stage, folder, params)


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPNET_WORKERS", "1")  # a second process would start TensorFlow once more


@pytest.mark.parametrize(
    "changes",
    [
        {"split__repeats": 2, "balance__method": "undersample"},
        {"split__protocol": "shuffled", "balance__method": "smote", "train_cnn__regularisation__dropout_decay": 0.5},
        {"split__protocol": "thesis", "balance__method": "artificial", "augment__transforms": []},
        {"balance__method": "class_weights", "crop__scale": "constant", "train_cnn__epochs__choose": "early_stopping"},
    ],
    ids=["repeats", "smote", "artificial", "early_stopping"],
)
def test_settings_run_through_all_stages_and_every_particle_is_predicted(tmp_path: Path, changes: Any) -> None:
    params = make_params(train_cnn__epochs__most=2, **changes)
    run_all(tmp_path, params)
    table = files.read_table(tmp_path / "table")
    names = ("cnn/cnn", "svm/svm", "svm/size_only", "trees/trees")
    tables = [tmp_path / "predictions" / f"{name}.csv" for name in names]
    tables += [tmp_path / "decisions" / f"{name}.csv" for name in params["decide"]["rules"]]
    for path in tables:
        predictions = from_table(files.read_table(path), path.name)  # refuses a particle twice or not at all
        assert set(predictions.ids) == set(table["id"])
        assert len(predictions.ids) == len(table) * params["split"]["repeats"]
    weights = list((tmp_path / "cnn_models").glob("*.weights.h5"))
    assert len(weights) == params["split"]["folds"] * params["split"]["repeats"]


def test_logit_adjusted_loss_with_label_smoothing_is_refused_before_training(tmp_path: Path) -> None:
    params = make_params(train_cnn__loss__kind="logit_adjusted")
    for stage in (ingest, crop, split, balance):
        run(stage, tmp_path, params)
    with pytest.raises(InputError, match=r"logit_adjusted needs train_cnn\.label_smoothing 0"):
        run(train_cnn, tmp_path, params)
    run(train_cnn, tmp_path, make_params(train_cnn__loss__kind="logit_adjusted", train_cnn__label_smoothing=0.0))
    assert (tmp_path / "predictions" / "cnn" / "cnn.csv").is_file()


def test_no_training_set_holds_a_test_row_whatever_the_method(tmp_path: Path) -> None:
    for method in ("none", "oversample", "undersample", "smote", "artificial", "artificial_only", "class_weights"):
        params = make_params(balance__method=method)
        for stage in (ingest, crop, split, balance):
            run(stage, tmp_path, params)
        folds = files.read_table(tmp_path / "folds")["repeat0"].to_numpy()
        for fold, training_set in enumerate(balancing.from_arrays(files.read_arrays(tmp_path / "training_sets"))):
            expected = set() if method == "artificial_only" else {1 - fold}
            assert set(folds[training_set.rows]) == expected, method


def test_evaluate_and_compare_read_predictions_of_all_problems_and_classifiers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = make_params(compare__reference="a", evaluate__headline=["c", "b"], evaluate__baseline="a")
    rng = np.random.default_rng(0)
    for problem in ("one", "two"):
        for name in ("predictions/{}/a", "decisions/{}/b"):
            probabilities = rng.dirichlet([1, 1], 40).round(6)
            probabilities[:, 1] = 1 - probabilities[:, 0]
            rows = {"id": [f"p{i}" for i in range(40)], "repeat": 0, "fold": np.arange(40) % 4}
            rows |= {"label": ["X", "Y"] * 20, "predicted": np.where(probabilities[:, 0] > 0.5, "X", "Y")}
            rows |= {"p_X": probabilities[:, 0], "p_Y": probabilities[:, 1]}
            files.write_table(tmp_path / f"{name.format(problem)}.csv", pd.DataFrame(rows))
        losses = {"one": [1.0, 0.6, 0.5, 0.5, 0.5, 0.5], "two": [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]}[problem]
        history = {"fold": 0, "phase": "training", "epoch": np.arange(6) + 1, "loss": losses, "accuracy": 0.8}
        files.write_table(tmp_path / f"history/{problem}.csv", pd.DataFrame({**history, "validation_loss": np.nan}))
        ids = [f"p{i}" for i in range(40)][::-1]
        files.write_table(tmp_path / f"particles/{problem}.csv", pd.DataFrame({"id": ids, "group": [*"abcd"] * 10}))
    params["problems"] = ["one", "two"]
    arguments = Namespace(**{name: tmp_path / name for name in EVALUATE})
    evaluate.main(params, arguments)
    said = capsys.readouterr().err
    assert "two: The training loss of the network was still falling" in said and "one: " not in said
    compare.main(params, Namespace(**{name: tmp_path / name for name in COMPARE}))
    text = (tmp_path / "text").read_text()
    assert "# Classifiers against a" in text and "## one" in text and "## two" in text
    assert "no difference shown" in text  # both classifiers guess
    compared = files.read_table(tmp_path / "table")
    assert list(compared.columns[:4]) == ["problem", "classifier", "class", "measure"]
    assert set(compared["problem"]) == {"one", "two"} and set(compared["classifier"]) == {"a", "b"}
    resampled = files.read_table(tmp_path / "bootstrap")
    assert list(resampled.columns[:4]) == ["problem", "classifier", "measure", "difference"]
    assert len(resampled) == 2 * 4 and set(resampled["classifier"]) == {"b"} and resampled["low"].notna().all()
    assert set(files.read_table(tmp_path / "confusion")["problem"]) == {"one", "two"}
    abstention = files.read_table(tmp_path / "abstention")
    assert len(abstention) == 2 * 2 * len(params["evaluate"]["abstain_below"])
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 10
    headlines = json.loads((tmp_path / "metrics").read_text())
    assert list(headlines) == ["one", "two"] and list(headlines["one"]) == ["network", "a"]
    summary = files.read_table(tmp_path / "summary").set_index(["problem", "classifier", "class", "measure"])["mean"]
    assert headlines["two"]["network"]["log_loss_down"] == pytest.approx(summary["two", "b", "", "log_loss"], abs=5e-5)
    assert {path.name for path in (tmp_path / "learning").iterdir()} == {"one.png", "two.png"}

    (tmp_path / "predictions" / "two" / "a.csv").rename(tmp_path / "predictions" / "two" / "b.csv")
    with pytest.raises(InputError, match="two classifiers are called b; rename one"):
        evaluate.main(params, arguments)


LABEL_SMOOTHING = yaml.safe_load((ROOT / "params.yaml").read_text())["train_cnn"]["label_smoothing"]


def prepare_decisions(folder: Path, labels: list[str]) -> None:
    """Twelve particles in three folds, and the predictions of a network that was trained on equal class shares."""
    n, classes = len(labels), ["Unilamellar", "Multilamellar", "Uncertain"]
    ids, fold, codes = [f"p{i}" for i in range(n)], np.arange(n) % 3, np.array([classes.index(x) for x in labels])
    files.write_table(folder / "table", pd.DataFrame({"id": ids, "label": labels, "group": ids}))
    files.write_table(folder / "folds", pd.DataFrame({"id": ids, "repeat0": fold}))
    trains = [np.flatnonzero(fold != number) for number in range(3)]
    priors = {"classifier": "cnn", "repeat": 0, "fold": range(3), "label_smoothing": LABEL_SMOOTHING}
    table = pd.DataFrame({**priors, **{f"prior_{name}": 1 / 3 for name in classes}})
    files.write_table(folder / "priors" / "cnn.csv", pd.concat([table, table.assign(classifier="svm")]))
    stated = pd.DataFrame({"id": ids, "repeat": 0, "fold": fold, "label": labels, "predicted": labels})
    stated[[f"p_{name}" for name in classes]] = np.random.default_rng(1).dirichlet([3, 3, 3], n).round(6)
    files.write_table(folder / "predictions" / "cnn.csv", stated)
    guess = np.random.default_rng(2)  # the same whatever the labels are
    scores = []
    for number, train in enumerate(trains):
        for part, rows in enumerate(np.array_split(train, 2)):
            p = guess.dirichlet([3, 3, 3], len(rows))
            output = FoldOutput(p.argmax(axis=1), p, np.full(3, 1 / 3))
            scores.append(to_table(number, part, rows, codes, output, classes))
    files.write_table(folder / "scores" / "cnn.csv", pd.concat(scores))


def test_test_labels_change_nothing_that_any_rule_says_of_their_fold(tmp_path: Path) -> None:
    costs = {"lamellarity": {"Uncertain": {"Unilamellar": 9}}}
    params = make_params(
        decide__rules__costly={"shift": 0.7, "costs": costs},
        decide__rules__calibrated={"shift": 0.5, "calibrated": True},
        decide__rules__tuned={"shift": 0.5, "tuned": True},
    )
    labels = ["Unilamellar"] * 6 + ["Multilamellar"] * 3 + ["Uncertain"] * 3
    others = ["Uncertain" if i % 3 == 0 else label for i, label in enumerate(labels)]  # of fold 0 alone
    found = []
    for name, some in (("before", labels), ("after", others)):
        prepare_decisions(tmp_path / name, some)
        run(decide, tmp_path / name, params)
        found.append({path.stem: files.read_table(path) for path in (tmp_path / name / "decisions").iterdir()})
    before, after = found
    assert set(before) == {"cnn_shifted", "cnn_half_shifted", "costly", "calibrated", "tuned"}
    for rule, table in before.items():
        said = ["predicted", "p_Unilamellar", "p_Multilamellar", "p_Uncertain"]
        of_fold = table["fold"] == 0
        pd.testing.assert_frame_equal(table.loc[of_fold, said], after[rule].loc[of_fold, said])
        # Where they are training labels, they do count: the test would notice.
        assert (table.loc[~of_fold, said[1:]] != after[rule].loc[~of_fold, said[1:]]).any(axis=None)


def test_neither_labels_nor_images_of_test_rows_change_who_is_chosen_for_their_fold(tmp_path: Path) -> None:
    """Images act through what the network says of them; inner scores hold training rows only (see the next test)."""
    rules = {"cnn_shifted": {"shift": 1.0}, "tuned": {"shift": 0.5, "tuned": True}}
    choices = {"chosen": {"of": ["cnn", "cnn_shifted", "tuned"], "by": "macro_f1"}}
    params = make_params(decide__rules=rules, decide__choices=choices)
    labels = ["Unilamellar"] * 6 + ["Multilamellar"] * 3 + ["Uncertain"] * 3
    others = ["Uncertain" if i % 3 == 0 else label for i, label in enumerate(labels)]  # of fold 0 alone
    found = []
    for name, some in (("before", labels), ("after", others)):
        folder = tmp_path / name
        prepare_decisions(folder, some)
        if name == "after":
            stated = files.read_table(folder / "predictions" / "cnn.csv")
            p = [column for column in stated.columns if column.startswith("p_")]
            stated.loc[stated["fold"] == 0, p] = stated.loc[stated["fold"] == 0, p[::-1]].to_numpy()
            files.write_table(folder / "predictions" / "cnn.csv", stated)
        run(decide, folder, params)
        found.append(files.read_table(folder / "choices"))
        chosen = found[-1][found[-1]["chosen"] == 1]
        assert len(found[-1]) == 9 and chosen["fold"].tolist() == [0, 1, 2]
        own = files.read_table(folder / "decisions" / "chosen.csv")
        for row in chosen.itertuples():  # what the choice says of a fold is what the one that was chosen says of it
            if row.candidate != "cnn":
                said = files.read_table(folder / "decisions" / f"{row.candidate}.csv")
                pd.testing.assert_frame_equal(own[own["fold"] == row.fold], said[said["fold"] == row.fold])
    before, after = found
    pd.testing.assert_frame_equal(before[before["fold"] == 0], after[after["fold"] == 0])
    # Where they are training labels, they do count: the test would notice.
    assert not before[before["fold"] != 0].equals(after[after["fold"] != 0])


def test_inner_scores_are_of_training_rows_by_networks_that_did_not_see_them(tmp_path: Path) -> None:
    params = make_params(inner__folds=2, inner__classifiers=["cnn", "svm"])
    for stage in (ingest, crop, split, score_inner):
        run(stage, tmp_path, params)
    folds = files.read_table(tmp_path / "folds")["repeat0"].to_numpy()
    groups = files.read_table(tmp_path / "table")["group"].to_numpy()
    for name in ("cnn", "svm"):
        table = files.read_table(tmp_path / "scores" / f"{name}.csv")
        for outer, of_fold in table.groupby("outer"):
            assert sorted(of_fold["row"]) == np.flatnonzero(folds != outer).tolist()  # every training row, once
            first, second = (set(groups[part["row"]]) for _, part in of_fold.groupby("part"))
            assert not first & second


def test_fitted_rules_and_averages_run_through_all_stages(tmp_path: Path) -> None:
    params = make_params(
        inner__folds=2,
        inner__classifiers=["cnn", "trees"],
        train_trees__boosted__inner_folds=2,
        train_cnn__heads__calibration_folds=2,
        train_cnn__views=True,
        train_cnn__heads__svms={"cnn_svm": []},
        train_cnn__join__features=["area"],
        crop__mode="both",
        decide__choices={"chosen": {"of": ["fitted", "trees", "cnn"], "by": "log_loss"}},
        decide__rules={
            "average": {"of": ["cnn_views", "cnn_svm", "trees", "svm"], "shift": 1.0},
            "fitted": {"of": ["cnn", "trees"], "shift": 0.5, "calibrated": True, "tuned": True},
        },
    )
    run_all(tmp_path, params)
    assert {path.stem for path in (tmp_path / "predictions" / "cnn").iterdir()} == {"cnn", "cnn_views", "cnn_svm"}
    assert len(files.read_table(tmp_path / "choices")) == 3 * params["split"]["folds"]
    for name in ("average", "fitted", "chosen"):
        from_table(files.read_table(tmp_path / "decisions" / f"{name}.csv"), name)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"of": ["cnn", "tree"], "shift": 1.0}, "decide.rules.mine: no scores of 'tree' in .*predictions; there are: "),
        ({"of": ["svm"], "shift": 1.0, "tuned": True}, "no scores of 'svm' in .*scores; there are: cnn"),
    ],
)
def test_a_rule_of_what_was_not_scored_is_refused(tmp_path: Path, rule: Any, message: str) -> None:
    prepare_decisions(tmp_path, ["Unilamellar"] * 6 + ["Multilamellar"] * 3 + ["Uncertain"] * 3)
    shutil.copy(tmp_path / "predictions" / "cnn.csv", tmp_path / "predictions" / "svm.csv")
    with pytest.raises(InputError, match=message):
        run(decide, tmp_path, make_params(decide__rules={"mine": rule}))


def test_evaluate_says_so_where_there_is_nothing_to_read(tmp_path: Path) -> None:
    arguments = Namespace(predictions=tmp_path, decisions=tmp_path)
    with pytest.raises(InputError, match="no predictions; run `dvc repro`"):
        evaluate.main(make_params(), arguments)
    with pytest.raises(InputError, match="name at least one problem"):
        evaluate.main({**make_params(), "problems": []}, arguments)


def test_ingest_draws_only_the_listed_classes(tmp_path: Path) -> None:
    params = make_params()
    params["classes"]["lamellarity"] = ["Unilamellar", "Multilamellar"]
    run(ingest, tmp_path, params)
    assert set(files.read_table(tmp_path / "table")["label"]) == {"Unilamellar", "Multilamellar"}


def write_source(folder: Path, text: str) -> dict[str, Any]:
    folder.mkdir()
    (folder / "particles.csv").write_text(text)
    return make_params(source__kind="table")


def test_ingest_refuses_an_empty_table_by_name(tmp_path: Path) -> None:
    params = write_source(tmp_path / "folder", "id,image,class\n")
    with pytest.raises(InputError, match="folder: no particles are listed there"):
        run(ingest, tmp_path, params)


def test_ingest_says_that_a_class_is_too_small_before_it_opens_an_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"{number},gone.png,{name}" for number, name in enumerate(["Uncertain", *["Unilamellar", "Multilamellar"] * 5])
    ]
    params = write_source(tmp_path / "folder", "\n".join(["id,image,class", *rows]))
    with pytest.raises(InputError, match="11 of 11 rows rejected"):
        run(ingest, tmp_path, params)
    n_folds = params["split"]["folds"]
    said = capsys.readouterr().err
    assert (
        f"class 'Uncertain' has 1 particles, fewer than the {n_folds} folds; add at least {n_folds - 1} of it" in said
    )
    assert said.count("warning: ") == 1


def test_ingest_refuses_a_feature_column_that_it_writes_itself(tmp_path: Path) -> None:
    store = tmp_path / "folder"
    store.mkdir()
    Image.fromarray(np.full((9, 9), 7, np.uint8)).save(store / "a.png")
    (store / "particles.csv").write_text("id,image,class,width_px\n1,a.png,Uncertain,9\n")
    params = make_params(source__kind="table", source__feature_columns=["width_px"])
    with pytest.raises(InputError, match="ingest itself writes a column width_px; rename yours"):
        run(ingest, tmp_path, params)


def test_ingest_applies_corrections_and_says_what_labels_were(tmp_path: Path) -> None:
    params = make_params(problems=["lamellarity"])
    run(ingest, tmp_path, params)
    table = files.read_table(tmp_path / "table")
    name, before = table["id"][0], table["label"][0]
    after = next(label for label in params["classes"]["lamellarity"] if label != before)
    (tmp_path / "folder").mkdir(exist_ok=True)
    (tmp_path / "folder/corrections.csv").write_text(f"id,label,note\n{name},{after},seen again\n")
    run(ingest, tmp_path, params)
    assert files.read_table(tmp_path / "table")["label"][0] == after
    found = files.read_table(tmp_path / "pictures/corrected_labels.csv")
    assert found.to_dict("records") == [{"id": name, "before": before, "label": after}]
    (tmp_path / "folder/corrections.csv").write_text(f"id,label\nnobody,{after}\n")
    with pytest.raises(InputError, match="row 2: no particle 'nobody' was ingested"):
        run(ingest, tmp_path, params)
