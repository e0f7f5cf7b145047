"""Grey levels: the same picture gives the same network input at any bit depth, in ingest and in prediction."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.core.settings import parse
from lipnet.deployment.model_files import Description
from lipnet.deployment.predict import notes, predict_batch
from lipnet.samples import crops, particles
from lipnet.samples.particles import Particle
from lipnet.sources import ingest
from lipnet.sources.formats.grey_levels import (
    GreySettings,
    Samples,
    check_record,
    faint,
    in_words,
    levels_of,
    record,
    to_grey,
)
from lipnet.sources.micrograph_rows import list_tasks
from lipnet.sources.micrographs import MicrographSettings, read_task
from lipnet.sources.rows import ROWS_PER_TASK, Rejected
from lipnet.sources.unlabelled import open_unlabelled
from tests.deployment.onnx_models import IMAGE, description
from tests.sources.grey import AS_STORED, POOLED, STRETCHED
from tests.sources.test_table import read_particles

SIDE, TOLERANCE = 16, 2 / 255  # of the network input: one step of the 8-bit picture and one of the crop
PICTURE = np.random.default_rng(5).integers(30, 190, (3, SIDE, SIDE))  # three crops in 8-bit levels, not using them all
CUT = MicrographSettings(padding_px=2, pixel_size_nm=None)
DEPTHS: dict[str, tuple[Any, dict[str, Any]]] = {
    "8 bits": (PICTURE.astype(np.uint8), {}),
    "16 bits": ((PICTURE * 257).astype(np.uint16), {}),
    "12 bits in 16": (np.round(PICTURE / 255 * 4095).astype(np.uint16), {"bits": 12}),
    "8 bits in 16": (PICTURE.astype(np.uint16), {"bits": 8}),
    "12 bits in 16, signed": (np.round(PICTURE / 255 * 4095).astype(np.int16), {"bits": 12}),
    "float": ((PICTURE / 255).astype(np.float32), {}),
}


@dataclass
class Spy:
    """A model that keeps its inputs."""

    description: Description
    seen: list[NDArray[Any]] = field(default_factory=list)

    def probabilities(self, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        self.seen.append(feeds["image"])
        return np.full((len(feeds["image"]), 2), 0.5)


def _table(folder: Path, images: Any) -> Path:
    """Save crops of one micrograph and their table."""
    for number, image in enumerate(images):
        tifffile.imwrite(folder / f"{number}.tif", image)
    rows = {"id": range(len(images)), "image": [f"{n}.tif" for n in range(len(images))], "class": "Full", "group": "m"}
    pd.DataFrame(rows).to_csv(folder / "particles.csv", index=False)
    return folder


def _ingested(folder: Path, rule: GreySettings) -> NDArray[Any]:
    """Network inputs as the pipeline makes them."""
    found = read_particles(folder, ["Full"], "class", [], rule)
    store = particles.pack([item for item in found if isinstance(item, Particle)])
    settings = description(inputs={"image": IMAGE}).inputs["image"].crop
    return crops.to_grey(crops.crop_all(store, settings, ["0", "1", "2"])[4])


def _predicted(folder: Path, rule: GreySettings) -> NDArray[Any]:
    """Network inputs as `lipnet predict` makes them."""
    spy: Any = Spy(description(grey=rule))
    opened = open_unlabelled(folder, None, None, [], spy.description.micrographs, spy.description.grey)
    for task in opened.tasks:
        predict_batch(task, opened.read, [spy], None, False)
    return np.concatenate(spy.seen)


@pytest.mark.parametrize("rule", [AS_STORED, STRETCHED, POOLED], ids=["as stored", "per particle", "per micrograph"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_picture_gives_the_same_network_input_at_any_depth(depth: str, rule: GreySettings, tmp_path: Path) -> None:
    images, changes = DEPTHS[depth]
    folder, settings = _table(tmp_path, images), rule.model_copy(update=changes)
    reference = tmp_path / "reference"
    reference.mkdir()
    expected = _ingested(_table(reference, DEPTHS["8 bits"][0]), rule)
    assert np.ptp(expected) > 0.1
    assert_allclose(_ingested(folder, settings), expected, rtol=0, atol=TOLERANCE)
    assert_array_equal(_predicted(folder, settings), _ingested(folder, settings))


def test_the_rules_differ_where_they_should(tmp_path: Path) -> None:
    images = [PICTURE[0].astype(np.uint8), (PICTURE[0] // 2).astype(np.uint8)]  # the second is half as bright
    folder = _table(tmp_path, images)
    means = {
        name: [float(item.image.mean() / 65535) for item in read_particles(folder, ["Full"], "class", [], rule)]  # type: ignore[union-attr]
        for name, rule in (("alone", STRETCHED), ("together", POOLED))
    }
    assert means["alone"][0] == pytest.approx(means["alone"][1], abs=0.01)
    assert means["together"][0] > means["together"][1] + 0.2


def test_8_bit_images_as_stored_keep_their_bytes() -> None:
    image = Samples(PICTURE[0].astype(np.uint8), 255)
    assert to_grey(image, levels_of([image], AS_STORED, "a")) is image.values


def test_numbers_of_16_bits_are_the_257_fold_of_8_bits() -> None:
    wide = Samples((PICTURE[0] * 257).astype(np.uint16), 65535)
    assert_array_equal(to_grey(wide, levels_of([wide], AS_STORED, "a")), PICTURE[0] * 257)


@pytest.mark.parametrize(
    ("samples", "changes", "message"),
    [
        (np.array([[0.0, 2.5]]), {}, r"from 0 to 2\.5, but as_stored needs 0 \(black\) to 1 \(white, by the format\)"),
        (np.array([[-0.1, 0.5]], np.float32), {}, r"from -0\.1 to 0\.5, .*rule: percentile"),
        (
            np.array([[3, 9]], np.int16),
            {},
            "int16 samples have no white level.*percentile.* say in source.grey.bits",
        ),
        (np.array([[3, 9]], np.uint32), {}, "uint32 samples have no white level"),
        (np.array([[-3, 9]], np.int16), {"bits": 12}, "from -3 to 9, .* 4095"),
        (np.array([[3, 4096]], np.uint16), {"bits": 12}, r"4096, but .* to 4095 \(white, by source\.grey\.bits\)"),
    ],
)
def test_samples_without_a_white_level_are_refused_with_the_cure(
    samples: Any, changes: Any, message: str, tmp_path: Path
) -> None:
    found = read_particles(_table(tmp_path, [samples]), ["Full"], "class", [], AS_STORED.model_copy(update=changes))
    [fault] = found
    assert isinstance(fault, Rejected) and fault.column == "image"
    with pytest.raises(InputError, match=rf"0\.tif: .*{message}"):
        raise InputError(fault.reason)


def test_bits_do_not_concern_8_bit_images() -> None:
    image = Samples(np.array([[0, 255]], np.uint8), 255)
    assert levels_of([image], AS_STORED.model_copy(update={"bits": 12}), "a") == (0, 255)


def test_a_white_level_that_the_file_states_is_used() -> None:
    image = Samples(np.array([[0, 1023]], np.uint16), 1023)
    assert to_grey(image, levels_of([image], AS_STORED, "a")).tolist() == [[0, 65535]]


def test_the_crops_of_a_group_share_black_and_white_even_across_tasks(tmp_path: Path) -> None:
    images = np.arange(ROWS_PER_TASK + 10, dtype=np.uint16)[:, None, None] + np.zeros((4, 4), np.uint16)
    found = read_particles(_table(tmp_path, images), ["Full"], "class", [], POOLED)
    levels = [int(item.image.max()) for item in found if isinstance(item, Particle)]
    assert levels == np.round(np.linspace(0, 65535, len(images))).astype(int).tolist()


def test_a_crop_without_a_group_cannot_share_levels(tmp_path: Path) -> None:
    (_table(tmp_path, PICTURE.astype(np.uint8)) / "particles.csv").write_text("id,image,class\n0,0.tif,Full\n")
    [fault] = read_particles(tmp_path, ["Full"], "class", [], POOLED)
    assert isinstance(fault, Rejected) and fault.column == "group" and "set per: particle" in fault.reason
    assert isinstance(read_particles(tmp_path, ["Full"], "class", [], STRETCHED)[0], Particle)


def test_a_group_of_two_depths_is_refused(tmp_path: Path) -> None:
    folder = _table(tmp_path, [PICTURE[0].astype(np.uint8), (PICTURE[0] * 257).astype(np.uint16)])
    with pytest.raises(InputError, match="group m: its crops share black and white but differ in bit depth"):
        read_particles(folder, ["Full"], "class", [], POOLED)


def test_a_folder_of_crops_has_no_micrographs(tmp_path: Path) -> None:
    (_table(tmp_path, PICTURE.astype(np.uint8)) / "particles.csv").unlink()
    with pytest.raises(InputError, match=r"all crops of a micrograph, .* with the column group"):
        open_unlabelled(tmp_path, None, None, [], CUT, POOLED)
    assert open_unlabelled(tmp_path, None, None, [], CUT, STRETCHED).tasks


def _micrograph(folder: Path, values: Any) -> Path:
    tifffile.imwrite(folder / "m.tif", values)
    Image.fromarray(np.pad(np.full((6, 6), 1, np.uint8), 5)).save(folder / "m_labels.png")
    (folder / "particles.csv").write_text("micrograph,label,class\nm.tif,1,Full\n")
    return folder


def _cut(folder: Path, rule: GreySettings) -> Particle:
    [task], _ = list_tasks(folder, ["Full"], "class")
    [particle] = read_task(task, folder, CUT, rule)
    assert isinstance(particle, Particle)
    return particle


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_per_particle_a_micrograph_gives_the_same_as_its_crops(dtype: Any, tmp_path: Path) -> None:
    values = PICTURE[0].astype(dtype)
    values[0, 0] = 255 if dtype == np.uint8 else 9_000  # a hot pixel elsewhere
    crop = tmp_path / "crop"
    crop.mkdir()
    [alone] = read_particles(_table(crop, [values[3:13, 3:13]]), ["Full"], "class", [], STRETCHED)
    assert isinstance(alone, Particle)
    cut = _cut(_micrograph(tmp_path, values), STRETCHED)
    assert_array_equal(cut.image, alone.image)
    assert cut.image.dtype == np.uint16 and int(cut.image.max()) == 65535
    assert int(_cut(tmp_path, POOLED).image.max()) < 65535


@pytest.mark.parametrize("rule", [AS_STORED, STRETCHED, POOLED], ids=["as stored", "per particle", "per micrograph"])
def test_a_micrograph_gives_the_same_at_8_and_16_bits(rule: GreySettings, tmp_path: Path) -> None:
    eight, wide = tmp_path / "8", tmp_path / "16"
    eight.mkdir(), wide.mkdir()
    first = _cut(_micrograph(eight, PICTURE[0].astype(np.uint8)), rule).image
    second = _cut(_micrograph(wide, (PICTURE[0] * 257).astype(np.uint16)), rule).image
    assert_allclose(first / np.iinfo(first.dtype).max, second / 65535, rtol=0, atol=1e-4)


def test_the_store_of_another_rule_is_refused() -> None:
    check_record({"pixels": 0} | record(AS_STORED), record(AS_STORED), "a.npz")
    check_record({"pixels": 0}, {}, "a.npz")
    for made in (record(STRETCHED), {}):
        with pytest.raises(InputError, match=r"a\.npz: made with source\.grey = .*; run `dvc repro`"):
            check_record(made, record(AS_STORED), "a.npz")


def test_images_that_use_few_levels_are_noted() -> None:
    assert list(faint([0.9, 0.3], ["a", "b"], AS_STORED)) == []
    [all_faint] = faint([4095 / 65535, 0.01], ["a", "b"], AS_STORED)
    assert "would fit into 12 bits: set source.grey.bits" in all_faint
    [all_faint] = faint([16383 / 65535], ["a"], AS_STORED)
    assert "14 bits" in all_faint
    [mixed] = faint([0.9, 4095 / 65535], ["a", "b"], AS_STORED)
    assert mixed.startswith("1 of 2 images use at most a sixteenth of the grey levels (first: b)")
    assert list(faint([0.01], ["a"], STRETCHED)) == list(faint([0.0], ["a"], AS_STORED)) == []


def test_ingest_and_predict_note_faint_images(tmp_path: Path) -> None:
    folder = _table(tmp_path, np.round(PICTURE / 255 * 4095).astype(np.uint16))
    found = read_particles(folder, ["Full"], "class", [])
    batch = ingest.read_batch(None, lambda _: found, description().measures, {})
    [note] = ingest.faint([batch], AS_STORED)
    assert "12 bits" in note
    assert "brightest" not in ingest.join([batch])[0]
    spy: Any = Spy(description())
    opened = open_unlabelled(folder, None, None, [], CUT, AS_STORED)
    predicted = [predict_batch(task, opened.read, [spy], None, False) for task in opened.tasks]
    assert note in notes(predicted, spy.description)


def test_the_rule_in_words() -> None:
    assert in_words(AS_STORED.model_copy(update={"bits": 12})).endswith("are taken to use 12 bits.")
    assert "0 and 100 of each particle's image" in in_words(STRETCHED)
    assert "each micrograph, or of the crops of each group" in in_words(POOLED)


def test_old_settings_are_refused_with_what_to_write_instead() -> None:
    old = {"padding_px": 5, "pixel_size_nm": None, "clip_percent": 0.1}
    with pytest.raises(InputError, match=r"grey: \{rule: percentile, .* low_percent: 0\.1, high_percent: 99\.9\}"):
        parse(MicrographSettings, old, "source.micrographs")


@pytest.mark.parametrize("percents", [(50, 50), (60, 40)])
def test_black_lies_below_white(percents: tuple[float, float]) -> None:
    low, high = percents
    with pytest.raises(InputError, match="low_percent must be smaller than high_percent"):
        parse(GreySettings, AS_STORED.model_dump() | {"low_percent": low, "high_percent": high}, "source.grey")
