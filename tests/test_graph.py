"""dvc.yaml against the code: stages, dependencies and parameters are what the imports and the reading of params say."""

import ast
import shlex
from functools import cache
from pathlib import Path

import pytest
import yaml

from lipnet.core.recipes import SECTIONS

ROOT = Path(__file__).parents[1]
STAGES = [
    *("check", "share", "ingest", "crop", "split", "balance", "train_cnn", "train_svm", "train_trees"),
    *("score_inner", "decide", "evaluate", "compare", "proportions"),
]
STUDIES = ["study", "claims", "figures"]
MAIN = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
OF_STUDIES = yaml.safe_load((ROOT / "studies" / "dvc.yaml").read_text())["stages"]
GRAPH = MAIN | OF_STUDIES
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
OWN = yaml.safe_load((ROOT / "studies" / "params.yaml").read_text())
# Its keys are listed one by one; memories of trials and of epochs, whose absence changes no result.
UNDECLARED = {"studies/params.yaml", "data/trials", "studies/trials.zip", "data/scratch/${item.problem}"}
UNRECORDED = {
    "ingest": {"split"}
}  # only for a warning; declared, it would make a change of the folds read all images anew
RECIPE = "data/recipe"  # stage check writes a file per section there; stages do not read them, but depend on them
CHECKED = "data/shared/checked.json"  # stages depend on it to follow stage check, and do not read it
TRAINING = ["train_cnn", "train_svm", "train_trees", "score_inner"]
KERAS = {f"lipnet/classifiers/{name}" for name in ("networks", "vectorised")}  # only their modules may import Keras
# Each package of lipnet/, and the packages that it may import.
MAY_IMPORT = {
    "core": set(),
    "samples": {"core"},
    "sources": {"core", "samples"},
    "evaluation": {"core", "samples"},
    "plots": {"core", "samples", "evaluation"},
    "classifiers": {"core", "samples", "sources", "evaluation"},
    "studies": {"core", "samples", "sources", "evaluation", "classifiers"},
    "deployment": {"core", "samples", "sources", "evaluation", "plots", "classifiers", "studies"},
}
MOST_MODULES, MOST_LINES, MOST_LINES_OF_GRAPH, MOST_LINES_OF_README = 14, 400, 400, 120


@cache
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


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def covered(stage: str) -> set[str]:
    """Files of code that the dependencies of a stage name, alone or as members of a package."""
    code = [ROOT / dep for dep in GRAPH[stage]["deps"] if dep.startswith(("lipnet", "stages"))]
    files = {file for path in code for file in (path.rglob("*.py") if path.is_dir() else [path])}
    return {name_of(file) for file in files if file.name != "__init__.py"}


def reached(stage: str) -> set[str]:
    return {name_of(file) for file in reached_files(ROOT / "stages" / f"{stage}.py")}


@cache
def definitions(path: Path) -> dict[str, ast.AST]:
    nodes = ast.parse(path.read_text()).body
    return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@cache
def origins(path: Path) -> dict[str, tuple[Path, str]]:
    """What imported names stand for: a module of the project and the definition in it, "" for the module itself."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module, whole = (
                    ROOT / (name.replace(".", "/") + ".py") for name in (node.module, f"{node.module}.{alias.name}")
                )
                if whole.is_file() or module.is_file():
                    found[alias.asname or alias.name] = (whole, "") if whole.is_file() else (module, alias.name)
    return found


def reached_definitions(path: Path) -> list[ast.AST]:
    """Functions and classes that the ``main`` of a stage uses, directly or through others."""
    done, todo = {}, {(path, "main")}
    while todo:
        file, name = todo.pop()
        local, imported = definitions(file), origins(file)
        if (file, name) in done or name not in local:
            continue
        done[file, name] = local[name]
        for node in ast.walk(local[name]):
            if isinstance(node, ast.Name):
                todo.add(imported.get(node.id, (file, node.id)))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
                todo.add((imported[node.value.id][0], node.attr))
    return list(done.values())


def sections_read(path: Path) -> set[str]:
    """Top-level keys of params.yaml (and of studies/params.yaml) that a stage reads."""
    found = set()
    for node in (node for definition in reached_definitions(path) for node in ast.walk(definition)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id == "pick" and isinstance(node.args[1], ast.Constant):
            found.add(str(node.args[1].value))
        elif node.func.id in {"classes_of", "seed_of"}:
            found.add(node.func.id.removesuffix("_of"))
    return found


def test_the_stages_are_in_reading_order():
    assert list(MAIN) == STAGES
    assert list(OF_STUDIES) == STUDIES


@pytest.mark.parametrize("stage", GRAPH)
def test_every_stage_says_what_it_does(stage):
    assert len(GRAPH[stage]["desc"]) > 20


@pytest.mark.parametrize("stage", GRAPH)
def test_dependencies_on_code_cover_the_modules_that_the_stage_reaches(stage):
    assert reached(stage) <= covered(stage)
    for dep in GRAPH[stage]["deps"]:
        if dep.startswith(("lipnet", "stages")):  # none is listed in vain
            assert any(name == dep or name.startswith(f"{dep}/") for name in reached(stage)), dep


def test_networks_are_trained_anew_after_edits_of_what_their_training_reaches_only():
    assert covered("train_cnn") == reached("train_cnn")


@pytest.mark.parametrize("stage", TRAINING)
def test_no_edit_of_pictures_reports_studies_or_documents_trains_anything_anew(stage):
    for dep in GRAPH[stage]["deps"]:
        assert not dep.startswith(("lipnet/plots", "lipnet/deployment", "lipnet/studies", "docs", "plots", "README"))
        assert dep not in {"lipnet", "lipnet/evaluation", "lipnet/sources", "stages"}


@pytest.mark.parametrize("stage", TRAINING)
def test_stages_that_train_write_nothing_but_cached_outputs_so_that_dvc_can_take_them_from_its_run_cache(stage):
    for kind in ("outs", "metrics", "plots"):
        assert all(isinstance(out, str) for out in GRAPH[stage].get(kind, []))


@pytest.mark.parametrize("stage", [stage for stage in GRAPH if stage != "check"])
def test_parameters_are_the_sections_that_the_stage_reads(stage):
    params = GRAPH[stage]["params"]
    names = [key for item in params for key in (item["studies/params.yaml"] if isinstance(item, dict) else [item])]
    listed = {name.split(".")[0] for name in names}
    read = sections_read(ROOT / "stages" / f"{stage}.py") - UNRECORDED.get(stage, set())
    recipe = {"recipe", "recipes"} if stage in OF_STUDIES and read & set(SECTIONS) else set()
    assert listed == read | recipe | {"portable"}  # a study applies recipes itself; `run` reads portable for all


def test_all_parameters_are_checked_first():
    assert GRAPH["check"]["params"] == [{"params.yaml": None}]
    # Files, not their folder: DVC can miss changes of a file in a folder that another stage writes as a whole.
    assert GRAPH["check"]["outs"] == [*(f"{RECIPE}/{name}.json" for name in SECTIONS), CHECKED]
    assert CHECKED in GRAPH["share"]["deps"]
    assert "data/shared" in GRAPH["ingest"]["deps"]  # all other stages follow ingest


@pytest.mark.parametrize("stage", [stage for stage in MAIN if stage != "check"])
def test_a_stage_depends_on_what_the_recipe_changes_in_the_sections_that_it_reads_and_in_no_other(stage):
    sections = sections_read(ROOT / "stages" / f"{stage}.py") & set(SECTIONS)
    listed = {dep for dep in GRAPH[stage]["deps"] if dep.startswith(RECIPE)} - {f"{RECIPE}/checked.json"}
    assert listed == {f"{RECIPE}/{name}.json" for name in sections}


@pytest.mark.parametrize("stage", GRAPH)
def test_every_path_on_the_command_line_is_a_declared_dependency_or_output(stage):
    words = shlex.split(GRAPH[stage]["cmd"])
    paths = {word for word in words if "/" in word}
    declared = {dep for dep in GRAPH[stage]["deps"] if not dep.startswith(RECIPE) and dep != CHECKED}
    for kind in ("outs", "metrics", "plots"):
        declared |= {next(iter(out)) if isinstance(out, dict) else out for out in GRAPH[stage].get(kind, [])}
    declared = {RECIPE if name.startswith(RECIPE) else name for name in declared}
    assert paths - UNDECLARED == {name for name in declared if not name.startswith(("lipnet", "stages"))}


def test_the_library_never_imports_the_stages():
    for path in (ROOT / "lipnet").rglob("*.py"):
        assert not any(name_of(file).startswith("stages/") for file in imported_files(path)), path


def test_imports_between_packages_go_one_way():
    assert {path.name for path in (ROOT / "lipnet").iterdir() if (path / "__init__.py").exists()} == set(MAY_IMPORT)
    for package, allowed in MAY_IMPORT.items():
        for path in (ROOT / "lipnet" / package).rglob("*.py"):
            imported = {file.relative_to(ROOT / "lipnet").parts[0] for file in imported_files(path)}
            assert imported <= allowed | {package}, path


def test_each_package_says_what_lives_there():
    for path in (ROOT / "lipnet").rglob("__init__.py"):
        assert len(ast.get_docstring(ast.parse(path.read_text())) or "") > 25, path


def test_folders_modules_graph_and_readme_are_short_enough_to_find_ones_way():
    for folder in {path.parent for path in (ROOT / "lipnet").rglob("*.py")}:
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= MOST_MODULES, folder
    for path in [*(ROOT / "lipnet").rglob("*.py"), *(ROOT / "stages").glob("*.py")]:
        assert len(path.read_text().splitlines()) <= MOST_LINES, path
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= MOST_LINES_OF_GRAPH
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_LINES_OF_README


def test_packages_hold_no_code_because_the_graph_does_not_list_them():
    for path in (ROOT / "lipnet").rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), path
    # One call of code that the graph lists for every stage; it must come before all imports of a stage.
    first, *body = ast.parse((ROOT / "stages" / "__init__.py").read_text()).body
    assert isinstance(first, ast.Expr)
    assert ast.unparse(ast.Module(body, [])) == "from lipnet.core.portable import hold\nhold()"
    assert all("lipnet/core" in GRAPH[stage]["deps"] for stage in GRAPH)


def test_only_training_imports_keras_so_that_no_other_stage_pays_for_tensorflow():
    for stage in GRAPH:
        for path in reached_files(ROOT / "stages" / f"{stage}.py"):
            if stage in {"train_cnn", "score_inner", *STUDIES} and name_of(path.parent) in KERAS:
                continue
            assert "import keras" not in path.read_text(), (stage, path)


def test_a_decision_rule_can_change_without_any_training():
    """No stage that trains reads the rules, and what decide writes is only measured; studies remember trials."""
    for stage in set(GRAPH) - {"decide", "study"}:
        read = {name for name in GRAPH[stage]["params"] if str(name).startswith("decide")}
        assert not read
        assert f"{RECIPE}/decide.json" not in GRAPH[stage]["deps"]  # nor what a recipe changes in them
    for stage in ("train_cnn", "train_svm", "train_trees"):
        assert "lipnet/evaluation/decisions.py" not in covered(stage)
    readers = {stage for stage in GRAPH if any(dep.startswith("data/decisions") for dep in GRAPH[stage]["deps"])}
    assert readers == {"evaluate", "compare", "proportions"}


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
