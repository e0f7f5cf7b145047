"""The size of the page, for a run with more to show than the page has room for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from lipnet.deployment.reports.report import make_report
from lipnet.deployment.reports.suspects import GALLERY, MOST_ERRORS
from lipnet.deployment.runs import Evidence, read_run
from lipnet.evaluation.predictions import Predictions
from tests.deployment.finished_run import PROBLEM, history, make_run

CLASSES = ["Dense", "Clear", "Halo", "Broken", "Fused"]
NAMES = ["cnn", "cnn_shifted", "cnn_half_shifted", "svm", "size_only", "trees"]
N, SIDE = 1500, 240
LARGEST, OF_MAPS = 3_000_000, 300_000  # bytes; the second is room for 24 occlusion maps of 32 px


def _predictions(labels: np.ndarray, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(len(CLASSES), 0.3), N) + 2 * np.eye(len(CLASSES))[np.arange(N) % len(CLASSES)]
    p /= p.sum(axis=1, keepdims=True)
    ids = np.array([f"micrograph_0001_particle_{number:05d}" for number in range(N)])
    return Predictions(CLASSES, ids, np.zeros(N, int), np.arange(N) // (N // 5), labels, p.argmax(axis=1), p)


def test_the_page_has_at_most_three_megabytes_if_every_gallery_is_full_of_noisy_particles(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(N) < 0.2, rng.integers(0, len(CLASSES), N), np.arange(N) % len(CLASSES))
    predictions = {name: _predictions(labels, seed) for seed, name in enumerate(NAMES)}
    noise = rng.normal(0.5, 0.2, (SIDE, SIDE))  # standard deviation of a fifth of all grey levels
    image = (65535 * noise.clip(0, 1)).astype(np.uint16)
    mask = np.hypot(*(np.indices((SIDE, SIDE)) - SIDE / 2)) < SIDE / 4 + 3 * np.sin(np.indices((SIDE, SIDE))[0])
    table = pd.DataFrame({"id": predictions["cnn"].ids, "group": np.arange(N) // 10, "pixel_size_nm": 8.0})
    read = read_run(make_run(tmp_path), PROBLEM)
    run = replace(read, classes=CLASSES, table=table)
    no_corrections = pd.DataFrame({"id": [], "before": [], "label": []}, dtype=str)
    page, errors = make_report(
        run, Evidence(predictions, history(), [image] * N, [mask] * N, no_corrections), maps=False
    )
    assert len(errors) > MOST_ERRORS and page.count('class="crop"') == MOST_ERRORS + 2 * GALLERY
    assert len(page.encode()) < LARGEST - OF_MAPS
    assert "8\N{NO-BREAK SPACE}nm" in page and "There are no occlusion maps: left out on request" in page
