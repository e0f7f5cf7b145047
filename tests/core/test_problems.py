"""Problems: classes come from params.yaml, and messages name a faulty list and the cure."""

import re

import pandas as pd
import pytest

from lipnet.core.errors import InputError
from lipnet.core.problems import classes_of, encode


def test_classes_keep_their_order() -> None:
    assert classes_of({"classes": {"shape": ["Round", "Long", "Bent"]}}, "shape") == ["Round", "Long", "Bent"]


def test_an_unknown_problem_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"'lamelarity' is missing in classes; did you mean 'lamellarity'\?"):
        classes_of({"classes": {"lamellarity": ["a", "b"]}}, "lamelarity")


def test_no_section_of_classes_is_named() -> None:
    with pytest.raises(InputError, match="'classes' is missing in the top level"):
        classes_of({"problems": ["shape"]}, "shape")


@pytest.mark.parametrize("classes", [[1, 2], ["a", True], "ab", {"a": 1, "b": 2}, None])
def test_classes_must_be_a_list_of_names(classes: object) -> None:
    with pytest.raises(InputError, match=r"classes\.shape must be a list of names; put quotes around numbers"):
        classes_of({"classes": {"shape": classes}}, "shape")


@pytest.mark.parametrize("classes", [[], ["a"], ["a", "a"], ["a", "b", "a"]])
def test_classes_must_be_two_or_more_and_different(classes: list[str]) -> None:
    with pytest.raises(InputError, match=r"classes\.shape must list at least two names, each once"):
        classes_of({"classes": {"shape": classes}}, "shape")


def test_labels_become_their_place_among_the_classes() -> None:
    found = encode(pd.Series(["NA", "1", "Ä", "1"], index=[7, 3, 9, 1]), ["1", "NA", "Ä"])
    assert found.dtype.name == "int64"
    assert found.tolist() == [1, 0, 2, 0]


def test_no_labels_give_no_indices() -> None:
    assert encode(pd.Series([], dtype=str), ["a", "b"]).tolist() == []


def test_unknown_labels_are_all_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"class c, d is not in `classes` \(a, b\); run ingest again"):
        encode(pd.Series(["d", "a", "c", "d"]), ["a", "b"])


@pytest.mark.parametrize("name", ["", "a|b", "a$b", "a/b", "a.b", " x"])
def test_a_class_name_that_files_or_tables_cannot_take_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"classes.p: '{re.escape(name)}' cannot name a class; use letters"):
        classes_of({"classes": {"p": ["good", name]}}, "p")


@pytest.mark.parametrize("problem", ["a.b", "a b", "", "a/b", "ü"])
def test_a_problem_name_that_paths_cannot_take_is_refused(problem: str) -> None:
    with pytest.raises(InputError, match=f"problem '{re.escape(problem)}': use letters, digits, _ and - only"):
        classes_of({"classes": {problem: ["A", "B"]}}, problem)
