"""Exported files predict the same as the trained models, for 1,000 particles, in Python and in Node."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from libsvm import svmutil
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from threadpoolctl import threadpool_limits

from lipnet.classifiers import tree_files
from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.prediction import predict
from lipnet.classifiers.networks.settings import NetworkSettings, RegularisationSettings
from lipnet.classifiers.svm import SvmResult, SvmSettings, SvmTask, train_fold
from lipnet.classifiers.svm_files import SvmCard, parse_model
from lipnet.core.errors import InputError
from lipnet.core.settings import read_params
from lipnet.deployment import export
from lipnet.deployment.graphs.networks import load_on_tensorflow, network
from lipnet.deployment.graphs.svms import svm
from lipnet.deployment.model_files import Model, read_models
from lipnet.deployment.outliers import QUANTILES
from lipnet.deployment.runs import read_run
from lipnet.samples.crops import to_grey
from tests.deployment.finished_run import CLASSES as CLASSES_OF_RUN
from tests.deployment.finished_run import PROBLEM, SVMS, make_run, write
from tests.deployment.node import install
from tests.deployment.node import labels as labels_in_node
from tests.deployment.onnx_models import IMAGE, description, features_of

# Keras writes weights through a deprecated interface of NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]
THESIS = ("lipnet1", "lipnet2", "lipnet4", "lipnet4c", "lipnet6")
NETWORKS = {name: read_params(ROOT / "params.yaml")["networks"][name] for name in THESIS}
N = 1000
PLAIN = {"dropout_block": 0.25, "dropout_dense": 0.5, "dropout_decay": 1.0, "weight_decay": 0.0, "batch_norm": False}
CLASSES = ["A", "B", "C", "D", "E"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def _built(row: dict[str, Any], n_classes: int = 3, **changes: Any) -> keras.Model:
    """A network of random weights that predicts all classes about equally often."""
    keras.utils.set_random_seed(0)
    regularisation = RegularisationSettings.model_validate(PLAIN | changes)
    model = build(NetworkSettings.model_validate(row), n_classes, ModelOptions(regularisation, 0.5))
    for weights in model.trainable_weights:  # larger than at the start of training
        weights.assign(weights * 1.5)
    logits = np.log(predict(model, _pixels(row["size_px"], 100)))
    model.get_layer("classes").bias.assign(-logits.mean(axis=0))
    return model


def _pixels(size_px: int, n: int = N) -> NDArray[np.uint8]:
    """Noise images of various contrast and brightness."""
    rng = np.random.default_rng(1)
    noise = rng.normal(rng.uniform(0, 255, (n, 1, 1)), rng.uniform(1, 100, (n, 1, 1)), (n, size_px, size_px))
    return noise.clip(0, 255).astype(np.uint8)


def _of_network(size_px: int) -> Any:
    return description(classes=CLASSES[:3], inputs={"image": {**IMAGE, "size_px": size_px}}, **_priors(3))


def _priors(n_classes: int) -> dict[str, Any]:
    return dict.fromkeys(("training_prior", "natural_prior"), [1 / n_classes] * n_classes)


def _opened(content: bytes, folder: Path) -> Model:
    (folder / "model.onnx").write_bytes(content)
    [model] = read_models(folder / "model.onnx", None)
    return model


@cache
def _exported(name: str) -> tuple[bytes, NDArray[np.uint8], NDArray[np.float64]]:
    """The ONNX file of a network, 1,000 crops, and the probabilities of Keras."""
    row = NETWORKS[name]
    model, pixels = _built(row), _pixels(row["size_px"])
    return network(model, _of_network(row["size_px"])), pixels, predict(model, pixels)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_predicts_the_same_in_onnx_runtime_and_in_keras(name: str, tmp_path: Path) -> None:
    content, pixels, expected = _exported(name)
    exported = _opened(content, tmp_path)
    probabilities = exported.probabilities({"image": to_grey(pixels)})
    assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    assert np.bincount(expected.argmax(axis=1)).min() > N / 20
    assert_array_equal(probabilities.argmax(axis=1), expected.argmax(axis=1))


def test_batch_norm_and_decaying_dropout_are_exported_for_inference(tmp_path: Path) -> None:
    row = {"size_px": 8, "blocks": [[4], [4]], "halve": "stride", "top": "dense", "dense_units": 5}
    model, pixels = _built(row, batch_norm=True, dropout_decay=0.9), _pixels(8, 50)
    exported = _opened(network(model, _of_network(8)), tmp_path)
    probabilities = exported.probabilities({"image": to_grey(pixels)})
    assert_allclose(probabilities, predict(model, pixels), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "row",
    [
        {"size_px": 16, "stem": 3, "blocks": [[3, 3], [5, 5]], "halve": "entry", "residual": True, "batch_norm": True}
        | {"top": "average"},
        {"size_px": 32, "buckets_px": [16], "blocks": [[4], [4]], "halve": "pool", "top": "masked"},
    ],
    ids=["resnet", "fcn"],
)
def test_networks_that_are_not_of_the_thesis_are_exported(row: dict[str, Any], tmp_path: Path) -> None:
    pixels = _pixels(row["size_px"], 60)
    pixels[::2, :9] = pixels[::2, -9:] = pixels[::2, :, :9] = pixels[::2, :, -9:] = 0  # half of them fit a bucket
    model = _built(row)
    exported = _opened(network(model, _of_network(row["size_px"])), tmp_path)
    probabilities = exported.probabilities({"image": to_grey(pixels)})
    assert_allclose(probabilities, predict(model, pixels), rtol=0, atol=1e-5)


def _joined() -> tuple[bytes, dict[str, NDArray[Any]], NDArray[np.float64]]:
    """The ONNX file of a network with joined features, its inputs, and the probabilities of Keras."""
    row = {"size_px": 8, "blocks": [[4], [4]], "halve": "pool", "top": "dense", "dense_units": 5}
    keras.utils.set_random_seed(0)
    options = ModelOptions(RegularisationSettings.model_validate(PLAIN), 0.5, n_features=20, feature_units=6)
    model, (features, _) = build(NetworkSettings.model_validate(row), 3, options), _clusters(3, N)
    model.get_layer("standardised").adapt(features.astype(np.float32))
    for weights in model.trainable_weights:
        weights.assign(weights * 2)
    pixels = _pixels(8)
    inputs = {"image": {**IMAGE, "size_px": 8}, **features_of(*(f"x{number}" for number in range(20)))}
    said = description(classes=CLASSES[:3], inputs=inputs, **_priors(3))
    expected = predict(model, pixels, features)
    return network(model, said), {"image": to_grey(pixels), "features": features}, expected


def test_a_network_with_joined_features_predicts_the_same_in_onnx_runtime_in_keras_and_in_node(
    node: Path, tmp_path: Path
) -> None:
    content, feeds, expected = _joined()
    exported = _opened(content, tmp_path)
    assert_allclose(exported.probabilities(feeds), expected, rtol=0, atol=1e-5)
    assert len(set(expected.argmax(axis=1))) == 3
    assert labels_in_node(node, tmp_path / "model.onnx", feeds) == expected.argmax(axis=1).tolist()
    assert _joined()[0] == content


def test_bytes_depend_on_the_model_alone_and_not_on_what_was_exported_before() -> None:
    row = {"size_px": 8, "blocks": [[4], [4]], "halve": "pool", "top": "dense", "dense_units": 5}
    model = _built(row)
    assert network(model, _of_network(8)) == network(model, _of_network(8))


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="on TensorFlow, and it runs on jax"):
        load_on_tensorflow(tmp_path / "architecture.json", tmp_path / "fold0.weights.h5")
    assert os.environ["KERAS_BACKEND"] == "jax"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs Keras on TensorFlow")
def test_the_choice_of_the_backend_does_not_outlast_the_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="no such file"):
        load_on_tensorflow(tmp_path / "architecture.json", tmp_path / "fold0.weights.h5")
    assert "KERAS_BACKEND" not in os.environ and "TF_CPP_MIN_LOG_LEVEL" not in os.environ


def test_export_starts_keras_on_tensorflow_whatever_the_environment_says() -> None:
    """In a process of its own: this process has already imported Keras."""
    load = "from pathlib import Path; from lipnet.deployment.graphs.networks import load_on_tensorflow as load"
    code = f"{load}; load(Path('none.json'), Path('none.h5'))"
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "InputError" in done.stderr and "on TensorFlow" not in done.stderr


QUIET = """
from pathlib import Path
from lipnet.deployment.graphs.networks import load_on_tensorflow, network
from lipnet.deployment.model_files import Description
said = Description.model_validate_json(Path("said.json").read_text())
print(len(network(load_on_tensorflow(Path("architecture.json"), Path("fold0.weights.h5")), said)))
"""


def test_tensorflow_writes_no_lines_about_gpus_while_networks_are_exported(tmp_path: Path) -> None:
    """In a process of its own: TensorFlow reads the level of its messages when it is imported."""
    model = _built({"size_px": 8, "blocks": [[4]], "halve": "pool", "top": "dense", "dense_units": 5})
    model.save_weights(tmp_path / "fold0.weights.h5")
    write(tmp_path / "architecture.json", model.to_json())
    write(tmp_path / "said.json", _of_network(8).model_dump_json())
    given = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment = {**given, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", QUIET]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and int(done.stdout) > 1000
    assert done.stderr == ""


@pytest.mark.parametrize("changes", [{"size_px": 12}, {"n_classes": 4}])
def test_a_network_that_is_not_the_one_described_is_refused(changes: dict[str, int]) -> None:
    row = {"size_px": 8, "blocks": [[4]], "halve": "pool", "top": "dense", "dense_units": 5}
    model = _built(row | {"size_px": changes.get("size_px", 8)}, changes.get("n_classes", 3))
    with pytest.raises(InputError, match=r"classes \[.*\], but params\.yaml asks for \[8, 8, 1, 3\]"):
        network(model, _of_network(8))


def _clusters(n_classes: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Overlapping clusters; the features have very different scales, up to that of a moment in px3."""
    labels = np.arange(n) % n_classes
    rng = np.random.default_rng(2)
    return (rng.normal(size=(n, 20)) + 0.4 * rng.normal(size=(n_classes, 20))[labels]) * np.geomspace(
        1e-3, 1e6, 20
    ) + 5, labels


def _trained(n_classes: int) -> tuple[SvmTask, SvmResult]:
    features, labels = _clusters(n_classes, N + 300)
    settings = {"features": {"svm": ["x"]}, "cost": 1.0, "gamma": None, "class_weights": True}
    task = SvmTask(
        features=features,
        names=[f"x{number}" for number in range(20)],
        labels=labels,
        groups=np.arange(N + 300),
        train=np.arange(300),
        test=np.arange(300, N + 300),
        settings=SvmSettings.model_validate({**settings, "calibration_folds": 3, "library": "libsvm", "cache_mb": 10}),
        seed=1,
    )
    return task, train_fold(task)


def _of_svm(task: SvmTask, n_classes: int) -> Any:
    inputs = features_of(*task.names)
    return description(classifier="svm", classes=CLASSES[:n_classes], inputs=inputs, **_priors(n_classes))


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_an_svm_predicts_the_same_in_onnx_runtime_in_lipnet_and_in_libsvm(n_classes: int, tmp_path: Path) -> None:
    task, result = _trained(n_classes)
    libsvm = parse_model(result.model, tmp_path / "fold0.svm")
    content = svm(libsvm, SvmCard.model_validate(result.card), _of_svm(task, n_classes))
    features = task.features[task.test]
    exported = _opened(content, tmp_path)
    assert_allclose(exported.probabilities({"features": features}), result.output.probabilities, rtol=0, atol=1e-5)
    [votes] = exported.session.run(["label"], {"features": features})
    assert_array_equal(votes, result.output.predicted)
    assert len(set(votes)) == n_classes

    (tmp_path / "fold0.svm").write_text(result.model, encoding="ascii")
    scaled = (features - result.card["mean"]) / result.card["scale"]
    official = svmutil.svm_load_model(str(tmp_path / "fold0.svm"))
    _, _, decisions = svmutil.svm_predict([], scaled, official, "-q")
    n_pairs = len(list(combinations(range(n_classes), 2)))
    assert_allclose(_decisions(content, features)[:, -n_pairs:], np.array(decisions), rtol=0, atol=1e-5)


def _decisions(content: bytes, features: NDArray[np.float64]) -> NDArray[np.float32]:
    """Decision values of the graph, the input of the calibration."""
    model = onnx.load_from_string(content)
    model.graph.output.append(onnx.helper.make_tensor_value_info("decisions", onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(["decisions"], {"features": features})[0]


def test_a_model_that_libsvm_wrote_without_zeros_is_read(tmp_path: Path) -> None:
    x = np.array([[0.0, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]])
    trained = svmutil.svm_train([0.0, 1, 0, 1], x, "-q -g 0.5")
    svmutil.svm_save_model(str(tmp_path / "model"), trained)
    read = parse_model((tmp_path / "model").read_text(), tmp_path / "model")
    assert read.labels == [0, 1] and read.gamma == 0.5 and read.n_support == [2, 2]
    assert sorted(map(tuple, read.vectors)) == sorted(map(tuple, x[:, :2]))
    assert read.coefficients.sum() == pytest.approx(0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("c_svc", "nu_svr", "not a LIBSVM C-SVC"),
        ("gamma ", "gama ", "damaged"),
        ("1:", "one:", "damaged"),
        ("\nSV\n", "\n", "damaged"),
    ],
)
def test_a_damaged_model_of_an_svm_is_named(old: str, new: str, message: str) -> None:
    _, result = _trained(2)
    with pytest.raises(InputError, match=rf"fold0\.svm: {message}"):
        parse_model(result.model.replace(old, new), Path("fold0.svm"))


def test_an_svm_that_was_not_trained_on_every_class_is_refused() -> None:
    task, result = _trained(2)
    libsvm = parse_model(result.model, Path("fold0.svm"))
    with pytest.raises(InputError, match="was not trained on every class"):
        svm(libsvm, SvmCard.model_validate(result.card), _of_svm(task, 3))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("node"))


@pytest.mark.parametrize("name", NETWORKS)
def test_node_predicts_the_same_class_of_every_particle_as_a_network(name: str, node: Path, tmp_path: Path) -> None:
    content, pixels, expected = _exported(name)
    (tmp_path / "model.onnx").write_bytes(content)
    labels = labels_in_node(node, tmp_path / "model.onnx", {"image": to_grey(pixels)})
    assert labels == expected.argmax(axis=1).tolist()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_node_predicts_the_same_class_of_every_particle_as_an_svm(n_classes: int, node: Path, tmp_path: Path) -> None:
    task, result = _trained(n_classes)
    libsvm = parse_model(result.model, tmp_path / "fold0.svm")
    content = svm(libsvm, SvmCard.model_validate(result.card), _of_svm(task, n_classes))
    (tmp_path / "model.onnx").write_bytes(content)
    labels = labels_in_node(node, tmp_path / "model.onnx", {"features": task.features[task.test]})
    assert labels == result.output.probabilities.argmax(axis=1).tolist()


def _add_models(run: Path) -> None:
    row = read_params(run / "params.yaml")["networks"]["tiny"]
    model = _built(row, n_classes=2)
    write(run / f"data/models/{PROBLEM}/cnn/architecture.json", model.to_json())
    for fold in (0, 1):
        model.save_weights(run / f"data/models/{PROBLEM}/cnn/fold{fold}.weights.h5")
        for name, features in SVMS.items():
            task, result = _trained(2)
            path = run / f"data/models/{PROBLEM}/svm/{name}/fold{fold}.svm"
            write(path, result.model)
            card = result.card | {"features": [*features, *task.names[len(features) :]]}
            write(path.with_suffix(".json"), json.dumps(card))
        features, labels = _clusters(2, 100)
        forest = RandomForestClassifier(3, random_state=fold).fit(features[:, :1], labels)
        kept = tree_files.of_forest(forest, ["density"])
        tree_files.write(run / f"data/models/{PROBLEM}/trees/trees/fold{fold}.npz", kept)


def test_every_model_of_a_run_is_exported_with_the_priors_of_its_fold(tmp_path: Path) -> None:
    _add_models(make_run(tmp_path / "run"))
    params = read_params(tmp_path / "run/params.yaml")
    params["source"]["grey"] |= {"rule": "percentile", "per": "particle"}
    (tmp_path / "run/params.yaml").write_text(yaml.safe_dump(params))
    for name, content in export.export_run(read_run(tmp_path / "run", PROBLEM)):
        (tmp_path / name).write_bytes(content)
    models = [model for name in ("cnn", *SVMS, "trees") for model in read_models(tmp_path, name)]
    expected = [f"{name}_fold{fold}.onnx" for name in ("cnn", *SVMS, "trees") for fold in (0, 1)]
    assert [model.name for model in models] == expected

    cnn, svm = models[1].description, models[3].description
    assert (cnn.architecture, cnn.classes, cnn.problem, cnn.fold) == ("tiny", CLASSES_OF_RUN, PROBLEM, 1)
    assert (cnn.label_smoothing, cnn.floor) == (0.1, 0.001)
    assert cnn.training_prior == pytest.approx([1 / 3, 2 / 3])
    assert cnn.natural_prior == svm.natural_prior == svm.training_prior == pytest.approx([3 / 4, 1 / 4])
    assert (cnn.micrographs.padding_px, cnn.pixel_size_nm) == (5, (1.5, 2.0))
    assert cnn.grey.rule == "percentile" and svm.grey.per == "particle"
    assert cnn.provenance.data_md5 == "abc"
    assert cnn.inputs["image"].size_px == 8 and cnn.inputs["image"].mode == "masked"
    assert svm.inputs["features"].names[:2] == ["area", "density"] and svm.inputs["features"].given == ["density"]
    trees = models[-1].description
    assert (trees.architecture, trees.inputs["features"].given) == ("boosted", ["density"])
    assert trees.training_prior == trees.natural_prior == cnn.natural_prior
    assert cnn.training == svm.training == trees.training and cnn.training is not None
    assert cnn.training.particles == 4 and list(cnn.training.ranges) == ["grey_mean", "grey_sd", "height_px"]
    levels = [0, 10, 20, 60]  # fold 1 was tested on particles 3, 4, 5 and 7
    assert cnn.training.ranges["grey_mean"] == pytest.approx(np.quantile(levels, QUANTILES) / 255)
    assert cnn.training.ranges["height_px"] == [10] * len(QUANTILES)


def test_a_damaged_card_of_an_svm_is_named(tmp_path: Path) -> None:
    _add_models(make_run(tmp_path))
    path = tmp_path / f"data/models/{PROBLEM}/svm/svm/fold0.json"
    path.write_text(path.read_text().replace('"scale"', '"scales"'))
    with pytest.raises(InputError, match=r"fold0\.json: scale: Field required; delete it"):
        list(export.export_run(read_run(tmp_path, PROBLEM)))


def test_a_model_that_is_missing_is_named(tmp_path: Path) -> None:
    make_run(tmp_path)
    with pytest.raises(InputError, match=r"architecture\.json: no such file; run `dvc repro`"):
        list(export.export_run(read_run(tmp_path, PROBLEM)))
