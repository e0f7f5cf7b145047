"""The report: its content for a small run, escaping of names, and its behaviour in a browser."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lipnet.core import files
from lipnet.deployment.reports.report import make_report
from lipnet.deployment.runs import read_evidence, read_run
from lipnet.evaluation.proportions.protocol import ESTIMATORS
from lipnet.samples import particles
from lipnet.samples.particles import Particle
from tests.deployment.finished_run import CLASSES, FOLDS, LABELS, PROBLEM, make_run
from tests.deployment.reports.looks import check

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of eight particles; the id of one is a script, and one has a wrong label."""
    run = make_run(tmp_path_factory.mktemp("run"))
    table_path = run / f"data/particles/{PROBLEM}.csv"
    table = files.read_table(table_path)
    table.loc[0, "id"] = EVIL
    files.write_table(table_path, table)
    grey = np.arange(20 * 20, dtype=np.uint8).reshape(20, 20)
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    some = [Particle(name, "Dense", "g", grey, mask) for name in table["id"]]
    files.write_blocks(run / f"data/particles/{PROBLEM}.npz", [particles.to_arrays(particles.pack(some))])
    for name, wrong in {"svm": [0], "cnn": [0, 6], "cnn_shifted": [0]}.items():
        folder = "decisions" if name == "cnn_shifted" else "predictions"
        files.write_table(run / f"data/{folder}/{PROBLEM}/{name}.csv", _predictions(table["id"], wrong))
    corrected = pd.DataFrame({"id": ["p7"], "before": ["Dense"], "label": ["Clear"]})
    files.write_table(run / f"plots/particles/{PROBLEM}/corrected_labels.csv", corrected)
    text, errors = make_report(read_run(run, PROBLEM), read_evidence(run, PROBLEM))
    files.write_text(run / "report.html", text)
    files.write_table(run / "label_errors.csv", errors)
    return run / "report.html"


def _predictions(ids: pd.Series, wrong: list[int]) -> pd.DataFrame:
    predicted = LABELS.copy()
    predicted[wrong] = 1 - predicted[wrong]
    p = np.where(np.arange(2) == predicted[:, None], 0.95, 0.05)
    names = np.array(CLASSES)
    table = pd.DataFrame({"id": ids, "repeat": 0, "fold": FOLDS, "label": names[LABELS], "predicted": names[predicted]})
    return table.assign(p_Dense=p[:, 0], p_Clear=p[:, 1])


def test_the_page_summarises_the_run(page: Path) -> None:
    text = page.read_text()
    assert "8 particles in 4 groups were sorted into 2 classes (Dense, Clear) by 3 classifiers" in text
    assert "cross-validation over 2 folds" in text
    assert text.index("The recommended classifier is svm (an SVM)") < text.index("8 particles in 4 groups were sorted")
    assert "Artificial data." not in text


def test_names_cannot_become_markup_and_nothing_is_loaded(page: Path) -> None:
    text = page.read_text()
    assert EVIL not in text and "&lt;script&gt;alert(1)" in text
    assert text.count("<script>") == 1
    assert "http:" not in text and "https:" not in text


def test_the_table_of_label_errors_changes_nothing_if_it_is_saved_unchanged(page: Path) -> None:
    table = pd.read_csv(page.with_name("label_errors.csv"), keep_default_na=False)
    assert table["id"].tolist() == [EVIL, "p7"]
    assert table["label"].tolist() == ["Dense", "Clear"] and table["suggested"][0] == "Clear"
    assert table["note"].tolist() == ["", "corrected before; was Dense"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_readable_at_every_width_and_in_both_colour_schemes(
    browser: Any, page: Path, width: int, scheme: str
) -> None:
    tab = check(browser, page, width, scheme)
    chart = tab.locator("#precision-recall picture").first
    light, dark = chart.locator("img").get_attribute("src"), chart.locator("source").get_attribute("srcset")
    assert light != dark
    assert chart.locator("img").evaluate("(one) => one.currentSrc") == (dark if scheme == "dark" else light)


def test_every_particle_has_the_outline_of_its_mask_which_can_be_hidden(browser: Any, page: Path) -> None:
    tab = browser.new_page()
    tab.goto(page.as_uri())
    pictures, outlines = tab.locator("svg.crop"), tab.locator("svg.crop > image + path.outline")
    assert pictures.count() == outlines.count() > 8
    assert outlines.evaluate_all("(all) => all.every((one) => one.getAttribute('d').startsWith('M'))")
    assert outlines.first.is_visible()
    tab.get_by_label("outlines").uncheck()
    assert not outlines.first.is_visible()


def test_tables_sort_by_mouse_and_by_keyboard(browser: Any, page: Path) -> None:
    tab = browser.new_page()
    tab.goto(page.as_uri())
    heading = tab.locator("#measures table").first.locator("th", has_text="macro F1")
    rows = "[...document.querySelector('#measures table').tBodies[0].rows]"
    column = f"{rows}.map((row) => Number(row.cells[1].dataset.value))"
    heading.locator("button").click()
    up = tab.evaluate(column)
    assert heading.get_attribute("aria-sort") == "ascending" and up == sorted(up) and up[0] < up[-1]
    heading.locator("button").focus()
    tab.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending" and tab.evaluate(column) == up[::-1]


def test_the_page_is_accessible(browser: Any, page: Path) -> None:
    tab = browser.new_page()
    tab.goto(page.as_uri())
    assert tab.evaluate("[...document.images].every((image) => image.alt)")
    assert tab.evaluate("document.documentElement.lang") == "en"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.evaluate("document.querySelectorAll('[tabindex]:not([aria-label])').length") == 0
    axe = os.environ.get(
        "AXE_CORE"
    )  # path of axe.min.js of the npm package axe-core, which is not part of this repository
    if axe:
        tab.evaluate(Path(axe).read_text())
        found = tab.evaluate(
            "axe.run().then((result) => result.violations.map((one) => `${one.id}: ${one.nodes[0].html}`))"
        )
        assert found == []


def test_the_page_says_that_the_training_loss_was_still_falling(page: Path) -> None:
    run, evidence = read_run(page.parent, PROBLEM), read_evidence(page.parent, PROBLEM)
    said = "The training loss of the network was still falling at the end in 2 of 2 folds"
    assert said not in page.read_text(encoding="utf-8")
    epochs = np.arange(1, 9)
    falling = pd.DataFrame({"fold": np.repeat([0, 1], 8), "phase": "training", "epoch": np.tile(epochs, 2)})
    history = falling.assign(loss=1 - 0.1 * falling["epoch"], accuracy=0.5, validation_loss=np.nan)
    assert said in make_report(run, replace(evidence, history=history))[0]


def test_a_page_of_a_run_that_is_out_of_date_says_what_changed(page: Path) -> None:
    run, evidence = read_run(page.parent, PROBLEM), read_evidence(page.parent, PROBLEM)
    assert "Out of date" not in page.read_text(encoding="utf-8")
    text, _ = make_report(replace(run, changed=["params.yaml: <model>"]), evidence)
    assert "<strong>Out of date.</strong> Changed since the models were trained: params.yaml: &lt;model&gt;." in text


def test_the_section_on_class_shares_counts_and_corrects(page: Path) -> None:
    assert "Nothing is known of class shares" in page.read_text()  # this run has no such samples
    samples = pd.DataFrame(
        {
            "classifier": "svm",
            "shares": ["uniform", "uniform", "natural", "natural"],
            "size": 200,
            "sample": [0, 0, 1, 1],
            "class": CLASSES * 2,
            "true": [0.4, 0.6, 0.9, 0.1],
            **{name: [0.5, 0.5, 0.8, 0.2] for name in ESTIMATORS},
            "corrected": [0.4, 0.6, 0.85, 0.15],
            "low": [0.3, 0.5, 0.8, 0.11],
            "high": [0.5, 0.7, 0.95, 0.2],
        }
    )
    run = page.parent
    files.write_table(run / f"data/proportions/{PROBLEM}.csv", samples)
    text, _ = make_report(read_run(run, PROBLEM), read_evidence(run, PROBLEM), maps=False)
    (run / f"data/proportions/{PROBLEM}.csv").unlink()
    section = text[text.index('<section id="shares"') : text.index('<section id="occlusion"')]
    assert "samples of 200 particles" in section and "near the training shares" in section
    assert "0.100" in section and "0.050" in section and "50%" in section  # counted, corrected, intervals that hold
    assert section.count("<figure>") == len(CLASSES)
    assert "Mean error: corrected 0.025, counted 0.100." in section
