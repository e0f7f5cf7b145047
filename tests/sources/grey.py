"""Rules of grey levels for tests, and what tests of decoders look at."""

from collections.abc import Iterator
from pathlib import Path

from lipnet.samples.particles import Grey
from lipnet.sources import images
from lipnet.sources.formats.grey_levels import GreySettings, Samples, levels_of, to_grey

AS_STORED = GreySettings(rule="as_stored", bits=None, per="micrograph", low_percent=0, high_percent=100)
STRETCHED = GreySettings(rule="percentile", bits=None, per="particle", low_percent=0, high_percent=100)
POOLED = STRETCHED.model_copy(update={"per": "micrograph"})


def read_grey(path: Path) -> Grey:
    """An image: 8-bit samples as stored, all others stretched from their minimum to their maximum."""
    return _grey(images.read_samples(path), path)


def read_pages(path: Path) -> Iterator[Grey]:
    """As ``read_grey``, every image of a file."""
    return (_grey(samples, path) for samples in images.read_pages(path))


def _grey(samples: Samples, path: Path) -> Grey:
    rule = AS_STORED if samples.white == 255 else STRETCHED
    return to_grey(samples, levels_of([samples], rule, path.name))
