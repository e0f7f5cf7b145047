"""Settings of the artificial data: wrong ranges and classes are refused."""

import pytest
from pydantic import ValidationError

from lipnet.core.errors import InputError
from lipnet.sources.artificial.micrographs import class_counts
from lipnet.sources.artificial.settings import restrict
from tests.sources.artificial.artificial_data import SETTINGS, changed


@pytest.mark.parametrize("limits", [[0.2, 0.1], [-1.0, 1.0], [0.1]])
def test_ranges_are_low_and_high(limits: list[float]) -> None:
    with pytest.raises(ValidationError):
        changed(noise_sd=limits)
    with pytest.raises(ValidationError):
        changed(pixel_size_nm=[0.0, 1.0])


def test_restricted_settings_draw_the_listed_classes_only() -> None:
    own = restrict(SETTINGS, "encapsulation", ["Full", "Empty"])
    assert set(class_counts("encapsulation", own)) == {"Full", "Empty"}
    with pytest.raises(InputError, match="not Half"):
        restrict(SETTINGS, "encapsulation", ["Full", "Half"])
    without_share = changed(proportions={"encapsulation": {"Full": 1.0}})
    with pytest.raises(InputError, match="give Empty a share"):
        restrict(without_share, "encapsulation", ["Full", "Empty"])


def test_proportions_must_name_classes_that_can_be_drawn() -> None:
    with pytest.raises(InputError, match=r"draws the classes Unilamellar, Multilamellar, Uncertain of lam.*, not X"):
        class_counts("lamellarity", changed(proportions={"lamellarity": {"X": 1.0}}))
    with pytest.raises(InputError, match=r"proportions\.lamellarity: give some class a share above 0"):
        class_counts("lamellarity", changed(proportions={"lamellarity": {"Unilamellar": 0.0}}))
