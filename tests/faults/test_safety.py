"""Input files cannot run code or exhaust the memory: syntax trees of all loaders, and hostile files.

More such tests: tests/deployment/test_model_files.py (ONNX), tests/classifiers/networks/test_weights.py (networks),
tests/sources/test_images.py (label masks).
"""

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lipnet.classifiers.networks import checkpoints
from lipnet.classifiers.networks.weights import load
from lipnet.classifiers.svm_files import SvmCard, parse_model
from lipnet.core import files
from lipnet.core.dvc_lock import check
from lipnet.core.errors import InputError
from lipnet.core.settings import read_params
from lipnet.deployment.graphs.svms import svm
from tests.deployment.onnx_models import description, features_of

ROOT = Path(__file__).parents[2]
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle"}
CALLS = {
    *(
        "eval",
        "exec",
        "compile",
        "__import__",
        "os.system",
        "os.popen",
        "torch.load",
        "joblib.load",
        "yaml.unsafe_load",
    ),
    *("yaml.full_load", "pd.read_pickle", "keras.config.enable_unsafe_deserialization"),
}
LOADERS = {"load_model", "model_from_json", "model_from_config", "deserialize_keras_object", "deserialize"}  # of Keras


def _name(node: ast.expr) -> str:
    """Dotted name of what is called: os.system."""
    return f"{_name(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _unsafe(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every import or call that could run code from a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = names if isinstance(node, ast.Import) else [node.module or ""]
            yield from ((node.lineno, name) for name in modules if name.split(".")[0] in MODULES)
            yield from (
                (node.lineno, name) for name in names if name in LOADERS
            )  # such an import would hide the name of the module
        if isinstance(node, ast.Call):
            name, given = _name(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
            last = name.rpartition(".")[2]
            loader = given.get("Loader", "yaml.Loader").rpartition(".")[2]
            if (
                name in CALLS
                or (name in ("yaml.load", "yaml.load_all") and loader not in ("SafeLoader", "CSafeLoader"))
                or (name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False")
                or given.get("allow_pickle", "False") != "False"
                or (last in LOADERS and given.get("safe_mode") != "True")
                or given.get("shell", "False") != "False"
            ):
                yield node.lineno, name


def test_no_module_loads_files_in_a_way_that_could_run_code() -> None:
    sources = [path for folder in ("lipnet", "stages", "benchmarks", ".ci") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 60
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sources
        for line, name in _unsafe(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        *("import pickle", "from pickle import loads", "import marshal", "eval(text)", "exec(text)", "os.system(text)"),
        *("yaml.load(text)", "yaml.load(text, Loader=yaml.Loader)", "yaml.unsafe_load(text)", "torch.load(path)"),
        *("np.load(path)", "np.load(path, allow_pickle=True)", "write_array(a, allow_pickle=yes)", "joblib.load(path)"),
        *("keras.models.load_model(path)", "keras.saving.deserialize_keras_object(config)", "run(text, shell=True)"),
        *("keras.models.model_from_json(text, safe_mode=False)", "from keras.models import load_model"),
    ],
)
def test_the_search_finds_unsafe_code(code: str) -> None:
    assert list(_unsafe(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["np.load(p, allow_pickle=False)", "yaml.load(t, Loader=yaml.CSafeLoader)", "yaml.safe_load(t)", "f(load)"]
)
def test_the_search_ignores_safe_code(code: str) -> None:
    assert not list(_unsafe(ast.parse(code)))


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickled_object_in_an_archive_or_a_checkpoint_is_not_loaded(tmp_path: Path) -> None:
    path, sprung = tmp_path / "x.npz", tmp_path / "sprung"
    np.savez(path, allow_pickle=True, progress=np.array([Trap(sprung)], dtype=object))
    with pytest.raises(InputError, match=r"x\.npz: damaged"):
        files.read_arrays(path)
    assert checkpoints.read(path) == checkpoints.Checkpoint()
    assert not sprung.exists()
    with np.load(path, allow_pickle=True) as archive:  # the trap works
        archive["progress"]
    assert sprung.exists()


def test_an_object_in_yaml_is_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "seed: !!python/object/apply:os.mkdir [sprung]\n"
    for name in ("params.yaml", "dvc.lock"):
        Path(name).write_text(text)
    with pytest.raises(InputError, match=r"params\.yaml"):
        read_params(Path("params.yaml"))
    with pytest.raises(InputError, match=r"dvc\.lock"):
        check([Path("params.yaml")])
    assert not Path("sprung").exists()
    yaml.unsafe_load(text)  # the trap works
    assert Path("sprung").exists()


def _config(module: str, name: str, config: Any, registered: str | None = None) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def _network(layer: dict[str, Any]) -> dict[str, Any]:
    """Architecture of a network with one layer after its input."""
    tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, 4], "keras_history": ["input", 0, 0]}}
    first = _config("keras.layers", "InputLayer", {"batch_shape": [None, 4], "name": "input"})
    layers = [
        {**first, "name": "input", "inbound_nodes": []},
        {**layer, "name": "evil", "inbound_nodes": [{"args": [tensor], "kwargs": {}}]},
    ]
    shape = {"name": "network", "layers": layers, "input_layers": [["input", 0, 0]], "output_layers": [["evil", 0, 0]]}
    return _config("keras.src.models.functional", "Functional", shape, "Functional")


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEA", "defaults": None, "closure": None}}
SPRUNG = "from pathlib import Path\nPath('sprung').touch()\ndef call(x=None): return x\nclass Layer:\n    pass\n"


@pytest.mark.parametrize(
    "config",
    [
        _config("evil", "Layer", {}),
        _config("evil", "Layer", {}, "evil>Layer"),
        _config("evil", "function", "call", "function"),
        _config("builtins", "function", "call", "function"),
        _config("keras.utils", "get_file", {"fname": "sprung", "origin": "file:evil.py", "cache_dir": "."}),
        _network(_config("evil", "Layer", {})),
        _network(_config("keras.layers", "Lambda", {"name": "evil", "function": LAMBDA})),
        _network(
            _config(
                "keras.layers", "Lambda", {"name": "evil", "function": _config("evil", "function", "call", "function")}
            )
        ),
        _network(_config("keras.layers", "TFSMLayer", {"name": "evil", "filepath": "saved"})),
        _network(_config("keras.layers", "TorchModuleWrapper", {"name": "evil", "module": "evil"})),
    ],
    ids=[
        "class",
        "registered",
        "function",
        "builtin",
        "download",
        "layer",
        "lambda",
        "foreign lambda",
        "saved graph",
        "torch",
    ],
)
def test_an_architecture_cannot_import_or_run_code(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("evil.py").write_text(SPRUNG)
    Path("architecture.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"architecture\.json: (damaged|not the architecture)"):
        load(Path("architecture.json"), Path("fold0.weights.h5"))
    assert not Path("sprung").exists()


GOOD = """svm_type c_svc
kernel_type rbf
gamma 0.5
nr_class 2
total_sv 2
rho 0.25
label 0 1
nr_sv 1 1
SV
1.0 1:0.5 2:-1.5
-1.0 2:2.5
"""


def test_a_good_libsvm_model_is_read() -> None:
    model = parse_model(GOOD, Path("fold0.svm"))
    assert model.vectors.tolist() == [[0.5, -1.5], [0, 2.5]]
    assert model.coefficients.tolist() == [[1], [-1]]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-1], "truncated"),
        (lambda text: text[:-3], "truncated"),
        (lambda text: text[: text.index("-1.0 2:")], "truncated"),
        (lambda text: text[: text.index("1.0 1:")], "truncated"),
        (lambda text: text.replace("total_sv 2", "total_sv 3"), "truncated"),
        (lambda text: text.replace("2:2.5", "999999999999:2.5"), "index is not from 1 to 10000"),
        (lambda text: text.replace("2:2.5", "0:2.5"), "index is not from 1"),
        (lambda text: text.replace("2:2.5", "-1:2.5"), "index is not from 1"),
        (lambda text: text.replace("2:2.5", "2:nan"), "not finite"),
        (lambda text: text.replace("2:2.5", "2:1e999"), "not finite"),
        (lambda text: text.replace("gamma 0.5", "gamma inf"), "not finite"),
        (lambda text: text.replace("nr_class 2", "nr_class 3"), "damaged"),
        (lambda text: text.replace("nr_class 2", "nr_class 999999999"), "damaged"),
        (lambda text: text.replace("nr_class 2", "nr_class 0"), "damaged"),
        (lambda text: text.replace("label 0 1", "label 0"), "do not fit"),
        (lambda text: text.replace("rho 0.25", "rho 0.25 1"), "do not fit"),
        (lambda text: text.replace("nr_sv 1 1", "nr_sv 2"), "do not fit"),
    ],
)
def test_a_hostile_libsvm_model_is_refused_by_name(damage: Callable[[str], str], message: str) -> None:
    with pytest.raises(InputError, match=rf"fold0\.svm: damaged .*{message}|fold0\.svm: {message}"):
        parse_model(damage(GOOD), Path("fold0.svm"))


CARD = {
    "features": ["area", "width"],
    "mean": [0.0, 0.0],
    "scale": [1.0, 1.0],
    "calibration_coefficients": [[1.0]],
    "calibration_intercepts": [0.0],
}


@pytest.mark.parametrize(
    "damage",
    [
        {"mean": [0.0]},
        {"scale": []},
        {"calibration_coefficients": [[1.0, 2.0]]},
        {"calibration_intercepts": [0.0, 1.0]},
    ],
)
def test_a_card_that_does_not_fit_its_svm_is_refused(damage: dict[str, Any]) -> None:
    model = parse_model(GOOD, Path("fold0.svm"))
    described = description(classifier="svm", inputs=features_of("area", "width"))
    assert svm(model, SvmCard.model_validate(CARD), described)
    with pytest.raises(InputError, match="svm, fold 0: scaling or calibration does not fit the SVM"):
        svm(model, SvmCard.model_validate(CARD | damage), described)
