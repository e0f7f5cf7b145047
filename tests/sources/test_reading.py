"""Classes too small for the folds are found in the tables alone."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lipnet.samples.features import FeatureSettings
from lipnet.samples.folds import SplitSettings
from lipnet.sources.reading import listed, too_few
from lipnet.sources.settings import SourceSettings
from lipnet.sources.source import open_source

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
MEASURES = FeatureSettings.model_validate(PARAMS["features"])
CLASSES = ["Full", "Empty"]
TABLES = {
    "table": ("particles.csv", "id,image,class,group\n{}", "{0},{0}.png,{1},{2}"),
    "micrographs": ("particles.csv", "id,micrograph,x_px,y_px,width_px,height_px,class\n{}", "{0},{2},1,1,9,9,{1}"),
    "particles": ("particles.json", "[{}]", '{{"Id": "{0}", "Class": "{1}", "Group": "{2}"}}'),
}


def _said(folder: Path, kind: str, labels: str, groups: str, corrected: Any = None, **split: Any) -> list[str]:
    name, head, row = TABLES[kind]
    words = {"F": "Full\u00a0", "E": "Empty", "x": "other"}
    rows = [row.format(n, words[label], group) for n, (label, group) in enumerate(zip(labels, groups, strict=True))]
    (folder / name).write_text(head.format((",\n" if kind == "particles" else "\n").join(rows)), encoding="utf-8")
    settings = SourceSettings.model_validate(PARAMS["source"] | {"kind": kind})
    source = open_source("mine", CLASSES, folder, settings, MEASURES, seed=0)  # there is no image
    folds = SplitSettings.model_validate({"folds": 3, "repeats": 1, "protocol": "grouped"} | split)
    return too_few(source.tasks, settings, corrected or {}, CLASSES, folds)


@pytest.mark.parametrize("kind", ["table", "micrographs", "particles"])
def test_a_class_with_one_member_or_in_few_groups_is_named_before_any_image_is_opened(
    tmp_path: Path, kind: str
) -> None:
    assert _said(tmp_path, kind, "FFFEEE", "abcabc") == []
    [one] = _said(tmp_path, kind, "FFFE", "abca")
    assert one.startswith("class 'Empty' has 1 particles, fewer than the 3 folds; add at least 2 of it, write another")
    first, second = _said(tmp_path, kind, "FFFFEEE", "aabbaac")
    assert first.startswith("class 'Full' lies in 2 groups")
    assert "set split.folds to 2, " in first and "set split.folds to 2, " in second
    assert _said(tmp_path, kind, "FFFFEEE", "aabbaac", protocol="shuffled") == []


def test_corrected_labels_count_and_other_classes_do_not(tmp_path: Path) -> None:
    assert _said(tmp_path, "table", "FFFEExx", "abcdefg", {"5": "Empty"}) == []
    assert len(_said(tmp_path, "table", "FFFEExx", "abcdefg")) == 1


def test_artificial_particles_and_empty_tables_have_nothing_to_say(tmp_path: Path) -> None:
    settings = SourceSettings.model_validate(PARAMS["source"])
    assert list(listed(object(), settings)) == []
    assert _said(tmp_path, "table", "", "") == []
