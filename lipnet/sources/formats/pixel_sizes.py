"""The pixel size of an image: as the user gives it, or else as the file of a microscope states it."""

import math

TOLERANCE = 1.01  # largest ratio of the two without a remark; users round


def agreed(given_nm: float | None, stated_nm: float | None) -> float:
    """The pixel size to use in nm; NaN if neither the user nor the file gives one."""
    return given_nm or stated_nm or math.nan


def disagreement(given_nm: float | None, stated_nm: float | None) -> str:
    """What to tell the user if the two differ; empty if they agree or one is unknown."""
    if not given_nm or not stated_nm or max(given_nm, stated_nm) <= TOLERANCE * min(given_nm, stated_nm):
        return ""
    return (
        f"used with the pixel size given, {given_nm:g} nm, but the file says {stated_nm:g} nm; correct it, or remove "
        "it to use that of the file"
    )
