"""Do two samples differ in their class shares? Batch against batch, or before against after."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from lipnet.core.errors import InputError
from lipnet.deployment.shares.samples import REPLICATES, TABLE, Proportions, SampleShares
from lipnet.evaluation.proportions.intervals import limits

SEPARATOR = "::"  # between the file and the sample
MAX_BYTES = 2**27  # limit of the file size


class Chosen(NamedTuple):
    """One sample of a file."""

    name: str
    sample: SampleShares
    found: Proportions


def choose(argument: str) -> Chosen:
    """Read a sample.

    Args:
        argument: the file OUT_proportions.csv (or .json) of ``lipnet predict``; if it has several samples,
            FILE::SAMPLE.

    Raises:
        InputError: the file is missing or damaged, or has no such sample.
    """
    given, _, name = argument.partition(SEPARATOR)
    path = Path(given.removesuffix(TABLE) + REPLICATES if given.endswith(TABLE) else given)
    found = _read(path)
    if not name and len(found.samples) > 1:
        raise InputError(f"{given} has several samples: {', '.join(found.samples)}; give {given}{SEPARATOR}SAMPLE")
    name = name or next(iter(found.samples))
    name = name if name in found.samples else name.rstrip("/")  # an input is named without the slash at its end
    if name not in found.samples:
        raise InputError(f"{given} has no sample '{name}'; it has {', '.join(found.samples)}")
    if not found.samples[name].replicates:
        raise InputError(f"{given}: its shares are counts without intervals; classify with an exported folder")
    return Chosen(name, found.samples[name], found)


def _read(path: Path) -> Proportions:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES} bytes; run `lipnet predict` again")
        found = Proportions.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; `lipnet predict` writes it beside OUT{TABLE}, keep both together"
        ) from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = "".join(f"{key}: " for key in fault["loc"])
        raise InputError(f"{path}: {where}{fault['msg']}; run `lipnet predict` again") from None
    if not found.samples:
        raise InputError(f"{path}: has no sample; run `lipnet predict` again")
    return found


def compare(first: Chosen, second: Chosen) -> pd.DataFrame:
    """Difference of the class shares of two samples, second minus first.

    Both rest on the same correction, replicate by replicate, so what is not known of the classifier mostly cancels.

    Returns:
        One row for each class: class, first, second, difference, low, high.

    Raises:
        InputError: the samples were classified by different models.
    """
    one, other = first.found, second.found
    for name in ("problem", "classifier", "classes", "correction", "confidence"):
        if getattr(one, name) != getattr(other, name):
            raise InputError(
                f"{first.name} and {second.name} differ in {name}; classify both with the same models and options"
            )
    shares = [np.array(sample.share) for sample in (first.sample, second.sample)]
    replicates = np.array(second.sample.replicates) - np.array(first.sample.replicates)
    difference = shares[1] - shares[0]
    assert one.confidence is not None  # ``choose`` refuses counts without intervals
    n = min(first.sample.particles, second.sample.particles)
    low, high = limits(difference, replicates, np.array(one.widening), n, one.confidence)
    anything = np.any(
        [np.array(sample.high) - np.array(sample.low) == 1 for sample in (first.sample, second.sample)], axis=0
    )
    low, high = np.where(anything, -1.0, np.maximum(low, -1)), np.where(anything, 1.0, np.minimum(high, 1))
    return pd.DataFrame(
        {
            "class": one.classes,
            "first": shares[0],
            "second": shares[1],
            "difference": difference.round(6),
            "low": low.round(6),
            "high": high.round(6),
        }
    )


def in_words(table: pd.DataFrame, first: Chosen, second: Chosen) -> str:
    """The comparison as text, in per cent and percentage points."""
    lines = [f"{second.name} compared with {first.name}, {first.found.confidence:.0%} intervals:"]
    for _, row in table.iterrows():
        shown = "no difference shown" if row["low"] <= 0 <= row["high"] else "differs"
        lines.append(
            f"  {row['class']}: {row['first']:.1%} to {row['second']:.1%}, {100 * row['difference']:+.1f} percentage "
            f"points ({100 * row['low']:+.1f} to {100 * row['high']:+.1f}): {shown}"
        )
    return "\n".join(lines)
