"""Foreign particles for the benchmark of outlier scores: the same particles, halved, blurred or inverted."""

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from benchmarks.outliers import changed, measure
from lipnet.core.settings import read_params
from tests.deployment.finished_run import ROOT

GREY = np.tile(np.linspace(0, 1, 20), (20, 1))
MASK = np.pad(np.ones((12, 12), bool), 4)


def test_changes_keep_the_particle_and_alter_one_thing() -> None:
    [(half, mask)] = changed([(GREY, MASK)], "half")
    assert half.shape == mask.shape == (10, 10) and mask.sum() == MASK.sum() / 4
    [(blurred, mask)] = changed([(GREY, MASK)], "blurred")
    assert mask is MASK and 0 < np.ptp(blurred[10]) < np.ptp(GREY[10])
    [(inverted, mask)] = changed([(GREY, MASK)], "inverted")
    assert mask is MASK
    assert_allclose(inverted, 1 - GREY)


def test_lengths_are_in_nm_if_every_particle_has_a_pixel_size() -> None:
    params = read_params(ROOT / "params.yaml")
    for size_nm, name, area in ((2.0, "area_nm2", 4 * 144), (np.nan, "area_px2", 144)):
        measured = measure([(GREY, MASK)], pd.DataFrame({"pixel_size_nm": [size_nm]}), params)
        assert measured[[name, "height_px"]].to_numpy().tolist() == [[area, 12]]
        assert_allclose(measured["grey_mean"].to_numpy(np.float64), 0.5, atol=1e-4)
