"""The comparison on the page: verdicts and intervals of stage compare."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lipnet.core.seeds import generator
from lipnet.deployment.reports.verdicts import Comparison, compared, verdict_of
from lipnet.deployment.runs import PipelineRun, read_predictions, read_run
from lipnet.evaluation import bootstrap, comparison, metrics
from lipnet.evaluation.comparison import CompareSettings
from lipnet.evaluation.predictions import Predictions
from tests.deployment.finished_run import CLASSES, PROBLEM, make_run

N, N_FOLDS = 200, 5
ROOT = Path(__file__).parents[3]


def _predictions(share_wrong: float, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    true = np.arange(N) % 2
    predicted = np.where(rng.random(N) < share_wrong, 1 - true, true)
    p = np.where(np.arange(2) == predicted[:, None], 0.8, 0.2)
    ids = np.array([f"p{number}" for number in range(N)])
    return Predictions(CLASSES, ids, np.zeros(N, int), np.arange(N) // (N // N_FOLDS), true, predicted, p)


@pytest.fixture
def run(tmp_path: Path) -> PipelineRun:
    table = pd.DataFrame({"id": [f"p{number}" for number in range(N)], "group": np.arange(N) // 4})
    read = read_run(make_run(tmp_path), PROBLEM)
    primary = ["macro_f1", "log_loss", "f1"]
    return replace(read, table=table, params=read.params | {"compare": {**read.params["compare"], "primary": primary}})


def _compared(run: PipelineRun) -> tuple[Comparison, dict[str, Predictions], pd.DataFrame]:
    predictions = {"svm": _predictions(0.3, 0), "good": _predictions(0.02, 1), "same": _predictions(0.3, 2)}
    folds = pd.concat([metrics.fold_table(one).assign(classifier=name) for name, one in predictions.items()])
    return compared(run, predictions, folds), predictions, folds


def test_verdicts_name_the_better_one_whatever_the_direction_of_the_measure(run: PipelineRun) -> None:
    found, _, _ = _compared(run)
    assert [test.measure for test in found.overall] == ["macro F1", "log loss"]
    for test in found.overall:  # a lower log loss is better
        assert [line.verdict for line in test.lines] == ["reference", "better", "no difference shown"]
    assert found.overall[1].note.startswith("Lower is better. All pairs tested: best mean")
    assert found.overall[1].lines[1].difference.mean.startswith("−")
    assert [(test.label, test.measure) for test in found.of_classes] == [("Dense", "F1"), ("Clear", "F1")]
    assert found.sentence == ("Compared with svm by macro F1: shown to be better: good; no difference shown: same.")


def test_numbers_are_those_of_the_stage_compare(run: PipelineRun) -> None:
    found, predictions, folds = _compared(run)
    settings = CompareSettings(**run.params["compare"])
    table = comparison.compare(folds, settings).set_index(["classifier", "class", "measure"])
    groups = bootstrap.groups_of(predictions["svm"], run.table, "")
    rng = generator("group bootstrap", run.params["seed"])
    pooled = bootstrap.differences(predictions, groups, "svm", 0.95, settings.bootstrap, rng)
    pooled = pooled.set_index(["classifier", "measure"])
    line = found.overall[0].lines[1]
    for shown, row in (
        (line.difference, table.loc["good", "", "macro_f1"]),
        (line.pooled, pooled.loc["good", "macro_f1"]),
    ):
        assert shown.mean == f"{row['difference']:+.3f}"
        assert shown.interval == f"{row['low']:+.3f} to {row['high']:+.3f}"
    assert found.of_classes[0].lines[1].pooled.mean == "" == found.overall[0].lines[0].difference.mean


def test_bars_of_the_same_scale_have_zero_in_the_middle(run: PipelineRun) -> None:
    bars = [line.bar for test in _compared(run)[0].overall for line in test.lines]
    assert bars[0] is None
    ends = np.array([bar for bar in bars if bar])
    assert np.abs(ends - 50).max() == 48 and (np.diff(ends, axis=1) > 0).all()
    assert ends[0][0] > 50  # better than the reference: the whole interval is right of 0


@pytest.mark.parametrize(
    ("classifier", "measure", "difference", "p", "verdict"),
    [
        ("svm", "macro_f1", np.nan, np.nan, "reference"),
        ("cnn", "macro_f1", 0.1, 0.01, "better"),
        ("cnn", "macro_f1", -0.1, 0.01, "worse"),
        ("cnn", "log_loss", 0.1, 0.01, "worse"),
        ("cnn", "log_loss", -0.1, 0.01, "better"),
        ("cnn", "macro_f1", 0.1, 0.06, "no difference shown"),
        ("cnn", "macro_f1", 0.1, np.nan, "undefined"),
    ],
)
def test_a_verdict(classifier: str, measure: str, difference: float, p: float, verdict: str) -> None:
    row: Any = {"classifier": classifier, "measure": measure, "difference": difference, "p_holm": p}
    settings = CompareSettings(reference="svm", classifiers=None, primary=["macro_f1"], confidence=0.95, bootstrap=0)
    assert verdict_of(pd.Series(row), settings) == verdict


def test_the_default_run_has_the_numbers_of_its_metrics() -> None:
    if not (ROOT / "data/predictions/lamellarity").exists() or read_run(ROOT, "lamellarity", stale=True).changed:
        pytest.skip("no finished run in this checkout")
    run, predictions = read_run(ROOT, "lamellarity"), read_predictions(ROOT, "lamellarity")
    folds = pd.concat([metrics.fold_table(one).assign(classifier=name) for name, one in predictions.items()])
    found = compared(run, predictions, folds)
    table, pooled = (pd.read_csv(ROOT / f"metrics/{name}.csv") for name in ("comparison", "bootstrap"))
    for line in found.overall[0].lines[1:]:
        for shown, written in ((line.difference, table[table["class"].isna()]), (line.pooled, pooled)):
            key = (written["problem"] == "lamellarity") & (written["classifier"] == line.classifier)
            row = written[key & (written["measure"] == "macro_f1")].iloc[0]
            assert shown.mean.replace("−", "-") == f"{row['difference']:+.3f}"
            assert shown.interval.replace("−", "-") == f"{row['low']:+.3f} to {row['high']:+.3f}"
