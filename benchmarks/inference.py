"""Inference of LipNet-4 on single particles and small batches: our predict compared with model.predict of Keras.

    python -m benchmarks.inference [--rounds 7]

writes benchmarks/results/inference.md.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.measure import in_turns, table, write_results
from benchmarks.training_arms import SIZE, keras_model
from lipnet.classifiers.networks.prediction import predict

BATCHES = (1, 8, 64, 512)
CALLS = 20


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    model, rows = keras_model(), []
    for batch in BATCHES:
        pixels = np.random.default_rng(0).integers(0, 256, (batch, SIZE, SIZE), dtype=np.uint8)

        def ours(pixels: np.ndarray = pixels) -> None:
            for _ in range(CALLS):
                predict(model, pixels)

        def theirs(pixels: np.ndarray = pixels) -> None:
            for _ in range(CALLS):
                model.predict(pixels[..., None] / np.float32(255), batch_size=len(pixels), verbose=0)

        pair = in_turns(ours, theirs, arguments.rounds)
        rows.append([str(batch), f"{batch * CALLS / min(pair.ours):.0f}", *pair.cells()])
    names = [
        "batch",
        "lipnet, particles/s at best",
        f"lipnet, ms for {CALLS} calls",
        "model.predict, ms",
        "lipnet is faster by",
    ]
    write_results("inference", "Inference: LipNet-4, 28 px", "inference", ["tensorflow", "keras"], [table(names, rows)])


if __name__ == "__main__":
    main()
