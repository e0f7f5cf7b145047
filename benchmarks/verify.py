"""Run the whole pipeline in a new folder, and compare the hash of every output with dvc.lock.

    make verify [WORKERS=1]

The run does not use the cache of DVC. The result is the first stage that differs, or the number of identical outputs.

With ``portable: true`` all outputs must have the same bytes, whatever x86-64 processor with AVX2 made dvc.lock. Where
this cannot be expected (the first line says why), features, models and what follows from them may differ on another
machine; then the means over folds in metrics/summary.csv must agree within the standard deviation over folds.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from benchmarks import project
from benchmarks.measure import ROOT
from benchmarks.other_processor import Difference, differences, read
from lipnet.classifiers.precision import processor
from lipnet.core.recipes import with_recipe

GPU_DRIVER = Path("/proc/driver/nvidia")
# Outputs that had the same bytes on all processors that were tried, even without `portable`.
SAME_ANYWHERE = (
    *("data/recipe/*", "data/shared/checked.json", "data/particles/*.npz", "metrics/ingest/*", "plots/particles/*"),
    *("data/crops/*", "plots/crops/*", "data/folds/*", "metrics/folds/*", "data/training_sets/*"),
    "plots/augmentation/*",
)


def main() -> None:
    """Run and compare; exit code 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", help="number of parallel processes; default: by the number of cores")
    arguments = parser.parse_args()
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    source, reasons = params["source"], limits(params)
    print(f"verify: {guarantee(reasons)}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "fresh"
        project.copy(folder, *([] if source["kind"] == "artificial" else [source["folder"]]))
        (folder / "dvc.lock").unlink()
        project.repro(folder, **({"LIPNET_WORKERS": arguments.workers} if arguments.workers else {}))
        found, means = project.read_lock(folder / "dvc.lock"), read(folder)
    order = list(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    present = project.cells(ROOT)  # dvc.lock also keeps problems that params.yaml no longer names
    committed = {name: stage for name, stage in project.read_lock(ROOT / "dvc.lock").items() if name in present}
    wrong = first_difference(committed, found, order, SAME_ANYWHERE if reasons else ("*",))
    if wrong:
        sys.exit(f"verify: {wrong}")
    outputs = sum(len(paths) for paths in project.hashes(found, "outs").values())
    if first_difference(committed, found, order) is None:
        print(f"verify: {outputs} outputs of {len(found)} stages are identical to those of dvc.lock")
        return
    print("verify: features, models or predictions have other bytes than dvc.lock says, as on another machine")
    far = beyond(differences(read(ROOT), means))
    if far:
        sys.exit("\n".join([f"verify: {len(far)} means moved by more than their standard deviation over folds", *far]))
    print("verify: all means over folds agree within their standard deviation over folds")


def limits(params: dict[str, Any]) -> list[str]:
    """Why outputs can have other bytes on another machine; nothing if they cannot."""
    params = with_recipe(params)
    backend, training = os.environ.get("KERAS_BACKEND", "tensorflow"), params["train_cnn"]
    normalised = training["regularisation"]["batch_norm"] or params["networks"][params["model"]].get("batch_norm")
    found = {
        "portable: false": params["portable"] is not True,
        f"KERAS_BACKEND={backend}": backend != "tensorflow",
        "batch normalisation": bool(normalised),  # this and the next use approximate instructions
        "train_cnn.loss.kind is not cross_entropy": training["loss"]["kind"] != "cross_entropy",
        "this processor has no AVX2": not {"avx2", "fma"} <= processor().flags,
        "a GPU may train": GPU_DRIVER.exists() and find_spec("nvidia") is not None,
    }
    return [reason for reason, holds in found.items() if holds]


def guarantee(reasons: list[str]) -> str:
    """What the comparison with dvc.lock may expect."""
    if reasons:
        return f"expecting the same bytes from the same machine only ({'; '.join(reasons)})"
    return "expecting the same bytes, whatever x86-64 processor with AVX2 made dvc.lock (portable: true)"


def beyond(moved: Iterable[Difference]) -> list[str]:
    """A line for each mean that moved by more than its standard deviation over folds."""
    return [
        f"{one.classifier}, {one.measure}: moved by {one.moved:.4f}, standard deviation {one.spread:.4f}"
        for one in moved
        if one.moved > one.spread
    ]


def first_difference(
    committed: dict[str, Any], found: dict[str, Any], order: list[str], same: Iterable[str] = ("*",)
) -> str | None:
    """Message on the first stage whose inputs or outputs differ; None if all stages agree.

    Args:
        committed: stages of dvc.lock.
        found: stages of the lock file of the new run.
        order: names of the stages without their problems, in the order of dvc.yaml.
        same: patterns of the outputs that must not differ; inputs that come from the others may differ too.
    """
    excused: list[str] = []
    places = {name: number for number, name in enumerate(order)}
    for stage in sorted(committed.keys() | found.keys(), key=lambda name: (places[name.split("@")[0]], name)):
        if stage not in committed or stage not in found:
            return (
                f"{stage} is not in {'dvc.lock' if stage in found else 'the run'}; run `dvc repro` and commit dvc.lock"
            )
        changed = _changed(committed, found, stage, "deps")
        inputs = [path for path in changed if not any(_within(path, other) for other in excused)]
        if committed[stage].get("params") != found[stage].get("params"):
            inputs.append("params.yaml")
        if inputs:
            return f"{stage} had other inputs ({', '.join(inputs)}): dvc.lock is stale; run `dvc repro` and commit it"
        changed = _changed(committed, found, stage, "outs")
        if outputs := [path for path in changed if any(fnmatch(path, pattern) for pattern in same)]:
            return f"{stage} is the first stage whose outputs differ from dvc.lock: {', '.join(outputs)}"
        excused += changed
    return None


def _within(one: str, other: str) -> bool:
    """Whether one of two paths is the other or contains it."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _changed(committed: dict[str, Any], found: dict[str, Any], stage: str, kind: str) -> list[str]:
    before, after = (project.hashes({stage: lock[stage]}, kind)[stage] for lock in (committed, found))
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


if __name__ == "__main__":
    main()
