"""The command lipnet: its output, and the message and exit code for every wrong input."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from numpy.testing import assert_allclose
from PIL import Image

from lipnet import cli
from lipnet.core.settings import read_params
from lipnet.deployment import export
from lipnet.deployment.outliers import summarise
from lipnet.deployment.runs import PipelineRun
from lipnet.sources.micrograph_rows import list_tasks
from tests.deployment import two_runs
from tests.deployment.finished_run import PROBLEM, make_run
from tests.deployment.onnx_models import IMAGE, description, features_of, write

ROOT = Path(__file__).parents[1]
LEVELS = {"bright.png": 230, "dark.png": 20, "grey.png": 128}
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lipnet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Function that runs a command line and returns exit code, stdout and stderr."""

    def run(*words: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lipnet", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        if isinstance(end.value.code, str):  # Python prints such a message to stderr and exits with code 1
            print(end.value.code, file=sys.stderr)
        printed = capsys.readouterr()
        return 1 if isinstance(end.value.code, str) else int(end.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for fold in (0, 1):
        write(tmp_path / "models" / f"cnn_fold{fold}.onnx", description(fold=fold), biases=(-10.0 + fold, 10.0 - fold))
    return tmp_path / "models"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name, level in LEVELS.items():
        Image.fromarray(np.full((12, 14), level, np.uint8)).save(tmp_path / "images" / name)
    return tmp_path / "images"


def test_predict_writes_a_row_for_every_image(lipnet: Command, models: Path, images: Path, tmp_path: Path) -> None:
    code, out, err = lipnet("predict", models, images, "--to", tmp_path / "new" / "out.csv", "--abstain-below", 0.9)
    assert (code, err) == (0, "")
    assert "3 particles by 2 x cnn: Bright 2, Dark 1; 1 below the abstention limit" in out
    table = pd.read_csv(tmp_path / "new" / "out.csv")
    assert table["id"].tolist() == list(LEVELS)
    assert table["class"].tolist() == ["Bright", "Dark", "Bright"]
    assert table["abstain"].tolist() == [0, 0, 1]
    p_bright = 1 / (1 + np.exp(20 - 40 * 128 / 255 - np.array([0, 2])))  # of each model, for the grey image
    assert_allclose(table["disagreement"], [0, 0, p_bright.std()], atol=1e-5)
    assert "area_px2" in table


def test_features_can_be_left_out_and_the_summary_be_json(
    lipnet: Command, models: Path, images: Path, tmp_path: Path
) -> None:
    code, out, _ = lipnet("predict", models, images, "--to", tmp_path / "out.csv", "--no-features", "--json")
    assert code == 0 and list(pd.read_csv(tmp_path / "out.csv"))[-1] == "abstain"
    summary = json.loads(out)
    assert summary["classes"] == {"Bright": 2, "Dark": 1} and summary["rejected"] == []


def test_one_file_is_one_model(lipnet: Command, models: Path, images: Path, tmp_path: Path) -> None:
    code, _, _ = lipnet("predict", models / "cnn_fold1.onnx", images, "--to", tmp_path / "out.csv")
    assert code == 0 and pd.read_csv(tmp_path / "out.csv")["disagreement"].isna().all()


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ([], 0.25),  # half of the shift: odds of sqrt(1 : 9)
        (["--shift", 1], 0.1),
        (["--shift", 0], 0.5),
        (["--deployment-prior", "Dark=3, Bright=1"], 0.25),
    ],
)
def test_probabilities_are_shifted_to_the_natural_or_a_given_prior(
    lipnet: Command, images: Path, tmp_path: Path, options: list[Any], share: float
) -> None:
    said = description(natural_prior=[0.1, 0.9])
    model = write(
        tmp_path / "m.onnx", said, weights=(0.0, 0.0), biases=(0.0, 0.0)
    )  # both classes always get the same probability
    assert lipnet("predict", model, images, "--to", tmp_path / "out.csv", *options)[0] == 0
    assert_allclose(pd.read_csv(tmp_path / "out.csv")["p_Bright"], share, atol=1e-6)


def test_a_table_and_a_micrograph_are_read_too(lipnet: Command, models: Path, images: Path, tmp_path: Path) -> None:
    (images / "particles.csv").write_text("id,image\n7,dark.png\n")
    assert lipnet("predict", models, images, "--to", tmp_path / "out.csv")[0] == 0
    assert pd.read_csv(tmp_path / "out.csv")["id"].tolist() == [7]

    labels = np.zeros((12, 14), np.uint8)
    labels[3:7, 4:9] = 1
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    code, _, _ = lipnet(
        "predict", models, images / "dark.png", "--masks", tmp_path / "labels.tif", "--to", tmp_path / "out.csv"
    )
    assert code == 0 and pd.read_csv(tmp_path / "out.csv")["id"].tolist() == ["dark.png:1"]


def _micrograph(folder: Path) -> Path:
    """A dark micrograph with two bright particles and one dark one, and its label mask beside it."""
    labels = np.zeros((60, 70), np.uint8)
    labels[5:20, 5:20], labels[30:50, 10:30], labels[30:50, 45:65] = 1, 4, 9
    grey = np.where((labels == 1) | (labels == 4), 230, 20).astype(np.uint8)
    tifffile.imwrite(folder / "field_labels.tif", labels)
    tifffile.imwrite(folder / "field.tif", grey)
    return folder / "field.tif"


def test_predict_writes_files_for_viewers_of_micrographs(lipnet: Command, models: Path, tmp_path: Path) -> None:
    image, folder = _micrograph(tmp_path), tmp_path / "viewer"
    words = ["--padding-px", 0, "--to", tmp_path / "out.csv", "--viewer", folder]
    assert lipnet("predict", models, image, *words)[0] == 0
    of_number = dict(zip([1, 4, 9], pd.read_csv(tmp_path / "out.csv")["class"], strict=True))
    labels, classes = (tifffile.imread(path) for path in (tmp_path / "field_labels.tif", folder / "field_classes.tif"))
    for number, name in of_number.items():
        assert set(classes[labels == number].tolist()) == {["Bright", "Dark"].index(name) + 1}
    assert len(list(folder.iterdir())) == 6
    with Image.open(folder / "field_classes.png") as picture:
        assert picture.format == "PNG"


def test_only_micrographs_have_files_for_viewers(lipnet: Command, models: Path, images: Path, tmp_path: Path) -> None:
    words = ["--to", tmp_path / "out.csv", "--viewer", tmp_path / "viewer"]
    code, _, err = lipnet("predict", models, images, *words)
    assert code == 1 and "--viewer needs a micrograph" in err and not (tmp_path / "out.csv").exists()


def _summarised(models: Path) -> None:
    """Give the models the summary of a hundred training particles, which are larger and brighter than new ones."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"grey_mean": random.uniform(0.4, 0.6, 100), "area_px2": random.uniform(500, 600, 100)})
    training = summarise(table, np.arange(100))
    for fold in (0, 1):
        said = description(fold=fold, training=training)
        write(models / f"cnn_fold{fold}.onnx", said, biases=(-10.0 + fold, 10.0 - fold))


def test_predict_says_that_particles_are_unlike_the_training_particles(
    lipnet: Command, models: Path, images: Path, tmp_path: Path
) -> None:
    _summarised(models)
    words = ("predict", models, images, "--to", tmp_path / "out.csv")
    code, out, _ = lipnet(*words)
    note = "the particles are unlike the training particles, so their classes may mean nothing: 3 of 3 have an outlier"
    assert code == 0 and "3 with an outlier score of 0.99 or more" in out and f"note: {note}" in out
    assert "area_px2 is outside" in out
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["outlier"].min() >= 0.99 and table["outside"].str.contains("area_px2").all()
    summary = json.loads((tmp_path / "out_summary.json").read_text())
    assert summary["outliers"] == 3 and any(said.startswith(note) for said in summary["notes"])

    code, out, _ = lipnet(*words, "--no-features")  # the comparison does not depend on this
    assert code == 0 and note in out and "area_px2" not in pd.read_csv(tmp_path / "out.csv")
    code, out, _ = lipnet(*words, "--no-outliers")
    assert code == 0 and "unlike" not in out and "outlier" not in pd.read_csv(tmp_path / "out.csv")


def test_predict_says_that_a_model_has_no_summary_of_its_training_particles(
    lipnet: Command, models: Path, images: Path, tmp_path: Path
) -> None:
    _, out, _ = lipnet("predict", models, images, "--to", tmp_path / "out.csv")
    assert "note: the models have no summary of their training particles" in out
    assert "outlier" not in pd.read_csv(tmp_path / "out.csv")


def test_several_micrographs_are_classified_in_one_call(lipnet: Command, models: Path, tmp_path: Path) -> None:
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(_micrograph(tmp_path / name))
    (tmp_path / "one" / "notes.txt").write_text("no image")
    words = ["--padding-px", 0, "--to", tmp_path / "out.csv", "--viewer", tmp_path / "viewer"]
    expected = [f"{name}/field.tif:{number}" for name in ("one", "two") for number in (1, 4, 9)]
    for inputs in (paths, [tmp_path / "one", tmp_path / "two"]):
        code, out, _ = lipnet("predict", models, *inputs, *words)
        table = pd.read_csv(tmp_path / "out.csv")
        assert code == 0 and table["id"].tolist() == expected
        assert table["class"].tolist() == ["Bright", "Bright", "Dark"] * 2
        assert ("note: left out: notes.txt: no image" in out) == (inputs is not paths)
        for name in ("one", "two"):
            assert len(list((tmp_path / "viewer" / name).iterdir())) == 6


def test_predict_ends_with_exit_code_1_if_a_file_is_not_read_or_nothing_is_classified(
    lipnet: Command, models: Path, images: Path, tmp_path: Path
) -> None:
    (images / "scan.czi").write_bytes(b"x")
    code, _, err = lipnet("predict", models, images, "--to", tmp_path / "out.csv")
    assert code == 1 and "1 of 4 particles cannot be used" in err and "format '.czi' is not read" in err
    assert len(pd.read_csv(tmp_path / "out.csv")) == 3

    image = _micrograph(tmp_path)
    for page in ("one", "two"):  # a folder whose label masks mark nothing
        (tmp_path / "blank").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "blank" / f"{page}_labels.tif", np.zeros((60, 70), np.uint8))
        (tmp_path / "blank" / f"{page}.tif").write_bytes(image.read_bytes())
    code, _, err = lipnet("predict", models, tmp_path / "blank", "--to", tmp_path / "none.csv")
    assert code == 1 and "no particle can be used" in err and not (tmp_path / "none.csv").exists()


def test_objects_without_a_row_in_a_table_of_micrographs_are_noted(
    lipnet: Command, models: Path, tmp_path: Path
) -> None:
    _micrograph(tmp_path)
    (tmp_path / "fields.csv").write_text("micrograph,label\nfield.tif,4\n")
    code, out, _ = lipnet("predict", models, tmp_path / "fields.csv", "--to", tmp_path / "out.csv")
    assert code == 0 and pd.read_csv(tmp_path / "out.csv")["id"].tolist() == ["field.tif:4"]
    assert "note: left out: field_labels.tif (2 x): no row of the table names the object" in out


@pytest.mark.parametrize("of_model", ["as_stored", "percentile"])
@pytest.mark.parametrize("present", ["as_stored", "percentile"])
def test_a_model_applies_its_own_rule_of_grey_levels(
    of_model: str, present: str, lipnet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = read_params(ROOT / "params.yaml")
    params["source"]["grey"]["rule"] = present
    Path("params.yaml").write_text(yaml.safe_dump(params))
    own = params["source"]["grey"] | {"rule": of_model, "per": "particle"}
    write(Path("model.onnx"), description(grey=own))
    levels = np.full((12, 14), 9_000, np.uint16)  # one seventh of white
    levels[0] = 0
    Path("crops").mkdir()
    tifffile.imwrite("crops/a.tif", levels)
    assert lipnet("predict", "model.onnx", "crops", "--to", "out.csv", "--shift", 0)[0] == 0
    assert pd.read_csv("out.csv")["class"].tolist() == ["Dark" if of_model == "as_stored" else "Bright"]


def test_suggest_writes_particles_to_label_and_their_pictures(
    lipnet: Command, models: Path, images: Path, tmp_path: Path
) -> None:
    code, out, _ = lipnet("suggest", models, images, "-n", 2, "--to", tmp_path / "next.csv")
    assert code == 0 and "2 particles to label" in out
    table = pd.read_csv(tmp_path / "next.csv", keep_default_na=False)
    columns = ["id", "image", "padding_px", "class", "suggested", "p_Bright", "p_Dark", "why"]
    assert list(table) == columns and table["class"].tolist() == ["", ""]
    assert table["id"].tolist()[0] == "grey.png"  # the only uncertain one
    assert "uncertain between" in table["why"].iloc[0]
    with Image.open(tmp_path / "next_sheet.png") as sheet:
        assert sheet.format == "PNG"
    before = (tmp_path / "next.csv").read_bytes()
    lipnet("suggest", models, images, "-n", 2, "--to", tmp_path / "next.csv")
    assert (tmp_path / "next.csv").read_bytes() == before


def test_suggestions_of_a_micrograph_become_its_particle_table(lipnet: Command, models: Path, tmp_path: Path) -> None:
    image, to = _micrograph(tmp_path), tmp_path / "particles.csv"
    assert lipnet("suggest", models, image, "--padding-px", 0, "-n", 2, "--to", to)[0] == 0
    table = pd.read_csv(to)
    to.write_text(table.assign(**{"class": "Bright"}).to_csv(index=False))
    [task], rejected = list_tasks(tmp_path, ["Bright", "Dark"], "class")
    assert rejected == [] and [target.id for target in task.targets] == table["id"].tolist()


def test_suggest_lists_particles_that_cannot_be_used(
    lipnet: Command, models: Path, images: Path, tmp_path: Path
) -> None:
    (images / "text.png").write_text("no image")
    code, _, err = lipnet("suggest", models, images, "--to", tmp_path / "next.csv")
    assert code == 1 and "1 particles cannot be used" in err and len(pd.read_csv(tmp_path / "next.csv")) == 3


def test_features_that_a_model_needs_are_read_from_the_table(lipnet: Command, images: Path, tmp_path: Path) -> None:
    said = description(classifier="svm", inputs=features_of("density", given=["density"]))
    model = write(tmp_path / "svm.onnx", said)
    (images / "particles.csv").write_text("id,image,density\na,dark.png,1\nb,dark.png,0\n")
    assert lipnet("predict", model, images, "--to", tmp_path / "out.csv", "--no-features")[0] == 0
    assert pd.read_csv(tmp_path / "out.csv")["class"].tolist() == ["Bright", "Dark"]


def test_readable_particles_are_classified_and_the_others_are_listed_with_exit_code_1(
    lipnet: Command, models: Path, images: Path, tmp_path: Path
) -> None:
    (images / "text.png").write_text("no image")
    code, out, err = lipnet("predict", models, images, "--to", tmp_path / "out.csv", "--json")
    assert code == 1 and "1 of 4 particles cannot be used" in err and "damaged or not an image" in err
    assert len(pd.read_csv(tmp_path / "out.csv")) == 3
    [rejected] = json.loads(out)["rejected"]
    assert rejected["id"] == "text.png"


def _corrupt(models: Path, _: Path) -> None:
    (models / "cnn_fold0.onnx").write_bytes((models / "cnn_fold0.onnx").read_bytes()[:200])


def _wrong_metadata(models: Path, _: Path) -> None:
    write(models / "cnn_fold0.onnx", metadata="{}")


def _only_text(_: Path, images: Path) -> None:
    for path in images.iterdir():
        path.write_text("no image")


def _emptied(_: Path, images: Path) -> None:
    shutil.rmtree(images)
    images.mkdir()


def _unchanged(_: Path, __: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "words", "message"),
    [
        (_corrupt, "models images", "damaged or not an ONNX file"),
        (_wrong_metadata, "models images", "metadata: classifier: Field required"),
        (_only_text, "models images", "no particle can be used"),
        (_emptied, "models images", "holds no particles.csv and no PNG"),
        (_unchanged, "none images", "no such file or folder; `lipnet export` writes model files"),
        (_unchanged, "images images", "contains no .onnx file"),
        (_unchanged, "images/dark.png images", "damaged or not an ONNX file"),
        (_unchanged, "models none", "none: no such file or folder"),
        (_unchanged, "models models/cnn_fold0.onnx", "give a folder of images"),
        (_unchanged, "models images --deployment-prior Full=1,Empty=2", "give a share to each of Bright, Dark"),
        (_unchanged, "models images --classifier svm", "choose a classifier with --classifier; available: cnn"),
    ],
)
def test_a_wrong_input_ends_in_one_message_and_exit_code_1(
    lipnet: Command,
    models: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, Path], None],
    words: str,
    message: str,
) -> None:
    monkeypatch.chdir(models.parent)
    spoil(models, images)
    code, out, err = lipnet("predict", *words.split(), "--to", "out.csv")
    assert (code, out) == (1, "")
    assert err.startswith("lipnet: ") and "Traceback" not in err
    assert message in err
    assert not Path("out.csv").exists()


def test_an_output_that_cannot_be_written_ends_in_one_message(lipnet: Command, models: Path, images: Path) -> None:
    code, _, err = lipnet("predict", models, images, "--to", images)
    assert code == 1 and err.startswith("lipnet: ") and "a folder is where a file is needed" in err


@pytest.mark.parametrize(
    "words",
    [
        ["predict"],
        ["predict", "m", "i"],
        ["predict", "m", "i", "--to", "o", "--shift", "2"],
        ["predict", "m", "i", "--to", "o", "--abstain-below", "-1"],
        ["predict", "m", "i", "--to", "o", "--pixel-size-nm", "0"],
        ["predict", "m", "i", "--to", "o", "--deployment-prior", "Bright"],
        ["predict", "m", "i", "--to", "o", "--deployment-prior", "Bright=1,Bright=2"],
        ["predict", "m", "i", "--to", "o", "--deployment-prior", "Bright=1,Dark=2", "--shift", "0"],
        ["suggest", "m", "i", "--to", "o", "-n", "0"],
        ["forget"],
    ],
)
def test_a_wrong_command_line_ends_in_exit_code_2(lipnet: Command, words: list[str]) -> None:
    code, _, err = lipnet(*words)
    assert code == 2 and "Usage:" in err


def test_the_version_has_the_git_revision_of_a_checkout_only(lipnet: Command, tmp_path: Path) -> None:
    code, out, _ = lipnet("--version")
    assert code == 0 and out.startswith(f"lipnet {version('lipnet')}")
    assert cli._revision(tmp_path) is None  # an installed copy
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert cli._revision(tmp_path) is None  # nothing was committed
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    subprocess.run(["git", *identity, "commit", "--quiet", "--allow-empty", "-m", "one"], cwd=tmp_path, check=True)
    assert re.fullmatch("[0-9a-f]{7,40}", cli._revision(tmp_path) or "")


def test_info_shows_the_description_of_a_model(lipnet: Command, models: Path) -> None:
    code, out, _ = lipnet("info", models)
    assert code == 0 and "cnn_fold1.onnx: by_hand, fold 1, for brightness" in out
    assert "image: image [4, 4, 1]" in out and "50.00%, 50.00%" in out and "trained on      unknown" in out
    assert "divided by the white level of the file" in out
    _summarised(models)
    words = r"trained on      100 particles; 98 % of them: grey_mean 0\.40\d* to 0\.\d+, area_px2 50\d\.?\d* to 59"
    assert re.search(words, lipnet("info", models)[1])
    code, out, _ = lipnet("info", models, "--json")
    assert json.loads(out)["cnn_fold0.onnx"]["inputs"]["image"] == IMAGE


def test_export_writes_the_models_and_their_card(
    lipnet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two_files(run: PipelineRun) -> Any:
        yield "cnn_fold0.onnx", run.problem.encode()
        yield "svm_fold0.onnx", b"svm"

    monkeypatch.setattr(export, "export_run", two_files)
    run, to = make_run(tmp_path / "run"), tmp_path / "exported"
    code, out, _ = lipnet("export", PROBLEM, "--run", run, "--to", to)
    assert code == 0 and "2 models" in out
    assert (to / "cnn_fold0.onnx").read_bytes() == PROBLEM.encode()
    assert json.loads((to / "card.json").read_text())["files"] == ["cnn_fold0.onnx", "svm_fold0.onnx"]
    assert (to / "card.md").read_text().startswith(f"# {PROBLEM}: tiny, SVMs and trees")
    assert "8 particles in 4 groups. Grey levels are the samples as stored" in (to / "card.md").read_text()


def test_export_of_a_folder_without_a_run_ends_in_one_message(lipnet: Command, tmp_path: Path) -> None:
    code, _, err = lipnet("export", PROBLEM, "--run", tmp_path, "--to", tmp_path / "to")
    assert code == 1 and "params.yaml: no such file" in err


def test_check_lists_faults_of_the_settings_in_one_message(lipnet: Command, tmp_path: Path) -> None:
    make_run(tmp_path, model="tyni", splt=1)
    code, out, err = lipnet("check", "--run", tmp_path)
    assert (code, out) == (1, "")
    assert "no network 'tyni'; known: tiny" in err and "unknown key 'splt'; did you mean 'split'?" in err


@pytest.fixture
def checked(tmp_path: Path) -> Path:
    """A folder of the pipeline with raw images of two classes, which share one image."""
    params = {"crop": {"mode": "masked", "scale": "fit", "field_px": 128, "sizes_px": [8]}}
    sources = read_params(Path(__file__).parents[1] / "params.yaml")["source"]
    make_run(tmp_path, **params, source=sources | {"kind": "table", "feature_columns": ["density"]})
    (tmp_path / "data/particles" / f"{PROBLEM}.csv").unlink()
    folder = tmp_path / "data/raw" / PROBLEM
    folder.mkdir(parents=True)
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(folder / "a.png")
    rows = [{"id": number, "image": "a.png", "class": ["Dense", "Clear"][number % 2]} for number in range(20)]
    pd.DataFrame(rows).assign(density=1.0).to_csv(folder / "particles.csv", index=False)
    return tmp_path


def test_check_warns_about_data_with_exit_code_0(lipnet: Command, checked: Path) -> None:
    code, out, err = lipnet("check", "--run", checked)
    assert (code, err) == (0, "")
    assert out.startswith("params.yaml: no faults\n") and f"{PROBLEM}: " in out
    assert "  warning: 19 images are copies of others (first: 1 of 0), 10 of them with another class" in out


def test_check_ends_with_exit_code_1_if_the_pipeline_would_stop(lipnet: Command, checked: Path) -> None:
    table = checked / "data/raw" / PROBLEM / "particles.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:4]))
    code, out, err = lipnet("check", PROBLEM, "--run", checked)
    assert code == 1 and "the pipeline would stop" in err
    assert "  fault: class 'Dense' has 2 particles, fewer than the 5 folds" in out
    code, _, err = lipnet("check", "vesicle", "--run", checked)
    assert code == 1 and "did you mean 'vesicles'?" in err


def test_a_run_that_is_out_of_date_is_exported_only_if_asked(
    lipnet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "export_run", lambda _: [("svm_fold0.onnx", b"svm")])
    run, to = make_run(tmp_path / "run"), tmp_path / "exported"
    lock = f"stages: {{'train_cnn@{PROBLEM}': {{params: {{params.yaml: {{seed: 1}}}}}}}}"
    (run / "dvc.lock").write_text(lock)
    for words in (["export", PROBLEM, "--to", to], ["report", PROBLEM, "--to", to / "r.html"]):
        code, _, err = lipnet(*words, "--run", run)
        assert code == 1 and "out of date; changed since then: params.yaml: seed" in err
    assert lipnet("export", PROBLEM, "--run", run, "--to", to, "--stale")[0] == 0
    assert json.loads((to / "card.json").read_text())["settings"]["seed"] == 1


def test_without_the_libraries_of_training_export_names_the_package_to_install(
    lipnet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lipnet.deployment.runs", None)
    code, _, err = lipnet("export", PROBLEM, "--to", tmp_path)
    assert code == 1 and "pip install 'lipnet[train]'" in err


def test_compare_runs_says_which_run_is_better_and_writes_a_page(lipnet: Command, tmp_path: Path) -> None:
    better = {("one", "cnn", "macro_f1"): two_runs.BASE + 0.05 + two_runs.NOISE}
    for name, values in {"first": {}, "second": better}.items():
        two_runs.write(tmp_path / name, two_runs.results(name, values))
    runs = [tmp_path / name for name in ("first", "second")]
    code, out, err = lipnet("compare-runs", *runs, "--to", tmp_path / "page.html")
    assert (code, err) == (0, "")
    assert out.startswith(f"{runs[1]} is better than {runs[0]}: one, macro F1 of cnn +0.050 (95% interval +0.0")
    assert "is better than" in (tmp_path / "page.html").read_text() and "page.html: the page" in out
    code, out, err = lipnet("compare-runs", runs[0], tmp_path)
    assert (code, out) == (1, "") and "no such folder, git revision or experiment" in err


def test_predict_writes_class_shares_and_two_samples_can_be_compared(
    lipnet: Command, models: Path, images: Path, tmp_path: Path
) -> None:
    (images / "particles.csv").write_text(
        "id,image,group,batch\n1,dark.png,a,first\n2,bright.png,a,first\n3,grey.png,b,second\n4,dark.png,c,second\n"
    )
    code, out, _ = lipnet("predict", models, images, "--to", tmp_path / "out.csv", "--sample", "batch")
    assert code == 0 and "nothing is known of the errors of cnn" in out
    shares = pd.read_csv(tmp_path / "out_proportions.csv")
    assert shares["sample"].tolist() == ["first"] * 2 + ["second"] * 2
    assert shares["counted"].tolist() == [0.5, 0.5, 0.5, 0.5] and shares["share"].isna().all()
    assert shares["micrographs"].tolist() == [1, 1, 2, 2]

    (models / "proportions.json").write_text(json.dumps({"cnn": _correction()}))
    code, out, _ = lipnet("predict", models, images, "--to", tmp_path / "out.csv", "--sample", "batch")
    assert code == 0 and "class shares of first: one micrograph" in out
    assert pd.read_csv(tmp_path / "out_proportions.csv")["share"].notna().all()
    file = tmp_path / "out_proportions.csv"
    code, out, _ = lipnet("compare-samples", f"{file}::first", f"{file}::second", "--to", tmp_path / "difference.csv")
    assert code == 0 and out.count("no difference shown") == 2
    assert pd.read_csv(tmp_path / "difference.csv")["class"].tolist() == ["Bright", "Dark"]
    code, _, err = lipnet("compare-samples", file, f"{file}::second")
    assert code == 1 and "has several samples: first, second" in err


def _correction() -> dict[str, Any]:
    """The correction of a classifier that is right in nine of ten cases, as a record."""
    fits = {"temperature": [1.0] * 21, "bias": [[0.0, 0.0]] * 21, "prior": [[0.5, 0.5]] * 21}
    rates = {"confusion": [[90.0, 10.0], [10.0, 90.0]], "mean_scores": [[0.9, 0.1], [0.1, 0.9]]}
    usual = {"bins": [[0.125] * 8] * 2, "usual": [1.0, 1.0, 1.0]}
    known = {"classes": ["Bright", "Dark"], "deviations": [[0.0, 0.0, 0.0]], "confidence": 0.95, "widening": [1.0, 1.0]}
    return {**known, **fits, **rates, **usual}
