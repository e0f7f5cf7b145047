"""Run the whole pipeline in a new folder, and compare the hash of every output with dvc.lock.

    make verify [WORKERS=1]

The run does not use the cache of DVC. The result is the first stage that differs, or the number of identical outputs.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks import project
from benchmarks.measure import ROOT


def main() -> None:
    """Run and compare; exit code 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", help="number of parallel processes; default: by the number of cores")
    arguments = parser.parse_args()
    source = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["source"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "fresh"
        project.copy(folder, *([] if source["kind"] == "artificial" else [source["folder"]]))
        (folder / "dvc.lock").unlink()
        project.repro(folder, **({"LIPNET_WORKERS": arguments.workers} if arguments.workers else {}))
        found = project.read_lock(folder / "dvc.lock")
    order = list(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    present = project.cells(ROOT)  # dvc.lock also keeps problems that params.yaml no longer names
    committed = {name: stage for name, stage in project.read_lock(ROOT / "dvc.lock").items() if name in present}
    wrong = first_difference(committed, found, order)
    if wrong:
        sys.exit(f"verify: {wrong}")
    outputs = sum(len(paths) for paths in project.hashes(found, "outs").values())
    print(f"verify: {outputs} outputs of {len(found)} stages are identical to those of dvc.lock")


def first_difference(committed: dict[str, Any], found: dict[str, Any], order: list[str]) -> str | None:
    """Message on the first stage whose inputs or outputs differ; None if all stages agree.

    Args:
        committed: stages of dvc.lock.
        found: stages of the lock file of the new run.
        order: names of the stages without their problems, in the order of dvc.yaml.
    """
    places = {name: number for number, name in enumerate(order)}
    for stage in sorted(committed.keys() | found.keys(), key=lambda name: (places[name.split("@")[0]], name)):
        if stage not in committed or stage not in found:
            return (
                f"{stage} is not in {'dvc.lock' if stage in found else 'the run'}; run `dvc repro` and commit dvc.lock"
            )
        inputs = _changed(committed, found, stage, "deps")
        if committed[stage].get("params") != found[stage].get("params"):
            inputs.append("params.yaml")
        if inputs:
            return f"{stage} had other inputs ({', '.join(inputs)}): dvc.lock is stale; run `dvc repro` and commit it"
        if outputs := _changed(committed, found, stage, "outs"):
            return f"{stage} is the first stage whose outputs differ from dvc.lock: {', '.join(outputs)}"
    return None


def _changed(committed: dict[str, Any], found: dict[str, Any], stage: str, kind: str) -> list[str]:
    before, after = (project.hashes({stage: lock[stage]}, kind)[stage] for lock in (committed, found))
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


if __name__ == "__main__":
    main()
