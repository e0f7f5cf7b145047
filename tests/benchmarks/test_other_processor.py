"""Differences between the means of another run and the committed ones."""

from benchmarks.measure import ROOT
from benchmarks.other_processor import Difference, _row, differences, read


def test_all_means_of_all_classes_are_compared_and_the_largest_change_is_found() -> None:
    def metrics(f1: float, recall: float | None) -> dict[str, object]:
        classifier = {"macro_f1": {"mean": f1, "sd": 0.05}, "Full": {"tpr": {"mean": recall, "sd": 0.1}}}
        return {"encapsulation": {"cnn": classifier, "svm": {"macro_f1": {"mean": 0.5, "sd": None}}}}

    moved = list(differences(metrics(0.75, 0.5), metrics(0.75, 0.25)))
    assert moved == [
        Difference("cnn", "encapsulation, macro_f1", 0.0, 0.05),
        Difference("cnn", "encapsulation, Full tpr", 0.25, 0.1),
        Difference("svm", "encapsulation, macro_f1", 0.0, 0.0),
    ]
    assert _row("cnn", moved) == ["cnn", "1 of 2", "0.2500", "2.50", "encapsulation, Full tpr"]
    assert _row("svm", moved) == ["svm", "0 of 1", "0.0000", "-", "encapsulation, macro_f1"]
    assert len(list(differences(metrics(0.75, None), metrics(0.75, 0.25)))) == 2  # undefined means are left out


def test_the_means_of_a_run_are_read_from_its_summary() -> None:
    found = read(ROOT)
    assert set(found) == {"lamellarity", "encapsulation"} and found["lamellarity"]["svm"]["mcc"]["mean"] < 1
