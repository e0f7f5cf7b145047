"""Run the studies on the public sets of real particles, which the project does not contain; write studies/real.

    python -m benchmarks.real_studies FOLDER
    python -m benchmarks.real_studies FOLDER --studies networks svm

FOLDER holds a folder for each problem (docs/real-data-notebook.md). The studies run in a copy of the project. Trials
are kept in data/trials of this one. DVC does not know studies/real: run this again after changes of settings or code.
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks import project
from benchmarks.measure import ROOT

# Real problem -> changes of params.yaml; kind table is that of all.
PROBLEMS: dict[str, dict[str, Any]] = {
    "em_vesicles": {},
    "liposomes": {},
    "liposome_fields": {
        "classes.liposome_fields": ["Empty", "Filled", "Clustered"],
        "source.of": {"liposome_fields": {"kind": "micrographs"}},
    },
}
RESULTS, REAL, TRIALS = Path("studies/results"), Path("studies/real"), Path("data/trials")


def main(words: Sequence[str] | None = None) -> None:
    """Run the studies and copy their results."""
    problems_of = yaml.safe_load((ROOT / "studies" / "params.yaml").read_text(encoding="utf-8"))["real"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="contains one folder for each problem")
    parser.add_argument("--studies", nargs="+", default=list(problems_of), choices=problems_of, metavar="STUDY")
    arguments = parser.parse_args(words)
    chosen = {study: problems_of[study] for study in arguments.studies}
    missing = [name for names in chosen.values() for name in names if not (arguments.folder / name).is_dir()]
    if missing:
        parser.error(
            f"{arguments.folder / missing[0]}: no such folder; docs/real-data-notebook.md says where to get it"
        )
    with tempfile.TemporaryDirectory(prefix="lipnet-real-studies-") as temporary:
        copy = Path(temporary)
        prepare(copy, arguments.folder.resolve(), chosen)
        project.repro(copy, "ingest")
        for study in chosen:
            project.repro(copy, "--single-item", f"studies/dvc.yaml:study@{study}")
            shutil.rmtree(ROOT / REAL / study, ignore_errors=True)  # with files that this run does not write
            shutil.copytree(copy / RESULTS / study, ROOT / REAL / study)


def prepare(copy: Path, data: Path, problems_of: Mapping[str, Sequence[str]]) -> None:
    """Copy the project, with settings for real problems; its trials are those of this project.

    Args:
        copy: an empty folder.
        data: contains one folder for each problem.
        problems_of: study -> its problems.
    """
    project.copy(copy)
    problems = list(dict.fromkeys(name for names in problems_of.values() for name in names))
    changes = {key: value for name in problems for key, value in PROBLEMS[name].items()}
    project.edit(copy, {"problems": problems, "source.kind": "table", "source.folder": str(data), **changes})
    scale = yaml.safe_load((copy / "studies" / "params.yaml").read_text(encoding="utf-8"))["scale"]
    of_studies = {f"studies.{study}.problems": list(names) for study, names in problems_of.items()}
    project.edit(
        copy / "studies", {"run": list(problems_of), "problems": None, f"scales.{scale}.problems": {}, **of_studies}
    )
    (ROOT / TRIALS).mkdir(parents=True, exist_ok=True)
    (copy / TRIALS).symlink_to(ROOT / TRIALS)


if __name__ == "__main__":
    main()
