"""The report of ingest: counts of small tables, computed by hand, and the text of the report."""

import copy
import json
import re
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lipnet.sources.data_report import FEW_PARTICLES, MAX_REASONS, Counts, count, text
from lipnet.sources.rows import Rejected

NAN = float("nan")
TABLE = pd.DataFrame(
    [
        ("a", "Full", "m1", 2.0, 0, 0),
        ("b", "Full", "m1", 2.0, 1, 0),
        ("c", "Full", "m2", NAN, 1, 1),
        ("d", "Empty", "m1", 2.0, 1, 0),
        ("e", "Empty", "m3", NAN, 0, 0),
    ],
    columns=["id", "label", "group", "pixel_size_nm", "mask_estimated", "cut_by_edge"],
)
NO_DUPLICATES = pd.DataFrame({"id": [], "first_id": [], "conflict": []})
LARGE: Counts = {  # no warnings
    "particles": 12000,
    "groups": 600,
    "largest_group": 25,
    "classes": {"Empty": {"particles": 50, "groups": 30}, "Full": {"particles": 11950, "groups": 598}},
    "rejected": {"total": 0},
    "left_out": 0,
    "duplicates": {"images": 0, "particles": 0, "conflicting": 0},
    "corrected": 0,
    "masks_estimated": 0,
    "cut_by_edge": 0,
    "pixel_size_known": 12000,
}


def _counts(**changes: Any) -> Counts:
    return {**copy.deepcopy(LARGE), **changes}


def _warnings(counts: Counts) -> list[str]:
    report = text("p", counts, [], {})
    return re.findall(r"^- (.*)$", report.split("## Warnings")[1], re.MULTILINE)


def _rejected(column: str, reason: str = "why", fault: bool = True) -> Rejected:
    return Rejected(1, "x", "x.png", column, reason, fault)


def test_counts_of_a_small_table() -> None:
    rejected = [_rejected("mask"), _rejected("image"), _rejected("mask"), _rejected("class", fault=False)]
    assert count(TABLE, rejected, NO_DUPLICATES) == {
        "particles": 5,
        "groups": 3,
        "largest_group": 3,
        "classes": {"Empty": {"particles": 2, "groups": 2}, "Full": {"particles": 3, "groups": 2}},
        "rejected": {"total": 3, "image": 1, "mask": 2},
        "left_out": 1,
        "duplicates": {"images": 0, "particles": 0, "conflicting": 0},
        "corrected": 0,
        "masks_estimated": 3,
        "cut_by_edge": 1,
        "pixel_size_known": 3,
    }


def test_duplicates_are_counted_by_image_and_by_particle() -> None:
    # a three times, twice with another class; b twice with the same class; c twice with different classes
    duplicates = pd.DataFrame(
        {
            "id": ["v", "w", "x", "y", "z"],
            "first_id": ["a", "a", "a", "b", "c"],
            "conflict": [True, False, True, False, True],
        }
    )
    assert count(TABLE, [], duplicates)["duplicates"] == {"images": 3, "particles": 5, "conflicting": 2}


@given(st.lists(st.tuples(st.sampled_from(["id", "image", "total", ""]), st.booleans())))
def test_every_rejected_row_is_counted_once(rows: list[tuple[str, bool]]) -> None:
    counts = count(TABLE, [_rejected(column, fault=fault) for column, fault in rows], NO_DUPLICATES)
    total = counts["rejected"].pop("total")
    assert total == sum(counts["rejected"].values()) == sum(fault for _, fault in rows)
    assert total + counts["left_out"] == len(rows)


def test_a_column_called_total_does_not_hide_the_total() -> None:
    rejected = [_rejected("total"), _rejected("id"), _rejected("")]
    assert count(TABLE, rejected, NO_DUPLICATES)["rejected"] == {"total": 3, "column total": 1, "id": 1, "row": 1}


def test_counts_are_plain_numbers_that_json_can_hold() -> None:
    duplicates = pd.DataFrame({"id": ["b"], "first_id": ["a"], "conflict": [True]})
    counts = count(TABLE, [_rejected("mask")], duplicates)
    assert json.loads(json.dumps(counts)) == counts


def test_the_whole_report() -> None:
    counts = count(TABLE, [_rejected("mask"), _rejected("mask")], NO_DUPLICATES)
    report = text("vesicles", counts, [("the mask is empty", 2)], {"sizes.png": "Sizes."})
    assert report == (
        "# vesicles: the particles\n\n"
        "| class | particles | share | groups |\n"
        "|---|--:|--:|--:|\n"
        "| Full | 3 | 60.00% | 2 |\n"
        "| Empty | 2 | 40.00% | 2 |\n"
        "| all | 5 | 100.00% | 3 |\n\n"
        "- Pixel size: known for 3 of 5 particles; areas and lengths are in px.\n"
        "- Masks that were not given but drawn from boxes: 3.\n"
        "- Particles cut by the edge of their image: 1.\n"
        "- Particles of the largest group: 3.\n"
        "- Images that occur more than once: 0, in 0 further particles; with different classes: 0. "
        "Copies share a group.\n\n"
        "Rows rejected: 2.\n\n"
        "- 2 x `the mask is empty`\n\n"
        "## Warnings\n\n"
        "- Empty has only 2 particles: its numbers per fold will be noise.\n"
        "- Full has only 3 particles: its numbers per fold will be noise.\n"
        "- One group holds 60% of all particles: where groups stay whole, the folds will be uneven.\n\n"
        "![Sizes.](sizes.png)\n\n"
        "Sizes.\n"
    )


def test_a_report_without_faults_warns_of_nothing() -> None:
    assert _warnings(_counts()) == ["None."]
    assert "Rows rejected: 0.\n\n## Warnings" in text("p", _counts(), [], {})


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (12000, "Pixel size: known; areas and lengths are in nm."),
        (11999, "Pixel size: known for 11,999 of 12,000 particles; areas and lengths are in px."),
        (0, "Pixel size: unknown; areas and lengths are in px."),
    ],
)
def test_the_report_says_what_is_known_of_the_pixel_size(known: int, words: str) -> None:
    assert words in text("p", _counts(pixel_size_known=known), [], {})


@pytest.mark.parametrize(("particles", "warned"), [(1, True), (FEW_PARTICLES - 1, True), (FEW_PARTICLES, False)])
def test_a_class_of_few_particles_is_warned_of(particles: int, warned: bool) -> None:
    classes = {"Rare": {"particles": particles, "groups": 2}, "Full": {"particles": 12000 - particles, "groups": 600}}
    noun = "particle" if particles == 1 else "particles"
    expected = [f"Rare has only {particles} {noun}: its numbers per fold will be noise."] if warned else ["None."]
    assert _warnings(_counts(classes=classes)) == expected


@pytest.mark.parametrize(("largest", "warned"), [(2400, False), (2401, True)])
def test_a_group_of_more_than_a_fifth_is_warned_of(largest: int, warned: bool) -> None:
    found = _warnings(_counts(largest_group=largest))
    assert ("One group holds 20% of all particles" in found[0]) == warned
    assert len(found) == 1


def test_a_class_that_lies_in_one_group_is_warned_of() -> None:
    classes = {"Empty": {"particles": 60, "groups": 1}, "Full": {"particles": 11940, "groups": 2}}
    (warning,) = _warnings(_counts(classes=classes))
    assert warning.startswith("All of Empty is in one group")


def test_conflicting_duplicates_are_warned_of_and_others_are_not() -> None:
    copies = {"images": 1200, "particles": 1500, "conflicting": 0}
    counts = _counts(duplicates=copies)
    assert _warnings(counts) == ["None."]
    assert "more than once: 1,200, in 1,500 further particles; with different classes: 0." in text("p", counts, [], {})
    (warning,) = _warnings(_counts(duplicates={**copies, "conflicting": 3}))
    assert warning.startswith("3 images with different classes: a sign of wrong labels")


def test_only_the_most_frequent_reasons_are_listed() -> None:
    reasons = [(f"reason {number}.", 100 - number) for number in range(MAX_REASONS + 3)]
    report = text("p", _counts(rejected={"total": 1222}, left_out=7), reasons, {})
    assert "Rows rejected: 1,222; 7 left out on purpose." in report
    assert re.findall(r"^- (\d+) x `reason (\d+)\.`$", report, re.MULTILINE) == [
        (str(100 - number), str(number)) for number in range(MAX_REASONS)
    ]
    assert "- and 3 other reasons\n" in report
    assert "other reason" not in text("p", _counts(), reasons[:MAX_REASONS], {})
    assert "- and 1 other reason\n" in text("p", _counts(), reasons[: MAX_REASONS + 1], {})


@given(st.text(st.characters(), min_size=1))
@example("`` <b>@me</b>\n\n# head \ud800 \x1b[31m |")
@example(1000 * "long ")
def test_a_reason_stays_one_line_of_code_whatever_a_file_put_into_it(words: str) -> None:
    plain = text("p", _counts(), [("x", 3)], {})
    report = text("p", _counts(), [(words, 3)], {})
    report.encode("utf-8")
    before, after = plain.split("`x`")
    assert report.startswith(f"{before}`")
    assert report.endswith(f"`{after}")
    inner = report[len(before) + 1 : -len(after) - 1]
    assert len(inner) <= 300
    assert inner.isprintable()
    assert "`" not in inner


def test_pictures_stand_under_relative_names_with_their_captions_in_order() -> None:
    report = text("p", _counts(), [], {"b c.png": "Second to none.", "a.png": "Last."})
    assert report.endswith("![Second to none.](b%20c.png)\n\nSecond to none.\n\n![Last.](a.png)\n\nLast.\n")


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("123456")), min_size=1))
def test_shares_and_counts_of_any_table_add_up(rows: list[tuple[str, str]]) -> None:
    table = pd.DataFrame(rows, columns=["label", "group"]).assign(pixel_size_nm=NAN, mask_estimated=0, cut_by_edge=0)
    report = text("p", count(table, [], NO_DUPLICATES), [], {})
    cells = re.findall(r"^\| ([a-d]) \| (\d+) \| ([\d.]+)% \| (\d+) \|$", report, re.MULTILINE)
    assert {name: int(number) for name, number, _, _ in cells} == table["label"].value_counts().to_dict()
    assert sum(float(share) for _, _, share, _ in cells) == pytest.approx(100, abs=0.05)
    assert {name: int(groups) for name, _, _, groups in cells} == {
        name: len({group for label, group in rows if label == name}) for name in {label for label, _ in rows}
    }
    numbers = [int(number) for _, number, _, _ in cells]
    assert numbers == sorted(numbers, reverse=True)
