"""Picture of class shares: a panel for each class, dots at true and estimated shares, intervals as lines."""

import pandas as pd
from numpy.testing import assert_allclose

from lipnet.plots.proportions import shares_picture


def _samples() -> pd.DataFrame:
    rows = [
        {"class": name, "size": size, "true": 0.4, "counted": 0.2, "corrected": 0.5, "low": 0.3, "high": 0.6}
        for name in ("Full", "Empty")
        for size in (50, 200, 1000)
    ]
    return pd.DataFrame(rows)


def test_each_class_has_a_panel_with_the_samples_of_the_middle_size() -> None:
    figure = shares_picture(_samples(), "encapsulation, svm")
    assert [ax.get_title() for ax in figure.axes] == ["Full", "Empty"]
    counted, corrected, _ = figure.axes[0].get_lines()
    assert_allclose(counted.get_xydata(), [[0.4, 0.2]])
    assert_allclose(corrected.get_xydata(), [[0.4, 0.5]])
    assert_allclose(figure.axes[0].collections[0].get_segments(), [[[0.4, 0.3], [0.4, 0.6]]])
    assert "200 particles" in figure.get_suptitle()
