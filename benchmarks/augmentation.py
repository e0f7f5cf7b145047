"""Augmentation alone: this project's single affine map per image, compared with ImageDataGenerator of the thesis.

    python -m benchmarks.augmentation [--images 4096] [--rounds 7]

writes benchmarks/results/augmentation.md. ImageDataGenerator is written in Python and always uses one
thread.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from benchmarks.measure import Pair, in_turns, table, write_results
from benchmarks.training_arms import BATCH, POLICY, SIZE, image_data_generator
from lipnet.samples.augment import draw_maps, warp


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rows = []
    for threads in ("1", "2"):
        # TensorFlow reads these variables only when it starts, so each number of threads needs a new process.
        os.environ.update(TF_NUM_INTRAOP_THREADS=threads, TF_NUM_INTEROP_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pair = pool.submit(_measure, arguments.images, arguments.rounds).result()
        rows.append([str(arguments.images), threads, *pair.cells()])
    names = ["images", "threads", "lipnet, ms", "ImageDataGenerator, ms", "lipnet is faster by"]
    packages = ["tensorflow", "keras", "scipy"]
    write_results("augmentation", "Augmentation alone, 28 px", "augmentation", packages, [table(names, rows)])


def _measure(n: int, rounds: int) -> Pair:
    rng = np.random.default_rng(0)
    images = rng.random((n, SIZE, SIZE, 1), dtype=np.float32)
    generator = image_data_generator()

    def ours() -> None:
        warp(images[..., 0], draw_maps(n, SIZE, POLICY, rng), POLICY)

    def theirs() -> None:
        flow = generator.flow(images, batch_size=BATCH)
        for number in range(len(flow)):
            flow[number]

    return in_turns(ours, theirs, rounds)


if __name__ == "__main__":
    main()
