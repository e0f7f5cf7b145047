"""The whole graph in a reduced run, as a user drives it: repro, no-op, experiments, diffs, and a table of one's own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from lipnet.sources.artificial.micrographs import plan_micrographs, render_micrograph
from lipnet.sources.artificial.settings import ArtificialSettings

ROOT = Path(__file__).parents[1]
SMALL = {
    "problems": ["lamellarity"],
    "source.artificial.n_particles": 90,
    "source.artificial.min_per_class": 15,
    "source.artificial.particles_per_micrograph": 3,
    "split.folds": 2,
    "train_svm.calibration_folds": 2,
    "train_cnn.epochs.choose": "fixed",
    "train_cnn.epochs.fixed": 1,
    "train_cnn.engine": "processes",  # make may have changed it for a GPU
    "model": "lipnet1",
}
TINY_NETWORK = {"size_px": 28, "blocks": [[4]], "halve": "pool", "top": "dense", "dense_units": 8}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["LIPNET_WORKERS"] = "1"  # each further process would start TensorFlow once more
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "test", f"GIT_{role}_EMAIL": "test@example.invalid"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def succeed(folder: Path, *command: str) -> str:
    done = run(folder, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stages_run(output: str) -> list[str]:
    return [line.split("'")[1].split("@")[0] for line in output.splitlines() if line.startswith("Running stage")]


def change(folder: Path, values: dict[str, object]) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for key, value in values.items():
        *sections, name = key.split(".")
        target = params
        for section in sections:
            target = target[section]
        target[name] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def changed_stages(folder: Path) -> set[str]:
    lines = succeed(folder, "dvc", "status").splitlines()
    return {line.split("@")[0].rstrip(":") for line in lines if line[:1].isalpha() and line.endswith(":")}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with small settings, after one `dvc repro`, committed."""
    folder = tmp_path_factory.mktemp("a project")  # the space is on purpose
    for name in ("lipnet", "stages", "dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config", "data/raw"):
        source = ROOT / name
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    succeed(folder, "git", "init", "--quiet")
    succeed(folder, "git", "add", "-A")
    succeed(folder, "git", "commit", "--quiet", "-m", "project")
    change(folder, SMALL | {"networks.lipnet1": TINY_NETWORK, "networks.lipnet2": TINY_NETWORK | {"dense_units": 9}})
    done = run(folder, "dvc", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "empty" not in done.stdout + done.stderr  # no warning of an empty folder
    first = stages_run(done.stdout)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert sorted({*first, "share"}) == sorted(stages)  # no images are shared
    succeed(folder, "git", "add", "-A")
    succeed(folder, "git", "commit", "--quiet", "-m", "results")
    return folder


@pytest.fixture(autouse=True)
def as_committed(project):
    yield
    succeed(project, "git", "checkout", "--quiet", ".")
    succeed(project, "dvc", "checkout", "--quiet", "--force")


def test_a_second_repro_runs_nothing(project):
    assert stages_run(succeed(project, "dvc", "repro")) == []


def test_outputs_are_where_a_reviewer_looks(project):
    for name in ("crops", "augmentation", "learning", "comparison"):
        assert (project / f"plots/{name}/lamellarity.png").stat().st_size > 1000
    ingested = {path.name for path in (project / "plots/particles/lamellarity").iterdir()}
    assert {"report.md", "contact_sheet.png", "sizes.png", "features.png"} <= ingested
    names = {path.stem for path in (project / "data/predictions/lamellarity").rglob("*.csv")}
    assert names == {"cnn", "svm", "size_only", "trees"}
    assert {path.stem for path in (project / "data/decisions/lamellarity").iterdir()} == {
        "cnn_shifted",
        "cnn_half_shifted",
    }
    for name in ("confusion", "classes", "reliability", "precision_recall"):
        assert (project / f"plots/evaluation/lamellarity_{name}.png").stat().st_size > 1000
    assert not list((project / "plots").rglob(".gitignore"))


def test_changing_the_model_reruns_training_and_what_follows_only(project):
    output = succeed(project, "dvc", "exp", "run", "-S", "model=lipnet2")
    assert sorted(stages_run(output)) == ["check", "compare", "decide", "evaluate", "score_inner", "train_cnn"]
    diff = succeed(project, "dvc", "params", "diff", "--md")
    assert "| model" in diff and "lipnet2" in diff


def test_changing_a_decision_rule_trains_nothing(project):
    output = succeed(project, "dvc", "exp", "run", "-S", "decide.rules.cnn_shifted.shift=0.9")
    assert stages_run(output) == ["check", "decide", "evaluate", "compare"]


def test_metrics_diff_and_the_table_of_experiments_fit_a_screen(project):
    path = project / "metrics/metrics.json"
    numbers = json.loads(path.read_text())
    assert sum(map(len, numbers["lamellarity"].values())) <= 8
    changed = {
        name: {measure: 0.5 + (value or 0) for measure, value in of.items()}
        for name, of in numbers["lamellarity"].items()
    }
    path.write_text(json.dumps({"lamellarity": changed}))
    diff = [line for line in succeed(project, "dvc", "metrics", "diff", "--md").splitlines() if line.startswith("| m")]
    assert 1 < len(diff) <= 8 and all(line.startswith("| metrics/metrics.json |") for line in diff)  # no other file
    assert any("lamellarity.network.macro_f1_up" in line for line in diff)
    lines = succeed(project, sys.executable, str(ROOT / ".ci" / "experiments.py")).splitlines()
    assert lines[2].split()[:4] == ["experiment", "model", "recipe", "macro_f1_up"]
    assert lines[3].split()[:3] == ["workspace", "lipnet1", "plain"] and max(map(len, lines)) <= 160


@pytest.mark.parametrize(
    ("key", "value", "stale"),
    [
        ("train_svm.cost", 2.0, {"train_svm", "score_inner"}),
        ("train_trees.boosted.max_iter", 9, {"train_trees", "score_inner"}),
        ("networks.lipnet1.dense_units", 9, {"train_cnn", "score_inner"}),
        ("networks.lipnet4.dense_units", 9, set()),
        ("train_cnn.label_smoothing", 0.0, {"train_cnn", "score_inner"}),
        ("decide.floor", 0.01, {"decide"}),
        ("inner.folds", 2, {"score_inner"}),
        ("evaluate.abstain_below", [0.8], {"evaluate"}),
        ("evaluate.headline", ["cnn"], {"evaluate"}),
        ("split.protocol", "shuffled", {"split"}),
        ("compare.confidence", 0.9, {"compare"}),
        ("balance.method", "none", {"balance", "score_inner"}),
        ("classes.liposomes", ["A", "B"], set()),
    ],
)
def test_a_parameter_makes_only_its_own_stages_stale(project, key, value, stale):
    change(project, {key: value})
    assert changed_stages(project) == stale | {"check"}


def test_a_recipe_runs_only_the_stages_that_read_the_sections_that_it_changes(project):
    change(project, {"recipe": "best"})
    trained = stages_run(succeed(project, "dvc", "repro"))
    assert trained == ["check", "train_cnn", "score_inner", "decide", "evaluate", "compare"]


def test_a_network_that_was_trained_before_is_not_trained_again(project):
    """The run cache: counted are the stages that DVC runs, and those that it names as cached."""
    succeed(project, "dvc", "exp", "run", "-S", "model=lipnet2")
    output = succeed(project, "dvc", "exp", "run", "-S", "model=lipnet1")
    assert sorted(stages_run(output)) == ["compare", "decide", "evaluate"]  # nothing that trains
    cached = {line.split("'")[1].split("@")[0] for line in output.splitlines() if "is cached - skipping run" in line}
    assert cached == {"check", "train_cnn", "score_inner"}


def test_settings_are_checked_before_anything_runs(project):
    change(project, {"compare.reference": "svn", "source.artificial.n_particles": 91})
    done = run(project, "dvc", "repro")
    assert done.returncode != 0
    assert "compare.reference: no classifier 'svn'; did you mean 'svm'?" in done.stderr
    assert stages_run(done.stdout) == ["check"]


@pytest.mark.parametrize(
    ("path", "stale"),
    [
        ("lipnet/plots/figure.py", {"ingest", "crop", "balance", "evaluate", "compare"}),
        ("lipnet/deployment/reports/report.py", set()),
        ("lipnet/studies/verdicts.py", set()),
        ("lipnet/cli.py", set()),
        ("lipnet/evaluation/metrics.py", {"check", "decide", "evaluate", "compare"}),
        ("lipnet/classifiers/trees.py", {"check", "train_trees", "score_inner"}),
        ("lipnet/classifiers/networks/epoch.py", {"check", "train_cnn", "score_inner"}),
    ],
)
def test_an_edit_of_code_makes_only_stages_stale_that_reach_it(project, path, stale):
    """An edited picture draws pictures anew and trains nothing."""
    with (project / path).open("a") as file:
        file.write("# an edit\n")
    assert changed_stages(project) == stale


def test_an_unknown_model_stops_with_its_name(project):
    change(project, {"model": "lipnet9"})
    done = run(project, "dvc", "repro")
    assert done.returncode != 0
    assert "model: no network 'lipnet9'; did you mean 'lipnet" in done.stderr
    direct = run(project, sys.executable, "-m", "stages.train_cnn", "lamellarity", *TRAIN_CNN_PATHS)
    assert direct.returncode == 1
    assert "'lipnet9' is missing in networks; did you mean 'lipnet" in direct.stderr
    assert "Traceback" not in direct.stderr


TRAIN_CNN_PATHS = [
    word.format("lamellarity")
    for word in (
        *("--table", "data/particles/{}.csv", "--crops", "data/crops/{}.npz", "--folds", "data/folds/{}.csv"),
        *("--scratch", "data/scratch/{}"),
        *("--training_sets", "data/training_sets/{}.npz", "--models", "m", "--predictions", "p", "--priors", "q"),
        *("--history", "h"),
    )
]


def test_a_misspelt_parameter_stops_the_run_with_the_right_spelling(project):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("protocol:", "protokol:"))
    done = run(project, "dvc", "repro", "split")
    assert done.returncode != 0
    assert "unknown key 'split.protokol'; did you mean 'protocol'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_class_with_one_member_stops_the_run_and_says_what_to_change(project):
    table = pd.read_csv(project / "data/particles/lamellarity.csv")
    lonely = pd.concat([table[table["label"] != "Uncertain"], table[table["label"] == "Uncertain"].head(1)])
    lonely.to_csv(project / "lonely.csv", index=False)
    done = run(
        project,
        sys.executable,
        "-m",
        "stages.split",
        "lamellarity",
        "--table",
        "lonely.csv",
        "--folds",
        "f",
        "--counts",
        "c",
    )
    (project / "lonely.csv").unlink()
    assert done.returncode == 1
    assert "class 'Uncertain' has 1 particles, fewer than the 2 folds" in done.stderr
    assert "Traceback" not in done.stderr


def write_table(folder: Path, n: int) -> pd.DataFrame:
    """A table of one's own with two classes, one feature and a bad row, from artificial particles."""
    settings = ArtificialSettings.model_validate(
        yaml.safe_load((ROOT / "params.yaml").read_text())["source"]["artificial"]
        | {"n_particles": n, "min_per_class": n // 3, "particles_per_micrograph": 2}
    )
    plans = plan_micrographs("lamellarity", settings, 1)
    drawn = (item for plan in plans for item in render_micrograph(plan, settings))
    particles = [item for item in drawn if item.label != "Uncertain"]
    (folder / "images").mkdir(parents=True)
    rows = []
    for item in particles:
        Image.fromarray(item.image).save(folder / "images" / f"{item.id}.png")
        Image.fromarray(item.mask).save(folder / "images" / f"{item.id}_mask.png")
        rows.append({"id": item.id, "image": f"images/{item.id}.png", "mask": f"images/{item.id}_mask.png"})
        rows[-1] |= {"kind": item.label, "group": item.group, "charge": len(item.label)}
    rows[0]["image"] = "images/absent.png"
    table = pd.DataFrame(rows)
    table.to_csv(folder / "particles.csv", index=False)
    return table


def test_a_table_of_ones_own_runs_through_all_stages_with_settings_alone(project, tmp_path):
    table = write_table(tmp_path / "own data" / "mine", 45)
    params = yaml.safe_load((project / "params.yaml").read_text())
    change(
        project,
        {
            "problems": ["mine"],
            "classes": params["classes"] | {"mine": ["Unilamellar", "Multilamellar"]},
            "source.kind": "table",
            "source.folder": str(tmp_path / "own data"),
            "source.class_column": "kind",
            "source.feature_columns": ["charge"],
            "train_svm.features": {"svm": ["charge", "circularity"]},
            "ingest.max_rejected_fraction": 0.1,
        },
    )
    succeed(project, "dvc", "repro")
    rejected = pd.read_csv(project / "metrics/ingest/mine/rejected.csv")
    assert rejected["reason"].tolist() == ["absent.png: no such file"]
    predictions = pd.read_csv(project / "data/predictions/mine/svm/svm.csv")
    assert sorted(predictions["id"]) == sorted(table["id"][1:])
    assert (predictions["label"] == predictions["predicted"]).all()  # the charge gives the class away

    change(project, {"ingest.max_rejected_fraction": 0.0})
    done = run(project, "dvc", "repro", "ingest@mine")
    assert done.returncode != 0
    assert "rows rejected" in done.stderr and "absent.png" in done.stderr and "Traceback" not in done.stderr
