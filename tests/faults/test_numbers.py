"""NaN and infinity stop a stage with a message that names the cause; undefined measures are null, not 0."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from lipnet.classifiers.networks import training
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.evaluation import metrics
from lipnet.evaluation.predictions import from_table
from stages import split
from tests.classifiers.networks.toy_training import training_settings
from tests.classifiers.test_classifiers import CLASSIFIERS, _data, _network
from tests.stages.test_stages import make_params, run

# Keras writes weights through a deprecated interface of NumPy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
OF_FEATURES = [name for name in CLASSIFIERS if name != "cnn"]
EARLY = {"epochs__choose": "early_stopping"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_validation_loss_that_is_not_finite_stops_with_epoch_and_setting(
    monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    losses = iter([1.0, value])
    monkeypatch.setattr(training, "balanced_log_loss", lambda *_: next(losses))
    task = replace(_network(_data(2), 1, 1), training=training_settings(optimiser__learning_rate=0.03, **EARLY))
    message = rf"fold 1: the validation loss is {value} after epoch 2; lower .*learning_rate \(now 0\.03\)"
    with pytest.raises(InputError, match=message):
        training.train_fold(task)


def test_a_diverging_loss_during_early_stopping_stops_with_epoch_and_setting() -> None:
    exploding = training_settings(optimiser__name="sgd", optimiser__learning_rate=1e30, **EARLY)
    with pytest.raises(InputError, match=r"the loss is (nan|inf) after epoch \d; lower .*\(now 1e\+30\)"):
        training.train_fold(replace(_network(_data(2), 0, 1), training=exploding))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", OF_FEATURES)
def test_a_feature_that_is_not_finite_is_refused_by_every_classifier(name: str, value: float) -> None:
    data = _data(2)
    features = data.features.copy()
    features[3, 2] = value
    with pytest.raises(InputError, match=r"NaN or infinite"):
        CLASSIFIERS[name](replace(data, features=features), 0, 1)


@pytest.mark.parametrize("value", [1e39, -1e39, 1e160])
@pytest.mark.parametrize("name", OF_FEATURES)
def test_a_huge_feature_is_refused_by_every_classifier_with_its_value(name: str, value: float) -> None:
    data = _data(2)
    features = data.features.copy()
    features[3, 2] = value
    with pytest.raises(InputError, match=rf"feature quadrant2: has the value {re.escape(f'{value:g}')}, "):
        CLASSIFIERS[name](replace(data, features=features), 0, 1)


@pytest.mark.parametrize("constant", [0.0, 7.0])
@pytest.mark.parametrize("name", OF_FEATURES)
def test_with_a_constant_feature_probabilities_are_finite_and_training_works(name: str, constant: float) -> None:
    data = _data(2)
    features = np.concatenate([data.features[:, :3], np.full((len(data.features), 1), constant)], axis=1)
    found = CLASSIFIERS[name](replace(data, features=features), 0, 1)
    assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    assert (found.predicted == data.labels[data.rows(0)[1]]).mean() > 0.9


def test_measures_of_a_missing_class_and_of_a_class_never_predicted_are_null_not_0() -> None:
    names = list("AABBCC")
    table = pd.DataFrame({"id": [f"p{row}" for row in range(6)], "repeat": 0, "fold": [0, 1, 0, 1, 0, 0]})
    table = table.assign(label=names, predicted=list("AABBAB"), p_A=0.4, p_B=0.4, p_C=0.2)  # no C in fold 1
    record = metrics.summary(metrics.fold_table(from_table(table, "cnn.csv")), list("ABC"))["C"]
    assert record["tpr"] == {"mean": 0.0, "sd": None, "folds": 1}
    assert record["ppv"] == {"mean": None, "sd": None, "folds": 0}
    json.dumps(record, allow_nan=False)


def test_particles_of_only_one_class_are_refused_by_the_split(tmp_path: Path) -> None:
    names = [f"p{row}" for row in range(8)]
    files.write_table(tmp_path / "table", pd.DataFrame({"id": names, "label": "Unilamellar", "group": names}))
    with pytest.raises(InputError, match=r"table: class 'Multilamellar' has 0 particles, fewer than the 2 folds"):
        run(split, tmp_path, make_params())
