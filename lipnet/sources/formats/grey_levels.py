"""From the samples of a file to grey levels: one rule for every bit depth, alike in training and ``lipnet predict``."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lipnet.core.errors import InputError
from lipnet.core.settings import Settings
from lipnet.samples.particles import Grey

WHITE_16 = 65535
SLACK = 1e-6  # of white: how far the rounding of another program may bring a float sample above white or below 0
FAINT = 0.25  # of white: 14 bits saved as 16 reach a quarter
FAINTER = 1 / 16  # of white: 12 bits saved as 16 reach a sixteenth
RECORD = "grey"  # name of the array in the particle store that holds the rule


class GreySettings(Settings):
    """Section ``source.grey``: how stored samples become grey levels.

    Attributes:
        rule: as_stored: samples divided by the white level of the file; percentile: black and white at two percentiles.
        bits: as_stored: bits that images of 16 and 32 bits really use; None: white is the largest number of the format.
        per: percentile: the pixels that share black and white. particle: those of the image of one particle, with its
            surrounding; micrograph: those of a micrograph or of its page; of crops, those of all crops of a group.
        low_percent: percentile: share of these pixels that are black at most.
        high_percent: percentile: share of these pixels below white.
    """

    rule: Literal["as_stored", "percentile"]
    bits: int | None = Field(ge=1, le=32)
    per: Literal["particle", "micrograph"]
    low_percent: float = Field(ge=0, lt=100)
    high_percent: float = Field(gt=0, le=100)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low_percent >= self.high_percent:
            raise ValueError("low_percent must be smaller than high_percent")
        return self

    @property
    def pooled(self) -> bool:
        """Several crops share black and white, so those of a group must be read together."""
        return self.rule == "percentile" and self.per == "micrograph"

    @property
    def alone(self) -> bool:
        """Each particle has its own black and white, so a particle must be cut out first."""
        return self.rule == "percentile" and self.per == "particle"


class Samples(NamedTuple):
    """The samples of one grey image, as its file stores them.

    Attributes:
        values: shape (height_px, width_px), integers or floats, all finite.
        white: the sample that means white: 255, 65535, 2^bits - 1 where the file states its bits, 1 for floats; None
            where the format has no such level: signed and 32-bit integers.
    """

    values: NDArray[Any]
    white: float | None


class Levels(NamedTuple):
    """The samples that become 0 and 1."""

    black: float
    white: float


def white_of(dtype: np.dtype[Any]) -> float | None:
    """The sample that means white in a file that states nothing else."""
    if dtype.kind == "f":
        return 1.0
    return {"u1": 255, "u2": WHITE_16}.get(dtype.str[1:])


def levels_of(images: Sequence[Samples], settings: GreySettings, name: str) -> Levels:
    """Black and white of images that share them.

    Args:
        images: one image; for the rule percentile, also several.
        settings: the rule.
        name: of the file or group, for messages.

    Raises:
        InputError: the rule is as_stored and the samples have no white level, or lie outside 0 to white; or images that
            share black and white differ in bit depth.
    """
    if settings.rule == "as_stored":
        return Levels(0, _white_level(images[0], settings, name))
    if len({image.white for image in images}) > 1:
        raise InputError(f"group {name}: its crops share black and white but differ in bit depth; convert them to one")
    values = [image.values.astype(np.float64).ravel() for image in images]
    together = values[0] if len(values) == 1 else np.concatenate(values)
    percents = [settings.low_percent, settings.high_percent]
    return Levels(*map(float, np.percentile(together, percents, overwrite_input=True)))


def _white_level(image: Samples, settings: GreySettings, name: str) -> float:
    low, high = float(image.values.min()), float(image.values.max())
    white, cure = image.white, "set source.grey.rule: percentile and train with it"
    if settings.bits is not None and white in (None, WHITE_16):
        white = 2**settings.bits - 1
    if white is None:
        raise InputError(
            f"{name}: {image.values.dtype} samples have no white level, which as_stored needs; {cure}, or say in "
            "source.grey.bits how many bits they use"
        )
    if low < -SLACK * white or high > (1 + SLACK) * white:
        raise InputError(
            f"{name}: has samples from {low:g} to {high:g}, but as_stored needs 0 (black) to {white:g} (white, by "
            f"{'source.grey.bits' if white != image.white else 'the format'}); correct it, or {cure}"
        )
    return float(white)


def to_grey(image: Samples, levels: Levels) -> Grey:
    """Grey levels, shape (height_px, width_px): uint8 if 8-bit samples keep their numbers, otherwise uint16.

    Samples from black to white become 0 to 65535; samples beyond them are clipped.
    """
    if image.values.dtype == np.uint8 and levels == (0, 255):
        return image.values
    grey = np.zeros(image.values.shape, np.uint16)
    low, high = levels
    if high > low:
        with np.errstate(over="ignore"):  # the range of a float64 image may be infinite
            for row, values in enumerate(image.values):  # by rows: a large micrograph in float64 would fill the memory
                grey[row] = np.round(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * WHITE_16)
    return grey


def of_page(image: Samples, settings: GreySettings, name: str) -> NDArray[Any]:
    """Grey levels of a micrograph; its samples as they are, where each particle has its own black and white.

    Raises:
        InputError: as for ``levels_of``.
    """
    return image.values if settings.alone else to_grey(image, levels_of([image], settings, name))


def of_cut(values: NDArray[Any], settings: GreySettings, name: str) -> Grey:
    """Grey levels of a particle that was cut from a result of ``of_page``."""
    if not settings.alone:
        return values
    cut = Samples(values, None)
    return to_grey(cut, levels_of([cut], settings, name))


def in_words(settings: GreySettings) -> str:
    """The rule in one sentence."""
    if settings.rule == "as_stored":
        depth = "" if settings.bits is None else f"; images of 16 and 32 bits are taken to use {settings.bits} bits"
        return f"Grey levels are the samples as stored, divided by the white level of the file{depth}."
    share = "each micrograph, or of the crops of each group" if settings.pooled else "each particle's image"
    return (
        f"Grey levels are stretched so that the percentiles {settings.low_percent:g} and {settings.high_percent:g} of "
        f"{share} are black and white."
    )


def record(settings: GreySettings) -> dict[str, Any]:
    """The rule as an array for the particle store."""
    return {RECORD: np.array(settings.model_dump_json())}


def check_record(arrays: dict[str, Any], expected: dict[str, Any], name: str) -> None:
    """Check that a particle store was made by the present rule.

    Args:
        arrays: of one block of the store.
        expected: as from ``record``; empty for particles that were not read from files.
        name: of the store, for the message.

    Raises:
        InputError: it was made by another rule.
    """
    found, wanted = (str(one.get(RECORD, "none")) for one in (arrays, expected))
    if found != wanted:
        raise InputError(f"{name}: made with source.grey = {found}, but params.yaml says {wanted}; run `dvc repro`")


def brightest(grey: Grey) -> float:
    """The largest grey level of an image, as a share of white."""
    return float(grey.max()) / float(np.iinfo(grey.dtype).max)


def faint(shares: Sequence[float], ids: Sequence[str], settings: GreySettings) -> Iterator[str]:
    """A note if images use a small part of the grey levels, as 12 bits saved as 16 do; stretched and black ones do not.

    Args:
        shares: ``brightest`` of each image.
        ids: of the particles, in the same order.
        settings: the rule.
    """
    if settings.rule != "as_stored" or not any(shares):
        return
    if max(shares) <= FAINT:
        bits = math.floor(max(shares) * WHITE_16).bit_length()
        fits = f"their numbers would fit into {bits} bits: set source.grey.bits if their 16-bit files use fewer, "
        yield (
            f"the brightest pixel of all images has {max(shares):.1%} of white; {fits if settings.bits is None else ''}"
            "or set source.grey.rule: percentile"
        )
        return
    few = [name for name, share in zip(ids, shares, strict=True) if share <= FAINTER]
    if few:
        yield (
            f"{len(few)} of {len(shares)} images use at most a sixteenth of the grey levels (first: {few[0]}); "
            "where files of different bit depth are mixed, set source.grey.rule: percentile"
        )
