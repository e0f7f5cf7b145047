"""Arrays of NumPy as images, stacks, masks and label masks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipnet.core.errors import InputError
from lipnet.sources.images import count_pages, read_label_pages, read_mask
from tests.sources.formats.test_tiff import LABELS, RAMP
from tests.sources.grey import read_grey, read_pages


def _save(path: Path, pixels: Any) -> Path:
    np.save(path, pixels)
    return path


@pytest.mark.parametrize("pixels", [RAMP, np.asfortranarray(RAMP), np.dstack([RAMP] * 3), np.dstack([RAMP] * 4)])
def test_an_array_is_an_image_in_grey_or_colour(tmp_path: Path, pixels: Any) -> None:
    np.testing.assert_array_equal(read_grey(_save(tmp_path / "a.npy", pixels)), RAMP)


@pytest.mark.parametrize("pixels", [np.stack([RAMP, 255 - RAMP]), np.stack([np.dstack([RAMP] * 3)] * 2)])
def test_an_array_of_more_axes_is_a_stack(tmp_path: Path, pixels: Any) -> None:
    path = _save(tmp_path / "a.npy", pixels)
    assert count_pages(path) == len(list(read_pages(path))) == 2
    with pytest.raises(InputError, match=r"a\.npy: expected one grey or colour image, found 2"):
        read_grey(path)


def test_bool_and_whole_floats_are_masks_and_labels(tmp_path: Path) -> None:
    for pixels in (LABELS > 0, LABELS.astype(np.float64), LABELS.astype(np.float16)):
        np.testing.assert_array_equal(read_mask(_save(tmp_path / "a.npy", pixels)), LABELS > 0)
        np.testing.assert_array_equal(next(read_label_pages(tmp_path / "a.npy")), pixels)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_masks_of_numbers_that_are_none_are_refused(tmp_path: Path, value: float) -> None:
    path = _save(tmp_path / "a.npy", np.where(LABELS, 1.0, value))
    with pytest.raises(InputError, match=r"a\.npy: has NaN or infinite values; save 0 where there is no particle"):
        read_mask(path)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros(5), r"found an array of shape \(5,\)"),
        (np.zeros((2, 2, 4, 5)), r"found an array of shape \(2, 2, 4, 5\)"),
        (np.zeros((0, 5)), "the image has no pixels"),
        (np.zeros((4, 5), complex), "its pixels are complex numbers"),
        (np.zeros((4, 5), "S3"), r"its pixels are \|S3 numbers"),
        (np.zeros((4, 5), [("a", "i4")]), "its pixels are .* numbers"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, pixels: Any, message: str) -> None:
    path = _save(tmp_path / "a.npy", pixels)
    for read in (read_grey, read_mask, lambda path: next(read_label_pages(path))):
        with pytest.raises(InputError, match=rf"a\.npy: .*{message}"):
            read(path)


def test_numbers_too_large_for_labels_are_refused(tmp_path: Path) -> None:
    for pixels in (np.full((4, 5), 2**63, np.uint64), np.full((4, 5), 1e300)):
        with pytest.raises(InputError, match=r"a\.npy: labels must be whole numbers from 0 to"):
            next(read_label_pages(_save(tmp_path / "a.npy", pixels)))
