"""Write any number of artificial particles in the JSON layout of the thesis's data (source.kind: particles).

python -m benchmarks.write_particles data/raw/lamellarity lamellarity 14169
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.measure import ROOT
from lipnet.core import files
from lipnet.core.parallel import stream
from lipnet.core.settings import parse, pick, read_params, seed_of
from lipnet.samples.features import FeatureSettings
from lipnet.sources.artificial.micrographs import MicrographPlan, plan_micrographs, render_micrograph
from lipnet.sources.artificial.settings import CLASSES, ArtificialSettings
from lipnet.sources.particles import write_particles
from lipnet.sources.settings import ParticlesSettings


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="the JSON file and the folders of images and masks go here")
    parser.add_argument("problem", choices=list(CLASSES))
    parser.add_argument("n", type=int, help="number of particles")
    arguments = parser.parse_args()
    write(arguments.folder, arguments.problem, arguments.n, read_params(ROOT / "params.yaml"))


def write(folder: Path, problem: str, n: int, params: dict[str, Any]) -> None:
    """Write n artificial particles of a problem; features are measured before JPEG compression of the images."""
    drawn = parse(ArtificialSettings, {**pick(params, "source", "artificial"), "n_particles": n}, "source.artificial")
    layout = parse(ParticlesSettings, pick(params, "source", "particles"), "source.particles")
    measures = parse(FeatureSettings, pick(params, "features"), "features")
    plans = plan_micrographs(problem, drawn, seed_of(params))
    work = partial(_write_micrograph, folder=folder, drawn=drawn, layout=layout, measures=measures)
    progress = tqdm(stream(work, plans), "writing images", total=len(plans), delay=2)
    records = [record for some in progress for record in some]
    files.write_text(folder / layout.file, "[\n" + ",\n".join(records) + "\n]\n")


def _write_micrograph(
    plan: MicrographPlan, folder: Path, drawn: ArtificialSettings, layout: ParticlesSettings, measures: FeatureSettings
) -> list[str]:
    records = write_particles(folder, render_micrograph(plan, drawn), layout, measures)
    return [json.dumps(record) for record in records]


if __name__ == "__main__":
    main()
