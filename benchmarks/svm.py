"""The SVM of this project beside scikit-learn's SVC, which is inside it, and beside libsvm-official.

    python -m benchmarks.svm [--rows 2000 10000 25000] [--rounds 3]

writes benchmarks/results/svm.md. Data: three overlapping normal clouds in 60 dimensions, as imbalanced as particles.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from libsvm import svmutil
from scipy.sparse import csr_matrix
from sklearn.svm import SVC

from benchmarks.measure import ROOT, in_turns, table, write_results
from lipnet.classifiers.svm import SvmSettings, decide, fit
from lipnet.core.settings import parse, pick, read_params

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
        expected = decide(ours, new, len(SHARES))[0]
        for name, (train, predict) in _peers(settings).items():
            peer = train(x, y)
            equal = f"{(expected == predict(peer, new)).mean():.4f}"
            training = in_turns(partial(fit, x, y, settings), partial(train, x, y), arguments.rounds)
            prediction = in_turns(
                partial(decide, ours, new, len(SHARES)), partial(predict, peer, new), arguments.rounds
            )
            rows += [[str(n), "training", name, *training.cells(), equal]]
            rows += [[str(n), "prediction", name, *prediction.cells(), equal]]
    names = ["rows", "step", "peer", "lipnet, ms", "peer, ms", "lipnet is faster by", "equal predictions"]
    packages = ["libsvm-official", "scikit-learn", "numpy"]
    write_results("svm", "LIBSVM three times, one thread", "svm", packages, [table(names, rows)])


def _peers(settings: SvmSettings) -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """Training and prediction, by name."""
    svc = SVC(C=settings.cost, gamma=1 / FEATURES, class_weight="balanced", cache_size=settings.cache_mb)

    def official(x: np.ndarray, y: np.ndarray) -> Any:
        weights = "".join(f" -w{label} {len(y) / (len(SHARES) * n)}" for label, n in enumerate(np.bincount(y)))
        options = f"-s 0 -t 2 -c {settings.cost} -g {1 / FEATURES} -m {settings.cache_mb} -q{weights}"
        return svmutil.svm_train(y.astype(float), csr_matrix(x), options)

    def predict_official(model: Any, x: np.ndarray) -> np.ndarray:
        return np.asarray(svmutil.svm_predict([], x, model, "-q")[0])

    return {"SVC": (svc.fit, SVC.predict), "libsvm-official": (official, predict_official)}


def _clouds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.choice(len(SHARES), n, p=SHARES)
    return rng.normal(size=(n, FEATURES)) + 0.25 * y[:, None], y


if __name__ == "__main__":
    main()
