"""Ingest and crop: time and peak memory on the JSON layout of the thesis, and growth with the number of particles.

    python -m benchmarks.ingest [--json 25000] [--growth 2000 10000 25000 100000]

writes benchmarks/results/ingest.md. The images of the JSON layout are made first, outside the measured time.
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import ROOT, Usage, table, usage_of, write_results
from benchmarks.write_particles import write

STAGES = {
    "ingest": [
        *("--folder", "raw", "--store", "store.npz", "--table", "table.csv", "--rejected", "rejected.csv"),
        *("--duplicates", "duplicates.csv", "--counts", "counts.json", "--pictures", "pictures"),
    ],
    "crop": ["--store", "store.npz", "--table", "table.csv", "--crops", "crops.npz", "--picture", "crops.png"],
}


def main() -> None:
    """Measure both and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problem", default="encapsulation")
    parser.add_argument("--json", type=int, default=25_000, help="particles of the JSON layout")
    parser.add_argument("--growth", type=int, nargs="*", default=[2_000, 10_000, 25_000, 100_000])
    arguments = parser.parse_args()
    lines = [_json_lines(arguments.problem, arguments.json)]
    lines += [_growth_lines(arguments.problem, arguments.growth)] if arguments.growth else []
    write_results("ingest", "Ingest and crop", "ingest", ["numpy", "pandas", "scikit-image", "pillow"], lines)


def _json_lines(problem: str, n: int) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params = _params(folder, kind="particles")
        write(folder / "raw", problem, n, params)
        rows = _stages(problem, folder)
    title = f"## {n} particles of the JSON layout: records with features, JPEG images and masks"
    return _table(title, ["stage"], ([stage, *_cells(usage, n)] for stage, usage in rows.items()))


def _growth_lines(problem: str, sizes: Iterable[int]) -> str:
    rows = []
    for n in sizes:
        with tempfile.TemporaryDirectory() as name:
            _params(Path(name), kind="artificial", n_particles=n)
            rows += [[str(n), stage, *_cells(usage, n)] for stage, usage in _stages(problem, Path(name)).items()]
    return _table("## Growth: artificial particles", ["particles", "stage"], rows)


def _params(folder: Path, kind: str, **artificial: int) -> dict[str, Any]:
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["source"]["kind"] = kind
    params["source"]["artificial"].update(artificial)
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return params


def _stages(problem: str, folder: Path) -> dict[str, Usage]:
    return {stage: usage_of([f"stages.{stage}", problem, *paths], folder) for stage, paths in STAGES.items()}


def _cells(usage: Usage, n: int) -> list[str]:
    return [f"{usage.seconds:.1f}", f"{1000 * usage.seconds / n:.2f}", f"{usage.peak_gib:.2f}"]


def _table(title: str, names: list[str], rows: Iterable[list[str]]) -> str:
    return f"{title}\n\n{table([*names, 'seconds', 'ms a particle', 'peak memory, GiB'], rows)}"


if __name__ == "__main__":
    main()
