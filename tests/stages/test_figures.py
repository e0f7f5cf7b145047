"""The stage that draws networks, on the files that training leaves."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.settings import NetworkSettings, RegularisationSettings
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.samples import crops
from stages import figures

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
# Keras writes weights through an interface of NumPy that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def arguments(tmp_path: Path) -> Namespace:
    """Six particles and a tiny network of fold 0."""
    paths = {name: tmp_path / name for name in ("settings", "models", "crops", "table", "pictures")}
    network = NetworkSettings(size_px=8, blocks=[[3, 2]], halve="stride", top="average")
    regularisation = RegularisationSettings.model_validate(PARAMS["train_cnn"]["regularisation"])
    keras.utils.set_random_seed(0)
    model = build(network, 3, ModelOptions(regularisation, 0.5))
    files.write_text(paths["models"] / "architecture.json", model.to_json())
    model.save_weights(paths["models"] / "fold0.weights.h5")
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8)).astype(np.uint8)
    files.write_arrays(paths["crops"], crops.to_arrays({8: images, 12: np.zeros((6, 12, 12), np.uint8)}))
    table = pd.DataFrame({"id": [f"p{number}" for number in range(6)], "label": ["Full", "Empty"] * 3})
    files.write_table(paths["table"], table)
    return Namespace(problem="encapsulation", **paths)


def draw(arguments: Namespace, **settings: Any) -> dict[str, bytes]:
    own = {"figures": {"particle": None, "channels": 16, **settings}}
    files.write_text(arguments.settings, yaml.safe_dump(own))
    figures.main(PARAMS, arguments)
    return {path.name: path.read_bytes() for path in arguments.pictures.iterdir()}


def test_the_three_pictures_are_drawn_with_the_same_bytes_again(arguments: Namespace) -> None:
    found = draw(arguments)
    assert sorted(found) == ["activations.png", "kernels.png", "log_loss.png"]
    for name in found:
        with Image.open(arguments.pictures / name) as image:
            assert image.format == "PNG"
    assert draw(arguments) == found


def test_the_particle_and_the_channels_are_settings(arguments: Namespace) -> None:
    first, second = draw(arguments), draw(arguments, particle="Empty")
    assert first["activations.png"] != second["activations.png"] == draw(arguments, particle="p1")["activations.png"]
    assert first["kernels.png"] == second["kernels.png"]
    assert draw(arguments, channels=1)["activations.png"] != first["activations.png"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"particle": "p9"}, r"figures\.particle = 'p9'.*classes: Empty, Full"),
        ({"channels": 0}, r"figures\.channels = 0"),
        ({"chanels": 4}, r"unknown key 'figures\.chanels'; did you mean 'channels'"),
    ],
)
def test_settings_that_cannot_be_used_are_named(arguments: Namespace, settings: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(arguments, **settings)


def test_crops_of_other_particles_are_refused(arguments: Namespace) -> None:
    files.write_table(arguments.table, files.read_table(arguments.table).iloc[1:])
    with pytest.raises(InputError, match="holds 6 crops but the table 5"):
        draw(arguments)


def test_the_section_must_be_there(arguments: Namespace) -> None:
    files.write_text(arguments.settings, "scale: reduced\n")
    with pytest.raises(InputError, match="'figures' is missing"):
        figures.main(PARAMS, arguments)


def test_the_particle_to_show_is_an_id_or_the_first_of_a_class_or_the_first_of_all() -> None:
    table = pd.DataFrame({"id": ["a", "b", "c", "Full"], "label": ["Full", "Empty", "Empty", "Empty"]})
    assert [figures.row_of(table, name) for name in (None, "c", "Empty", "Full")] == [0, 2, 1, 3]
    with pytest.raises(InputError, match=r"figures\.particle = 'd'.*classes: Empty, Full"):
        figures.row_of(table, "d")
