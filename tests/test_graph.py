"""dvc.yaml against the code: stages, dependencies and parameters are what the imports and the reading of params say."""

import ast
import shlex
from pathlib import Path

import pytest
import yaml

from lipnet.core.recipes import SECTIONS

ROOT = Path(__file__).parents[1]
STAGES = [
    *("ingest", "crop", "split", "balance", "train_cnn", "train_svm", "train_trees"),
    *("score_inner", "decide", "evaluate", "compare"),
]
STUDIES = ["study", "figures"]
MAIN = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
OF_STUDIES = yaml.safe_load((ROOT / "studies" / "dvc.yaml").read_text())["stages"]
GRAPH = MAIN | OF_STUDIES
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
OWN = yaml.safe_load((ROOT / "studies" / "params.yaml").read_text())
# Its keys are listed one by one; memories of trials and of epochs, whose absence changes no result.
UNDECLARED = {"studies/params.yaml", "data/trials", "data/scratch/${item.problem}"}
KERAS = {"training.py", "epoch.py", "losses.py", "networks.py", "dropout.py", "inspection.py"}


def imported_files(path: Path) -> set[Path]:
    """Project files that one file imports, inside functions too; packages hold no code and do not count."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    candidates = {ROOT / (name.replace(".", "/") + ".py") for name in names}
    return {candidate for candidate in candidates if candidate.is_file()}


def reached_files(path: Path) -> set[Path]:
    reached, todo = set(), {path}
    while todo:
        reached |= todo
        todo = set().union(*(imported_files(file) for file in todo)) - reached
    return reached


def sections_read(path: Path) -> set[str]:
    """Top-level keys of params.yaml (and of studies/params.yaml) that a stage file, and stage files it uses, read."""
    used = [file for file in reached_files(path) if file.parent.name == "stages"]
    nodes = [node for file in used for node in ast.walk(ast.parse(file.read_text()))]
    found = set()
    for node in nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id == "pick" and isinstance(node.args[1], ast.Constant):
            found.add(str(node.args[1].value))
        elif node.func.id in {"classes_of", "seed_of"}:
            found.add(node.func.id.removesuffix("_of"))
    return found


def test_the_stages_are_verbs_in_reading_order():
    assert list(MAIN) == STAGES
    assert list(OF_STUDIES) == STUDIES


@pytest.mark.parametrize("stage", GRAPH)
def test_every_stage_says_what_it_does(stage):
    assert len(GRAPH[stage]["desc"]) > 20


@pytest.mark.parametrize("stage", GRAPH)
def test_dependencies_on_code_are_the_modules_that_the_stage_reaches(stage):
    listed = {dep for dep in GRAPH[stage]["deps"] if dep.endswith(".py")}
    reached = {str(path.relative_to(ROOT)) for path in reached_files(ROOT / "stages" / f"{stage}.py")}
    assert listed == reached


@pytest.mark.parametrize("stage", GRAPH)
def test_parameters_are_the_sections_that_the_stage_reads(stage):
    params = GRAPH[stage]["params"]
    names = [key for item in params for key in (item["studies/params.yaml"] if isinstance(item, dict) else [item])]
    listed = {name.split(".")[0] for name in names}
    read = sections_read(ROOT / "stages" / f"{stage}.py")
    assert listed == read | ({"recipe", "recipes"} if read & set(SECTIONS) else set())


@pytest.mark.parametrize("stage", GRAPH)
def test_every_path_on_the_command_line_is_a_declared_dependency_or_output(stage):
    words = shlex.split(GRAPH[stage]["cmd"])
    paths = {word for word in words if "/" in word}
    declared = set(GRAPH[stage]["deps"])
    for kind in ("outs", "metrics", "plots"):
        declared |= {next(iter(out)) if isinstance(out, dict) else out for out in GRAPH[stage].get(kind, [])}
    assert paths - UNDECLARED == {name for name in declared if not name.endswith(".py")}


def test_the_library_never_imports_the_stages():
    for path in (ROOT / "lipnet").rglob("*.py"):
        assert not any("stages" in file.parts for file in imported_files(path)), path


def test_packages_hold_no_code_because_the_graph_does_not_list_them():
    for path in [*(ROOT / "lipnet").rglob("__init__.py"), ROOT / "stages" / "__init__.py"]:
        body = ast.parse(path.read_text()).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), path


def test_only_training_imports_keras_so_that_no_other_stage_pays_for_tensorflow():
    for stage in GRAPH:
        for path in reached_files(ROOT / "stages" / f"{stage}.py"):
            if stage in {"train_cnn", "score_inner", *STUDIES} and path.name in KERAS:
                continue
            assert "import keras" not in path.read_text(), (stage, path)


def test_a_decision_rule_can_change_without_any_training():
    """No stage that trains reads the rules, and what decide writes is only measured; studies remember trials."""
    for stage in set(GRAPH) - {"decide", "study"}:
        read = {name for name in GRAPH[stage]["params"] if str(name).startswith("decide")}
        assert read == ({"decide.floor"} if stage == "score_inner" else set())
    for stage in ("train_cnn", "train_svm", "train_trees"):
        assert "lipnet/evaluation/decisions.py" not in GRAPH[stage]["deps"]
    readers = {stage for stage in GRAPH if any(dep.startswith("data/decisions") for dep in GRAPH[stage]["deps"])}
    assert readers == {"evaluate", "compare"}


def test_every_problem_has_classes_and_every_network_has_crops_of_its_size():
    assert set(PARAMS["problems"]) <= set(PARAMS["classes"])
    one_side = {row["size_px"] for row in PARAMS["networks"].values() if "buckets_px" not in row}
    fields = {row["size_px"] for row in PARAMS["networks"].values() if "buckets_px" in row}
    assert one_side <= set(PARAMS["crop"]["sizes_px"])
    assert fields == {PARAMS["crop"]["field_px"]}  # nothing is resized; crops are made where needed
    assert PARAMS["model"] in PARAMS["networks"]


def test_every_number_has_a_comment_in_the_manual():
    lines = (ROOT / "params.yaml").read_text().splitlines()
    # Their head explains the rows of tables.
    tables = {f"  {name}:" for section in ("classes", "networks") for name in PARAMS[section]}
    lacking = [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if ": " in line
        and "#" not in line
        and not above.lstrip().startswith("#")
        and line.split(": ")[0] + ":" not in tables
    ]
    assert lacking == []
