"""The report of the ingest stage: counts for the metrics, and Markdown for the reviewers of a pull request."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pandas as pd

from lipnet.sources.rows import Rejected, Remark

FEW_PARTICLES = 50  # with 5 folds, a test fold has 10, and each is 10 % of the class
LARGE_GROUP = 0.2  # of all particles: the size of one of 5 folds
MAX_REASONS = 10
REASON_WIDTH = 300  # characters; a reason may quote long content of a damaged file

Counts = dict[str, Any]


def count(table: pd.DataFrame, rejected: Sequence[Rejected], duplicates: pd.DataFrame, corrected: int = 0) -> Counts:
    """Counts that describe a data set, for the metrics.

    Args:
        table: columns label, group, pixel_size_nm, mask_estimated and cut_by_edge, one row a particle.
        rejected: rows that were not used.
        duplicates: table of ``duplicates.find``: columns id, first_id and conflict, one row for each particle that
            repeats an earlier image.
        corrected: number of labels that corrections.csv changed.

    Returns:
        particles, groups, largest_group (number of its particles), classes (particles and groups of each, by name),
        rejected (total, and by the column at fault; a column named total is listed as "column total"), left_out (rows
        without fault), duplicates (images: different images that occur more than once; particles: those that repeat an
        image; conflicting: images that occur with different classes), corrected, masks_estimated, cut_by_edge,
        pixel_size_known.
    """
    by_class = table.groupby("label")["group"].agg(["size", "nunique"])
    faults = Counter(_key(row.column) for row in rejected if row.fault)
    return {
        "particles": len(table),
        "groups": int(table["group"].nunique()),
        "largest_group": int(table["group"].value_counts().to_numpy().max(initial=0)),
        "classes": {
            str(name): {"particles": int(size), "groups": int(groups)} for name, size, groups in by_class.itertuples()
        },
        "rejected": {"total": faults.total(), **dict(sorted(faults.items()))},
        "left_out": sum(not (row.fault or isinstance(row, Remark)) for row in rejected),
        "duplicates": {
            "images": int(duplicates["first_id"].nunique()),
            "particles": len(duplicates),
            "conflicting": int(duplicates.loc[duplicates["conflict"].astype(bool), "first_id"].nunique()),
        },
        "corrected": corrected,
        "masks_estimated": int(table["mask_estimated"].sum()),
        "cut_by_edge": int(table["cut_by_edge"].sum()),
        "pixel_size_known": int(table["pixel_size_nm"].notna().sum()),
    }


def _key(column: str) -> str:
    return "column total" if column == "total" else column or "row"


def text(
    problem: str,
    counts: Counts,
    rejected_reasons: Sequence[tuple[str, int]],
    pictures: Mapping[str, str],
    notes: Sequence[str] = (),
) -> str:
    """The report in Markdown: classes, rejected rows with reasons, warnings, and pictures.

    Args:
        problem: its name.
        counts: result of ``count``, with at least one particle.
        rejected_reasons: reasons of rejection, each with its count, the most frequent first.
        pictures: file name of each picture in the folder of the report -> caption.
        notes: more warnings, without full stop.
    """
    warnings = [*_warnings(counts), *(f"{note[0].upper()}{note[1:]}." for note in notes)] or ["None."]
    parts = [
        [f"# {problem}: the particles"],
        _class_table(counts),
        [f"- {line}" for line in _facts(counts)],
        *_rejection(counts, rejected_reasons),
        ["## Warnings"],
        [f"- {line}" for line in warnings],
        *([f"![{caption}]({quote(name)})", "", caption] for name, caption in pictures.items()),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _class_table(counts: Counts) -> list[str]:
    rows = [
        f"| {name} | {of['particles']:,} | {of['particles'] / counts['particles']:.2%} | {of['groups']:,} |"
        for name, of in sorted(counts["classes"].items(), key=lambda item: -item[1]["particles"])
    ]
    total = f"| all | {counts['particles']:,} | 100.00% | {counts['groups']:,} |"
    return ["| class | particles | share | groups |", "|---|--:|--:|--:|", *rows, total]


def _facts(counts: Counts) -> list[str]:
    twice = counts["duplicates"]
    changed = f"Labels that corrections.csv changed: {counts['corrected']:,}; what they were: corrected_labels.csv."
    return [
        *([changed] if counts["corrected"] else []),
        f"Pixel size: {_pixel_size(counts['pixel_size_known'], counts['particles'])}.",
        f"Masks that were not given but drawn from boxes: {counts['masks_estimated']:,}.",
        f"Particles cut by the edge of their image: {counts['cut_by_edge']:,}.",
        f"Particles of the largest group: {counts['largest_group']:,}.",
        f"Images that occur more than once: {twice['images']:,}, in {_several(twice['particles'], 'further particle')};"
        f" with different classes: {twice['conflicting']:,}. Copies share a group.",
    ]


def _pixel_size(known: int, particles: int) -> str:
    if known == particles:
        return "known; areas and lengths are in nm"
    return f"{f'known for {known:,} of {particles:,} particles' if known else 'unknown'}; areas and lengths are in px"


def _rejection(counts: Counts, reasons: Sequence[tuple[str, int]]) -> list[list[str]]:
    left_out = f"{counts['left_out']:,} left out on purpose"
    head = f"Rows rejected: {counts['rejected']['total']:,}" + (f"; {left_out}" if counts["left_out"] else "")
    if not reasons:
        return [[f"{head}."]]
    more = len(reasons) - MAX_REASONS
    listed = [f"- {number:,} x {_literal(reason)}" for reason, number in reasons[:MAX_REASONS]]
    return [[f"{head}."], [*listed, f"- and {_several(more, 'other reason')}"] if more > 0 else listed]


def _literal(reason: str) -> str:
    # Reasons quote files of users. As code, such text cannot act as Markdown, HTML or a mention of a person.
    printable = "".join(char if char.isprintable() else " " for char in reason).replace("`", "'")
    return f"`{textwrap.shorten(printable, REASON_WIDTH, placeholder=' ...')}`"


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _warnings(counts: Counts) -> list[str]:
    share, conflicting = counts["largest_group"] / counts["particles"], counts["duplicates"]["conflicting"]
    few = [
        f"{name} has only {_several(of['particles'], 'particle')}: its numbers per fold will be noise."
        for name, of in counts["classes"].items()
        if of["particles"] < FEW_PARTICLES
    ]
    one_group = [
        f"All of {name} is in one group: where groups stay whole, it is either learnt or tested, never both."
        for name, of in counts["classes"].items()
        if of["groups"] == 1
    ]
    large = f"One group holds {share:.0%} of all particles: where groups stay whole, the folds will be uneven."
    conflict = f"{_several(conflicting, 'image')} with different classes: a sign of wrong labels; see duplicates.csv."
    return [*few, *one_group, *([large] if share > LARGE_GROUP else []), *([conflict] if conflicting else [])]
