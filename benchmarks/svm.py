"""LIBSVM as this project calls it beside scikit-learn's SVC, which wraps the same algorithm: training and prediction.

    python -m benchmarks.svm [--rows 2000 10000 25000] [--rounds 3]

writes benchmarks/results/svm.md. Data: three overlapping normal clouds in 60 dimensions, as imbalanced as particles.
"""

import argparse
import os
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from sklearn.svm import SVC

from benchmarks.measure import ROOT, in_turns, table, write_results
from lipnet.settings import parse, pick, read_params
from lipnet.svm import SvmSettings, decide, fit

SHARES = (0.87, 0.12, 0.01)
FEATURES = 60


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[2_000, 10_000, 25_000])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    settings = parse(SvmSettings, pick(read_params(ROOT / "params.yaml"), "train_svm"), "train_svm")
    rows = []
    for n in arguments.rows:
        x, y = _clouds(n, 0)
        new, _ = _clouds(n // 4, 1)
        ours = fit(x, y, settings)
        peer = SVC(C=settings.cost, gamma=1 / FEATURES, class_weight="balanced", cache_size=settings.cache_mb).fit(x, y)
        training = in_turns(partial(fit, x, y, settings), partial(peer.fit, x, y), arguments.rounds)
        prediction = in_turns(partial(decide, ours, new, len(SHARES)), partial(peer.predict, new), arguments.rounds)
        equal = f"{(decide(ours, new, len(SHARES))[0] == peer.predict(new)).mean():.4f}"
        rows += [[str(n), "training", *training.cells(), equal], [str(n), "prediction", *prediction.cells(), equal]]
    names = ["rows", "step", "lipnet, ms", "SVC, ms", "lipnet is faster by", "equal predictions"]
    packages = ["libsvm-official", "scikit-learn", "numpy"]
    write_results("svm", "LIBSVM beside SVC, one thread", "svm", packages, [table(names, rows)])


def _clouds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.choice(len(SHARES), n, p=SHARES)
    return rng.normal(size=(n, FEATURES)) + 0.25 * y[:, None], y


if __name__ == "__main__":
    main()
