"""A model file is accepted only if its metadata and its graph agree; every other file is refused by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.testing import assert_allclose
from onnx.external_data_helper import set_external_data
from pydantic import ValidationError

from lipnet.core.errors import InputError
from lipnet.deployment import model_files
from lipnet.deployment.model_files import Description, priors, read_models
from tests.deployment.onnx_models import IMAGE, WEIGHTS, description, features_of, write


def _text(**changes: Any) -> str:
    """Metadata that `lipnet export` never writes."""
    return json.dumps(json.loads(description().model_dump_json()) | changes)


def test_a_model_computes_the_probabilities_of_its_graph_in_any_number_of_batches(tmp_path: Path) -> None:
    [model] = read_models(write(tmp_path / "m.onnx"), None)
    grey = np.linspace(0, 1, model_files.BATCH + 5, dtype=np.float32)
    images = np.broadcast_to(grey[:, None, None, None], (len(grey), 4, 4, 1))
    bright = 1 / (1 + np.exp(-(40 * grey - 20)))
    probabilities = model.probabilities({"image": images})
    assert_allclose(probabilities, np.stack([bright, 1 - bright], axis=1), atol=1e-6)
    assert model.description == description()


def test_a_folder_gives_the_folds_of_its_network_in_order(tmp_path: Path) -> None:
    for fold, name in ((10, "cnn_fold10"), (2, "cnn_fold2")):
        write(tmp_path / f"{name}.onnx", description(fold=fold))
    write(tmp_path / "svm_fold2.onnx", description(fold=2, classifier="svm", inputs=features_of("area")))
    assert [model.name for model in read_models(tmp_path, None)] == ["cnn_fold2.onnx", "cnn_fold10.onnx"]
    assert [model.name for model in read_models(tmp_path, "svm")] == ["svm_fold2.onnx"]


def test_the_only_classifier_of_a_folder_needs_no_name_and_of_several_svms_one_must_be_chosen(tmp_path: Path) -> None:
    write(tmp_path / "a.onnx", description(classifier="svm", inputs=features_of("area")))
    assert read_models(tmp_path, None)[0].description.classifier == "svm"
    write(tmp_path / "b.onnx", description(classifier="size_only", inputs=features_of("height_px")))
    for wanted in (None, "forest"):
        with pytest.raises(InputError, match="choose a classifier with --classifier; available: size_only, svm"):
            read_models(tmp_path, wanted)


def test_priors_are_those_of_each_model(tmp_path: Path) -> None:
    write(tmp_path / "a.onnx", description(natural_prior=[0.9, 0.1]))
    write(tmp_path / "b.onnx", description(fold=1, training_prior=[0.6, 0.4]))
    training, natural = priors(read_models(tmp_path, None))
    assert_allclose(training, [[0.5, 0.5], [0.6, 0.4]])
    assert_allclose(natural, [[0.9, 0.1], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problem": "other"}, "differ in problem"),
        ({"inputs": {"image": {**IMAGE, "mode": "masked"}}}, "differ in inputs"),
        ({"fold": 0}, "another file is of the same fold"),
    ],
)
def test_models_that_do_not_belong_together_are_refused(tmp_path: Path, changes: Any, message: str) -> None:
    write(tmp_path / "a.onnx")
    write(tmp_path / "b.onnx", description(**{"fold": 1, **changes}))
    with pytest.raises(InputError, match=message):
        read_models(tmp_path, None)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("", "not written by `lipnet export`"),
        ("no JSON", "metadata: lipnet: Invalid JSON"),
        ("{}", "metadata: classifier: Field required"),
        (_text(format=2), "metadata: format: "),
        (_text(classes=["Bright"]), "metadata: classes: "),
        (_text(classes=["Bright", "Bright"]), "a class is listed twice"),
        (_text(classes=["Bright", "a,b"]), "metadata: classes.1: "),
        (_text(classes=["Bright", "Dark\n"]), "metadata: classes.1: "),
        (_text(problem="../elsewhere"), "metadata: problem: "),
        (_text(classes=["A", "B", "C"]), "a prior needs a share for every class"),
        (_text(natural_prior=[0.5, 0.6]), "a prior needs a share for every class"),
        (_text(training_prior=[1.5, -0.5]), "metadata: training_prior.0: "),
        (_text(inputs={}), "metadata: inputs: "),
        (_text(inputs={"image": {**IMAGE, "size_px": 10**6}}), r"metadata: inputs\.image\.image\.size_px: "),
        (_text(inputs={"image": {**IMAGE, "kind": "code"}}), r"metadata: inputs\.image: "),
        (_text(surprise=1), "metadata: surprise: "),
        (
            _text(inputs={"image": {**IMAGE, "size_px": 5}}),
            "the metadata describe input .*5, 5, 1.*, the graph has .*4, 4, 1",
        ),
        (_text(inputs={"picture": IMAGE}), "the metadata describe input .*picture.*, the graph has .*image"),
    ],
)
def test_invalid_metadata_are_refused_by_name(tmp_path: Path, metadata: str, message: str) -> None:
    path = write(tmp_path / "m.onnx", metadata=metadata)
    with pytest.raises(InputError, match=rf"m\.onnx: .*{message}"):
        read_models(path, None)


def test_an_output_of_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", weights=(1.0, 2.0, 3.0), biases=(0.0, 0.0, 0.0))
    with pytest.raises(InputError, match=r"the metadata describe output .*\[2\].*, the graph has .*\[3\]"):
        read_models(path, None)


def test_an_output_that_is_not_probabilities_is_refused(tmp_path: Path) -> None:
    [model] = read_models(write(tmp_path / "m.onnx", biases=(np.nan, 0.0)), None)
    with pytest.raises(InputError, match=r"m\.onnx: the model's output is not probabilities"):
        model.probabilities({"image": np.zeros((3, 4, 4, 1), np.float32)})


@pytest.mark.parametrize("content", [b"", b"no ONNX", b"\x08\x08" * 100])
def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"m\.onnx: damaged or not an ONNX file"):
        read_models(tmp_path, None)


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputError, match=r"m\.onnx: damaged|m\.onnx: not written by"):
        read_models(path, None)


@pytest.mark.parametrize("relative", [True, False])
def test_a_model_cannot_make_us_read_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(np.array(WEIGHTS, np.float32).tobytes())
    model = onnx.load(write(tmp_path / "m.onnx"))
    [weights] = [tensor for tensor in model.graph.initializer if tensor.name == "weights"]
    set_external_data(weights, "secret" if relative else str(tmp_path / "secret"))
    weights.ClearField("raw_data")
    Path("m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"m\.onnx: damaged or not an ONNX file"):
        read_models(Path("m.onnx"), None)


def test_a_file_larger_than_any_model_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="larger than 100 bytes"):
        read_models(write(tmp_path / "m.onnx"), None)


@pytest.mark.parametrize(("make", "message"), [(False, "no such file or folder"), (True, r"contains no \.onnx file")])
def test_a_folder_that_is_missing_or_empty_is_named(tmp_path: Path, make: bool, message: str) -> None:
    if make:
        (tmp_path / "models").mkdir()
    with pytest.raises(InputError, match=f"models: {message}"):
        read_models(tmp_path / "models", None)


def test_a_description_survives_its_way_through_json() -> None:
    said = description(inputs={"image": IMAGE, **features_of("area", "x", given=["x"])}, pixel_size_nm=(1.0, 2.0))
    assert Description.model_validate_json(said.model_dump_json()) == said
    with pytest.raises(ValidationError):
        description(floor=0.0)
