"""Augmentation alone, one thread: this project's one affine map an image beside ImageDataGenerator (the thesis's).

    python -m benchmarks.augmentation [--images 4096] [--rounds 7]

writes benchmarks/results/augmentation.md.
"""

import argparse
import os

os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")

import numpy as np

from benchmarks.measure import in_turns, table, write_results
from benchmarks.training_arms import BATCH, POLICY, SIZE, image_data_generator
from lipnet.augment import draw_maps
from lipnet.training import warp_with_keras


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = rng.random((arguments.images, SIZE, SIZE, 1), dtype=np.float32)
    generator = image_data_generator()

    def ours() -> None:
        warp_with_keras(images, draw_maps(len(images), SIZE, POLICY, rng), POLICY)

    def theirs() -> None:
        flow = generator.flow(images, batch_size=BATCH)
        for number in range(len(flow)):
            flow[number]

    pair = in_turns(ours, theirs, arguments.rounds)
    names = ["images", "lipnet, ms", "ImageDataGenerator, ms", "lipnet is faster by"]
    title = "Augmentation alone, one thread, 28 px"
    rows = [[str(arguments.images), *pair.cells()]]
    write_results("augmentation", title, "augmentation", ["tensorflow", "keras", "scipy"], [table(names, rows)])


if __name__ == "__main__":
    main()
