"""Optics of the artificial data: known projections and the transfer function."""

import numpy as np
import pytest

from lipnet.sources.artificial.drawing import shell_projection, transfer_function


def test_shell_projection_peaks_at_the_inner_radius_and_keeps_the_volume() -> None:
    outer, inner = 40.0, 35.0
    axis = np.arange(-45, 45.001, 0.25, dtype=np.float32)
    path = shell_projection(np.hypot(axis[:, None], axis[None, :]), outer, inner)
    assert path.sum() * 0.25**2 == pytest.approx(4 / 3 * np.pi * (outer**3 - inner**3), rel=2e-3)
    profile = shell_projection(axis, outer, inner)
    assert abs(axis[profile.argmax()]) == inner
    assert profile.max() == pytest.approx(2 * np.sqrt(outer**2 - inner**2), rel=1e-5)
    assert profile[np.abs(axis) >= outer].max() == 0


def test_transfer_function_keeps_amplitude_contrast_at_zero_frequency_and_crosses_zero() -> None:
    factors = transfer_function((128, 100), pixel_size_nm=2.0, defocus_nm=10_000.0)
    assert factors.shape == (128, 51)
    assert factors[0, 0] == pytest.approx(2 * 0.2)
    assert factors.min() < 0 < factors.max()
