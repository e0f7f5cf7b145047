"""Ingest and crop: time and peak memory on the JSON layout of the thesis.

    python -m benchmarks.ingest [--particles 25000]

writes benchmarks/results/ingest.md. The images are made before the measurement. For all stages with artificial
particles see benchmarks.growth.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.growth import USAGE, cells, stage_commands, write_params
from benchmarks.measure import table, usage_of, write_results
from benchmarks.write_particles import write


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problem", default="encapsulation")
    parser.add_argument("--particles", type=int, default=25_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params = write_params(folder, **{"source.kind": "particles"})
        write(folder / params["source"]["folder"] / arguments.problem, arguments.problem, arguments.particles, params)
        commands = stage_commands(params, arguments.problem)
        usages = {stage: usage_of(commands[stage], folder) for stage in ("ingest", "crop")}
    rows = [[stage, *cells(usage, arguments.particles)] for stage, usage in usages.items()]
    title = f"## {arguments.particles} particles: records with features, JPEG images and masks\n"
    packages = ["numpy", "pandas", "scikit-image", "pillow"]
    parts = [title, table(["stage", *USAGE], rows)]
    write_results("ingest", "Ingest and crop of the JSON layout", "ingest", packages, parts)


if __name__ == "__main__":
    main()
