"""Run the studies on the public sets of real particles, which the project does not contain; write studies/real.

    python -m benchmarks.real_studies FOLDER
    python -m benchmarks.real_studies FOLDER --studies networks svm

FOLDER holds the problems that studies/params.yaml lists as ``real``, each a folder with particles.csv and its images
(docs/real-data.md). The studies run in a copy of the project. Trials are kept in data/trials of this one. DVC does not
know studies/real: run this again after changes of settings or training code.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from benchmarks import project
from benchmarks.measure import ROOT

RESULTS, REAL, TRIALS = Path("studies/results"), Path("studies/real"), Path("data/trials")


def main(words: Sequence[str] | None = None) -> None:
    """Run the studies and copy their results."""
    own = yaml.safe_load((ROOT / "studies" / "params.yaml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="contains one folder for each problem")
    parser.add_argument("--studies", nargs="+", default=own["run_real"], choices=own["studies"], metavar="STUDY")
    arguments = parser.parse_args(words)
    missing = [name for name in own["real"] if not (arguments.folder / name / "particles.csv").is_file()]
    if missing:
        parser.error(f"{arguments.folder / missing[0]}: no particles.csv; docs/real-data.md says where to get the set")
    with tempfile.TemporaryDirectory(prefix="lipnet-real-studies-") as temporary:
        copy = Path(temporary)
        prepare(copy, arguments.folder.resolve(), own["real"])
        project.repro(copy, "ingest")
        for study in arguments.studies:
            project.repro(copy, "--single-item", f"studies/dvc.yaml:study@{study}")
            shutil.rmtree(ROOT / REAL / study, ignore_errors=True)  # with files that this run does not write
            shutil.copytree(copy / RESULTS / study, ROOT / REAL / study)


def prepare(copy: Path, data: Path, problems: Sequence[str]) -> None:
    """Copy the project, with settings for the real problems; its trials are those of this project."""
    project.copy(copy)
    project.edit(copy, {"problems": list(problems), "source.kind": "table", "source.folder": str(data)})
    project.edit(copy / "studies", {"problems": list(problems), "figures_of": list(problems)})
    (ROOT / TRIALS).mkdir(parents=True, exist_ok=True)
    (copy / TRIALS).symlink_to(ROOT / TRIALS)


if __name__ == "__main__":
    main()
