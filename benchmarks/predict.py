"""`lipnet predict` on a folder or table of particles, with untrained LipNet-4 networks; times include the start.

    python -m benchmarks.predict INPUT [--rounds 3]

writes benchmarks/results/predict.md. The time does not depend on the weights.
"""

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.measure import ROOT, table, usage_of, write_results
from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.backend import start_keras
from lipnet.classifiers.networks.settings import NetworkSettings, RegularisationSettings
from lipnet.core import files
from lipnet.core.settings import parse, pick, read_params
from lipnet.deployment.graphs.networks import network
from lipnet.deployment.model_files import Description, ImageInput, Provenance
from lipnet.samples.crops import CropSettings
from lipnet.samples.features import FeatureSettings
from lipnet.sources.formats.grey_levels import GreySettings
from lipnet.sources.micrographs import MicrographSettings

NETWORK = "lipnet4"
CLASSES = ["Empty", "Filled", "Clustered"]
FOLDS = 5


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("input", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows, load = [], os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_networks(folder / "models")
        for models, options in (("models", []), ("models", ["--no-features"]), ("models/cnn_fold0.onnx", [])):
            command = ["lipnet.cli", "predict", models, str(arguments.input.resolve()), "--to", "out.csv", *options]
            used = [usage_of(command, folder) for _ in range(arguments.rounds)]
            particles = len(files.read_table(folder / "out.csv"))
            seconds = [one.seconds for one in used]
            rows.append(
                [
                    str(FOLDS if models == "models" else 1),
                    "no" if options else "yes",
                    str(particles),
                    f"{median(seconds):.1f} [{min(seconds):.1f}, {max(seconds):.1f}]",
                    f"{median(one.cpu_seconds for one in used):.1f}",
                    f"{max(one.peak_gib for one in used):.2f}",
                ]
            )
    names = ["networks", "features", "particles", "seconds [least, most]", "CPU seconds", "peak GiB"]
    packages = ["onnxruntime", "numpy", "scikit-image"]
    title = "`lipnet predict`, start included: LipNet-4, 28 px, untrained"
    others = f"Before the first run, {load:.1f} other processes were running or waiting for a core."
    write_results("predict", title, "predict INPUT", packages, [others, "", table(names, rows)])


def write_networks(folder: Path) -> None:
    """Write an ensemble in the format of `lipnet export`."""
    start_keras()
    params = read_params(ROOT / "params.yaml")
    row = parse(NetworkSettings, pick(params, "networks", NETWORK), f"networks.{NETWORK}")
    regularisation = parse(RegularisationSettings, pick(params, "train_cnn", "regularisation"), "regularisation")
    crop = parse(CropSettings, pick(params, "crop"), "crop")
    micrographs = parse(MicrographSettings, pick(params, "source", "micrographs"), "source.micrographs")
    for fold in range(FOLDS):
        description = Description(
            classifier="cnn",
            architecture=NETWORK,
            problem="liposomes",
            fold=fold,
            classes=CLASSES,
            inputs={"image": ImageInput(size_px=row.size_px, mode="cropped", scale=crop.scale, field_px=crop.field_px)},
            measures=parse(FeatureSettings, pick(params, "features"), "features"),
            micrographs=micrographs,
            grey=parse(GreySettings, pick(params, "source", "grey"), "source.grey"),
            pixel_size_nm=None,
            label_smoothing=pick(params, "train_cnn", "label_smoothing"),
            floor=pick(params, "decide", "floor"),
            training_prior=[1 / 3] * 3,
            natural_prior=[0.69, 0.28, 0.03],
            provenance=Provenance(git_revision=None, data_md5=None, versions={}),
        )
        model = build(row, len(CLASSES), ModelOptions(regularisation, pick(params, "train_cnn", "mid_grey")))
        files.write_bytes(folder / f"cnn_fold{fold}.onnx", network(model, description))


if __name__ == "__main__":
    main()
